"""Weights rounded to few bits, as any accelerator without a decompressor stores them: symmetric, no retraining."""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.bound import Scope

SHARES = np.linspace(0.3, 1.0, 71)
"""Shares of the largest magnitude at which clipping is tried."""


class Clipping(enum.StrEnum):
    """Range of the codes.

    Members
    -------
    RANGE
        To the largest magnitude: nothing is clipped.
    SQUARED_ERROR
        To the share of it, from 0.3 to 1 in steps of 0.01, with the least squared error.
    """

    RANGE = "min-max"
    SQUARED_ERROR = "MSE"


@dataclass(frozen=True, eq=False)
class Rounded:
    """A tensor of weights rounded to whole codes."""

    codes: NDArray[np.int16]  # int16 [channels, length]
    scales: NDArray[np.float32]  # float32, [1, 1] or [channels, 1]: the weight is code times scale

    @property
    def weights(self) -> NDArray[np.float32]:
        """float32 [channels, length]."""
        return self.codes.astype(np.float32) * self.scales


def round_weights(rows: NDArray[np.float32], bits: int, scope: Scope, clipping: Clipping = Clipping.RANGE) -> Rounded:
    """Round weights to the nearest of 2^bits - 1 values, even ones of two that are as near.

    Parameters
    ----------
    rows
        float32 [channels, length], finite.
    bits
        Of a code, 2 to 16; codes go from -(2^(bits - 1) - 1) up.
    scope
        Whether a scale is for the tensor or for a channel.
    clipping
        How a scale is chosen.
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits must be 2 to 16, not {bits}")
    largest = (1 << (bits - 1)) - 1
    wide = rows.astype(np.float64)
    parts = wide if scope is Scope.CHANNEL else wide.reshape(1, -1)
    reach = np.abs(parts).max(axis=1, keepdims=True)
    if clipping is Clipping.SQUARED_ERROR:
        reach = reach * _best_shares(parts, reach, largest)
    scales = np.where(reach > 0, reach / largest, 1.0).astype(np.float32)
    codes = np.clip(np.rint(wide / scales), -largest, largest).astype(np.int16)
    return Rounded(codes, scales)


def _best_shares(parts: NDArray[np.float64], reach: NDArray[np.float64], largest: int) -> NDArray[np.float64]:
    """Return the share of each part's reach at which the squared error is least, [parts, 1]."""
    best = np.ones_like(reach)
    least = np.full(reach.shape, np.inf)
    for share in SHARES[::-1]:
        scale = np.where(reach > 0, share * reach / largest, 1.0)
        restored = np.clip(np.rint(parts / scale), -largest, largest) * scale
        error = ((restored - parts) ** 2).sum(axis=1, keepdims=True)
        best = np.where(error < least, share, best)
        least = np.minimum(error, least)
    return best
