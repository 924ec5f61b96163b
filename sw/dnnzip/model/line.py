"""Weights as straight segments: within a bound, or as the monotonic runs of the paper's family.

Both put a tensor on a grid as fine as 16 bits allow and choose codes on straight segments over the whole tensor in
storage order, so that the ``line`` codec, which loses nothing, stores few segments. A segment is an integer intercept
and an integer slope: exactly what the decoder adds up.

*Within a bound*: each weight tolerates an interval of codes, found with the decoded values themselves, so that the
bound holds exactly. From the first weight on, the longest segment that passes through every interval is taken, then the
next. A slope a suits the intervals [l, h] of two weights i < j where l_j - h_i <= a (j - i) <= h_j - l_i; a slope that
suits every pair of a segment has an intercept, so the slopes of a segment are an intersection of intervals. Any part of
a feasible segment is feasible, so no choice of segments needs fewer than this one.

*Monotonic runs*: the scheme of the paper's family, from memory. A run is the longest stretch in which no step falls
by more than a tolerance, or none rises by more than it; a run becomes its least-squares line. The tolerance is a share
of the range and no error bound: the error is measured, and stands in the compressed model as its bound.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop, step
from dnnzip.codec.line.choices import fit_lines
from dnnzip.codec.spec import Fit
from dnnzip.errors import InputError
from dnnzip.format import LARGEST_CODE, MAX_SEGMENT
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.grid import LARGEST_INTEGER_ERROR, FloatGrid, IntegerGrid, Lossless, Quantised, kept_as_they_are
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step import decoded_value, decoded_values
from dnnzip.quantize.step_grid import Snap, on_grid
from dnnzip.quantize.tolerance import bounds_of, check_unit, largest_errors, ranges_of
from dnnzip.quantize.weights import Weights, shifted_weights

_LARGEST_CODE = LARGEST_CODE
_MAX_SEGMENT = MAX_SEGMENT

ROUNDED_SLOPE = MAX_SEGMENT // 2
"""Most codes by which a rounded slope may lead past the end of the line that it represents."""

SMALLEST_BOUND = 5e-324
"""Bound for a measured error of zero, since an absolute bound is above zero."""


@step
def _is_kept(weight, code, step, bound, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return abs(weight - decoded_value(np.float64(code), step, rounding)) <= bound


@loop
def _intervals(weights, step, bound, rounding, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill the lowest and highest code that keeps each weight; return True if each has one.

    Decoded values rise with their code and so do rounded differences, so the codes that keep a weight have no gap.
    """
    size = np.float64(step)
    for i in range(weights.size):
        weight = np.float64(weights[i])
        nearest = np.int64(min(max(np.rint(weight / size), -_LARGEST_CODE), _LARGEST_CODE))
        if not _is_kept(weight, nearest, step, bound, rounding):
            for other in (nearest - 1, nearest + 1):
                if abs(other) <= _LARGEST_CODE and _is_kept(weight, other, step, bound, rounding):
                    nearest = other
                    break
            else:
                return False
        lowest = np.int64(max(np.rint((weight - bound) / size), -_LARGEST_CODE))
        lowest = min(lowest, nearest)
        while not _is_kept(weight, lowest, step, bound, rounding):
            lowest += 1
        while lowest > -_LARGEST_CODE and _is_kept(weight, lowest - 1, step, bound, rounding):
            lowest -= 1
        highest = np.int64(min(np.rint((weight + bound) / size), _LARGEST_CODE))
        highest = max(highest, nearest)
        while not _is_kept(weight, highest, step, bound, rounding):
            highest -= 1
        while highest < _LARGEST_CODE and _is_kept(weight, highest + 1, step, bound, rounding):
            highest += 1
        low[i], high[i] = lowest, highest
    return True


