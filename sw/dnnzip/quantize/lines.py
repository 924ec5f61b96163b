"""Weights as straight segments within a bound.

A tensor is put on a grid as fine as 16 bits allow, and codes are chosen on straight segments over the whole tensor in
storage order, so that the ``line`` codec, which loses nothing, stores few segments. A segment is an integer intercept
and an integer slope: exactly what the decoder adds up.

Each weight tolerates an interval of codes, found with the decoded values themselves, so that the bound holds exactly;
`dnnzip.codec.line.choices` passes the fewest segments through them.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop, step
from dnnzip.codec.line.choices import fit_lines
from dnnzip.codec.spec import Fit
from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.decoded import decoded_value
from dnnzip.quantize.grid import FloatGrid, IntegerGrid, Lossless, Quantised, kept_as_they_are
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step_grid import Snap, on_grid
from dnnzip.quantize.tolerance import bounds_of, check_unit, largest_errors, ranges_of
from dnnzip.quantize.weights import Weights, shifted_weights, wrapped_codes


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
        nearest = np.int64(min(max(np.rint(weight / size), -LARGEST_CODE), LARGEST_CODE))
        if not _is_kept(weight, nearest, step, bound, rounding):
            for other in (nearest - 1, nearest + 1):
                if abs(other) <= LARGEST_CODE and _is_kept(weight, other, step, bound, rounding):
                    nearest = other
                    break
            else:
                return False
        lowest = np.int64(max(np.rint((weight - bound) / size), -LARGEST_CODE))
        lowest = min(lowest, nearest)
        while not _is_kept(weight, lowest, step, bound, rounding):
            lowest += 1
        while lowest > -LARGEST_CODE and _is_kept(weight, lowest - 1, step, bound, rounding):
            lowest -= 1
        highest = np.int64(min(np.rint((weight + bound) / size), LARGEST_CODE))
        highest = max(highest, nearest)
        while not _is_kept(weight, highest, step, bound, rounding):
            highest -= 1
        while highest < LARGEST_CODE and _is_kept(weight, highest + 1, step, bound, rounding):
            highest += 1
        low[i], high[i] = lowest, highest
    return True


def quantise_lines(weight: Weights, bound: Bound, scope: Scope = Scope.TENSOR, fit: Fit = fit_lines) -> Quantised:
    """Put a tensor of weights on straight segments that keep a bound exactly.

    Float weights: the step is (largest magnitude + bound) / 32767, of the tensor or of each channel as the scope says.
    Where that grid is too coarse for a bound, the tensor is stored losslessly as `items`. Integer weights: the codes
    are weights minus zero point, at a step of 1 and within the weights' type, so that scale and zero point stay. Raises
    as `dnnzip.quantize.quantise.quantise` does.

    Parameters
    ----------
    scope
        Over which weights the range of a percentage is taken.
    fit
        Chooses the codes within the intervals.
    """
    check_unit(weight, bound)
    scope = bound.scope_of(scope)
    rows = weight.layout.to_channels(weight.array)
    if weight.element.is_integer:
        return _integer_lines(weight, bound, scope, fit)
    if bound.unit in (Unit.LOSSLESS, Unit.RELATIVE):
        return quantise(weight, bound, scope)
    ranges = ranges_of(weight, scope)
    bounds = np.asarray(np.where(ranges > 0, np.broadcast_to(bounds_of(weight, bound, scope), ranges.shape), 0.0))
    wide = rows.astype(weight.element.arithmetic, copy=False)
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
    return measured(weight, codes, grid)


def _fine_step(weights: NDArray[np.float32], bound: float) -> np.float32:
    """Return the step of a fine grid; as a range of zero has no bound, its weights are one step from zero."""
    magnitude = max(float(weights.max()), -float(weights.min()))
    if bound == 0.0:
        return np.float32(magnitude) if magnitude else np.float32(1.0)
    with np.errstate(over="ignore", under="ignore"):
        return np.float32((magnitude + bound) / LARGEST_CODE)


def measured(weight: Weights, codes: NDArray[np.int16], grid: FloatGrid) -> Quantised:
    """Return float weights on a grid, with the errors that their codes make."""
    errors = largest_errors(weight, grid.restore(codes, weight.layout), 1, grid.scope)
    assert np.all(errors <= grid.bound), f"{weight.name}: an error of {errors.max()} on a bound of {grid.max_bound}"
    return Quantised(replace(grid, error=errors), codes)


def _integer_lines(weight: Weights, bound: Bound, scope: Scope, fit: Fit) -> Quantised:
    rows = weight.layout.to_channels(weight.array)
    error = min(int(bounds_of(weight, bound, scope)), weight.element.largest_error)
    shifted = weight.layout.to_channels(shifted_weights(weight)).astype(np.int32)
    point = rows.astype(np.int32) - shifted
    low = np.maximum(shifted - error, int(weight.element.lowest) - point)
    high = np.minimum(shifted + error, int(weight.element.largest) - point)
    if int(low.min()) < -LARGEST_CODE or int(high.max()) > LARGEST_CODE:
        # Of 16 bits around another zero point than the middle: only modulo 2^16 are they codes.
        codes, largest = wrapped_codes(weight), 0.0
    else:
        codes = fit(low.reshape(-1), high.reshape(-1)).reshape(rows.shape)
        largest = float(np.abs(codes - shifted).max())
    grid = IntegerGrid(
        weight.element, np.array(float(error)), np.array(largest), bound.text, scope, 1, weight.zero_point
    )
    return Quantised(grid, codes)
