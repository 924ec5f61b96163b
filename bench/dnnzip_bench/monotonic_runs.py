"""Monotonic runs, the scheme of the paper's family, from memory: a baseline, stored by the ``line`` codec.

A run is the longest stretch in which no step falls by more than a tolerance, or none rises by more than it; a run
becomes its least-squares line: an integer intercept and an integer slope, on a grid as fine as 16 bits allow. The
tolerance is a share of the range and no error bound: the error is measured, and stands in the compressed model as its
bound.
"""

from fractions import Fraction

import numpy as np

from dnnzip.codec.compiling import inlined, loop
from dnnzip.errors import InputError
from dnnzip.format import LARGEST_CODE, MAX_SEGMENT
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.grid import FloatGrid, Quantised
from dnnzip.quantize.lines import measured
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.tolerance import largest_errors, ranges_of
from dnnzip.quantize.weights import Weights

ROUNDED_SLOPE = MAX_SEGMENT // 2
"""Most codes by which a rounded slope may lead past the end of the line that it represents."""

SMALLEST_BOUND = 5e-324
"""Bound for a measured error of zero, since an absolute bound is above zero."""


@inlined
def _run_end(weights, start, tolerance):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return where the longest run from `start` ends."""
    limit = min(weights.size, start + MAX_SEGMENT)
    longest = start + 1
    for sign in (1.0, -1.0):
        end = start + 1
        while end < limit and sign * (np.float64(weights[end]) - np.float64(weights[end - 1])) >= -tolerance:
            end += 1
        longest = max(longest, end)
    return longest


@loop
def _runs(weights, tolerance, lengths, intercepts, slopes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill length and least-squares line of each run; return how many there are."""
    count, start = 0, 0
    while start < weights.size:
        end = _run_end(weights, start, tolerance)
        length = end - start
        mean = 0.0
        for i in range(start, end):
            mean += np.float64(weights[i])
        mean /= length
        middle = (length - 1) / 2.0
        above, below = 0.0, 0.0
        for i in range(length):
            above += (i - middle) * (np.float64(weights[start + i]) - mean)
            below += (i - middle) ** 2
        slope = above / below if length > 1 else 0.0
        lengths[count], intercepts[count], slopes[count] = length, mean - slope * middle, slope
        count += 1
        start = end
    return count


def quantise_runs(weight: Weights, tolerance: float) -> Quantised:
    """Put a float tensor on the least-squares lines of its monotonic runs.

    Parameters
    ----------
    weight
        Float weights.
    tolerance
        A step against a run's direction does not end the run up to this share of the tensor's range; 0 to 1.

    Returns
    -------
    Quantised
        The bound of its grid is the largest error that was measured, and so is its ``spec``, as an absolute error: a
        compressed model says what is true, and verifying it compares with that.

    Raises
    ------
    InputError
        Integer, NaN or infinite weights, or a tolerance out of its range.
    """
    if weight.element.is_integer:
        raise InputError(f"layer {weight.name!r}", "has integer weights", "monotonic runs are for float weights")
    if not 0.0 <= tolerance <= 1.0:
        raise InputError("tolerance", f"is {tolerance}", "give a share of the range, 0 to 1")
    span = float(ranges_of(weight, Scope.TENSOR))
    if span == 0.0:
        return quantise(weight, Bound(Fraction(1), Unit.SHARE, "100%"))
    rows = weight.layout.to_channels(weight.array).astype(np.float32, copy=False)
    flat = rows.reshape(-1)
    lengths, intercepts, slopes = np.empty(flat.size, np.int64), np.empty(flat.size), np.empty(flat.size)
    count = _runs(flat, tolerance * span, lengths, intercepts, slopes)
    lengths, intercepts, slopes = lengths[:count], intercepts[:count], slopes[:count]
    ends = intercepts + slopes * (lengths - 1)
    step = np.float32(max(np.abs(intercepts).max(), np.abs(ends).max()) / (LARGEST_CODE - ROUNDED_SLOPE - 1))
    place = np.arange(flat.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first, rise = np.rint(intercepts / float(step)), np.rint(slopes / float(step))
    codes = (np.repeat(first, lengths) + place * np.repeat(rise, lengths)).astype(np.int16).reshape(rows.shape)
    restored = weight.layout.from_channels(decoded_values(codes, np.array(step), weight.element))
    error = max(float(largest_errors(weight, restored, 1, Scope.TENSOR)), SMALLEST_BOUND)
    grid = FloatGrid(weight.element, np.array(error), np.zeros(()), repr(error), Scope.TENSOR, np.array(step))
    return measured(weight, codes, grid)