def quantise_lines(weight: Weights, bound: Bound, scope: Scope = Scope.TENSOR, fit: Fit = fit_lines) -> Quantised:
    """Put a tensor of weights on straight segments that keep a bound exactly.

    Float weights: the step is (largest magnitude + bound) / 32767, of the tensor or of each channel as the scope says.
    Where that grid is too coarse for a bound, the tensor is stored losslessly as `items`. Integer weights: the codes
    are weights minus zero point, at a step of 1 and within the weights' type, so that scale and zero point stay.

    Parameters
    ----------
    weight
        The weights.
    bound
        The tolerated error.
    scope
        Over which weights the range of a percentage is taken.
    fit
        Chooses the codes within the intervals.

    Raises
    ------
    InputError
        As `dnnzip.quantize.quantise.quantise`.
    """
    check_unit(weight, bound)
    rows = weight.layout.to_channels(weight.array)
    if weight.element.is_integer:
        return _integer_lines(weight, bound, scope, fit)
    ranges = ranges_of(weight, scope)
    bounds = np.asarray(np.where(ranges > 0, np.broadcast_to(bounds_of(weight, bound, scope), ranges.shape), 0.0))
    wide = rows.astype(np.float32, copy=False)
    parts = wide if scope is Scope.CHANNEL else wide.reshape(1, -1)
    low, high = np.empty(parts.shape, np.int32), np.empty(parts.shape, np.int32)
    steps = np.empty(len(parts), np.float32)
    for i, (part, most) in enumerate(zip(parts, bounds.reshape(-1), strict=True)):
        steps[i] = _fine_step(part, float(most))
    step_grid = None
    if scope is Scope.CHANNEL and np.all(np.isfinite(steps) & (steps > 0)):
        # A larger step keeps codes within 16 bits.
        step_grid = on_grid(steps, parts.shape[1], Snap.ABOVE, bounds > 0)
        steps = steps if step_grid is None else step_grid.steps()
    for i, (part, most) in enumerate(zip(parts, bounds.reshape(-1), strict=True)):
        if not (np.isfinite(steps[i]) and steps[i] > 0) or not _intervals(
            part, steps[i], float(most), weight.element.rounding, low[i], high[i]
        ):
            lossless = Lossless(weight.element, bounds, np.zeros(bounds.shape), bound.text, scope)
            return kept_as_they_are(weight.array, lossless)
    codes = fit(low.reshape(-1), high.reshape(-1)).reshape(rows.shape)
    grid = FloatGrid(weight.element, bounds, np.zeros(()), bound.text, scope, steps.reshape(bounds.shape), step_grid)
    return _measured(weight, codes, grid)


def _fine_step(weights: NDArray[np.float32], bound: float) -> np.float32:
    """Return the step of a fine grid; as a range of zero has no bound, its weights are one step from zero."""
    magnitude = max(float(weights.max()), -float(weights.min()))
    if bound == 0.0:
        return np.float32(magnitude) if magnitude else np.float32(1.0)
    with np.errstate(over="ignore", under="ignore"):
        return np.float32((magnitude + bound) / LARGEST_CODE)


def _measured(weight: Weights, codes: NDArray[np.int16], grid: FloatGrid) -> Quantised:
    """Return float weights on a grid, with the errors that their codes make."""
    errors = largest_errors(weight, grid.restore(codes, weight.layout), 1, grid.scope)
    assert np.all(errors <= grid.bound), f"{weight.name}: an error of {errors.max()} on a bound of {grid.max_bound}"
    return Quantised(replace(grid, error=errors), codes)


def _integer_lines(weight: Weights, bound: Bound, scope: Scope, fit: Fit) -> Quantised:
    rows = weight.layout.to_channels(weight.array)
    error = min(int(bounds_of(weight, bound, scope)), LARGEST_INTEGER_ERROR)
    shifted = weight.layout.to_channels(shifted_weights(weight)).astype(np.int32)
    point = rows.astype(np.int32) - shifted
    low = np.maximum(shifted - error, int(weight.element.lowest) - point)
    high = np.minimum(shifted + error, int(weight.element.largest) - point)
    codes = fit(low.reshape(-1), high.reshape(-1)).reshape(rows.shape)
    largest = float(np.abs(codes - shifted).max())
    grid = IntegerGrid(
        weight.element, np.array(float(error)), np.array(largest), bound.text, scope, 1, weight.zero_point
    )
    return Quantised(grid, codes)


@inlined
def _run_end(weights, start, tolerance):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return where the longest run from `start` ends."""
    limit = min(weights.size, start + _MAX_SEGMENT)
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
    return _measured(weight, codes, grid)
