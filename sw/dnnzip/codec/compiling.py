"""Compilation of loops by Numba, once, when a loop is first called; its cache, and the wait for it.

Compilation is most of the time of a first run, and it goes by the amount of code: a loop that takes its arrays from its
caller, where NumPy makes them at once, is compiled in half the time of one that makes them itself.

What is compiled is kept wherever something can be kept. A cache only saves time: one that is damaged, full or nowhere
to be written stops nobody.
"""

import os
import pickle
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import numba
from numba.core import event
from numba.core.caching import FunctionCache

from dnnzip.system.caches import writable
from dnnzip.system.waits import waiting_for

# LLVM's vectorizer of straight-line code takes a sixth of all compilation and makes no loop of dnnzip faster; that of
# loops halves their time. Numba reads this when it compiles first, so a program that compiled before keeps its own.
numba.config.SLP_VECTORIZE = False  # type: ignore[attr-defined]  # Numba makes it from the environment

VARIABLE = "NUMBA_CACHE_DIR"

DAMAGED = (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, ImportError)
"""Exceptions of reading a pickle that is not whole."""


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function when it is first called with arguments of some types; it holds no lock meanwhile.

    Without a function, return a decorator; the options are those of ``numba.njit``.
    """
    if function is None:
        return partial(compiled, **options)
    result = numba.njit(nogil=True, **options)(function)
    result._cache = _cache_of(function)  # as `cache=True` does
    return result


class _Cache(FunctionCache):
    """Numba's cache of a function; an entry that cannot be read is compiled again."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code kept for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except DAMAGED:
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if that can be."""
        with suppress(*DAMAGED):
            super().save_overload(sig, data)


def _cache_of(function: Callable[..., Any]) -> _Cache:
    try:
        return _Cache(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        folder = str(writable(None, "the compiled codec", VARIABLE))
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]  # Numba makes it from the environment
        os.environ[VARIABLE] = folder  # for the processes that this one starts
        return _Cache(function)


_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
"""Of all loops. None of them divides by zero, so no code is needed that would raise an error; none makes an array, so
none is needed that would count references to one (without it, Numba refuses a loop that does)."""

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
        """End the wait with the outermost loop."""
        del event
        self._depth -= 1
        if self._depth == 0:
            self._wait.close()


def mark_compilation() -> None:
    """Let all compilation of this process be a wait; compilation is one at a time, by Numba's own lock."""
    event.register("numba:compile", _Wait())
