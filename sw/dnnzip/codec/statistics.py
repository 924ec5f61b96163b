"""What the encoder knows of a tensor before it chooses: histograms of its codes, by channel, context and column.

Codes are counted in bins: one per value up to +-255, one per 16 values up to +-4095, one for all beyond on each side.
A bin never straddles a token of a table that can express it, so code lengths by bin are exact.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from dnnzip.format import CONTEXTS, ESCAPE, WORD_BITS

FINE = 256
COARSE_STEP = 16
COARSE_LIMIT = 4096
_COARSE = (COARSE_LIMIT - FINE) // COARSE_STEP
PLANES = CONTEXTS + 1
"""Histogram planes of a channel: one per context, and one for the case that the context is not used."""


@numba.njit(cache=True, nogil=True)
def bin_of(code: int, fine: int) -> int:
    """Return the bin of a code, counted from 0 at the lowest; ``fine`` is the network's number of fine values."""
    size = code if code >= 0 else -code - 1
    if size < fine:
        place = size
    elif size < COARSE_LIMIT:
        place = fine + (size - FINE) // COARSE_STEP
    else:
        place = fine + _COARSE
    half = fine if fine < FINE else FINE + _COARSE + 1
    return half + place if code >= 0 else half - 1 - place


@numba.njit(cache=True, nogil=True)
def _count(
    codes: NDArray[np.int16],
    histogram: NDArray[np.uint32],
    height: int,
    width: int,
    fine: int,
    offsets: NDArray[np.int64],
    column_shift: int,
    one_unit: bool,
) -> None:
    channels, length = codes.shape
    taps = height * width
    signs = np.zeros(length, np.int64)
    for channel in range(channels):
        unit = 0 if one_unit else channel
        tap = 0
        x = 0
        channel_in = 0
        for position in range(length):
            code = np.int64(codes[channel, position])
            signs[position] = (code > 0) - (code < 0)
            if taps == 1:
                a = signs[position - 1] if position >= 1 else 0
                b = signs[position - 2] if position >= 2 else 0
            else:
                a = signs[position - 1] if x > 0 else 0
                b = signs[position - width] if tap >= width else 0
            offset = 0
            if offsets.size:
                column = channel_in >> column_shift
                if column < offsets.size:
                    offset = offsets[column]
            negate = a < 0 or (a == 0 and b < 0)
            histogram[unit, offset, abs(a + b), bin_of(-code if negate else code, fine)] += 1
            histogram[unit, offset, CONTEXTS, bin_of(code, fine)] += 1
            tap += 1
            x += 1
            if x == width:
                x = 0
            if tap == taps:
                tap = 0
                x = 0
                channel_in += 1


@dataclass(frozen=True)
class Statistics:
    """Histograms of one tensor.

    Parameters
    ----------
    histogram
        uint32 [units, column offsets, ``PLANES``, bins]; a unit is a channel, or the whole tensor where
        ``one_unit``.
    column_shift, column_offsets
        The columns that it was counted with; no offsets where columns are not used.
    one_unit
        Whether the tensor has one class for all channels.
    """

    histogram: NDArray[np.uint32]
    column_shift: int
    column_offsets: tuple[int, ...]
    one_unit: bool


def fine_values(largest: int) -> int:
    """Return the number of fine bins on each side for a network whose largest code by size is ``largest``."""
    return FINE if largest + 1 > FINE else max(largest + 1, 1)


def bins(fine: int) -> int:
    """Return the number of bins."""
    return 2 * (fine if fine < FINE else FINE + _COARSE + 1)


def bin_values(fine: int) -> NDArray[np.int64]:
    """Return a code of each bin (the lowest by size): int64 [bins]."""
    positive = np.arange(fine)
    if fine == FINE:
        positive = np.concatenate([positive, np.arange(FINE, COARSE_LIMIT + 1, COARSE_STEP)])
    return np.concatenate([-1 - positive[::-1], positive]).astype(np.int64)


def code_lengths(counts: NDArray[np.float64], shift: int, states: int, fine: int) -> NDArray[np.float64]:
    """Return the bits of a code of each bin in a table: float64 [bins].

    ``counts`` is [64] by token - ``ESCAPE``; a token of count c costs log2(states / c) bits plus the shift, an
    escape 16 more. Infinite where a needed escape is missing.
    """
    with np.errstate(divide="ignore"):
        lengths = np.log2(states) - np.log2(counts) + shift
    tokens = bin_values(fine) >> shift
    fits = np.abs(tokens) < -ESCAPE
    escape = lengths[0] + WORD_BITS
    result = np.where(fits, lengths[np.where(fits, tokens - ESCAPE, 0)], escape)
    return np.where(np.isinf(result), escape, result)


def count(
    codes: NDArray[np.int16],
    kernel: tuple[int, int],
    fine: int,
    one_unit: bool,
    column_offsets: tuple[int, ...] = (),
    column_shift: int = 0,
) -> Statistics:
    """Count the codes of a tensor, int16 [channels, length]."""
    units = 1 if one_unit else codes.shape[0]
    groups = 4 if column_offsets else 1
    histogram = np.zeros((units, groups, PLANES, bins(fine)), np.uint32)
    height, width = kernel
    _count(codes, histogram, height, width, fine, np.array(column_offsets, np.int64), column_shift, one_unit)
    return Statistics(histogram, column_shift, column_offsets, one_unit)
