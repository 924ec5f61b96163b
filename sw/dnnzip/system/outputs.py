"""Files that a command writes: each appears whole or not at all, and those of a set all together or none."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dnnzip.errors import InputError
from dnnzip.system.temporary import NO_ROOM, temporary_file


class OutputSet:
    """Outputs that get their names together, once all of them are complete.

    A context manager: the end of its block moves them to their names; an exception drops them all, with the folders
    that were made for them. An output that is no regular file (a pipe, a device, anything under ``/dev``) is written at
    once.
    """

    def __init__(self) -> None:
        self._complete: list[tuple[Path, Path, Path]] = []
        self._folders: list[Path] = []
        self._afterwards: list[Callable[[], None]] = []
        self._temporary = ExitStack()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Move the outputs to their names, or drop them."""
        with ExitStack() as undone:
            for folder in self._folders:
                undone.callback(_remove_empty, folder)
            with self._temporary:
                if kind is None:
                    self.give_names()
                    undone.pop_all()

    @contextmanager
    def open(self, path: str | Path) -> Iterator[Path]:
        """Yield a path to write to; its file belongs to the set once the block ends without an exception.

        Parameters
        ----------
        path
            The output as the user named it.

        Yields
        ------
        The path to write to, in the same folder; that of the output itself where that is no regular file.

        Raises
        ------
        InputError
            The output cannot be written.
        """
        path = Path(path)
        with _said_of(path):
            if is_written_through(path):
                yield path
                return
            target = _replaced_file(path)
            beside = self._temporary.enter_context(temporary_file(target.parent))
            yield beside
            self._complete.append((path, beside, target))

    def write(self, path: str | Path, content: bytes) -> None:
        """Write a file of the set; see `open`."""
        with self.open(path) as file:
            file.write_bytes(content)

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it where they are missing.

        Raises
        ------
        InputError
            It cannot be made.
        """
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            wrong = f"cannot be made ({error.strerror or error})"
            raise InputError(str(path), wrong, "name a folder, or a place for one") from None
        finally:
            self._folders += reversed(missing)

    def afterwards(self, action: Callable[[], None]) -> None:
        """Do something once the outputs have their names."""
        self._afterwards.append(action)

    def give_names(self) -> None:
        """Move all that is complete to its place, in the order in which it was written.

        Raises
        ------
        InputError
            A place has become one that cannot be written.
        """
        for path, beside, target in self._complete:
            with _said_of(path):
                if target.exists():
                    shutil.copymode(target, beside)
                beside.replace(target)
        self._complete.clear()
        while self._afterwards:
            self._afterwards.pop(0)()


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something is in it
        folder.rmdir()


def write_output(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; see `open_output`."""
    with open_output(path) as file:
        file.write_bytes(content)


@contextmanager
def open_output(path: str | Path) -> Iterator[Path]:
    """Yield a path to write to, and move its file to its name once the block ends without an exception.

    The parameters are those of `OutputSet.open`, for a single output.
    """
    with OutputSet() as outputs, outputs.open(path) as file:
        yield file


def check_output(path: str | Path) -> None:
    """Refuse an output that `open_output` could not write, before any work is done for it.

    Raises
    ------
    InputError
        It is a directory, or its folder is missing or cannot be written.
    """
    path = Path(path)
    with _said_of(path):
        if is_written_through(path):
            os.scandir(path.parent).close()  # raises where there is no folder to open anything in
            return
        folder = _replaced_file(path).parent
        os.scandir(folder).close()
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _replaced_file(path: Path) -> Path:
    """Return the file that an output replaces: a link stays a link, and the file that it names is replaced."""
    target = path.resolve()
    if target.is_dir():
        raise InputError(str(path), "is a directory", "name a file to write")
    if target.exists() and not os.access(target, os.W_OK):
        raise InputError(str(path), "cannot be written (Permission denied)", "name a file that can be written")
    return target


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of an output into an ``InputError`` with its reason."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    right = "name a file in an existing folder that can be written"
    if error.errno in NO_ROOM:
        right = "make room there"
    elif error.errno == errno.EMFILE:
        right = "raise the limit of open files by 'ulimit -n'"
    return InputError(str(path), f"cannot be written ({error.strerror or error})", right)


def is_written_through(path: Path) -> bool:
    """Return True if an output is no regular file, which would be replaced."""
    # `/dev/stdout` may lead to a regular file, which the shell holds open: replacing it would lose what comes after.
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except FileNotFoundError:
        return False
