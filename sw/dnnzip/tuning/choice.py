"""Choice for a layer: a bound, and the weights over which its range is taken; or that it is left as it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.onnx.weights import Weight
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.tolerance import bounds_of

#: Finest bound, as a share of the range: a code must fit into 16 bits.
FINEST = 1.0 / 16384

#: Single bounds for all layers that may be chosen: their number for each factor of two, and the number of factors of
#: two below the whole range.
PER_OCTAVE = 8
OCTAVES = 12


@dataclass(frozen=True)
class Choice:
    """A bound for one layer."""

    text: str  # the bound as on a command line, such as ``2.5%``; empty where the layer stays as it is
    scope: Scope  # over which weights its range is taken
    # Whether each weight takes its nearest code on the coarsest grid, as ``dnnzip compress`` does. Otherwise the grid
    # is half as coarse, so that a weight has two codes within its bound, and the code is chosen for the output.
    nearest: bool = False

    @staticmethod
    def of_share(share: float, scope: Scope, nearest: bool = False) -> "Choice":
        """Return the choice of a share of the range, from above 0 to 1, to three digits."""
        percent = min(100.0 * max(share, FINEST), 100.0)
        return Choice(f"{np.format_float_positional(float(f'{percent:.3g}'), trim='-')}%", scope, nearest)

    @property
    def bound(self) -> Bound:
        """The bound, read."""
        return Bound.parse(self.text)

    def bounds(self, weight: Weight) -> NDArray[np.float64]:
        """Return the largest error tolerated of a weight's channels, float64 [channels]."""
        return np.broadcast_to(bounds_of(weight, self.bound, self.scope), (weight.layout.channels,)).copy()


def coarsest_single(scope: Scope, is_within: Callable[[Choice], bool]) -> Choice:
    """Return the coarsest bound with nearest codes that is within a limit, by bisection.

    The finest is taken to be within it, the coarsest not.
    """
    low, high = 0, PER_OCTAVE * OCTAVES
    while high - low > 1:
        middle = (low + high) // 2
        if is_within(Choice.of_share(2.0 ** (-middle / PER_OCTAVE), scope, nearest=True)):
            high = middle
        else:
            low = middle
    return Choice.of_share(2.0 ** (-high / PER_OCTAVE), scope, nearest=True)
