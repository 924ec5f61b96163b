"""Long waits of a first run, such as for a compiler: a program says on standard error what it waits for.

The library marks its waits with `waiting_for` and says nothing by itself. A program that calls `show_waits` has each of
them said once as a line, or shown with a clock while standard error is a terminal.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

SILENT = "DNNZIP_QUIET"
"""Environment variable that, where it is not empty, has nothing said."""

_begun: dict[str, float] = {}
"""Name of each wait to the time when it first began."""


def _say_nothing(what: str) -> AbstractContextManager[object]:
    del what
    return nullcontext()


_shown: Callable[[str], AbstractContextManager[object]] = _say_nothing


def waiting_for(what: str) -> AbstractContextManager[object]:
    """Return a context for a wait, which is shown if the program wants it.

    Parameters
    ----------
    what
        Text of what happens meanwhile, and about how long it takes.
    """
    return _shown(what)


def show_waits(is_shown: bool = True) -> None:
    """Show the waits of this process from now on, or no longer."""
    global _shown
    _shown = _say if is_shown and not os.environ.get(SILENT) else _say_nothing


@lru_cache(maxsize=1)
def error_console() -> "Console":
    """Return the console of standard error, which a clock and a progress bar have to share."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


@contextmanager
def _say(what: str) -> Iterator[None]:
    is_first = what not in _begun
    begun = _begun.setdefault(what, time.monotonic())
    if sys.stderr is None:
        yield
    elif sys.stderr.isatty():
        with _clock(what, begun):
            yield
    else:
        if is_first:
            print(f"dnnzip: {what}", file=sys.stderr, flush=True)
        yield


def _clock(what: str, begun: float) -> AbstractContextManager[object]:
    """Return a context in which a terminal shows the wait and its seconds."""
    from rich.live import Live
    from rich.text import Text

    def line() -> Text:
        return Text(f"dnnzip: {what}: {time.monotonic() - begun:.0f} s")

    return Live(get_renderable=line, console=error_console(), transient=True, refresh_per_second=4)
