"""Compilation of the codec's loops by Numba: what is compiled, once, when a loop is first called, and the wait for it.

Compilation is most of the time of a first run, and it goes by the amount of code: a loop that takes its arrays from its
caller, where NumPy makes them at once, is compiled in half the time of one that makes them itself.
"""

from contextlib import ExitStack
from typing import Any

import numba
from numba.core import event

from dnnzip.compiled import compiled
from dnnzip.system.waits import waiting_for

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True}
"""Of all loops. None of them divides by zero, so no code is needed that would raise an error."""

loop = compiled(**_OPTIONS)
"""Decorator of a loop that Python calls; what is compiled is kept for later processes."""

inlined = compiled(inline="always", **_OPTIONS)
"""Decorator of a part that loops use in one place: it is compiled as a part of them, and never by itself for them."""

step = numba.njit(**(_OPTIONS | {"nogil": True, "forceinline": True, "no_cpython_wrapper": True}))
"""Decorator of a part that loops use in several places. Python must not call it, as it has no entry for Python."""

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
