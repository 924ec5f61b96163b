"""Steps of a tensor's channels on a geometric grid, in eight bits for each channel instead of a float32.

A channel with index k has the step ``float32(base * ROOT[k mod n] * 2**-(k div n))``, where n steps make an octave and
``ROOT[i]`` is ``2**(-i / n)`` cut to 24 bits. The product of two 24-bit numbers is exact in float64, so the step is
rounded once. A channel out of reach has the index `EXACT` and takes the next of the float32 steps behind the base.
"""

import math
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Index of a channel whose step is stored as a float32.
EXACT = 255

#: Steps to an octave that a grid may have. The coarsest ratio, 2**(1/16), makes a step 4.3 % smaller at most.
STEPS_PER_OCTAVE = (256, 128, 64, 32, 16)

#: Bits of a float32.
FLOAT_BITS = 32

#: Smaller numbers of float32 have fewer bits.
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)

_ROOT_BITS = 24

Floats = NDArray[np.float64]


class Snap(Enum):
    """Direction in which a step moves to the grid."""

    BELOW = "below"
    NEAREST = "nearest"
    ABOVE = "above"


@dataclass(frozen=True, eq=False)
class StepGrid:
    """Steps of channels as a file holds them.

    Raises
    ------
    ValueError
        A field is out of its range, or the number of exact steps differs from that of their channels.
    """

    per_octave: int  # steps to an octave, one of `STEPS_PER_OCTAVE`
    # float32 [1 + exact steps], above zero: the base, then the steps of the channels with index `EXACT`, in order.
    values: NDArray[np.float32]
    index: NDArray[np.uint8]  # uint8 [channels]

    def __post_init__(self) -> None:
        if self.per_octave not in STEPS_PER_OCTAVE:
            raise ValueError(f"steps to an octave must be one of {STEPS_PER_OCTAVE}, not {self.per_octave}")
        if self.index.ndim != 1 or self.index.dtype != np.uint8:
            raise ValueError(f"index must be uint8 [channels], not {self.index.dtype} {list(self.index.shape)}")
        wanted = 1 + int(np.count_nonzero(self.index == EXACT))
        if self.values.dtype != np.float32 or self.values.shape != (wanted,):
            shape = list(self.values.shape)
            raise ValueError(f"values must be float32 [{wanted}], not {self.values.dtype} {shape}")

    @property
    def side_bytes(self) -> int:
        """Bytes of base, exact steps and indices."""
        return self.values.nbytes + self.index.nbytes

    def every_step(self) -> NDArray[np.float32]:
        """Return the step of each index from 0 to 254, float32 [255], falling."""
        return _grid_steps(self.values[0], self.per_octave)

    def steps(self) -> NDArray[np.float32]:
        """Return the step of each channel, float32 [channels]."""
        is_exact = self.index == EXACT
        steps = self.every_step()[np.where(is_exact, 0, self.index)]
        steps[is_exact] = self.values[1:]
        return steps

    def with_index(self, index: NDArray[np.int64], steps: NDArray[np.float32]) -> "StepGrid | None":
        """Return the grid with other indices, int64 [channels], and for those that are `EXACT` the float32 steps.

        None where the steps of all channels as float32 are no larger.
        """
        values = np.concatenate([self.values[:1], steps[index == EXACT]])
        grid = StepGrid(self.per_octave, values, index.astype(np.uint8))
        return grid if grid.side_bytes < steps.nbytes else None


@cache
def roots(per_octave: int) -> Floats:
    """Return ``2**(-i / n)`` for i from 0 to n - 1, cut to 24 bits; exact in float64.

    n is a power of two, so the n-th root of ``2**(24 n - i)`` is a square root taken log2(n) times, in integers.
    """
    values = []
    for i in range(per_octave):
        root = 1 << (_ROOT_BITS * per_octave - i)
        for _ in range(per_octave.bit_length() - 1):
            root = math.isqrt(root)
        values.append(root / (1 << _ROOT_BITS))
    return np.array(values)


def _grid_steps(base: np.float32, per_octave: int) -> NDArray[np.float32]:
    index = np.arange(EXACT)
    steps = np.ldexp(float(base) * roots(per_octave)[index % per_octave], -(index // per_octave))
    # A damaged file may hold any base.
    with np.errstate(all="ignore"):
        return steps.astype(np.float32)


def on_grid(
    steps: NDArray[np.float32], length: int, snap: Snap, is_free: NDArray[np.bool_] | None = None
) -> StepGrid | None:
    """Move the steps of channels to the grid that costs the fewest bits.

    Parameters
    ----------
    steps
        float32 [channels], finite and above zero.
    length
        Weights of a channel.
    is_free
        bool [channels], channels whose step may move; others keep theirs. All may where None.

    Returns
    -------
    The grid; None where float32 steps are no larger.
    """
    free = np.ones(len(steps), np.bool_) if is_free is None else is_free
    if not free.any():
        return None
    base, per_octave = _base(steps[free], length)
    grid = _grid_steps(base, per_octave)
    # The grid falls, so the first step that is not above a wanted one has as many before it as are above.
    below = np.searchsorted(-grid, -steps, side="left")
    above = np.where(grid[np.minimum(below, EXACT - 1)] == steps, below, below - 1)
    match snap:
        case Snap.BELOW:
            index = below
        case Snap.ABOVE:
            index = above
        case Snap.NEAREST:
            index = _nearest(steps, grid, above, below)
    # Below the smallest normal number the grid has too few bits to be one.
    is_reached = free & (steps <= base) & (below < EXACT) & (steps >= SMALLEST_NORMAL)
    plain = StepGrid(per_octave, np.array([base]), np.zeros(len(steps), np.uint8))
    return plain.with_index(np.where(is_reached, index, EXACT), steps)


def loss_bits(exact: NDArray[np.float32], steps: NDArray[np.float32]) -> float:
    """Return the bits for each weight that smaller steps cost: at high rate, log2 of the ratio, a mean of channels."""
    ratios = np.log2(exact.astype(np.float64)) - np.log2(steps.astype(np.float64))
    return float(ratios.mean())


def _nearest(
    steps: NDArray[np.float32], grid: NDArray[np.float32], above: NDArray[np.int64], below: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the index whose step has the smaller ratio to the wanted one."""
    upper, lower = (grid[place.clip(0, EXACT - 1)].astype(np.float64) for place in (above, below))
    return np.where(upper * lower < steps.astype(np.float64) ** 2, above, below)


def _base(steps: NDArray[np.float32], length: int) -> tuple[np.float32, int]:
    """Choose base and steps to an octave: the fewest bits for weights on the grid and channels out of its reach.

    A step on the grid is on average half a ratio below the wanted one, which costs each weight ``1 / (2 n)`` bits. The
    base is one of the steps, so that one moves not at all.
    """
    ordered = np.sort(steps)
    logs = np.log2(ordered.astype(np.float64))
    order = np.arange(1, len(logs) + 1)
    best = (math.inf, 0, 0)
    for per_octave in STEPS_PER_OCTAVE:
        reached = order - np.searchsorted(logs, logs - (EXACT - 1) / per_octave)
        costs = (len(logs) - reached) * FLOAT_BITS + reached * length / (2 * per_octave)
        # Of equal ones, the largest base.
        place = len(costs) - 1 - int(np.argmin(costs[::-1]))
        best = min(best, (float(costs[place]), -per_octave, place))
    return ordered[best[2]], -best[1]
