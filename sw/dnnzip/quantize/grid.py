"""The error bound of a tensor, and its integer codes under that bound.

Float weights: the code of w is round(w / step) with the largest float32 step that keeps the bound exactly
(`dnnzip.quantize.step`); where each channel has its step, with the largest that keeps it on a grid of eight bits for
each channel (`dnnzip.quantize.step_grid`). Integer weights w with zero point z: q = round((w - z) / (2 e + 1)), whose
error is at most e; the divisor is odd, so there are no ties. At e = 0 the code is (w - z) mod 256 as int8, without any
loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.onnx.rules import Rule
from dnnzip.onnx.weights import Weight
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.step import decoded_values, extremes, fill_codes, largest_step
from dnnzip.quantize.step_grid import EXACT, Snap, StepGrid, loss_bits, on_grid

#: So many weights are compared at once.
COMPARED = 1 << 18


@dataclass(frozen=True, eq=False)
class GridResult:
    """A tensor of weights as the codec takes it.

    Parameters
    ----------
    weight
        The tensor that it is made of.
    codes
        int16 [channels, length], C-contiguous; None where the tensor is stored losslessly as `items`.
    items
        uint16 [2 n] (float32, each as low half, high half) or uint16 [n] (float16), in storage order; None where there
        are codes.
    step
        float32, scalar or [channels]: value of one code. Integer weights: the divisor 2 e + 1, scalar. None with
        `items`.
    bound
        Largest error tolerated, float64, scalar or [channels]; in the weight's unit, or in steps of an integer weight.
    error
        Largest error made, float64, in the shape and unit of `bound`.
    unit
        ABSOLUTE for float weights, LSB for integer ones.
    spec
        The bound as the user gave it.
    scope
        Over which weights its range was taken.
    step_grid
        How a file holds the steps of channels; None where it holds them as they are.
    step_loss
        Bits for each weight that steps on the grid cost, against the largest that keep the bound.
    """

    weight: Weight
    codes: NDArray[np.int16] | None
    items: NDArray[np.uint16] | None
    step: NDArray[np.float32] | None
    bound: NDArray[np.float64]
    error: NDArray[np.float64]
    unit: Unit
    spec: Bound
    scope: Scope
    step_grid: StepGrid | None = None
    step_loss: float = 0.0

    @property
    def max_error(self) -> float:
        """Largest error of all weights."""
        return float(self.error.max())

    @property
    def max_bound(self) -> float:
        """Largest bound of all channels."""
        return float(self.bound.max())

    @property
    def divisor(self) -> int:
        """2 e + 1 for integer weights, 1 otherwise."""
        return int(self.step) if self.unit is Unit.LSB and self.step is not None else 1


def quantise(weight: Weight, bound: Bound, scope: Scope = Scope.TENSOR) -> GridResult:
    """Put a tensor of weights on the coarsest grid that keeps a bound exactly.

    A range of zero is kept without loss: the step is the weight's magnitude and every code is its sign. Where no step
    keeps the bound with codes of at most 32767 in every channel, the tensor is stored losslessly as `items`.

    Parameters
    ----------
    weight
        The weights.
    bound
        The tolerated error.
    scope
        Over which weights the range of a percentage is taken. Integer weights have one scale and so one bound for the
        tensor: by channel, it is the smallest of the channels that are not all zero.

    Raises
    ------
    InputError
        NaN or infinite weights, ``lsb`` on float weights, an absolute bound on integer ones.
    """
    check_unit(weight, bound)
    rows = weight.layout.to_channels(weight.array)
    if weight.is_integer:
        return _quantise_integers(weight, rows, bound, scope)
    return _quantise_floats(weight, rows, bound, scope)


def quantise_again(result: GridResult) -> GridResult:
    """Make the codes or items of a result anew, faster than `quantise`: its step is known.

    Parameters
    ----------
    result
        What `quantise` gave; its codes and items may have been dropped.
    """
    weight = result.weight
    if weight.is_integer:
        return quantise(weight, result.spec, result.scope)
    if result.step is None:
        return replace(result, items=items_of(weight.array))
    rows = weight.layout.to_channels(weight.array)
    wide = rows.astype(np.float32, copy=False)
    parts = wide if result.scope is Scope.CHANNEL else wide.reshape(1, -1)
    codes = np.empty(parts.shape, np.int16)
    lows, highs = extremes(parts)
    largest = np.maximum(highs, -lows)
    for i, (step, bound) in enumerate(zip(result.step.reshape(-1), result.bound.reshape(-1), strict=True)):
        if bound > 0.0:
            error = fill_codes(parts[i], step, float(bound), weight.dtype == np.float16, codes[i], float(largest[i]))
            assert error is not None, "the step was found for other weights"
        else:
            codes[i] = np.int16(np.sign(parts[i, 0]))
    return replace(result, codes=codes.reshape(rows.shape))


suits_unit: Rule[[Weight, Bound]] = Rule(
    "Its type must suit the bound: lsb is for int8 and uint8 weights, an absolute error for float32 and float16 ones.",
    lambda weight, bound: bound.unit is Unit.SHARE or weight.is_integer == (bound.unit is Unit.LSB),
)


def check_unit(weight: Weight, bound: Bound) -> None:
    """Refuse a bound that does not suit the type of a weight.

    Raises
    ------
    InputError
        ``lsb`` on float weights, or an absolute bound on integer ones.
    """
    layer = f"layer {weight.name!r} has {weight.dtype} weights"
    if bound.unit is Unit.LSB and not weight.is_integer:
        raise InputError(bound.where, layer, "lsb is for integer weights; give a percentage or an absolute error")
    if bound.unit is Unit.ABSOLUTE and weight.is_integer:
        raise InputError(
            bound.where, layer, f"give lsb or a percentage, or leave such layers out with {field_name('exclude')}"
        )


def check_bound(weights: Sequence[Weight], bound: Bound, scope: Scope = Scope.TENSOR) -> None:
    """Check a bound against all selected weights before any work starts.

    Parameters
    ----------
    weights
        The selected tensors, at least one.
    bound
        The tolerated error.
    scope
        Over which weights a range is taken.

    Raises
    ------
    InputError
        The unit does not suit a tensor, weights are not finite, or an error given as a number is over the range of
        every tensor.
    """
    for weight in weights:
        check_unit(weight, bound)
    if bound.unit is Unit.SHARE or not weights or bound.value == 0:
        return
    largest = max(float(ranges_of(weight, scope).max()) for weight in weights)
    if float(bound.value) > largest:
        unit = " lsb" if bound.unit is Unit.LSB else ""
        right = f"the largest range is {largest:.6g}{unit}{bound.share_hint}"
        raise InputError(bound.where, "is over the range of every selected tensor", right)


def ranges_of(weight: Weight, scope: Scope) -> NDArray[np.float64]:
    """Return largest minus smallest weight in float64: a scalar, or [channels].

    Raises
    ------
    InputError
        NaN or infinite weights.
    """
    rows = weight.layout.to_channels(weight.array)
    if weight.is_integer:
        return _integer_ranges(rows, scope)
    parts = rows.astype(np.float32, copy=False)
    lows, highs = extremes(parts if scope is Scope.CHANNEL else parts.reshape(1, -1))
    _check_finite(weight, lows, highs)
    ranges = highs.astype(np.float64) - lows.astype(np.float64)
    return np.asarray(ranges if scope is Scope.CHANNEL else ranges[0])


def bounds_of(weight: Weight, bound: Bound, scope: Scope) -> NDArray[np.float64]:
    """Return the largest error tolerated, in float64: a scalar, or [channels] for float weights by channel.

    A share p of a range R is ``float64(p) * R``, one rounding; on integer weights the exact floor of p * R, in lsb.
    """
    if bound.unit is not Unit.SHARE:
        return np.array(float(bound.value))
    if not weight.is_integer:
        return float(bound.value) * ranges_of(weight, scope)
    rows = weight.layout.to_channels(weight.array)
    return np.array(float(_integer_error(weight, rows, bound, scope)))


def divisor_of(weight: Weight, bound: Bound, scope: Scope) -> int:
    """Return the 2 e + 1 by which `quantise` divides integer weights; 1 where it keeps them without loss."""
    return 2 * _integer_error(weight, weight.layout.to_channels(weight.array), bound, scope) + 1


def largest_errors(weight: Weight, restored: NDArray[np.generic], divisor: int, scope: Scope) -> NDArray[np.float64]:
    """Return the largest difference between a weight and what became of it, in float64: a scalar, or [channels].

    Parameters
    ----------
    weight
        The original.
    restored
        Its shape; the decoded weights in their own type (w'), or for integer weights with a divisor above 1 the q.
    divisor
        2 e + 1 for integer weights; 1 otherwise.
    scope
        TENSOR gives a scalar, CHANNEL one value for each channel; integer weights always give a scalar.

    Returns
    -------
    max |w - w'|, or max |(w - z) - (2 e + 1) q|; NaN where a value is not finite.
    """
    layout = weight.layout
    if weight.is_integer and divisor > 1:
        wanted: NDArray[np.generic] = shifted_weights(weight)
    else:
        wanted, divisor = weight.array, 1
    # [group, rows, ...]: a channel is an index of the first and of `axis` + 1. Few rows are float64 at a time.
    wanted, found = (
        values.reshape(layout.group, layout.shape[0] // layout.group, *layout.shape[1:])
        for values in (wanted, restored)
    )
    largest = np.zeros((layout.group, layout.shape[layout.axis]))
    others = tuple(axis for axis in range(wanted.ndim - 1) if axis != layout.axis)
    rows = max(1, COMPARED * wanted.shape[0] * wanted.shape[1] // max(wanted.size, 1))
    for group in range(layout.group):
        for start in range(0, wanted.shape[1], rows):
            part = slice(start, start + rows)
            with np.errstate(invalid="ignore", over="ignore"):
                difference = found[group, part].astype(np.float64)
                difference *= divisor
                np.subtract(wanted[group, part], difference, out=difference)
            errors = np.abs(difference, out=difference).max(axis=others)
            own = largest[group, part] if layout.axis == 0 else largest[group]
            np.maximum(own, errors, out=own)
    by_channel = scope is Scope.CHANNEL and not weight.is_integer
    return np.asarray(largest.reshape(-1) if by_channel else largest.max())


def restored_rows(
    codes: NDArray[np.int16], step: NDArray[np.float32], dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return the float weights that codes stand for, [channels, length]; see `dnnzip.quantize.step.decoded_values`."""
    return decoded_values(codes, step, dtype)


def items_of(array: NDArray[np.generic]) -> NDArray[np.uint16]:
    """Return a float array as little-endian 16-bit items, 1-D, in storage order."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view("<u2").astype(np.uint16, copy=False)


def array_of_items(items: NDArray[np.uint16], layout: Layout, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Undo `items_of`."""
    little = np.ascontiguousarray(items, dtype="<u2").view(dtype.newbyteorder("<"))
    return little.astype(dtype, copy=False).reshape(layout.shape)


def wrapped_codes(array: NDArray[np.generic], point: NDArray[np.generic], layout: Layout) -> NDArray[np.int16]:
    """Return the lossless codes (w - z) mod 256 as int8 values, int16 [channels, length]."""
    shifted = array.astype(np.uint8) - _along_axis(point, layout).astype(np.uint8)
    return layout.to_channels(shifted.view(np.int8).astype(np.int16)).astype(np.int16, copy=False)


def unwrapped_array(
    codes: NDArray[np.int16], point: NDArray[np.generic], layout: Layout, dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Undo `wrapped_codes`: (code + z) mod 256 in the weight's type and shape."""
    shifted = layout.from_channels(codes).astype(np.uint8) + _along_axis(point, layout).astype(np.uint8)
    return shifted.view(dtype)


def _along_axis(point: NDArray[np.generic], layout: Layout) -> NDArray[np.generic]:
    """Shape a zero point, scalar or one for each entry of the channel axis, to broadcast against the array."""
    if point.size == 1:
        return point.reshape((1,) * len(layout.shape))
    return point.reshape(tuple(-1 if axis == layout.axis else 1 for axis in range(len(layout.shape))))


def shifted_weights(weight: Weight) -> NDArray[np.int16]:
    """Return w - z as int16, in the shape of the array."""
    point = np.zeros((), weight.dtype) if weight.zero_point is None else weight.zero_point
    difference = weight.array.astype(np.int16) - _along_axis(point, weight.layout).astype(np.int16)
    return np.asarray(difference)


def _check_finite(weight: Weight, low: NDArray[np.generic], high: NDArray[np.generic]) -> None:
    """Check weights by their minimum and maximum, which are not finite where a weight is not."""
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError(
            f"layer {weight.name!r}",
            "has NaN or infinite weights",
            f"mend it, or leave it out with {field_name('exclude')}",
        )


def _integer_ranges(rows: NDArray[np.generic], scope: Scope) -> NDArray[np.float64]:
    axis = 1 if scope is Scope.CHANNEL else None
    return np.asarray(rows.max(axis=axis).astype(np.float64) - rows.min(axis=axis).astype(np.float64))


def _quantise_floats(weight: Weight, rows: NDArray[np.generic], bound: Bound, scope: Scope) -> GridResult:
    is_half = weight.dtype == np.float16
    wide = rows.astype(np.float32, copy=False)
    parts = wide if scope is Scope.CHANNEL else wide.reshape(1, -1)
    lows, highs = extremes(parts)
    _check_finite(weight, lows, highs)
    ranges = highs.astype(np.float64) - lows.astype(np.float64)
    bounds = np.where(ranges > 0, _float_bounds(ranges, bound), 0.0)
    largest = np.maximum(highs, -lows)
    shape = (len(parts),) if scope is Scope.CHANNEL else ()
    codes = np.empty(parts.shape, np.int16)
    steps = np.empty(len(parts), np.float32)
    errors = np.zeros(len(parts))
    for i, (part, part_bound) in enumerate(zip(parts, bounds, strict=True)):
        found = _part(part, float(part_bound), is_half, codes[i], float(largest[i]))
        if found is None:
            items = items_of(weight.array)
            kept = bounds.reshape(shape)
            return GridResult(weight, None, items, None, kept, np.zeros(shape), Unit.ABSOLUTE, bound, scope)
        steps[i], errors[i] = found
    step_grid, loss = None, 0.0
    if scope is Scope.CHANNEL:
        step_grid = _channels_on_grid(parts, steps, bounds, largest, is_half, codes, errors)
    if step_grid is not None:
        exact, steps = steps, step_grid.steps()
        loss = loss_bits(exact, np.where(largest > 0, steps, exact))
    return GridResult(
        weight,
        codes.reshape(rows.shape),
        None,
        steps.reshape(shape),
        bounds.reshape(shape),
        errors.reshape(shape),
        Unit.ABSOLUTE,
        bound,
        scope,
        step_grid,
        loss,
    )


def _channels_on_grid(
    parts: NDArray[np.float32],
    steps: NDArray[np.float32],
    bounds: NDArray[np.float64],
    largest: NDArray[np.float32],
    is_half: bool,
    codes: NDArray[np.int16],
    errors: NDArray[np.float64],
) -> StepGrid | None:
    """Move each channel to the largest step of a grid that keeps its bound; codes and errors are written anew.

    A range of zero keeps its step, which is its weight; a channel of zeros takes any.
    """
    is_zero, has_range = largest == 0, bounds > 0
    wanted = np.where(is_zero, steps[has_range].max(initial=np.float32(0)) or np.float32(1), steps)
    found = on_grid(wanted, parts.shape[1], Snap.BELOW, has_range | is_zero)
    if found is None:
        return None
    grid, index = found.every_step(), found.index.astype(np.int64)
    new_codes, new_errors = codes.copy(), errors.copy()
    for i in np.flatnonzero((index < EXACT) & ~is_zero & (found.steps() != steps)):
        # A step below the largest may lose a weight, whose product rounds the wrong way there.
        while index[i] < EXACT:
            error = fill_codes(parts[i], grid[index[i]], float(bounds[i]), is_half, new_codes[i], float(largest[i]))
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


def _float_bounds(ranges: NDArray[np.float64], bound: Bound) -> NDArray[np.float64]:
    return np.asarray(
        float(bound.value) * ranges if bound.unit is Unit.SHARE else np.full(ranges.shape, float(bound.value))
    )


def _part(
    weights: NDArray[np.float32], bound: float, is_half: bool, codes: NDArray[np.int16], largest: float
) -> tuple[np.float32, float] | None:
    """Find step and largest error of weights that share a bound, their codes written; None where no step keeps it."""
    if bound > 0.0:
        return largest_step(weights, bound, is_half, codes, largest)
    first = weights[0]
    if np.any(weights != first):
        # The range is above zero, yet the share of it is too small for a float64.
        return None
    # A step of zero would do for a zero, but is no scale that anything could divide by.
    codes[:] = np.int16(np.sign(first))
    return (np.float32(abs(first)) if first else np.float32(1.0)), 0.0


def _quantise_integers(weight: Weight, rows: NDArray[np.generic], bound: Bound, scope: Scope) -> GridResult:
    error = _integer_error(weight, rows, bound, scope)
    divisor = 2 * error + 1
    if error == 0:
        point = np.zeros((), weight.dtype) if weight.zero_point is None else weight.zero_point
        codes, largest = wrapped_codes(weight.array, point, weight.layout), 0
    else:
        shifted = weight.layout.to_channels(shifted_weights(weight)).astype(np.int32)
        # Half the divisor is no whole number, so that rounding by adding `error` before a floor has no ties.
        nearest = np.floor_divide(shifted + error, divisor)
        largest = int(np.abs(shifted - divisor * nearest).max())
        codes = nearest.astype(np.int16)
    return GridResult(
        weight,
        np.ascontiguousarray(codes),
        None,
        np.array(divisor, np.float32),
        np.array(float(error)),
        np.array(float(largest)),
        Unit.LSB,
        bound,
        scope,
    )


def _integer_error(weight: Weight, rows: NDArray[np.generic], bound: Bound, scope: Scope) -> int:
    """Return the tolerated error in lsb, exact."""
    if rows.min() == rows.max():
        return 0
    if bound.unit is Unit.LSB:
        # A larger error than 255 changes nothing any more: every code is zero.
        return min(int(bound.value), 255)
    ranges = _integer_ranges(rows, scope).reshape(-1)
    if scope is Scope.CHANNEL:
        used = np.any(weight.layout.to_channels(shifted_weights(weight)) != 0, axis=1)
        ranges = ranges[used] if used.any() else ranges[:1]
    return math.floor(bound.value * int(ranges.min()))
