"""A tensor of weights as quantisation sees it: an array, its channels, its zero point and a name for messages."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.element_type import ELEMENT_TYPES, ElementType
from dnnzip.quantize.layout import Layout


class Weights(Protocol):
    """A tensor of weights, in memory or wherever its array can be read from."""

    @property
    def name(self) -> str:
        """The name, for messages."""

    @property
    def layout(self) -> Layout:
        """Shape, output channels and kernel."""

    @property
    def element(self) -> ElementType:
        """Type of the weights."""

    @property
    def zero_point(self) -> NDArray[np.generic] | None:
        """In the weights' type, scalar or one for each entry of the channel axis; None for zero and for floats."""

    @property
    def array(self) -> NDArray[np.generic]:
        """The weights in their own type and shape; may be made anew at each call."""


@dataclass(frozen=True, eq=False)
class ArrayWeights:
    """A tensor of weights in memory."""

    name: str
    array: NDArray[np.generic]  # the weights, in an element type of the machine's byte order
    layout: Layout  # shape, output channels and kernel
    zero_point: NDArray[np.generic] | None = None  # see `Weights`

    @property
    def element(self) -> ElementType:
        """Type of the weights."""
        return ELEMENT_TYPES[self.array.dtype.name]


def shifted_weights(weights: Weights) -> NDArray[np.signedinteger]:
    """Return w - z of integer weights in the shape of the array, as int16, or as int32 where they have 16 bits."""
    point = zero_point_along(weights.zero_point, weights.element, weights.layout)
    wide = np.int16 if weights.element.bits < 16 else np.int32
    return np.asarray(weights.array.astype(wide) - point.astype(wide))


def wrapped_codes(weights: Weights) -> NDArray[np.int16]:
    """Return the lossless codes of integer weights, [channels, length]: w - z modulo 2^bits, as signed numbers."""
    element = weights.element
    unsigned = np.dtype(f"u{element.bytes}")
    point = zero_point_along(weights.zero_point, element, weights.layout)
    wrapped = element.signed.wrapped(weights.array.astype(unsigned) - point.astype(unsigned))
    return np.ascontiguousarray(weights.layout.to_channels(wrapped).astype(np.int16, copy=False))


def zero_point_along(point: NDArray[np.generic] | None, element: ElementType, layout: Layout) -> NDArray[np.generic]:
    """Shape a zero point to broadcast against an array; None is zero."""
    if point is None:
        point = np.zeros((), element.dtype)
    shape = [1] * len(layout.shape)
    if point.size > 1:
        shape[layout.axis] = -1
    return point.reshape(shape)
