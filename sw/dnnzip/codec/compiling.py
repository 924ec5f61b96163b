"""Compilation of the codec's loops by Numba: what is compiled, once, when a loop is first called, and the wait for it.

Compilation is most of the time of a first run, and it goes by the amount of code: a loop that takes its arrays from its
caller, where NumPy makes them at once, is compiled in half the time of one that makes them itself.
"""

from contextlib import ExitStack

import numba
from numba.core import event

from dnnzip.waits import waiting_for

loop = numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True)
"""Decorator of a loop that Python calls; what is compiled is kept for later processes."""

inner = numba.njit(nogil=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)
"""Decorator of a part of such loops, which Python does not call: it is kept as a part of them."""

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
