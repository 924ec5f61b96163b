"""Labelled samples from a folder of images.

Either each class has a folder of its own, ``DIR/<class>/*.png``, or the folder holds ``labels.csv`` with lines
``file,class``. A class is its index from 0; where a name is no number, names in alphabetical order are the classes. An
image of the folder that has no class is an error, so that none is left out in silence.
"""

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.evaluation.labels import Labelled, class_indices, read_labels, whole_name
from dnnzip.inputs.reading import open_regular
from dnnzip.onnx.files import open_model
from dnnzip.system import extras

#: Files that are read, by the end of their names.
SUFFIXES = (".png", ".jpg", ".jpeg")

#: Pillow's formats for them; it would try all others, too, some of them with programs of the system.
FORMATS = ("PNG", "JPEG")

#: Errors of Pillow for a file that is damaged.
FAULTS = (OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error, zlib.error)

#: Pixels of an image that is brought to the network's size, before its middle is cut out.
MOST_PIXELS = 1 << 26

#: Other images, which a class's folder must not hold.
OTHER_SUFFIXES = (".bmp", ".gif", ".tif", ".tiff", ".webp")

LABELS = "labels.csv"

#: A right folder, for messages.
RIGHT = f"give a folder with a folder of .png or .jpg files for each class, or with {LABELS} (lines: file,class)"

#: Colour channels to what Pillow calls such an image.
MODES = {1: "L", 3: "RGB"}


def load_images(folder: str | Path, model: str | Path, samples: int | None = None) -> Dataset:
    """Read labelled images as a network takes them.

    Images are brought to the network's size: the shorter side is scaled (bilinear), the middle cut out. Their values
    are 0 to 255 in the network's input type, uint8 or float32: any other scaling is the network's own first step.

    Parameters
    ----------
    folder
        The images.
    model
        The model's file: its first input is [samples, height, width, channels] or [samples, channels, height, width]
        with 1 or 3 channels.
    samples
        Take only that many, evenly spread over the sorted files; None takes all.

    Raises
    ------
    InputError
        There are no labelled images, one cannot be read, or the network takes no images.
    MissingToolError
        The extra ``images`` is not installed.
    """
    image = _pillow()
    files = _labelled_files(Path(folder))
    if samples is not None:
        if not 1 <= samples <= len(files):
            raise InputError(
                f"{field_name('samples')} {samples}", f"{folder} has {len(files)} images", f"give 1 to {len(files)}"
            )
        files = [files[index * len(files) // samples] for index in range(samples)]
    height, width, channels, last, dtype = _input_of(model)
    x = np.empty((len(files), height, width, channels), dtype)
    for index, (path, _) in enumerate(files):
        x[index] = _pixels(image, path, (height, width), channels)
    y = np.array([label for _, label in files], np.int64)
    ordered = x if last else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return Dataset(ordered, y, str(folder))


def load_labelled(
    data: str | Path | None, images: str | Path | None, model: str | Path, samples: int | None = None
) -> Dataset:
    """Read the samples of the option ``--data`` or of ``--images``; see `load_dataset` and `load_images`.

    Raises
    ------
    InputError
        Not exactly one of the two is given, or it cannot be read.
    """
    if data is not None and images is None:
        return load_dataset(data, samples)
    if images is not None and data is None:
        return load_images(images, model, samples)
    wrong = "exclude each other" if data is not None else "are both missing"
    raise InputError(
        f"{field_name('data')} and {field_name('images')}",
        wrong,
        f"give {field_name('data')} SET.npz or {field_name('images')} DIR",
    )


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise extras.missing(field_name("images"), "PIL", "images") from None
    return Image


def _pixels(image: ModuleType, path: Path, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Return an image of a size, uint8 [height, width, channels]."""
    height, width = size
    try:
        # The warning comes from an image of half the size of the error: both say that it is no picture of anything.
        with warnings.catch_warnings(), open_regular(path, RIGHT) as file:
            warnings.simplefilter("error", image.DecompressionBombWarning)
            with image.open(file, formats=FORMATS) as opened:
                picture = opened.convert(MODES[channels])
    except (*FAULTS, image.DecompressionBombError, image.DecompressionBombWarning) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(str(path), f"is no image that can be read ({reason})", RIGHT) from None
    if max(width / picture.width, height / picture.height) ** 2 * picture.width * picture.height > MOST_PIXELS:
        raise InputError(str(path), f"has {picture.width} x {picture.height} pixels, too narrow for {width} x {height}")
    if picture.size != (width, height):
        scale = max(width / picture.width, height / picture.height)
        scaled = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
        picture = picture.resize(scaled, image.Resampling.BILINEAR)
        left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    return np.asarray(picture, np.uint8).reshape(height, width, channels)


def _labelled_files(folder: Path) -> list[tuple[Path, int]]:
    """Return every image and its class: in the list's order, or sorted."""
    if not folder.is_dir():
        raise InputError(str(folder), "is no folder", RIGHT)
    # The recursion does not enter links to folders, which a class's folder may be.
    below = {*folder.rglob("*"), *folder.glob("*/*")}
    images = {path for path in below if _is_image(path.relative_to(folder)) and path.is_file()}
    labels = folder / LABELS
    # A link that leads nowhere is a list that cannot be read, and not the lack of one.
    if labels.exists() or labels.is_symlink():
        named = read_labels(labels)
        _check_all_named(images, named, str(labels), "give each image a line")
    else:
        named = [
            Labelled(path, path.parent.name, str(path.parent))
            for path in sorted(images)
            if path.parent.parent == folder and path.suffix.lower() in SUFFIXES
        ]
        if named:
            _check_all_named(images, named, str(folder), "put a .png or .jpg file into its class's folder")
    if not named:
        raise InputError(str(folder), "has no labelled images", RIGHT)
    return list(zip((item.path for item in named), class_indices(named), strict=True))


def _is_image(path: Path) -> bool:
    """Return True if a file ends as images do, and neither it nor a folder above it is hidden."""
    is_hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES) and not is_hidden


def _check_all_named(images: set[Path], named: Sequence[Labelled], where: str, right: str) -> None:
    known = {whole_name(item.path) for item in named}
    left = sorted(path for path in images if whole_name(path) not in known)
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise InputError(where, f"leaves out the image {str(left[0])!r}{more}", f"{right}, or move it elsewhere")


def _input_of(model: str | Path) -> tuple[int, int, int, bool, np.dtype[np.generic]]:
    """Return height, width, channels, whether channels come last, and the type of a network's input."""
    where = str(model)
    graph = open_model(model).graph
    initializers = {tensor.name for tensor in graph.initializer}
    value = next((value for value in graph.input if value.name not in initializers), None)
    kinds: dict[int, np.dtype[np.generic]] = {
        onnx.TensorProto.UINT8: np.dtype(np.uint8),
        onnx.TensorProto.FLOAT: np.dtype(np.float32),
    }
    dims: Sequence[int] = [] if value is None else [int(d.dim_value) for d in value.type.tensor_type.shape.dim]
    right = f"give {field_name('data')} with samples as the network takes them"
    if value is None or len(dims) != 4 or value.type.tensor_type.elem_type not in kinds:
        raise InputError(where, "does not take images of uint8 or float32 with four dimensions", right)
    dtype = kinds[value.type.tensor_type.elem_type]
    for last in (True, False):
        channels, (height, width) = (dims[3], dims[1:3]) if last else (dims[1], dims[2:4])
        if channels in MODES and height > 0 and width > 0:
            return height, width, channels, last, dtype
    raise InputError(where, f"takes samples of the shape {tuple(dims[1:])}, which are no images", right)
