"""Column offsets: scale offsets of a tensor's input channels, chosen by what they save."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import kernels
from dnnzip.codec.kernels import OFFSETS
from dnnzip.codec.statistics import Statistics, column_of_positions, count
from dnnzip.codec.training import Floats, assign_classes
from dnnzip.format import CLASSES, COLUMN_OFFSET_BITS, MAX_COLUMNS, WORD_BITS

REFINEMENTS = 2

SAMPLED_WEIGHTS = 1 << 20
"""Weights of a larger tensor that decide on its columns, in whole channels."""


def column_shift(length: int, taps: int) -> int:
    """Return the smallest shift at which a channel of ``length`` weights has at most ``MAX_COLUMNS`` columns."""
    inputs = -(-length // taps)
    shift = 0
    while (inputs - 1 >> shift) + 1 > MAX_COLUMNS:
        shift += 1
    return shift


def choose_columns(
    codes: NDArray[np.int16], kernel: tuple[int, int], plain: Statistics, lengths: Floats, places: int
) -> Statistics:
    """Return the tensor's statistics with column offsets where these save bits, else ``plain``.

    From the channels' classes lowered by one, so that a column can go down as well as up, each column takes the offset
    that codes it with the fewest bits, then each channel its best class, and so on.

    Parameters
    ----------
    codes
        int16 [channels, length].
    kernel
        Height and width of a channel's taps.
    plain
        The tensor's statistics without columns.
    lengths
        Bits of each bin by class and context; see ``class_lengths``.
    places
        Number of bins on each side of zero; see ``places_for``.
    """
    taps = kernel[0] * kernel[1]
    channels, length = codes.shape
    shift = column_shift(length, taps)
    columns = column_of_positions(length, taps, shift)
    number = int(columns[-1]) + 1
    if number < 2 or plain.one_unit:
        return plain
    every = max(1, codes.size // SAMPLED_WEIGHTS)
    sampled = np.ascontiguousarray(codes[::every])
    side_bits = (WORD_BITS + COLUMN_OFFSET_BITS * number) * sampled.shape[0] / channels
    # Copies, as the compiled loops are for rows that are whole.
    of_sample = plain if every == 1 else replace(plain, histogram=plain.histogram[::every].copy())
    classes, best_bits = assign_classes(of_sample, lengths, context=True)
    best: tuple[int, ...] = ()
    classes = np.maximum(classes - 1, 0)
    for _ in range(REFINEMENTS):
        of_channels = np.broadcast_to(classes, sampled.shape[:1]).astype(np.int64)
        offsets = _best_offsets(sampled, columns, of_channels, lengths)
        trial = count(sampled, kernel, places, False, offsets, shift)
        classes, bits = assign_classes(trial, lengths, context=True)
        if bits + side_bits < best_bits:
            best, best_bits = offsets, bits + side_bits
    if not best:
        return plain
    return trial if every == 1 and best == offsets else count(codes, kernel, places, False, best, shift)


def _best_offsets(
    codes: NDArray[np.int16], columns: NDArray[np.int64], classes: NDArray[np.int64], lengths: Floats
) -> tuple[int, ...]:
    """Return the cheapest offset of each column under the channels' classes.

    A column's cost is that of its weights by size alone, in the middle context: the signs of neighbours would tie the
    columns to each other.
    """
    middle = lengths.shape[2] // 2
    plain = lengths[:, 1]
    bits = 0.5 * (plain[:, middle:] + plain[:, :middle][:, ::-1])
    number = int(columns[-1]) + 1
    costs = np.zeros((number, OFFSETS))
    starts = np.searchsorted(columns, np.arange(number + 1))
    finite = np.where(np.isinf(bits), 1e3, bits)
    shifted = np.minimum(np.arange(CLASSES)[:, None] + np.arange(OFFSETS), CLASSES - 1)
    of_classes = np.ascontiguousarray(finite[shifted].transpose(0, 2, 1))
    kernels.column_costs(codes, classes, of_classes, starts, costs, np.zeros(codes.shape[1], np.uint16))
    return tuple(int(offset) for offset in costs.argmin(axis=1))
