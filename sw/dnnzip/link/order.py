"""The order in which weights leave a decoder, and the way back to channels."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import Codec, WeightHeader


def codes_from_beats(weights: NDArray[np.int16], header: WeightHeader) -> NDArray[np.int16]:
    """Return the codes by channel, from the weights as a decoder gives them.

    Parameters
    ----------
    weights
        int16 [channels * length]: the weights of all beats, idle lanes left out. ``ans`` gives them in the order
        (pass, position in the channel, virtual lane), ``raw`` and ``line`` in storage order.
    header
        The stream's header.

    Returns
    -------
    ndarray
        int16 [channels, length], each channel in storage order.

    Raises
    ------
    ValueError
        If the number of weights is not the declared one.
    """
    if weights.size != header.weights:
        raise ValueError(f"there must be {header.weights} weights, not {weights.size}")
    if header.codec in (Codec.RAW, Codec.LINE):
        return weights.reshape(header.channels, header.length)
    whole = header.channels // header.lanes * header.lanes
    split = whole * header.length
    codes = np.empty((header.channels, header.length), np.int16)
    passes = weights[:split].reshape(-1, header.length, header.lanes)
    codes[:whole] = passes.transpose(0, 2, 1).reshape(whole, header.length)
    codes[whole:] = weights[split:].reshape(header.length, header.channels - whole).T
    return codes
