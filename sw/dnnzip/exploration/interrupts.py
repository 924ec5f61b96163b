"""Interrupts that are heeded where the program looks for them, and nowhere else.

An exception out of nowhere does harm in Dask: in one of its finalizers Python prints and drops it, so that nothing
ends; between two of its steps it may leave a lock held or a worker half started, and whoever closes the cluster waits
for them.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_came = threading.Event()


@contextmanager
def postponed() -> Iterator[None]:
    """Note the first interrupt (SIGINT) that comes in the block; `check` raises it, or else the end of the block.

    The second one is raised at once: whoever presses Ctrl-C again does not want to wait.

    Outside of the main thread, and where somebody else handles interrupts or ignores them, as an outer block does,
    nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        if _came.is_set():
            signal.default_int_handler(number, frame)
        _came.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield
        check()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _came.clear()


def check() -> None:
    """Raise the interrupt that came in the block of `postponed` around the call, if one did.

    Raises
    ------
    KeyboardInterrupt
        One came.
    """
    if _came.is_set():
        raise KeyboardInterrupt
