"""Folders that keep what takes long to make; where one cannot be written, a temporary one stands in for this run."""

import atexit
import os
from contextlib import ExitStack
from pathlib import Path

from dnnzip.system.streams import say
from dnnzip.system.temporary import temporary_file, temporary_folder

_OPEN = ExitStack()
_SAID: dict[str, Path] = {}


def user_cache() -> Path | None:
    """Return the folder of the user's caches; None of a user without a home."""
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen).absolute()
    try:
        return Path.home().absolute() / ".cache"
    except RuntimeError:
        return None


def can_write(folder: Path) -> bool:
    """Return True if files can be made in a folder; it is made where missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_file(folder):
            return True
    except OSError:
        return False


def writable(folder: Path | None, what: str, variable: str) -> Path:
    """Return a folder if it can be written, and otherwise a temporary one, for which standard error gets a line, once.

    Parameters
    ----------
    folder
        The cache; None where there is no place for it.
    what
        The cache's content, for the line.
    variable
        The environment variable that names another folder.

    Raises
    ------
    InputError
        No temporary folder can be made either.
    """
    if folder is not None and can_write(folder):
        return folder
    if what not in _SAID:
        _SAID[what] = _OPEN.enter_context(temporary_folder())
        place = "nowhere" if folder is None else f"{folder} cannot be written"
        say(f"no place to keep {what} ({place}); made for this run alone, set {variable} to a folder")
    return _SAID[what]


atexit.register(_OPEN.close)
