"""The wait for Numba, which compiles the codec's loops when they are called for the first time and keeps them."""

from contextlib import ExitStack

from numba.core import event

from dnnzip.waits import waiting_for

WHAT = "compiling the codec, once, up to half a minute"


class _Wait(event.Listener):
    """Marks the time in which Numba compiles as a wait; loops that call each other are compiled within each other."""

    def __init__(self) -> None:
        self._depth = 0
        self._wait = ExitStack()

    def on_start(self, event: event.Event) -> None:
        """Begin the wait with the outermost loop."""
        del event
        if self._depth == 0:
            self._wait.enter_context(waiting_for(WHAT))
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        """End it with that."""
        del event
        self._depth -= 1
        if self._depth == 0:
            self._wait.close()


def mark_compilation() -> None:
    """Let all compilation of this process be a wait; compilation is one at a time, by Numba's own lock."""
    event.register("numba:compile", _Wait())
