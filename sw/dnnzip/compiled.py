"""Compiles functions with Numba, and keeps what it makes of them, wherever something can be kept.

A cache only saves time: one that is damaged, full or nowhere to be written stops nobody.
"""

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numba
from numba.core.caching import FunctionCache

from dnnzip.system.caches import writable

VARIABLE = "NUMBA_CACHE_DIR"

DAMAGED = (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, ImportError)
"""Exceptions of reading a pickle that is not whole."""


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function when it is first called with arguments of some types; it holds no lock meanwhile.

    Parameters
    ----------
    function
        The function; left out, a decorator is returned.
    options
        Of ``numba.njit``.
    """
    if function is None:
        return partial(compiled, **options)
    result = numba.njit(nogil=True, **options)(function)
    result._cache = _cache_of(function)  # as `cache=True` does
    return result


class _Cache(FunctionCache):
    """Numba's cache of a function, whose faults are those of a cache: what it should hold is made again."""

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
