"""Choice for a layer: a bound, and the weights over which its range is taken; or that it is left as it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnzip.quantize.bound import Bound, Scope

#: Finest bound, as a share of the range: a code must fit into 16 bits.
FINEST = 1.0 / 16384

#: Single bounds tried: their number for each factor of two, and the number of factors of two below the whole range.
SINGLE_PER_OCTAVE = 8
SINGLE_OCTAVES = 12


@dataclass(frozen=True)
class Choice:
    """A bound for one layer.

    Parameters
    ----------
    text
        The bound as on a command line, such as ``2.5%``; empty where the layer stays as it is.
    scope
        Over which weights its range is taken.
    nearest
        Whether each weight takes its nearest code on the coarsest grid, as ``dnnzip compress`` does. Otherwise the grid
        is half as coarse, so that a weight has two codes within its bound, and the code is chosen for the output.
    """

    text: str
    scope: Scope
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


def coarsest_single(scope: Scope, loss: Callable[[Choice], float], most: float) -> Choice:
    """Return the coarsest single bound, with nearest codes, whose loss is at most ``most``, by bisection.

    The finest is taken to be within it, the coarsest not.
    """
    low, high = 0, SINGLE_PER_OCTAVE * SINGLE_OCTAVES

    def choice(number: int) -> Choice:
        return Choice.of_share(2.0 ** (-number / SINGLE_PER_OCTAVE), scope, nearest=True)

    while high - low > 1:
        middle = (low + high) // 2
        if loss(choice(middle)) <= most:
            high = middle
        else:
            low = middle
    return choice(high)
