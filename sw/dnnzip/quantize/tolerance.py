"""The largest error that weights tolerate under a bound, and the largest that was made."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.quantize.bound import AnyBound, AutoBound, Bound, Scope, Unit
from dnnzip.quantize.energy import root_mean_squares
from dnnzip.quantize.weights import Weights, shifted_weights

#: Weights that are compared at once.
COMPARED = 1 << 18


def suits_unit(weight: Weights, bound: AnyBound) -> bool:
    """Return True if a bound has a unit of the weights' type: lsb for integers, absolute for floats, most for both."""
    return isinstance(bound, AutoBound) or bound.of(weight.element.is_integer) is not None


def check_unit(weight: Weights, bound: Bound) -> None:
    """Raise an `InputError` on ``lsb`` for float weights, or an absolute or relative bound for integer ones."""
    layer = f"layer {weight.name!r} has {weight.element.name} weights"
    own = bound.of(weight.element.is_integer)
    if own is None and not weight.element.is_integer:
        raise InputError(bound.where, layer, "lsb is for integer weights; give a percentage or an absolute error")
    if own is None:
        raise InputError(
            bound.where, layer, f"give lsb or a percentage, or leave such layers out with {field_name('exclude')}"
        )


def own_bound(weight: Weights, bound: AnyBound) -> Bound:
    """Return the bound of a tensor; an `InputError` where its unit is none of the weights' type."""
    if isinstance(bound, AutoBound):
        return bound.of_length(weight.layout.length)
    if isinstance(bound, Bound):
        check_unit(weight, bound)
    own = bound.of(weight.element.is_integer)
    assert own is not None, "a pair has a bound for each kind"
    return own


def check_bound(weights: Sequence[Weights], bound: AnyBound, scope: Scope = Scope.TENSOR) -> None:
    """Check a bound against all selected weights before any work starts.

    Parameters
    ----------
    weights
        The selected tensors, at least one.
    scope
        Over which weights a range is taken.

    Raises
    ------
    InputError
        The unit does not suit a tensor, weights are not finite, or an error given as a number is over the range of
        every tensor.
    """
    limits: dict[Bound, float] = {}
    for weight in weights:
        own = own_bound(weight, bound)
        if own.unit in (Unit.ABSOLUTE, Unit.LSB) and own.value:
            limits[own] = max(limits.get(own, 0.0), float(ranges_of(weight, scope).max()))
    for own, largest in limits.items():
        if float(own.value) > largest:
            unit = " lsb" if own.unit is Unit.LSB else ""
            right = f"the largest range is {largest:.6g}{unit}{own.share_hint}"
            raise InputError(bound.where, "is over the range of every selected tensor", right)


def ranges_of(weight: Weights, scope: Scope) -> NDArray[np.float64]:
    """Return largest minus smallest weight, float64, scalar or [channels]; an `InputError` where one is not finite."""
    rows = weight.layout.to_channels(weight.array)
    if weight.element.is_integer:
        return _integer_ranges(rows, scope)
    parts = rows.astype(weight.element.arithmetic, copy=False)
    lows, highs = extremes(parts if scope is Scope.CHANNEL else parts.reshape(1, -1))
    check_finite(weight, lows, highs)
    ranges = spread(lows, highs)
    return np.asarray(ranges if scope is Scope.CHANNEL else ranges[0])


def bounds_of(weight: Weights, bound: Bound, scope: Scope) -> NDArray[np.float64]:
    """Return the largest error tolerated, in float64: a scalar, or [channels] for float weights by channel.

    A share p of a range R is ``float64(p) * R``, one rounding; on integer weights the exact floor of p * R, in lsb. A
    share p of the root mean square r of each channel is ``float64(p) * r``, whatever the scope, with r of
    `dnnzip.quantize.energy.root_mean_squares`; on integer weights (less their zero point) the exact floor.

    Parameters
    ----------
    bound
        The bound: a share of the range or of a root mean square, an absolute error, or lsb.
    scope
        The range that a share refers to: of the whole tensor or of each channel.

    Raises
    ------
    InputError
        NaN or infinite weights, with a share.
    """
    if bound.unit in (Unit.ABSOLUTE, Unit.LSB, Unit.LOSSLESS, Unit.RELATIVE):
        return np.array(float(bound.value))
    if not weight.element.is_integer:
        if bound.unit is Unit.SHARE:
            return float(bound.value) * ranges_of(weight, scope)
        rows = weight.layout.to_channels(weight.array).astype(weight.element.arithmetic, copy=False)
        return float(bound.value) * root_mean_squares(rows)
    return np.array(float(integer_error(weight, bound, scope)))


