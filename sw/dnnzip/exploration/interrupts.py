"""Signals that end the program, heeded where the program looks for them, and nowhere else.

An exception out of nowhere does harm in Dask: in one of its finalizers Python prints and drops it, so that nothing
ends; between two of its steps it may leave a lock held or a worker half started, and whoever closes the cluster waits
for them.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dnnzip.system import signals

RAISING = (signal.default_int_handler, signals.raise_interrupt)
"""Handlers that raise at once; others are somebody else's."""

_came = threading.Event()


@contextmanager
def postponed() -> Iterator[None]:
    """Note the first signal that comes in the block; `check` raises it, or else the end of the block.

    The second one is raised at once: whoever presses Ctrl-C again does not want to wait.

    Outside of the main thread, and where somebody else handles a signal or ignores it, as an outer block does, nothing
    changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in signals.WORDS} if is_main else {}
    raising = {number: handler for number, handler in before.items() if handler in RAISING}

    def note(number: int, frame: FrameType | None) -> None:
        if _came.is_set():
            signal.default_int_handler(number, frame)
        if raising[signal.Signals(number)] is signals.raise_interrupt:
            signals.note(number)
        _came.set()

    for number in raising:
        signal.signal(number, note)
    try:
        yield
        if raising:
            check()
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        if raising:
            _came.clear()


def check() -> None:
    """Raise an interrupt for the signal that came in the block of `postponed` around the call, if one did.

    Raises
    ------
    KeyboardInterrupt
        One came.
    """
    if _came.is_set():
        raise KeyboardInterrupt
