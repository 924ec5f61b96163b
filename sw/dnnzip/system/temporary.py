"""Temporary files and folders that no end of the process leaves behind for long.

One that is still there when the program ends is removed then (`remove_all`). Files that a killed process leaves are
removed by the next one that makes something in the same folder: the name tells the host, and the owner holds a lock on
it for as long as it lives, whatever has become of its process number. Where the file system has no locks, nothing is
removed.
"""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from dnnzip.errors import InputError

PREFIX = f".dnnzip-{zlib.crc32(os.fsencode(os.uname().nodename)):08x}-"
"""Prefix of the names: a lock counts on its host alone."""

SUFFIX = ".tmp"
"""Suffix of the names."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that is full."""

_OPEN: dict[Path, int | None] = {}
"""Files and folders in use, and the descriptors that hold their locks."""

_SEARCHED: set[Path] = set()
"""Folders in which leftovers have been looked for."""


@contextmanager
def temporary_file(folder: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield a new and empty file, which is removed at the end of the block unless it has been moved.

    Parameters
    ----------
    folder
        Where it is.
    mode
        Its permissions, before those that the user's mask takes away.

    Raises
    ------
    OSError
        It cannot be made.
    """
    path = _made(folder, mode)
    try:
        yield path
    finally:
        _close(path)


@contextmanager
def temporary_folder(folder: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which is removed at the end of the block with all that is in it.

    Parameters
    ----------
    folder
        Where it is; among the system's temporary files when not given.

    Raises
    ------
    InputError
        Among the system's temporary files, it cannot be made, or the block finds no room in it.
    OSError
        The same of a folder that was given.
    """
    with _said_of(system_folder()) if folder is None else nullcontext(folder) as place:
        path = _made(place, 0o700 if folder is None else 0o777, is_folder=True)
        try:
            yield path
        finally:
            _close(path)


def system_folder() -> Path:
    """Return the folder of the system's temporary files.

    Raises
    ------
    InputError
        There is none that can be written.
    """
    try:
        return Path(tempfile.gettempdir()).absolute()
    except OSError:
        raise InputError("temporary files", "no folder for them can be written", "set TMPDIR to one") from None


def remove_all() -> None:
    """Remove what is still there, when the program ends."""
    for path in list(_OPEN):
        _close(path)


def remove_leftovers() -> None:
    """Remove what killed processes have left where this one made something, and among the system's temporary files.

    For a program that has killed its own.
    """
    with suppress(InputError):
        _SEARCHED.add(system_folder())
    folders = list(_SEARCHED)
    _SEARCHED.clear()
    for folder in folders:
        _remove_leftovers(folder)


@contextmanager
def _said_of(folder: Path) -> Iterator[Path]:
    """Yield a folder; report as an ``InputError`` that nothing can be made in it, or that its disk is full."""
    try:
        yield folder
    except OSError as error:
        if error.errno not in (*NO_ROOM, errno.EACCES, errno.EROFS):
            raise
        reason = f"cannot be written ({error.strerror or error})"
        raise InputError(str(folder), reason, "make room there, or set TMPDIR to another folder") from None


def _made(folder: Path, mode: int, *, is_folder: bool = False) -> Path:
    """Make and lock a file or a folder."""
    _remove_leftovers(folder)
    with suppress(InputError):  # what is made here needs no such folder
        _remove_leftovers(system_folder())
    while True:
        path = folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"
        _OPEN[path] = None  # before it is there: a signal may come in between
        try:
            if is_folder:
                path.mkdir(mode)
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            else:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        except BaseException:
            _close(path)
            raise
        _OPEN[path] = handle
        with suppress(OSError):  # no locks here
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, path):
            return path
        _close(path)  # before it was locked, another process took it for a leftover


def _close(path: Path) -> None:
    """Remove a file or folder, if it is there, and then its lock."""
    try:
        _remove(path)
    finally:
        handle = _OPEN.pop(path, None)
        if handle is not None:
            os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this host and user have left in a folder; once in the life of this process."""
    if folder in _SEARCHED:
        return
    _SEARCHED.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIX):
                _remove_leftover(folder / entry.name)


def _remove_leftover(path: Path) -> None:
    with suppress(OSError):  # it is gone, or another user's
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
        # Some file systems lock for writing only what is open for writing; a folder cannot be.
        handle = os.open(path, (os.O_RDONLY if is_folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_uid == os.geteuid() and _is_at(handle, path):
                _remove(path)
        finally:
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Return True if a path still leads to what was opened."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False
