"""Processes that this one started, and those that they started in turn: compilers, simulators, Yosys."""

import os
import signal
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")


def descendants() -> set[int]:
    """Return the numbers of all descendants of this process."""
    parents: dict[int, int] = {}
    for place in PROCESSES.iterdir():
        if place.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                # "number (name) state parent ...", and a name may hold spaces and brackets.
                fields = (place / "stat").read_bytes().rpartition(b")")[2].split()
                parents[int(place.name)] = int(fields[1])
    found, new = set[int](), {os.getpid()}
    while new := {number for number, parent in parents.items() if parent in new} - found:
        found |= new
    return found


def kill_descendants() -> None:
    """Kill all descendants of this process.

    All are stopped before the first is killed: one whose parent has ended is a descendant no more, and one that still
    runs may start another.
    """
    stopped = set[int]()
    while new := descendants() - stopped:
        _signal(new, signal.SIGSTOP)
        stopped |= new
    _signal(stopped, signal.SIGKILL)


def _signal(numbers: set[int], which: signal.Signals) -> None:
    for number in numbers:
        with suppress(ProcessLookupError, PermissionError):  # it has ended, or is another user's by now
            os.kill(number, which)
