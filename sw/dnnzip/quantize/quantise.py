"""Weights onto the coarsest grid that keeps an error bound exactly.

Float weights: the code of w is round(w / step) with the largest float32 step that keeps the bound
(`dnnzip.quantize.step`); where each channel has its step, with the largest that keeps it on a grid of eight bits for
each channel (`dnnzip.quantize.step_grid`). Weights that are multiples of one quantum stay on it where that costs little
(`dnnzip.quantize.quantum`). Integer weights w with zero point z: q = round((w - z) / (2 e + 1)), whose error is at most
e; the divisor is odd, so there are no ties. Float weights that are to be kept without loss, or within a share of each,
are on a mapped grid (`dnnzip.quantize.mapping`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.element_type import ElementType
from dnnzip.quantize.energy import root_mean_squares
from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid, Lossless, MappedGrid, Quantised, kept_as_they_are
from dnnzip.quantize.mapping import mapped_again, quantise_mapped
from dnnzip.quantize.quantum import largest_cost, quantum_of, step_on
from dnnzip.quantize.step import StepSearch
from dnnzip.quantize.step_grid import EXACT, Snap, StepGrid, loss_bits, on_grid
from dnnzip.quantize.tolerance import check_finite, check_unit, extremes, integer_error, spread
from dnnzip.quantize.weights import Weights, shifted_weights, wrapped_codes

#: Bits of a float32 step, less those of one on a grid.
SIDE_BITS = 24


def quantise(weight: Weights, bound: Bound, scope: Scope = Scope.TENSOR) -> Quantised:
    """Put a tensor of weights on the coarsest grid that keeps a bound exactly.

    A range of zero is kept without loss: the step is the weight's magnitude and every code is its sign. Where no step
    keeps the bound with codes of at most 32767 in every channel, the grid is a `Lossless` one.

    Parameters
    ----------
    scope
        Over which weights the range of a percentage is taken; a root mean square is always a channel's. Integer weights
        have one scale and so one bound for the tensor: by channel, it is the smallest of the channels that are not all
        zero.

    Raises
    ------
    InputError
        NaN or infinite weights, ``lsb`` on float weights, an absolute bound on integer ones.
    """
    check_unit(weight, bound)
    scope = bound.scope_of(scope)
    if weight.element.is_integer:
        return _quantise_integers(weight, bound, scope)
    return _quantise_floats(weight, bound, scope)


def quantise_again(weight: Weights, grid: Grid) -> Quantised:
    """Make the codes anew of a tensor that `quantise` put on a grid, faster than there: its step is known."""
    match grid:
        case Lossless():
            return kept_as_they_are(weight.array, grid)
        case MappedGrid():
            return mapped_again(weight, grid)
        case IntegerGrid():
            return Quantised(grid, _integer_codes(weight, grid.divisor))
    parts, rows = _parts(weight, grid.bound, grid.step.ndim > 0)
    codes = np.empty(parts.rows.shape, np.int16)
    for i, step in enumerate(grid.step.reshape(-1)):
        if parts.bounds[i] > 0.0:
            error = parts.search(i, codes).fill_codes(step)
            assert error is not None, "the step was found for other weights"
        else:
            codes[i] = np.int16(np.sign(parts.rows[i, 0]))
    return Quantised(grid, codes.reshape(rows))


@dataclass(frozen=True, eq=False)
class _Parts:
    """Float weights in parts that each have a step: the whole tensor, or its channels."""

    rows: NDArray[np.float32]  # float32, or float64 of that type [parts, n]
    bounds: NDArray[np.float64]  # float64 [parts]; 0 where the range is
    largest: NDArray[np.float32]  # [parts], largest magnitudes, in the type of `rows`
    element: ElementType

    def search(self, i: int, codes: NDArray[np.int16]) -> StepSearch:
        """Return a part with its row of codes."""
        return StepSearch(self.rows[i], float(self.bounds[i]), self.element, codes[i], float(self.largest[i]))

    def coarsest(self, i: int, codes: NDArray[np.int16]) -> tuple[np.float32, float] | None:
        """Find step and largest error of a part, its codes written; None where no step keeps the bound."""
        if self.bounds[i] > 0.0:
            return self.search(i, codes).largest_step()
        first = self.rows[i, 0]
        with np.errstate(over="ignore", under="ignore"):
            step = np.float32(abs(first))
        if np.any(self.rows[i] != first) or step != abs(first):
            # The range is above zero, yet the share of it is too small for a float64; or no step is that weight.
            return None
        # A step of zero would do for a zero, but is no scale that anything could divide by.
        codes[i] = np.int16(np.sign(first))
        return (step if first else np.float32(1.0)), 0.0


def _parts(weight: Weights, bounds: NDArray[np.float64] | Bound, by_channel: bool) -> tuple[_Parts, tuple[int, ...]]:
    """Return the parts of float weights, at bounds that are known or by a bound; and the shape of their rows."""
    rows = weight.layout.to_channels(weight.array)
    parts = rows.astype(weight.element.arithmetic, copy=False)
    parts = parts if by_channel else parts.reshape(1, -1)
    lows, highs = extremes(parts)
    check_finite(weight, lows, highs)
    if isinstance(bounds, Bound):
        ranges = spread(lows, highs)
        bounds = np.where(ranges > 0, float(bounds.value) * _sizes(parts, bounds.unit, ranges), 0.0)
    return _Parts(parts, bounds.reshape(-1), np.maximum(highs, -lows), weight.element), rows.shape


def _sizes(parts: NDArray[np.float32], unit: Unit, ranges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the size of each part that a bound's number is a share of; 1 where it is none."""
    if unit is Unit.RMS:
        return root_mean_squares(parts)
    return ranges if unit is Unit.SHARE else np.ones(len(parts))


