"""Labelled samples from an ``.npz`` file: `x`, what the network takes, and `y`, the class of each sample."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError

#: What a data set must be, for messages.
RIGHT = "give an .npz file with arrays x (samples first) and y (one whole number for each sample)"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples.

    Parameters
    ----------
    x
        [samples, ...] in the network's input type.
    y
        int64 [samples], class indices from 0.
    where
        The file, for messages.
    """

    x: NDArray[np.generic]
    y: NDArray[np.int64]
    where: str

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
        # Opened here, because NumPy leaves a file open that it cannot read.
        with Path(path).open("rb") as file:
            x, y = _arrays(np.load(file, allow_pickle=False), where)
    except OSError as error:
        raise InputError(where, f"cannot be read ({error.strerror or error})", RIGHT) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(where, f"is no .npz file of numbers ({str(error).splitlines()[0][:80]})", RIGHT) from None
    if x.ndim < 1 or x.dtype.kind not in "biuf":
        raise InputError(where, f"x is {x.dtype} {x.shape}", RIGHT)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(where, f"y is {y.dtype} {y.shape}", RIGHT)
    if len(x) != len(y) or not len(x):
        raise InputError(where, f"has {len(x)} samples in x and {len(y)} in y", RIGHT)
    if y.min() < 0:
        raise InputError(where, f"y holds the class {int(y.min())}", "classes count from 0")
    if samples is not None and not 1 <= samples <= len(x):
        raise InputError(f"--samples {samples}", f"{where} has {len(x)} samples", f"give 1 to {len(x)}")
    return Dataset(x[:samples], y[:samples].astype(np.int64), where)


def _arrays(loaded: object, where: str) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Take `x` and `y` out of what NumPy read."""
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise InputError(where, "is no .npz file", RIGHT)
    missing = [name for name in ("x", "y") if name not in loaded.files]
    if missing:
        raise InputError(where, f"has no array {' and no array '.join(missing)}", RIGHT)
    return loaded["x"], loaded["y"]
