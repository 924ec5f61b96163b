"""Weight files by their kind: found by name and first bytes, opened, and written whole or not at all."""

import os
import zipfile
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, cast

from dnnzip.errors import InputError
from dnnzip.system.outputs import OutputSet, is_written_through
from dnnzip.weight_files.compressed import CompressedFile
from dnnzip.weight_files.entry import WeightFile
from dnnzip.weight_files.gguf_file import read_gguf
from dnnzip.weight_files.gguf_header import MAGIC as GGUF_MAGIC
from dnnzip.weight_files.npz_file import read_npz, write_npz
from dnnzip.weight_files.pickles import ARCHIVE, PICKLE_ENDINGS, PICKLE_MEMBER, PICKLES, pickle_error
from dnnzip.weight_files.safetensors_file import read_safetensors, write_safetensors
from dnnzip.weight_files.sharded import INDEX_ENDINGS, read_sharded, shard_paths, write_sharded


class Kind(Enum):
    """Kind of a weight file."""

    SAFETENSORS = auto()
    SHARDED = auto()
    NPZ = auto()
    GGUF = auto()


#: Endings of names, each with the kind that it says; a longer one goes first.
ENDINGS = {
    **dict.fromkeys(INDEX_ENDINGS, Kind.SHARDED),
    ".safetensors": Kind.SAFETENSORS,
    ".npz": Kind.NPZ,
    ".gguf": Kind.GGUF,
}

#: First byte of an ONNX model: the field of its IR version.
ONNX_FIRST = b"\x08"

OUTPUT_RIGHT = "name an output that ends in .safetensors, .safetensors.index.json or .npz"


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """Return the kind of a weight file; None of what may be a network.

    Raises
    ------
    InputError
        It is a pickle.
    """
    path = Path(path)
    ending = next((kind for end, kind in ENDINGS.items() if path.name.lower().endswith(end)), None)
    if ending is not None or path.suffix.lower() == ".onnx":
        return ending
    front = _front(path)
    if front.startswith(GGUF_MAGIC):
        return Kind.GGUF
    is_archive = front.startswith(ARCHIVE)
    if front.startswith(PICKLES) or (is_archive and _holds_pickle(path)):
        raise pickle_error(path)
    if front and path.suffix.lower() in PICKLE_ENDINGS and not front.startswith(ONNX_FIRST):
        raise pickle_error(path)
    return None


def _front(path: Path) -> bytes:
    """Return the first bytes of a regular file; none of anything else."""
    try:
        if not S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(4)
    except (OSError, ValueError):
        return b""  # who reads it says so


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == PICKLE_MEMBER for name in archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def read_weight_file(path: str | os.PathLike[str]) -> WeightFile:
    """Open a weight file: its tensors stay in it until they are needed.

    Raises
    ------
    InputError
        It is none, or cannot be read, or is damaged; see the readers of each kind.
    """
    path = Path(path)
    match kind_of(path):
        case Kind.SAFETENSORS:
            entries, metadata = read_safetensors(path)
        case Kind.NPZ:
            entries, metadata = read_npz(path)
        case Kind.SHARDED:
            return read_sharded(path)
        case Kind.GGUF:
            return read_gguf(path)
        case _:
            right = "name a file that ends in .safetensors, .safetensors.index.json, .npz or .gguf"
            raise InputError(str(path), "is no weight file", right)
    return WeightFile(str(path), tuple(entries), [metadata])


def further_files(path: str | os.PathLike[str]) -> Sequence[Path]:
    """Return the files that a weight file names: the shards of an index.

    Raises
    ------
    InputError
        The index cannot be read.
    """
    return shard_paths(Path(path)) if kind_of(path) is Kind.SHARDED else ()


def output_kind(target: str | Path, source: Kind) -> Kind:
    """Return the kind of a weight file to write, by its name; without a known ending, that of its source.

    Raises
    ------
    InputError
        Such files are not written, or the name has no ending that says the kind.
    """
    path = Path(target)
    ending = next((kind for end, kind in ENDINGS.items() if path.name.lower().endswith(end)), None)
    if ending is Kind.GGUF:
        raise InputError(str(target), "is a GGUF file, and these are read alone", OUTPUT_RIGHT)
    if ending is None and is_written_through(path):
        return Kind.NPZ if source is Kind.NPZ else Kind.SAFETENSORS
    if ending is None:
        raise InputError(str(target), "has no ending that says the kind of file", OUTPUT_RIGHT)
    if ending is Kind.SHARDED and is_written_through(path):
        raise InputError(str(target), "is no regular file, and an index has others next to it", OUTPUT_RIGHT)
    return ending


def write_compressed(compressed: CompressedFile, target: str | Path, kind: Kind, outputs: OutputSet) -> None:
    """Write a compressed weight file, in shards only where the output is an index; see `write_weight_file`."""
    stored = compressed if kind is Kind.SHARDED else compressed.of_one_piece()
    write_weight_file(stored.as_weight_file(), target, kind, outputs)


def write_weight_file(file: WeightFile, target: str | Path, kind: Kind, outputs: OutputSet) -> None:
    """Write a weight file, tensor by tensor.

    Parameters
    ----------
    file
        The tensors, with metadata; of a sharded file, those of all shards become one where the output is not sharded.
    target
        Where to.
    kind
        Kind of the output; see `output_kind`.
    outputs
        The set that takes the files.

    Raises
    ------
    InputError
        The output cannot be written, or holds no tensors of such a type.
    """
    path = Path(target)
    if kind is Kind.SHARDED:
        write_sharded(file, path, outputs)
        return
    write = write_npz if kind is Kind.NPZ else write_safetensors
    with outputs.open(path) as beside, beside.open("wb") as stream:
        sink = cast(BinaryIO, _Forward(stream)) if is_written_through(path) else stream
        write(file.entries, file.merged_metadata(), sink, str(target))


class _Forward:
    """An output that does not go back: a device may claim that it can, and an archive would then.

    Parameters
    ----------
    file
        Open for bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write
        self.flush = file.flush
