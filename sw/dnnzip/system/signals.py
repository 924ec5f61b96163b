"""Signals that end the program: SIGINT, SIGTERM and SIGHUP, each with one line and the status that a shell expects.

All three are a ``KeyboardInterrupt`` in the main thread, so that each block that cleans up does so. The program calls
these functions, the library never: signals belong to the process, not to a package that it imports.
"""

import os
import signal
import sys
from types import FrameType

TYPE_CHECKING = False  # as of `typing`, which the start of the program does not wait for
if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""The signals, and the program's word for each."""

AGAIN_SECONDS = 0.02
"""So long after Python has dropped an interrupt, it is raised again."""

_came = 0


def end_at_once() -> None:
    """Let signals end the program where they find it, while there is nothing to clean up."""
    _handle(_exit)


def interrupt() -> None:
    """Let signals end the processes that this one started, and raise a ``KeyboardInterrupt`` in the main thread."""
    _handle(raise_interrupt)
    # In a finalizer or a callback of C code Python prints an exception and drops it: the program would go on.
    sys.unraisablehook = _raise_dropped
    signal.signal(signal.SIGALRM, _raise_again)


def ignore() -> None:
    """Ignore signals, while the last things are cleaned up; without an own handler, they end the process as ever."""
    _handle(signal.SIG_IGN)


def came() -> int:
    """Return the number of the signal that ends the program, 0 while none has come."""
    return _came


def note(number: int) -> None:
    """Write down that a signal ends the program; the first one counts."""
    global _came
    _came = _came or number


def message() -> str:
    """Return the word for the signal that came; an interrupt that was none of a signal is called the same."""
    return WORDS[signal.Signals(_came or signal.SIGINT)]


def status() -> int:
    """Return the exit status by which a shell knows the signal that came: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + (_came or signal.SIGINT)


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal, see `interrupt`.

    Raises
    ------
    KeyboardInterrupt
        Always.
    """
    del frame
    from dnnzip.system.descendants import kill_descendants

    note(number)
    kill_descendants()
    raise KeyboardInterrupt


def _handle(handler: "Callable[[int, FrameType | None], None] | signal.Handlers") -> None:
    """Set the handler of each signal, except where whoever started the program wants it to be ignored."""
    for number in WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    del frame
    note(number)
    os.write(2, f"dnnzip: {message()}\n".encode())
    os._exit(status())


def _raise_dropped(dropped: "sys.UnraisableHookArgs") -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(dropped)


def _raise_again(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
