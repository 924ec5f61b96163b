"""Energy of weights, their sum of squares, by channel: what a root mean square is made of, and what a layer loses.

Sums are float64 and go in storage order, one addition after the other, so that they are the same on every machine: the
square of a float32 is exact in float64.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop
from dnnzip.quantize.decoded import decoded_value
from dnnzip.quantize.element_type import NOT_ROUNDED
from dnnzip.quantize.grid import FloatGrid, Lossless, MappedGrid, Quantised
from dnnzip.quantize.weights import Weights, shifted_weights

#: A layer that loses more than this share of its energy is named.
LARGEST_LOST_SHARE = 0.1


@dataclass(frozen=True)
class Loss:
    """Loss of a layer through quantisation."""

    channels: int  # its output channels
    zeroed_channels: int  # those whose weights all became zero, and were not
    # Sum of squares of the errors, over that of the weights (of integers less their zero point), both in float64.
    lost_energy: float

    @property
    def is_large(self) -> bool:
        """Return True if whole channels are lost, or more than a tenth of the energy."""
        return self.zeroed_channels > 0 or self.lost_energy > LARGEST_LOST_SHARE


@loop
def _energies(rows, sums):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the sum of squares of each row of [channels, length]."""
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(rows.shape[1]):
            weight = np.float64(rows[i, j])
            total += weight * weight
        sums[i] = total


@loop
def _errors(rows, codes, steps, rounding, found):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the sum of squares of the errors of each row, and 1 for each that is zero now and was not."""
    for i in range(rows.shape[0]):
        total, any_code, any_weight = 0.0, False, False
        for j in range(rows.shape[1]):
            weight = np.float64(rows[i, j])
            error = weight - decoded_value(np.float64(codes[i, j]), steps[i], rounding)
            total += error * error
            any_code |= codes[i, j] != 0
            any_weight |= weight != 0.0
        found[0, i] = total
        found[1, i] = np.float64(any_weight and not any_code)


def energies(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the sum of squares of each row of float32 or float64 [channels, length], float64 [channels]."""
    sums = np.empty(len(rows))
    _energies(_read_only(rows), sums)
    return sums


def root_mean_squares(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``sqrt(energy / length)`` of each row of float32 or float64 [channels, length], float64 [channels].

    The largest magnitude of float64 rows is first brought to 1/2 to 1 by a power of two, so that no square overflows.
    """
    if rows.dtype != np.float64:
        return np.asarray(np.sqrt(energies(rows) / rows.shape[1]))
    _, exponent = np.frexp(np.abs(rows).max())
    scaled = np.sqrt(energies(np.ldexp(rows, -exponent)) / rows.shape[1])
    return np.asarray(np.ldexp(scaled, exponent))


def loss_of(weight: Weights, quantised: Quantised) -> Loss:
    """Return the loss of a tensor by the codes that it got.

    Where a channel is one step of a lossless grid, or all weights are zero, nothing is lost.
    """
    layout, grid = weight.layout, quantised.grid
    if isinstance(grid, Lossless) or grid.max_error == 0:
        return Loss(layout.channels, 0, 0.0)
    if isinstance(grid, FloatGrid):
        rows = layout.to_channels(weight.array).astype(weight.element.arithmetic, copy=False)
        rounding = weight.element.rounding
        steps = np.broadcast_to(grid.step, (layout.channels,)).astype(np.float32)
    elif isinstance(grid, MappedGrid):
        return _loss_of_values(
            layout.to_channels(weight.array), layout.to_channels(grid.restore(quantised.codes, layout))
        )
    else:
        # A product of code and divisor is exact in float32.
        rows, rounding = layout.to_channels(shifted_weights(weight)).astype(np.float32), NOT_ROUNDED
        steps = np.full(layout.channels, grid.divisor, np.float32)
    found = np.empty((2, len(rows)))
    _errors(_read_only(rows), _read_only(quantised.codes), steps, rounding, found)
    return Loss(layout.channels, int(found[1].sum()), _share(found[0], energies(rows)))


def _loss_of_values(rows: NDArray[np.generic], restored: NDArray[np.generic]) -> Loss:
    """Return the loss of rows of [channels, length] by the values that became of them."""
    wide, found = (values.astype(np.float64, copy=False) for values in (rows, restored))
    is_zeroed = wide.any(axis=1) & ~found.any(axis=1)
    return Loss(len(rows), int(is_zeroed.sum()), _share(energies(wide - found), energies(wide)))


def _share(lost: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    """Return the sum of one over the sum of the other; 0 where there is no finite one."""
    total = float(whole.sum())
    return float(lost.sum()) / total if 0 < total < math.inf else 0.0


def _read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a view that cannot be written: Numba would compile a loop once for such arrays and once for others."""
    view = array.view()
    view.flags.writeable = False
    return view
