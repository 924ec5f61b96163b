"""Column offsets: scale offsets of a tensor's input channels, chosen by what they save."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.statistics import Statistics, count
from dnnzip.codec.training import Floats, assign_classes
from dnnzip.format import CLASSES, COLUMN_OFFSET_BITS, MAX_COLUMNS, WORD_BITS

MAX_OFFSET = (1 << COLUMN_OFFSET_BITS) - 1
REFINEMENTS = 2
_CHUNK = 64


def column_shift(length: int, taps: int) -> int:
    """Return the smallest shift at which a channel of ``length`` weights has at most ``MAX_COLUMNS`` columns."""
    inputs = -(-length // taps)
    shift = 0
    while -(-inputs >> shift) > MAX_COLUMNS or (inputs - 1 >> shift) + 1 > MAX_COLUMNS:
        shift += 1
    return shift


def choose_columns(
    codes: NDArray[np.int16], kernel: tuple[int, int], plain: Statistics, lengths: Floats, fine: int
) -> Statistics:
    """Return the tensor's statistics with column offsets where these save bits, else ``plain``.

    Offsets start from zero classes lowered by one step and are refined by exact cost: each column takes the offset
    that codes it with the fewest bits under the channels' classes, then each channel its best class.
    """
    taps = kernel[0] * kernel[1]
    shift = column_shift(codes.shape[1], taps)
    columns = ((codes.shape[1] - 1) // taps >> shift) + 1
    if columns < 2 or plain.one_unit:
        return plain
    classes, best_bits = assign_classes(plain, lengths, context=True)
    best = plain
    per_channel = np.broadcast_to(classes, codes.shape[:1]).astype(np.int64)
    # One step below the classes without columns, so that a column can go down as well as up.
    base = np.maximum(per_channel - 1, 0)
    for _ in range(REFINEMENTS):
        offsets = _best_offsets(codes, kernel, shift, columns, base, lengths)
        trial = count(codes, kernel, fine, False, tuple(int(offset) for offset in offsets), shift)
        classes, bits = assign_classes(trial, lengths, context=True)
        bits += WORD_BITS + COLUMN_OFFSET_BITS * columns
        if bits < best_bits:
            best, best_bits = trial, bits
        base = np.broadcast_to(classes, codes.shape[:1]).astype(np.int64)
    return best


def _best_offsets(
    codes: NDArray[np.int16],
    kernel: tuple[int, int],
    shift: int,
    columns: int,
    base: NDArray[np.int64],
    lengths: Floats,
) -> NDArray[np.int64]:
    """Return the cheapest offset of each column, int64 [columns], under the channels' classes ``base``.

    A column's cost is that of its weights without context, whose neighbours would tie the columns to each other.
    """
    plain = lengths[:, 1]
    largest = min(int(np.abs(codes.astype(np.int64)).max()) + 1, plain.shape[1] // 2)
    middle = plain.shape[1] // 2
    symmetric = 0.5 * (plain[:, middle : middle + largest] + plain[:, middle - largest : middle][:, ::-1])
    sizes = np.minimum(np.abs(codes.astype(np.int32)), largest - 1)
    taps = kernel[0] * kernel[1]
    per_column = taps << shift
    costs = np.zeros((MAX_OFFSET + 1, columns))
    edges = np.arange(0, codes.shape[1], per_column)
    for offset in range(MAX_OFFSET + 1):
        klass = np.minimum(base + offset, CLASSES - 1)
        for start in range(0, codes.shape[0], _CHUNK):
            rows = slice(start, start + _CHUNK)
            bits = symmetric[klass[rows, None], sizes[rows]].sum(axis=0)
            costs[offset] += np.add.reduceat(bits, edges)
    return np.asarray(costs.argmin(axis=0))
