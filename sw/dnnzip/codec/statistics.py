"""Statistics by which the encoder chooses: histograms of a tensor's codes, by channel, context and column.

Codes are counted in bins: one per value up to +-255, one per 16 values up to +-4095, one for all beyond on each side.
A bin never straddles a token of a table that can express it, so code lengths by bin are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import kernels
from dnnzip.codec.kernels import COARSE_LIMIT, COARSE_STEP, FINE
from dnnzip.format import COLUMN_OFFSET_BITS, CONTEXTS

PLANES = CONTEXTS + 1
"""Histogram planes of a channel: one per context, and one for the case that the context is not used."""


@dataclass(frozen=True)
class Statistics:
    """Histograms of one tensor."""

    # float32 [units, column offsets, ``PLANES``, bins]; a unit is a channel, or the whole tensor where ``one_unit``,
    # then float64, as one count of it may be over 2**24.
    histogram: NDArray[np.float32] | NDArray[np.float64]
    # The columns that it was counted with; no offsets where columns are not used.
    column_shift: int
    column_offsets: tuple[int, ...]
    one_unit: bool  # True if the tensor has one class for all channels


def places_for(largest: int) -> int:
    """Return the number of bins on each side for a network whose largest code by size is ``largest``."""
    # The negative of a code -1 - n, as contexts make it, is one larger than n.
    return int(kernels.place_of(min(largest + 1, COARSE_LIMIT))) + 1


def bins(places: int) -> int:
    """Return the number of bins."""
    return 2 * places


@lru_cache(maxsize=8)
def bin_values(places: int) -> NDArray[np.int64]:
    """Return a code of each bin (the lowest by size): int64 [bins]."""
    every = np.concatenate([np.arange(FINE), np.arange(FINE, COARSE_LIMIT + 1, COARSE_STEP)])
    positive = every[:places]
    return np.concatenate([-1 - positive[::-1], positive]).astype(np.int64)


def code_lengths(counts: NDArray[np.float64], shift: int, states: int, places: int) -> NDArray[np.float64]:
    """Return the bits of a code of each bin in a table: float64 [bins].

    A token of count c costs log2(states / c) bits plus the shift, an escape 16 more. Infinite where a needed escape is
    missing.

    Parameters
    ----------
    counts
        float64 [64], by token - ``ESCAPE``.
    shift
        Low bits that follow a token.
    states
        Number of tANS states, the sum of the counts.
    places
        Number of bins on each side of zero; see ``places_for``.
    """
    values = bin_values(places)
    lengths = np.empty(values.size)
    kernels.code_lengths(counts, shift, states, values, lengths, np.empty(kernels.TOKEN_COUNT))
    return lengths


def column_of_positions(length: int, taps: int, shift: int) -> NDArray[np.int64]:
    """Return the column of each position of a channel: int64 [length]."""
    return np.arange(length) // taps >> shift


def offset_of_positions(length: int, taps: int, shift: int, column_offsets: Sequence[int]) -> NDArray[np.uint8]:
    """Return the column offset of each position of a channel: uint8 [length]; 0 past the last column's."""
    columns = column_of_positions(length, taps, shift)
    offsets = np.zeros(max(int(columns[-1]) + 1, len(column_offsets)), np.uint8)
    offsets[: len(column_offsets)] = column_offsets
    return np.asarray(offsets[columns])


def count(
    codes: NDArray[np.int16],
    kernel: tuple[int, int],
    places: int,
    one_unit: bool,
    column_offsets: tuple[int, ...] = (),
    column_shift: int = 0,
) -> Statistics:
    """Count the codes of a tensor.

    Parameters
    ----------
    codes
        int16 [channels, length].
    kernel
        Height and width of a channel's taps.
    places
        Number of bins on each side of zero; see ``places_for``.
    one_unit
        True to count all channels together.
    column_offsets
        Offset 0 to 3 of each column; empty to leave the columns out.
    column_shift
        log2 of the input channels that share a column.

    Raises
    ------
    ValueError
        A code, or its negative, lies outside of the ``places`` bins on each side.
    """
    largest = max(int(codes.max(initial=0)), -int(codes.min(initial=0)))
    if int(kernels.place_of(min(largest, COARSE_LIMIT))) >= places:
        raise ValueError(f"places must hold codes up to {largest}, and {places} do not")
    units = 1 if one_unit else codes.shape[0]
    groups = 1 << COLUMN_OFFSET_BITS if column_offsets else 1
    histogram = np.zeros((units, groups, PLANES, bins(places)), np.float64 if one_unit else np.float32)
    length = codes.shape[1]
    offsets = offset_of_positions(length, kernel[0] * kernel[1], column_shift, column_offsets)
    masks, back = kernels.neighbour_masks(length, kernel)
    room = kernels.counter_room(offsets, back, groups, bins(places))
    kernels.count_codes(codes, histogram, offsets, one_unit, masks, back, *room)
    return Statistics(histogram, column_shift, column_offsets, one_unit)
