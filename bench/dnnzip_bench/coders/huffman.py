"""Canonical Huffman coding of a tensor's codes: one code for the tensor, described by its codeword lengths."""

import heapq
import struct

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dnnzip_bench.coders.bit_strings import TAIL, append, window
from dnnzip_bench.coders.coder import CodesCoder

LONGEST = 15
LENGTH_BITS = 4
HEADER = struct.Struct("<hH")
"""The lowest code, and how many codes from it on have a length."""


def codeword_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the length of each symbol's codeword, 0 where it does not occur and at most ``LONGEST``.

    Parameters
    ----------
    counts
        Occurrences of each symbol, [symbols], at least one above 0.
    """
    used = np.flatnonzero(counts)
    lengths = np.zeros(counts.size, np.int64)
    if used.size == 1:
        lengths[used] = 1
        return lengths
    parents = np.zeros(2 * used.size - 1, np.int64)
    heap = [(int(counts[symbol]), node) for node, symbol in enumerate(used)]
    heapq.heapify(heap)
    for parent in range(used.size, parents.size):
        (left, left_node), (right, right_node) = heapq.heappop(heap), heapq.heappop(heap)
        parents[left_node] = parents[right_node] = parent
        heapq.heappush(heap, (left + right, parent))
    depths = np.zeros(parents.size, np.int64)
    for node in range(parents.size - 2, -1, -1):
        depths[node] = depths[parents[node]] + 1
    lengths[used] = _limited(np.minimum(depths[: used.size], LONGEST), counts[used])
    return lengths


def _limited(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make clipped lengths a prefix code again, at the cost of the rarest symbols that can still grow."""
    space = 1 << LONGEST
    taken = int((space >> lengths).sum())
    order = counts.argsort(kind="stable")
    while taken > space:
        grows = next(index for index in order if lengths[index] < LONGEST)
        lengths[grows] += 1
        taken -= space >> int(lengths[grows])
    for index in order[::-1]:
        while lengths[index] > 1 and taken + (space >> int(lengths[index])) <= space:
            taken += space >> int(lengths[index])
            lengths[index] -= 1
    return lengths


def codewords(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the canonical codeword of each symbol, right-aligned.

    Parameters
    ----------
    lengths
        Bits of each codeword, [symbols], of a prefix code; 0 for a symbol without one.
    """
    words = np.zeros(lengths.size, np.int64)
    following, before = 0, 0
    for symbol in np.lexsort((np.arange(lengths.size), lengths)):
        length = int(lengths[symbol])
        if length:
            following <<= length - before
            words[symbol] = following
            following, before = following + 1, length
    return words


@njit(cache=True)
def _write(values, widths, data, position):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for index in range(values.size):
        position = append(data, position, values[index], widths[index])
    return position


@njit(cache=True)
def _read(data, position, entries, low, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for index in range(codes.size):
        entry = entries[window(data, position) >> np.uint64(32 - LONGEST)]
        codes[index] = low + (entry >> LENGTH_BITS)
        position += entry & ((1 << LENGTH_BITS) - 1)


class Huffman(CodesCoder):
    """Canonical Huffman codes, one per tensor."""

    name = "Huffman"
    remark = "canonical, one code per tensor, 4 bits for each codeword length, at most 15 bits a codeword"

    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Write the lengths, then the codewords."""
        del index
        low = int(codes.min())
        symbols = codes.reshape(-1).astype(np.int64) - low
        counts = np.bincount(symbols)
        lengths = codeword_lengths(counts)
        bits = LENGTH_BITS * lengths.size + int(counts @ lengths)
        data = np.zeros(-(-bits // 8), np.uint8)
        position = _write(lengths, np.full(lengths.size, LENGTH_BITS), data, 0)
        _write(codewords(lengths)[symbols], lengths[symbols], data, position)
        return HEADER.pack(low, lengths.size) + data.tobytes()

    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Read the lengths, make a table of all that ``LONGEST`` bits can begin with, read the codewords."""
        low, size = HEADER.unpack_from(stream)
        data = np.frombuffer(stream[HEADER.size :] + bytes(TAIL), np.uint8)
        nibbles = np.stack([data >> LENGTH_BITS, data & ((1 << LENGTH_BITS) - 1)], axis=1).reshape(-1)
        lengths = nibbles[:size].astype(np.int64)
        words = codewords(lengths)
        entries = np.zeros(1 << LONGEST, np.int32)
        for symbol in np.flatnonzero(lengths):
            free = LONGEST - int(lengths[symbol])
            first = int(words[symbol]) << free
            entries[first : first + (1 << free)] = symbol << LENGTH_BITS | int(lengths[symbol])
        codes = np.empty(shape, np.int16)
        _read(data, LENGTH_BITS * size, entries, low, codes.reshape(-1))
        return codes
