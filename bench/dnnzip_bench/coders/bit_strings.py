"""Strings of codewords of many lengths, most significant bit first, in compiled loops."""

import numpy as np
from numba import njit


@njit(cache=True)
def append(data, position, value, width):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the low ``width`` bits (at most 32) of ``value`` at a bit position of zeroed bytes; return the next one."""
    end = position + width
    last = (end - 1) >> 3
    shifted = np.uint64(value) << np.uint64((8 - (end & 7)) & 7)
    while shifted:
        data[last] |= np.uint8(shifted & np.uint64(0xFF))
        shifted >>= np.uint64(8)
        last -= 1
    return end


@njit(cache=True)
def window(data, position):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the 32 bits from a bit position on, of bytes that go on for five more after it."""
    first = position >> 3
    value = np.uint64(0)
    for index in range(5):
        value = value << np.uint64(8) | np.uint64(data[first + index])
    return (value >> np.uint64(8 - (position & 7))) & np.uint64(0xFFFFFFFF)


TAIL = 8
"""Zero bytes that a reader of ``window`` needs after the last one."""
