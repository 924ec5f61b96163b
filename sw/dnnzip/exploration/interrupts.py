"""Interrupts that are not lost while tasks are waited for."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_kept() -> Iterator[Callable[[], None]]:
    """Yield what raises KeyboardInterrupt if one was raised in the block and lost.

    Python prints and drops an exception in a finalizer, and Dask's futures have some: an interrupt that comes while one
    of them runs would end nothing. Outside of the main thread, and where interrupts are not raised, none is lost.
    """
    before = signal.getsignal(signal.SIGINT)
    came = False

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield check
        return
    handler = before

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
