"""Input files: opened only where they are of a kind that ends, and read only up to a limit.

A file that a user names may be a device that never ends, and one in a folder may be a pipe that nobody writes. What is
read here is checked first, and never more of it than the limit says; memory for a large limit is asked for with
`dnnzip.inputs.memory.memory_for`.
"""

import hashlib
import io
import stat
from pathlib import Path

from dnnzip.errors import InputError

#: Bytes of a pipe that are read at once.
CHUNK = 1 << 20

#: Largest text of settings or facts that is written by hand or for a reader, in bytes.
LARGEST_TEXT = 1 << 20


def check_input(path: Path, limit: int | None, right: str, *, takes_pipe: bool = False) -> int | None:
    """Refuse a file that cannot be read to its end, before it is opened.

    Parameters
    ----------
    path
        The file as the user named it.
    limit
        Most bytes that it may have; None for any number.
    right
        What would be right, for messages.
    takes_pipe
        Accept a pipe, too. Only for a path that the user has named: one that nobody writes does not return.

    Returns
    -------
    The file's bytes; None for a pipe, which does not say.

    Raises
    ------
    InputError
        It is missing, neither a regular file nor a pipe that is taken, or larger than the limit.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise unreadable(path, error, right) from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(str(path), "cannot be read (Is a directory)", right)
    if stat.S_ISFIFO(found.st_mode) and takes_pipe:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise InputError(str(path), "is no regular file", right)
    if limit is not None and found.st_size > limit:
        raise _too_large(path, limit, right)
    return found.st_size


def read_bounded(path: str | Path, limit: int, right: str, *, takes_pipe: bool = False) -> bytes:
    """Read a file whole.

    Parameters
    ----------
    path, limit, right, takes_pipe
        See `check_input`.

    Raises
    ------
    InputError
        See `check_input`; or it cannot be read.
    """
    path = Path(path)
    size = check_input(path, limit, right, takes_pipe=takes_pipe)
    try:
        with path.open("rb", buffering=0) as file:
            content = _read(file, size or 0, limit)
    except OSError as error:
        raise unreadable(path, error, right) from None
    if len(content) > limit:
        raise _too_large(path, limit, right)
    return content


def _read(file: io.FileIO, size: int, limit: int) -> bytes:
    """Read a file of a size, or what comes beyond it, up to one byte more than the limit."""
    content = io.BytesIO()
    wanted = size
    while content.tell() <= limit:
        chunk = file.read(min(wanted or CHUNK, limit + 1 - content.tell()))
        if not chunk:
            break
        content.write(chunk)
        wanted = max(size - content.tell(), 0)
    return content.getvalue()


def open_regular(path: str | Path, right: str) -> io.BufferedReader:
    """Open a regular file of any size, for readers that go to and fro in it.

    Raises
    ------
    InputError
        It is missing, no regular file, or cannot be opened.
    """
    path = Path(path)
    check_input(path, None, right)
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error, right) from None


def digest_of_file(path: str | Path, right: str) -> str:
    """Return the SHA-256 of a regular file, read piece by piece.

    Raises
    ------
    InputError
        See `open_regular`.
    """
    with open_regular(path, right) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: str | Path, error: OSError | ValueError, right: str) -> InputError:
    """Make one line of the system's reason why a file cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    return InputError(str(path), f"cannot be read ({reason})", right)


def _too_large(path: Path, limit: int, right: str) -> InputError:
    return InputError(str(path), f"has more than {limit} bytes", right)
