"""Bytes in files: the place of some in a file, and a temporary file that takes results as they are made."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError
from dnnzip.system.temporary import system_folder, temporary_file

#: Bytes that are in memory at once while a place is copied.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Place:
    """Bytes in a file."""

    path: Path  # the file, an absolute path
    # Where they begin, and how many they are.
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the bytes.

        Raises
        ------
        InputError
            The file cannot be read, or is shorter now.
        """
        return b"".join(self.chunks(max(self.length, 1)))

    def array(self, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        """Return the bytes as a 1-D array of its own, from little-endian values; ``length`` is a multiple of theirs.

        Raises
        ------
        InputError
            See `read`.
        """
        stored = dtype.newbyteorder("<")
        try:
            values = np.fromfile(self.path, stored, self.length // stored.itemsize, offset=self.offset)
        except OSError as error:
            raise InputError(str(self.path), f"cannot be read ({error.strerror or error})") from None
        if values.nbytes != self.length:
            raise self._shortened()
        return values.astype(dtype, copy=False)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Visit the bytes in pieces.

        Raises
        ------
        InputError
            See `read`.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                left = self.length
                while left:
                    chunk = file.read(min(left, size))
                    if not chunk:
                        raise self._shortened()
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise InputError(str(self.path), f"cannot be read ({error.strerror or error})") from None

    def _shortened(self) -> InputError:
        return InputError(str(self.path), "has become shorter while it was read", "run the command again")


class Spool:
    """A temporary file that takes results as they are made, so that they need no memory; any thread may add to it.

    Parameters
    ----------
    path, file
        The file, and it opened for writing.
    target
        The output that it is for, for messages.
    """

    def __init__(self, path: Path, file: IO[bytes], target: str) -> None:
        self._path = path
        self._target = target
        self._file = file
        self._end = 0
        self._lock = Lock()

    def add(self, content: bytes | memoryview) -> Place:
        """Append bytes and return their place, which is good as long as the spool is open.

        Raises
        ------
        InputError
            They cannot be written.
        """
        with self._lock:
            place = Place(self._path, self._end, len(content))
            try:
                self._file.write(content)
                # Others read it by its name.
                self._file.flush()
            except OSError as error:
                raise _unwritable(self._target, error) from None
            self._end += place.length
        return place


@contextmanager
def open_spool(target: str | Path) -> Iterator[Spool]:
    """Open a spool in the folder of an output; it is gone when the block ends.

    Parameters
    ----------
    target
        The output; one that is no regular file in a folder to write to has its spool among the system's temporary
        files.

    Raises
    ------
    InputError
        The file cannot be made.
    """
    folder = Path(target).resolve().parent
    is_device = folder.parts[1:2] in (("dev",), ("proc",)) or not os.access(folder, os.W_OK)
    with ExitStack() as stack:
        try:
            path = stack.enter_context(temporary_file(system_folder() if is_device else folder, 0o600))
            file = path.open("wb")
        except OSError as error:
            raise _unwritable(str(target), error) from None
        stack.callback(_close, file)
        yield Spool(path, file, str(target))


def _close(file: IO[bytes]) -> None:
    # What could not be written is tried again here; that it failed has been said, and the file is of no use any more.
    with suppress(OSError):
        file.close()


def _unwritable(target: str, error: OSError) -> InputError:
    return InputError(target, f"cannot be written ({error.strerror or error})", "make room beside it")
