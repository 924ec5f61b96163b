"""Memory of large blocks goes back to the system as soon as they are freed, where the C library can be told so.

The allocator of glibc keeps freed blocks of up to 32 MB once it has seen such large ones. While many of them come and
go for good, as when a network is loaded, what it keeps is memory that nobody has.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

#: Parameters of ``mallopt``: the size from which a block is mapped on its own, and the free end of the heap that stays.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1

#: Smallest block that is mapped on its own meanwhile, and afterwards: the largest that glibc takes, where a program
#: with large arrays ends up.
SMALL, LARGE = 128 << 10, 32 << 20


@contextmanager
def large_blocks_returned() -> Iterator[None]:
    """Return freed blocks to the system while the block runs; elsewhere than in glibc, nothing happens."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    library.mallopt(MMAP_THRESHOLD, SMALL)
    library.mallopt(TRIM_THRESHOLD, SMALL)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, LARGE)
        library.mallopt(TRIM_THRESHOLD, 2 * LARGE)
        library.malloc_trim(0)
