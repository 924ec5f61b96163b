"""The reference: a layer's int32 sums in plain NumPy arithmetic, from the operator's definition, tap by tap.

It shares nothing with the way over vectors, tiles and accumulators: weights, strides, padding and groups are read from
the network anew, and not taken from the layer's geometry.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from dnnzip.array.layers import ArrayLayer


def layer_sums(layer: ArrayLayer, x: NDArray[np.generic]) -> NDArray[np.int32]:
    """Return the sums of a layer for an input of int8 or uint8, int32 in the shape of its output."""
    shifted = x.astype(np.int32) - np.int32(layer.zero_point)
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in layer.node.attribute}
    weights = shifted_weights(layer)
    if weights.ndim > 2:
        return _convolved(shifted, weights, attributes)
    left = shifted.T if attributes.get("transA", 0) else shifted
    return np.asarray(np.matmul(left, weights), np.int32)


def shifted_weights(layer: ArrayLayer) -> NDArray[np.int32]:
    """Return weights less their zero point: [channels, inputs of a group, ...], or of a product [inputs, channels]."""
    weights = layer.stored.astype(np.int32)
    if weights.ndim > 2:
        return weights - layer.points.reshape(-1, *(1,) * (weights.ndim - 1))
    is_transposed = any(entry.name == "transB" and entry.i for entry in layer.node.attribute)
    return np.asarray((weights.T if is_transposed else weights) - layer.points)


def _convolved(x: NDArray[np.int32], weights: NDArray[np.int32], attributes: dict[str, Any]) -> NDArray[np.int32]:
    """Return the convolution of x [samples, channels, ...] less its zero point: [samples, channels, ...]."""
    kernel, rank = weights.shape[2:], weights.ndim - 2
    strides, dilations = (attributes.get(name, [1] * rank) for name in ("strides", "dilations"))
    reaches = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    outputs, pads = _outputs_and_pads(attributes, x.shape[2:], reaches, strides)
    groups, channels = attributes.get("group", 1), len(weights)
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    # [groups, inputs of a group, samples, ...] and [groups, outputs of a group, inputs of a group, taps]
    inputs = np.moveaxis(padded.reshape(len(x), groups, -1, *padded.shape[2:]), 0, 2)
    kernels = weights.reshape(groups, channels // groups, weights.shape[1], -1)
    sums = np.zeros((groups, channels // groups, len(x) * int(np.prod(outputs))), np.int32)
    for tap, offsets in enumerate(product(*map(range, kernel))):
        window = tuple(
            slice(offset * dilation, offset * dilation + (size - 1) * stride + 1 if size else 0, stride)
            for offset, dilation, stride, size in zip(offsets, dilations, strides, outputs, strict=True)
        )
        seen = inputs[(slice(None), slice(None), slice(None), *window)].reshape(groups, inputs.shape[1], -1)
        sums += np.matmul(kernels[..., tap], seen)
    shaped = sums.reshape(channels, len(x), *outputs)
    return np.ascontiguousarray(np.moveaxis(shaped, 0, 1))


def _outputs_and_pads(
    attributes: dict[str, Any], sizes: Sequence[int], reaches: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return outputs, and padding before and behind, for each axis of an input.

    As in ONNX' definition of Conv: SAME makes as many outputs as there are strides in the input, begun ones included,
    and puts what is missing half before and half behind, the odd one last or first.
    """
    auto_pad, rank = attributes.get("auto_pad", b"NOTSET"), len(sizes)
    if auto_pad in (b"SAME_UPPER", b"SAME_LOWER"):
        outputs = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
        missing = [max((outputs[i] - 1) * strides[i] + reaches[i] - sizes[i], 0) for i in range(rank)]
        halves = [(total // 2, total - total // 2) for total in missing]
        return outputs, halves if auto_pad == b"SAME_UPPER" else [(more, less) for less, more in halves]
    flat = attributes.get("pads", [0] * 2 * rank) if auto_pad == b"NOTSET" else [0] * 2 * rank
    outputs = [max((sizes[i] + flat[i] + flat[rank + i] - reaches[i]) // strides[i] + 1, 0) for i in range(rank)]
    return outputs, list(zip(flat[:rank], flat[rank:], strict=True))
