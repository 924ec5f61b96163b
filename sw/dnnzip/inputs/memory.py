"""Memory for what a file declares: too little memory is a message to the user, not a crash.

A file may be sound and still represent more than fits: 4096 weights in a bit of a stream, or an array in a file with
holes. Each place that takes memory by what a file declares does it in a `memory_for` block. A ``MemoryError`` anywhere
else ends the command in a line that cannot name the file.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from dnnzip.errors import InputError

GIGABYTE = 1e9


def most_memory() -> int:
    """Return the bytes that this process can have at most: the machine's, or fewer where a limit is set on it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return int(min([machine, *(limit for limit in limits if limit != resource.RLIM_INFINITY)]))


@contextmanager
def memory_for(where: str, what: str, size: int) -> Iterator[None]:
    """Guard a block that takes memory by what a file declares.

    Parameters
    ----------
    where
        File and layer, for the message.
    what
        What the memory is for, as in "needs memory for 10 weights".
    size
        Least number of bytes that it will take. More than the machine has are refused before the block is entered: a
        system that lends out more than it has would end the process only when the memory is used.

    Raises
    ------
    InputError
        There is too little memory, or the block ran out of it.
    """
    most = most_memory()
    fault = f"needs {size / GIGABYTE:.3g} GB of memory for {what}"
    if size > most:
        raise InputError(where, f"{fault}, and there are {most / GIGABYTE:.3g} GB", "use a machine with more memory")
    try:
        yield
    except MemoryError:
        raise InputError(where, f"{fault}, which cannot be had", "use a machine with more memory") from None
