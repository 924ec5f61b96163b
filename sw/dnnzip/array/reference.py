"""The norm: a layer's int32 sums in plain NumPy arithmetic, from the operator's definition, tap by tap.

It shares nothing with the way over vectors, tiles and accumulators.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.geometry import Convolution
from dnnzip.array.layers import ArrayLayer


def layer_sums(layer: ArrayLayer, x: NDArray[np.generic]) -> NDArray[np.int32]:
    """Return the sums of a layer in the shape of its output, int32.

    Parameters
    ----------
    layer
        The layer.
    x
        Its input, int8 or uint8.
    """
    shifted = x.astype(np.int32) - np.int32(layer.zero_point)
    geometry = layer.geometry
    if isinstance(geometry, Convolution):
        return _convolved(geometry, shifted, layer.weights.astype(np.int32))
    left = shifted.T if geometry.transposed else shifted
    return np.asarray(np.matmul(left, layer.weights.astype(np.int32).T), np.int32)


def _convolved(geometry: Convolution, x: NDArray[np.int32], weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the convolution of x [samples, channels, ...] less its zero point: [samples, channels, ...]."""
    spatial = x.shape[2:]
    outputs = geometry.outputs(spatial)
    groups, channels = geometry.groups, len(weights)
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding(spatial)))
    # [groups, inputs of a group, samples, ...] and [groups, outputs of a group, inputs of a group, taps]
    inputs = np.moveaxis(padded.reshape(len(x), groups, -1, *padded.shape[2:]), 0, 2)
    kernels = weights.reshape(groups, channels // groups, inputs.shape[1], -1)
    sums = np.zeros((groups, channels // groups, len(x) * int(np.prod(outputs))), np.int32)
    for tap, offsets in enumerate(product(*map(range, geometry.kernel))):
        window = tuple(
            slice(offset * dilation, offset * dilation + (size - 1) * stride + 1 if size else 0, stride)
            for offset, dilation, stride, size in zip(
                offsets, geometry.dilations, geometry.strides, outputs, strict=True
            )
        )
        seen = inputs[(slice(None), slice(None), slice(None), *window)].reshape(groups, inputs.shape[1], -1)
        sums += np.matmul(kernels[..., tap], seen)
    shaped = sums.reshape(channels, len(x), *outputs)
    return np.ascontiguousarray(np.moveaxis(shaped, 0, 1))