def divisor_of(weight: Weights, bound: Bound, scope: Scope) -> int:
    """Return the 2 e + 1 by which `quantise` divides integer weights; 1 where it keeps them without loss."""
    return 2 * integer_error(weight, bound, scope) + 1


def integer_error(weight: Weights, bound: Bound, scope: Scope) -> int:
    """Return the tolerated error of integer weights in lsb, exact."""
    rows = weight.layout.to_channels(weight.array)
    if rows.min() == rows.max():
        return 0
    if bound.unit in (Unit.LSB, Unit.LOSSLESS):
        return min(int(bound.value), weight.element.largest_error)
    if bound.unit is Unit.RMS:
        root = _share_of_root(bound.value, weight.layout.to_channels(shifted_weights(weight)))
        return min(root, weight.element.largest_error)
    ranges = _integer_ranges(rows, scope).reshape(-1)
    if scope is Scope.CHANNEL:
        used = np.any(weight.layout.to_channels(shifted_weights(weight)) != 0, axis=1)
        ranges = ranges[used] if used.any() else ranges[:1]
    return min(math.floor(bound.value * int(ranges.min())), weight.element.largest_error)


def _share_of_root(share: Fraction, rows: NDArray[np.generic]) -> int:
    """Return the floor of a share of the smallest root mean square of rows that are not all zero."""
    energies = np.square(rows.astype(np.int64)).sum(axis=1)
    used = energies[energies > 0]
    if not used.size:
        return 0
    # The floor of a root is the root, in whole numbers, of the floor.
    square = share.numerator**2 * int(used.min()) // (share.denominator**2 * rows.shape[1])
    return math.isqrt(square)


def largest_errors(weight: Weights, restored: NDArray[np.generic], divisor: int, scope: Scope) -> NDArray[np.float64]:
    """Return the largest difference between a weight and what became of it, in float64: a scalar, or [channels].

    Parameters
    ----------
    restored
        Its shape; the decoded weights in their own type (w'), or for integer weights with a divisor above 1 the q.
    divisor
        2 e + 1 for integer weights; 1 otherwise.
    scope
        TENSOR returns a scalar, CHANNEL one value for each channel; for integer weights it is always a scalar.

    Returns
    -------
    max |w - w'|, or max |(w - z) - (2 e + 1) q|; NaN where a value is not finite.
    """
    layout = weight.layout
    if weight.element.is_integer and divisor > 1:
        wanted: NDArray[np.generic] = shifted_weights(weight)
    else:
        wanted, divisor = weight.array, 1
    # [group, rows, ...]: a channel is an index of the first and of `axis` + 1. Few rows are float64 at a time.
    shape = layout.shape if len(layout.shape) > 1 else (1, *layout.shape)
    wanted, found = (
        values.reshape(layout.group, shape[0] // layout.group, *shape[1:]) for values in (wanted, restored)
    )
    largest = np.zeros((layout.group, shape[layout.axis]))
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
    by_channel = scope is Scope.CHANNEL and not weight.element.is_integer
    return np.asarray(largest.reshape(-1) if by_channel else largest.max())


def largest_relative_error(wanted: NDArray[np.generic], found: NDArray[np.generic]) -> float:
    """Return the largest |w - w'| / |w|, in float64; 0 where nothing differs, NaN or infinite where one is not finite.

    A zero that is not a zero any more is an infinite error.
    """
    largest = 0.0
    wanted, found = wanted.reshape(-1), found.reshape(-1)
    for start in range(0, wanted.size, COMPARED):
        part = slice(start, start + COMPARED)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            size = wanted[part].astype(np.float64)
            difference = np.abs(size - found[part].astype(np.float64))
            errors = np.divide(difference, np.abs(size), out=difference, where=difference != 0)
        largest = float(np.maximum(largest, errors.max(initial=0.0)))
    return largest


def check_finite(weight: Weights, low: NDArray[np.generic], high: NDArray[np.generic]) -> None:
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


def extremes(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smallest and the largest weight of each row of [rows, n]; not finite where a weight is not."""
    with np.errstate(invalid="ignore"):
        return rows.min(axis=1), rows.max(axis=1)


def spread(lows: NDArray[np.generic], highs: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the ranges between extremes, float64 [n]; the largest float64 where one is beyond it."""
    with np.errstate(over="ignore"):
        return np.minimum(highs.astype(np.float64) - lows.astype(np.float64), np.finfo(np.float64).max)
