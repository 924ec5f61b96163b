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
def _errors(rows, codes, steps, rounding, sums, is_zeroed):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the sum of squares of the errors of each row, and 1 for each that is zero now and was not."""
    for i in range(rows.shape[0]):
        total, any_code, any_weight = 0.0, False, False
        for j in range(rows.shape[1]):
            weight = np.float64(rows[i, j])
            error = weight - decoded_value(np.float64(codes[i, j]), steps[i], rounding)
            total += error * error
            any_code |= codes[i, j] != 0
            any_weight |= weight != 0.0
        sums[i] = total
        is_zeroed[i] = any_weight and not any_code


def energies(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the sum of squares of each row of [channels, length], float64 [channels]."""
    wide = _read_only(rows.astype(np.float32, copy=False))
    sums = np.empty(len(wide))
    _energies(wide, sums)
    return sums


def root_mean_squares(rows: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return ``sqrt(energy / length)`` of each row of [channels, length], float64 [channels]."""
    return np.asarray(np.sqrt(energies(rows) / rows.shape[1]))


def loss_of(weight: Weights, quantised: Quantised) -> Loss:
    """Return what a tensor loses by the codes that it got.

    Where a channel is one step of a lossless grid, or all weights are zero, nothing is lost. On a mapped grid it is
    the most that its largest error may lose.
    """
    layout, grid = weight.layout, quantised.grid
    if isinstance(grid, Lossless) or grid.max_error == 0:
        return Loss(layout.channels, 0, 0.0)
    if isinstance(grid, MappedGrid):
        # No weight loses more than its share, so that none becomes zero.
        return Loss(layout.channels, 0, grid.max_error**2)
    if isinstance(grid, FloatGrid):
        rows, rounding = layout.to_channels(weight.array), weight.element.rounding
        steps = np.broadcast_to(grid.step, (layout.channels,)).astype(np.float32)
    else:
        # A product of code and divisor is exact in float32.
        rows, rounding = layout.to_channels(shifted_weights(weight)), 0
        steps = np.full(layout.channels, grid.divisor, np.float32)
    wide = _read_only(rows.astype(np.float32, copy=False))
    sums, is_zeroed = np.empty(len(wide)), np.zeros(len(wide), np.bool_)
    _errors(wide, _read_only(quantised.codes), steps, rounding, sums, is_zeroed)
    energy = math.fsum(energies(wide))
    return Loss(layout.channels, int(is_zeroed.sum()), math.fsum(sums) / energy if energy else 0.0)


def _read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a view that cannot be written: Numba would compile a loop once for such arrays and once for others."""
    view = array.view()
    view.flags.writeable = False
    return view
