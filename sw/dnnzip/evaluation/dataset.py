"""Labelled samples from an ``.npz`` file: `x`, what the network takes, and `y`, the class of each sample."""

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.inputs.memory import memory_for
from dnnzip.inputs.npz_members import FAULTS, fault_text, read_member_header
from dnnzip.inputs.reading import open_regular

#: A right data set, for messages.
RIGHT = "give an .npz file with arrays x (samples first) and y (one whole number for each sample)"

NAMES = ("x", "y")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples."""

    x: NDArray[np.generic]  # [samples, ...] in the network's input type
    y: NDArray[np.int64]  # int64 [samples], class indices from 0
    where: str  # the file, for messages

    def first(self, samples: int) -> "Dataset":
        """Return the first samples, or all where there are fewer."""
        return Dataset(self.x[:samples], self.y[:samples], self.where)


def load_dataset(path: str | Path, samples: int | None = None) -> Dataset:
    """Read labelled samples.

    Parameters
    ----------
    path
        An ``.npz`` file with `x` and `y`.
    samples
        Take only that many, from the first; None takes all.

    Raises
    ------
    InputError
        The file cannot be read, `x` or `y` is missing or has no such shape or type, or `samples` is not from 1 to the
        number of samples.
    """
    where = str(path)
    try:
        with open_regular(path, RIGHT) as file:
            if not zipfile.is_zipfile(file):
                raise InputError(where, "is no .npz file", RIGHT)
            with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
                # NumPy warns of files that Python 2 wrote, which are as good as others.
                warnings.simplefilter("ignore", UserWarning)
                x, y = _arrays(archive, where)
    except FAULTS as error:
        raise InputError(where, f"is no .npz file of numbers ({fault_text(error)})", RIGHT) from None
    if x.ndim < 1 or x.dtype.kind not in "biuf":
        raise InputError(where, f"x is {x.dtype} {x.shape}", RIGHT)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(where, f"y is {y.dtype} {y.shape}", RIGHT)
    if len(x) != len(y) or not len(x):
        raise InputError(where, f"has {len(x)} samples in x and {len(y)} in y", RIGHT)
    if y.min() < 0:
        raise InputError(where, f"y holds the class {int(y.min())}", "classes count from 0")
    if samples is not None and not 1 <= samples <= len(x):
        raise InputError(f"{field_name('samples')} {samples}", f"{where} has {len(x)} samples", f"give 1 to {len(x)}")
    return Dataset(x[:samples], y[:samples].astype(np.int64), where)


def _arrays(archive: zipfile.ZipFile, where: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Take `x` and `y` out of an archive, after the sizes that both declare have been checked."""
    names = [member.filename for member in archive.infolist()]
    missing = [name for name in NAMES if f"{name}.npy" not in names]
    if missing:
        raise InputError(where, f"has no array {' and no array '.join(missing)}", RIGHT)
    for name in NAMES:
        # NumPy takes the last of two members, and x before x.npy; other readers do not.
        if names.count(f"{name}.npy") + names.count(name) > 1:
            raise InputError(where, f"has two arrays {name}", RIGHT)
    members = [archive.getinfo(f"{name}.npy") for name in NAMES]
    for member in members:
        read_member_header(archive, member)
    # An archive may be small where its arrays are not.
    size = sum(member.file_size for member in members)
    with memory_for(where, f"{size} bytes of x and y", size):
        arrays = []
        for member in members:
            with archive.open(member) as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
                # Behind the last byte the checksum is compared.
                file.read()
    x, y = arrays
    return x, y