def _quantise_floats(weight: Weights, bound: Bound, scope: Scope) -> Quantised:
    if bound.unit in (Unit.LOSSLESS, Unit.RELATIVE):
        check_finite(weight, *extremes(weight.array.reshape(1, -1).astype(weight.element.arithmetic, copy=False)))
        return quantise_mapped(weight, bound, scope)
    parts, shape_of_rows = _parts(weight, bound, scope is Scope.CHANNEL)
    shape = (len(parts.rows),) if scope is Scope.CHANNEL else ()
    found = _on_steps(parts)
    multiples = _on_quantum(parts, found)
    if multiples is not None:
        found = multiples
    if found is None:
        lossless = Lossless(weight.element, parts.bounds.reshape(shape), np.zeros(shape), bound.text, scope)
        return kept_as_they_are(weight.array, lossless)
    steps, codes, errors = found
    step_grid, loss = None, 0.0
    if scope is Scope.CHANNEL and multiples is None:
        step_grid = _channels_on_grid(parts, steps, codes, errors)
    if step_grid is not None:
        exact, steps = steps, step_grid.steps()
        loss = loss_bits(exact, np.where(parts.largest > 0, steps, exact))
    bounds, errors = parts.bounds.reshape(shape), errors.reshape(shape)
    grid = FloatGrid(weight.element, bounds, errors, bound.text, scope, steps.reshape(shape), step_grid, loss)
    return Quantised(grid, codes.reshape(shape_of_rows))


#: Steps, codes and largest errors of parts.
_OnSteps = tuple[NDArray[np.float32], NDArray[np.int16], NDArray[np.float64]]


def _on_steps(parts: _Parts) -> _OnSteps | None:
    """Put each part on the largest step that keeps its bound; None where one has none."""
    codes = np.empty(parts.rows.shape, np.int16)
    steps, errors = np.empty(len(parts.rows), np.float32), np.zeros(len(parts.rows))
    for i in range(len(parts.rows)):
        found = parts.coarsest(i, codes)
        if found is None:
            return None
        steps[i], errors[i] = found
    return steps, codes, errors


def _on_quantum(parts: _Parts, free: _OnSteps | None) -> _OnSteps | None:
    """Put each part on an odd multiple of the weights' quantum; None where they have none, or it costs too much.

    The cost is that against the largest steps, if there are any; of channels, float32 steps count as well, as these are
    on no grid of eight bits.
    """
    quantum = quantum_of(parts.rows, parts.element)
    if quantum is None:
        return None
    steps = np.array([step_on(quantum, bound) for bound in parts.bounds], np.float32)
    codes, errors = np.empty(parts.rows.shape, np.int16), np.zeros(len(parts.rows))
    for i in range(len(parts.rows)):
        if parts.bounds[i] > 0.0:
            error = parts.search(i, codes).fill_codes(steps[i]) if np.isfinite(steps[i]) else None
            found = None if error is None else (steps[i], error)
        else:
            found = parts.coarsest(i, codes)
        if found is None:
            return None
        steps[i], errors[i] = found
    if free is not None:
        more = SIDE_BITS / parts.rows.shape[1] if len(parts.rows) > 1 else 0.0
        if loss_bits(free[0], steps) + more > largest_cost(quantum):
            return None
    return steps, codes, errors


def _channels_on_grid(
    parts: _Parts, steps: NDArray[np.float32], codes: NDArray[np.int16], errors: NDArray[np.float64]
) -> StepGrid | None:
    """Move each channel to the largest step of a grid that keeps its bound; codes and errors are written anew.

    A range of zero keeps its step, which is its weight; a channel of zeros takes any.
    """
    is_zero, has_range = parts.largest == 0, parts.bounds > 0
    wanted = np.where(is_zero, steps[has_range].max(initial=np.float32(0)) or np.float32(1), steps)
    found = on_grid(wanted, parts.rows.shape[1], Snap.BELOW, has_range | is_zero)
    if found is None:
        return None
    grid, index = found.every_step(), found.index.astype(np.int64)
    new_codes, new_errors = codes.copy(), errors.copy()
    for i in map(int, np.flatnonzero((index < EXACT) & ~is_zero & (found.steps() != steps))):
        # A step below the largest may lose a weight, whose product rounds the wrong way there.
        while index[i] < EXACT:
            error = parts.search(i, new_codes).fill_codes(grid[index[i]])
            if error is not None:
                new_errors[i] = error
                break
            index[i] += 1
        else:
            new_codes[i] = codes[i]
    moved = found.with_index(index, wanted)
    if moved is not None:
        codes[:], errors[:] = new_codes, new_errors
    return moved


def _quantise_integers(weight: Weights, bound: Bound, scope: Scope) -> Quantised:
    error = integer_error(weight, bound, scope)
    divisor = 2 * error + 1
    codes, largest = _integer_codes(weight, divisor), 0
    if divisor > 1:
        shifted = weight.layout.to_channels(shifted_weights(weight)).astype(np.int32)
        largest = int(np.abs(shifted - divisor * codes.astype(np.int32)).max())
    made, kept = np.array(float(largest)), np.array(float(error))
    return Quantised(IntegerGrid(weight.element, kept, made, bound.text, scope, divisor, weight.zero_point), codes)


def _integer_codes(weight: Weights, divisor: int) -> NDArray[np.int16]:
    if divisor == 1:
        return wrapped_codes(weight)
    shifted = weight.layout.to_channels(shifted_weights(weight)).astype(np.int32)
    # Half the divisor is no whole number, so that rounding by adding it before a floor has no ties.
    return np.floor_divide(shifted + divisor // 2, divisor).astype(np.int16)
