"""The end of a command that failed: one line on standard error, and the status of the process.

A `DnnzipError` is the user's and says itself what is wrong. Anything else is an error of ours, an *internal error*: its
line says where it was raised and how to report it, and the traceback is shown to whoever asks for it, by the option
``--debug`` or by the environment variable ``DNNZIP_DEBUG``. Every entry point ends through this module.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from dnnzip.cli.options import option
from dnnzip.errors import DnnzipError, InputError
from dnnzip.system import signals
from dnnzip.system.streams import say
from dnnzip.system.terminal import one_line

INTERNAL_ERROR = 70
"""Status of a process that met an error of ours; EX_SOFTWARE of sysexits.h."""

DEBUG = "DNNZIP_DEBUG"
"""Environment variable that asks for the traceback of an internal error: anything but nothing and 0."""

PACKAGES = {"dnnzip", "dnnzip_hw", "dnnzip_sim", "dnnzip_bench"}
INSTALLED = {"site-packages", "dist-packages"}
LONGEST_REASON = 300
"""Characters of a message of a library; what it says at the end of more is for the traceback."""


def is_debugging() -> bool:
    """Return True if the environment asks for the traceback of an internal error."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def ending_of(error: Exception, *, shows_traceback: bool = False) -> tuple[str, int]:
    """Return the message and the status by which an exception ends the process.

    Parameters
    ----------
    error
        The exception, as it reached the entry point.
    shows_traceback
        Whether the traceback of an internal error is printed first; the environment may ask for it as well.
    """
    if isinstance(error, DnnzipError):
        return error.text(option), error.exit_code
    if shows_traceback or is_debugging():
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        # No error of ours, but of a machine too small: the same command may do on another one.
        return f"out of memory: {_described(error)}; use a machine with more memory", InputError.exit_code
    report = "please report it with the output of 'dnnzip doctor' and with the traceback"
    shown = f"which 'dnnzip --debug' in front of the command, or {DEBUG}=1, shows"
    return f"internal error: {_described(error)}; {report}, {shown}", INTERNAL_ERROR


@contextmanager
def failing_in_one_line() -> Iterator[None]:
    """Enclose a block, or decorate an entry point: an exception ends the process with one line and its status."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the end of the process: whatever nobody foresaw is reported here
        end(*ending_of(error))


def end(message: str, status: int) -> NoReturn:
    """End the process with a line and a status; after a signal with the signal's own, which then is the cause."""
    if signals.came():
        message, status = signals.message(), signals.status()
    say(message)
    sys.exit(status)


def _described(error: Exception) -> str:
    """Return the name, the message and the place of an exception."""
    reason = one_line("".join(traceback.format_exception_only(error)))
    if len(reason) > LONGEST_REASON:
        reason = reason[:LONGEST_REASON] + "..."
    return f"{reason} ({place_of(error)})"


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame of ours through which an exception came."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _own_name(frame.f_code.co_filename)
    ]
    if not places:
        return "outside of dnnzip"
    file, line = places[-1]
    return f"{_own_name(file)}:{line}"


def _own_name(file: str) -> str:
    """Return a file's name from its package on; empty for a file that is not of ours."""
    parts = Path(file).parts
    starts = [place for place, part in enumerate(parts) if part in PACKAGES]
    if not starts or INSTALLED & set(parts[starts[-1] :]):
        return ""
    return "/".join(parts[starts[-1] :])
