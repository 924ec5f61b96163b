"""The order in which weights leave a decoder, and the way back to channels."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import CODECS, WeightHeader

Item = TypeVar("Item", bound=np.generic)


def codes_from_beats(weights: NDArray[np.int16], header: WeightHeader) -> NDArray[np.int16]:
    """Return the codes by channel, int16 [channels, length], from the weights in a decoder's order.

    Parameters
    ----------
    weights
        int16 [channels * length]: the weights of all beats, idle lanes left out. ``ans`` yields them in the order
        (pass, position in the channel, virtual lane), ``raw`` and ``line`` in storage order.

    Raises
    ------
    ValueError
        If the number of weights is not the declared one.
    """
    if weights.size != header.weights:
        raise ValueError(f"there must be {header.weights} weights, not {weights.size}")
    if CODECS[header.codec].has_lanes:
        return channels_from_passes(weights, header.channels, header.length, header.lanes)
    return weights.reshape(header.channels, header.length)


def channels_from_passes(weights: NDArray[Item], channels: int, length: int, lanes: int) -> NDArray[Item]:
    """Return weights by channel, [channels, length], from the order (pass, position in the channel, virtual lane).

    Parameters
    ----------
    lanes
        Virtual lanes: channels of a pass; the last one may have fewer.
    """
    whole = channels // lanes * lanes
    split = whole * length
    rows = np.empty((channels, length), weights.dtype)
    passes = weights[:split].reshape(-1, length, lanes)
    rows[:whole] = passes.transpose(0, 2, 1).reshape(whole, length)
    rows[whole:] = weights[split:].reshape(length, channels - whole).T
    return rows


def passes_from_channels(rows: NDArray[Item], lanes: int) -> NDArray[Item]:
    """Undo ``channels_from_passes``: [channels, length] to [channels * length]."""
    starts = range(0, rows.shape[0], lanes)
    return np.concatenate([rows[:0].reshape(-1), *(rows[start : start + lanes].T.reshape(-1) for start in starts)])
