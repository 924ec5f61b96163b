"""Bits of a layer's codes, estimated without encoding them.

The codec assigns each channel one of eight classes with tables of its own. So channels are put in order of the size of
their codes and divided into as many groups; a group's codes cost their zero-order entropy.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import CLASS_BITS, CLASSES, CRC_WORDS, WEIGHT_HEADER, WORD_BITS

#: Bits of a stream in addition to its codes: header, checksum, and start state and last word of its first virtual lane.
STREAM_BITS = (WEIGHT_HEADER.words + CRC_WORDS) * WORD_BITS + 30

#: Channels of fewer weights share a class.
SHORT_CHANNEL = 16

Floats = NDArray[np.float64]


def classes_of(codes: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return a class for each channel, int64 [channels], by the mean size of its codes, int16 [channels, length]."""
    channels, length = codes.shape
    if length < SHORT_CHANNEL:
        return np.zeros(channels, np.int64)
    sizes = np.abs(codes.astype(np.int32)).mean(axis=1)
    # Scales are told apart by their ratio, so classes divide the range of their logarithms.
    scales = np.log2(sizes + 1.0 / 64)
    low, high = scales.min(), scales.max()
    if high - low < 1e-9:
        return np.zeros(channels, np.int64)
    classes: NDArray[np.int64] = np.minimum(((scales - low) / (high - low) * CLASSES).astype(np.int64), CLASSES - 1)
    return classes


def code_bits(codes: NDArray[np.int16], classes: NDArray[np.int64]) -> Floats:
    """Return the bits of a code of each size in each class.

    Parameters
    ----------
    codes
        int16 [channels, length]; their statistics are the model.
    classes
        int64 [channels].

    Returns
    -------
    float64 [classes, sizes] bits of a code by its magnitude, its sign included; the last size represents larger ones.
    """
    sizes = np.abs(codes.astype(np.int32))
    counts = _count(sizes, classes, int(sizes.max(initial=0)) + 3)
    # Codes that did not occur cost more than those that did once, and more the larger they are.
    counts += 0.5 / (1.0 + np.arange(counts.shape[1]))
    bits = -np.log2(counts / counts.sum(axis=1, keepdims=True))
    bits[:, 1:] += 1.0
    return np.ascontiguousarray(bits)


def bits_of(codes: NDArray[np.int16]) -> float:
    """Return the estimated bits of a layer's streams, header included, from its codes, int16 [channels, length]."""
    classes = classes_of(codes)
    wide = codes.astype(np.int32)
    largest = int(np.abs(wide).max(initial=0))
    counts = _count(wide + largest, classes, 2 * largest + 1)
    apart, together = _entropy(counts), _entropy(counts.sum(axis=0, keepdims=True))
    return min(apart + CLASS_BITS * len(codes), together + CLASS_BITS) + STREAM_BITS


def _entropy(counts: Floats) -> float:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1.0)
    return float(-(counts * np.log2(np.where(shares > 0, shares, 1.0))).sum())


def _count(values: NDArray[np.int32], classes: NDArray[np.int64], width: int) -> Floats:
    """Return the occurrences of each value from 0 to below ``width`` in each class, float64 [classes, width]."""
    number = int(classes.max(initial=0)) + 1
    flat = np.ravel(classes[:, None] * width + values)
    return np.bincount(flat, minlength=number * width).reshape(number, width).astype(np.float64)
