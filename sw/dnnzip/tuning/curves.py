"""Curves of a layer's bits and output error against its bound, from a few bounds that were tried."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.bound import Scope
from dnnzip.tuning.choice import FINEST, Choice
from dnnzip.tuning.layer import Inputs, Layer
from dnnzip.tuning.rounding import Feedback

#: From these bits per weight up, half the bound costs a bit and saves three quarters of the error.
SMOOTH_BITS = 6.0

#: Number of bounds that the search may choose for each factor of two.
PER_OCTAVE = 8

#: Least output error, relative to the largest: keeps logarithms finite where a bound does no harm.
LEAST_ERROR = 1e-12


@dataclass(frozen=True, eq=False)
class Curve:
    """A layer under one scope."""

    scope: Scope  # over which weights the range of a bound is taken
    octaves: NDArray[np.float64]  # float64 [n], log2 of bounds as shares of the range, falling from 0
    # bits, errors: float64 [n], estimated bits of the layer and its squared output error.
    bits: NDArray[np.float64]
    errors: NDArray[np.float64]

    def choice_at(self, bits: float) -> Choice:
        """Return the choice that takes about ``bits`` bits for the layer."""
        return Choice.of_share(2.0 ** float(self.octaves[int(np.argmin(np.abs(self.bits - bits)))]), self.scope)

    def error_of(self, share: float) -> float:
        """Return the output error at a bound."""
        return float(self.errors[int(np.argmin(np.abs(self.octaves - np.log2(share))))])


def curve_of(layer: Layer, scope: Scope, inputs: Inputs | None, feedback: Feedback) -> Curve | None:
    """Try bounds, each half of the one before, and fill the curve in between and beyond.

    Returns None where not even codes at a bound of the whole range fit into 16 bits.
    """
    octaves: list[float] = []
    bits: list[float] = []
    errors: list[float] = []
    octave = 0.0
    count = layer.rows.size
    finest = max(FINEST, _finest(layer, scope))
    while 2.0**octave >= finest:
        rounded = layer.round(Choice.of_share(2.0**octave, scope), feedback)
        if rounded is None:
            break
        octaves.append(octave)
        bits.append(rounded.bits)
        errors.append(layer.error(rounded.rows, inputs))
        if rounded.bits > SMOOTH_BITS * count:
            while 2.0 ** (octave - 1) >= finest:
                octave -= 1
                octaves.append(octave)
                bits.append(bits[-1] + count)
                errors.append(errors[-1] / 4)
            break
        octave -= 1
    if not octaves:
        return None
    least = max(max(errors), 1e-300) * LEAST_ERROR
    rising = np.array(octaves[::-1])
    fine = np.arange(0, rising[0] - 0.5 / PER_OCTAVE, -1.0 / PER_OCTAVE)
    logs = np.log(np.maximum(errors[::-1], least))
    return Curve(scope, fine, np.interp(fine, rising, bits[::-1]), np.exp(np.interp(fine, rising, logs)))


def _finest(layer: Layer, scope: Scope) -> float:
    """Return the finest bound, as a share of the range, at which codes fit into 16 bits."""
    bounds = layer.bounds(Choice("100%", scope))
    sizes = np.abs(layer.rows).max(axis=1).astype(np.float64)
    used = bounds > 0
    return float((sizes[used] / bounds[used]).max(initial=0.0)) / LARGEST_CODE
