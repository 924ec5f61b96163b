"""Vectors of an operator's input, with which its weights are multiplied, and its output from their sums.

A vector holds the inputs that one output value's channel is multiplied with, in the order in which the channel's
weights are stored (`dnnzip.quantize.layout`): the columns of im2col.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dnnzip.onnx.graph import attribute
from dnnzip.onnx.operators import Reach, operator_of

Item = TypeVar("Item", bound=np.generic)
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Convolution:
    """A convolution over any number of spatial dimensions."""

    # For each spatial dimension.
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    # For each spatial dimension before and behind; ignored where `auto_pad` says SAME_UPPER or SAME_LOWER.
    pads: tuple[tuple[int, int], ...]
    auto_pad: str = "NOTSET"
    groups: int = 1  # groups of input channels, each of which meets its own share of the output channels

    @property
    def reach(self) -> tuple[int, ...]:
        """Input positions from a kernel's first tap to its last, for each spatial dimension."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def padding(self, spatial: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Return the padding before and behind each spatial dimension of an input of these dimensions."""
        if not self.auto_pad.startswith("SAME"):
            return self.pads
        pads = []
        for size, stride, reach in zip(spatial, self.strides, self.reach, strict=True):
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
            less, more = total // 2, total - total // 2
            pads.append((less, more) if self.auto_pad == "SAME_UPPER" else (more, less))
        return tuple(pads)

    def outputs(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Return the output's spatial dimensions for an input of these; 0 where the kernel does not fit."""
        return tuple(
            max((size + sum(pad) - reach) // stride + 1, 0)
            for size, pad, reach, stride in zip(spatial, self.padding(spatial), self.reach, self.strides, strict=True)
        )

    def width(self, shape: tuple[int, ...]) -> int:
        """Return the number of values of an input of this shape that a channel meets; 0 where its rank is wrong."""
        if len(shape) != 2 + len(self.kernel) or shape[1] % self.groups:
            return 0
        return shape[1] // self.groups * math.prod(self.kernel)

    def positions(self, shape: tuple[int, ...]) -> int:
        """Return the number of vectors of each group, for an input of this shape."""
        return shape[0] * math.prod(self.outputs(shape[2:]))

    def vectors(self, x: NDArray[Item], zero_point: int = 0, chosen: Positions | None = None) -> NDArray[Item]:
        """Return [groups, vectors, length] of an input [samples, channels, ...]: all, or those of chosen positions.

        Parameters
        ----------
        x
            The input [samples, channels, ...], in any element type.
        zero_point
            Value of the padding, in the type of `x`.
        chosen
            Flat positions over samples and the output's spatial dimensions; None for all.
        """
        samples, channels, *spatial = x.shape
        rank = len(spatial)
        outputs = self.outputs(tuple(spatial))
        length = channels // self.groups * math.prod(self.kernel)
        if samples * math.prod(outputs) == 0:
            return np.empty((self.groups, 0, length), x.dtype)
        pads = ((0, 0), (0, 0), *self.padding(tuple(spatial)))
        padded = np.pad(x, pads, constant_values=x.dtype.type(zero_point))
        windows = sliding_window_view(padded, self.reach, axis=tuple(range(2, 2 + rank)))
        steps = (*self.strides, *self.dilations)
        taps = windows[(slice(None), slice(None), *(slice(None, None, step) for step in steps))]
        # samples, channels, outputs, kernel -> samples, outputs, channels, kernel
        by_position = np.moveaxis(taps, 1, 1 + rank)
        if chosen is not None:
            by_position = by_position[np.unravel_index(chosen, (samples, *outputs))]
        return np.ascontiguousarray(np.moveaxis(by_position.reshape(-1, self.groups, length), 1, 0))

    def output(self, values: NDArray[Item], shape: tuple[int, ...]) -> NDArray[Item]:
        """Return the output [samples, channels, ...] from values [vectors, channels], for an input of this shape."""
        outputs = self.outputs(shape[2:])
        return np.ascontiguousarray(np.moveaxis(values.reshape(shape[0], *outputs, values.shape[1]), -1, 1))


@dataclass(frozen=True)
class Product:
    """A product of matrices whose right side is constant."""

    transposed: bool = False  # the left side is transposed first, as Gemm's attribute ``transA`` says

    @property
    def groups(self) -> int:
        """1: every vector meets every channel."""
        return 1

    def width(self, shape: tuple[int, ...]) -> int:
        """Return the number of values of a left side of this shape that a channel meets; 0 where its rank is wrong."""
        if not shape or (self.transposed and len(shape) != 2):
            return 0
        return shape[0 if self.transposed else -1]

    def positions(self, shape: tuple[int, ...]) -> int:
        """Return the number of vectors, for a left side of this shape."""
        return math.prod((shape[::-1] if self.transposed else shape)[:-1])

    def vectors(
        self,
        x: NDArray[Item],
        zero_point: int = 0,  # noqa: ARG002 - the same call for both
        chosen: Positions | None = None,
    ) -> NDArray[Item]:
        """Return [1, vectors, length] of a left side [..., length]: all, or those of chosen positions."""
        left = x.T if self.transposed else x
        rows = np.ascontiguousarray(left).reshape(-1, left.shape[-1])
        return (rows if chosen is None else rows[chosen])[None]

    def output(self, values: NDArray[Item], shape: tuple[int, ...]) -> NDArray[Item]:
        """Return the product [..., channels] from values [vectors, channels], for a left side of this shape."""
        left = shape[::-1] if self.transposed else shape
        return values.reshape(*left[:-1], values.shape[1])


Geometry = Convolution | Product


def geometry_of(node: onnx.NodeProto, shape: tuple[int, ...]) -> Geometry | None:
    """Return the geometry of an operator with weights of a shape; None where its outputs are no such products."""
    operator = operator_of(node)
    reach = None if operator is None else operator.reach
    if reach is Reach.WINDOW and len(shape) > 2:
        return _convolution(node, shape[2:])
    if operator is not None and reach is Reach.ROW and len(shape) == 2:
        return Product(operator.transposes and attribute(node, "transA", 0) != 0)
    return None


def _convolution(node: onnx.NodeProto, kernel: tuple[int, ...]) -> Convolution:
    rank = len(kernel)
    lists = {entry.name: tuple(map(int, entry.ints)) for entry in node.attribute}
    texts = {entry.name: entry.s.decode(errors="replace") for entry in node.attribute}
    auto_pad, none = texts.get("auto_pad", "NOTSET"), (0,) * (2 * rank)
    pads = lists.get("pads", none) if auto_pad == "NOTSET" else none
    return Convolution(
        kernel,
        lists.get("strides", (1,) * rank),
        lists.get("dilations", (1,) * rank),
        tuple(zip(pads[:rank], pads[rank:], strict=True)),
        auto_pad,
        attribute(node, "group", 1),
    )
