"""Zero-run coding, as sparse accelerators use it: a number of zeros, then a value, in fields of fixed width."""

import struct

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dnnzip_bench.coders.bit_strings import TAIL, append, window
from dnnzip_bench.coders.coder import CodesCoder
from dnnzip_bench.coders.task import Task

HEADER = struct.Struct("<BB")
"""Bits of a run and of a value."""
MOST_RUN_BITS = 8


@njit(cache=True)
def _pairs(codes, run_bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Count the pairs that the codes become; a run that is full, or at the end, ends with a zero as its value."""
    longest = (1 << run_bits) - 1
    pairs, run = 0, 0
    for code in codes:
        if code == 0 and run < longest:
            run += 1
        else:
            pairs += 1
            run = 0
    return pairs + (run > 0)


@njit(cache=True)
def _write(codes, run_bits, value_bits, data):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    longest = (1 << run_bits) - 1
    mask = (1 << value_bits) - 1
    position, run = 0, 0
    for code in codes:
        if code == 0 and run < longest:
            run += 1
        else:
            position = append(data, position, run << value_bits | (code & mask), run_bits + value_bits)
            run = 0
    if run:
        append(data, position, (run - 1) << value_bits, run_bits + value_bits)


@njit(cache=True)
def _read(data, run_bits, value_bits, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    width = run_bits + value_bits
    half = 1 << (value_bits - 1)
    position, index = 0, 0
    while index < codes.size:
        pair = np.int64(window(data, position) >> np.uint64(32 - width))
        position += width
        for _ in range(pair >> value_bits):
            codes[index] = 0
            index += 1
        codes[index] = ((pair & (2 * half - 1)) ^ half) - half
        index += 1


def value_bits_of(codes: NDArray[np.int16]) -> int:
    """Return the bits of a two's complement field that holds every code."""
    return max(int(codes.max()), -1 - int(codes.min())).bit_length() + 1


def best_run_bits(codes: NDArray[np.int16]) -> int:
    """Return the width of a run's field with which the codes, at least one, take the fewest bits."""
    flat, value_bits = codes.reshape(-1), value_bits_of(codes)
    sizes = [_pairs(flat, bits) * (bits + value_bits) for bits in range(1, MOST_RUN_BITS + 1)]
    return 1 + sizes.index(min(sizes))


def packed_bytes(codes: NDArray[np.int16], run_bits: int | None = None) -> bytes:
    """Return codes as runs of zeros and values, with a header that says how wide their fields are.

    Parameters
    ----------
    codes
        int16, any shape, at least one.
    run_bits
        Of a run's field, 1 to 8; None for the width with which they take the fewest bits.
    """
    flat, value_bits = codes.reshape(-1), value_bits_of(codes)
    if run_bits is None:
        run_bits = best_run_bits(codes)
    data = np.zeros(-(-_pairs(flat, run_bits) * (run_bits + value_bits) // 8), np.uint8)
    _write(flat, run_bits, value_bits, data)
    return HEADER.pack(run_bits, value_bits) + data.tobytes()


class ZeroRuns(CodesCoder):
    """Runs of zeros and values, the width of a run chosen for each tensor."""

    name = "zero runs"
    remark = "a run of zeros and a value, fields of fixed width, the best width of a run for each tensor"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.run_bits = [best_run_bits(codes) for codes in task.codes]

    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Write the pairs."""
        return packed_bytes(codes, self.run_bits[index])

    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Read the pairs."""
        run_bits, value_bits = HEADER.unpack_from(stream)
        data = np.frombuffer(stream[HEADER.size :] + bytes(TAIL), np.uint8)
        codes = np.empty(shape, np.int16)
        _read(data, run_bits, value_bits, codes.reshape(-1))
        return codes
