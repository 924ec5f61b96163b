"""Standard output and standard error that cannot be written: closed, on a full device, on a disk without room."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TextIO

from dnnzip.errors import InputError
from dnnzip.system.terminal import one_line


def occupy() -> None:
    """Open the numbers of standard streams that are closed: a file that got one would take what is meant for them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free


def say(message: str) -> None:
    """Write a message in one line to standard error; where that cannot be, nobody can be told."""
    if sys.stderr is None:
        return
    try:
        print("dnnzip: " + one_line(message), file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Let what a stream still holds and gets go nowhere: written again when Python ends, it would fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield standard output, to write bytes to or to print.

    Raises
    ------
    InputError
        It is closed, or cannot be written.
    """
    if sys.stdout is None:
        raise InputError("standard output", "is closed", "open it, or name a file")
    with printing():
        yield sys.stdout.buffer


@contextmanager
def printing() -> Iterator[None]:
    """Print in the block to standard output, if there is one.

    Raises
    ------
    InputError
        It cannot be written.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop(sys.stdout)
        raise InputError(
            "standard output", f"cannot be written ({error.strerror or error})", "name a file with room"
        ) from None
