"""Layout of an operator's weight array as output channels, each a row in storage order, and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """Output channels and kernel of a weight array."""

    shape: tuple[int, ...]  # as stored; one dimension is one channel
    axis: int  # of the output channels in the array
    group: int = 1  # groups that share the channel axis: 1, or for ConvTranspose its ``group``, which divides axis 0
    # (height, width) of the taps that are contiguous within a channel; (1, 1) where there are none.
    kernel: tuple[int, int] = (1, 1)

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return 1 if len(self.shape) == 1 else self.shape[self.axis] * self.group

    @property
    def length(self) -> int:
        """Weights in a channel."""
        return math.prod(self.shape) // self.channels if self.channels else 0

    def to_channels(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Rearrange an array of `shape` into [channels, length], C-contiguous; its type stays."""
        if len(self.shape) == 1:
            return np.ascontiguousarray(array).reshape(1, -1)
        split = array.reshape(self.group, self.shape[0] // self.group, *self.shape[1:])
        moved = np.moveaxis(split, self.axis + 1, 1)
        return np.ascontiguousarray(moved).reshape(self.channels, self.length)

    def from_channels(self, rows: NDArray[np.generic]) -> NDArray[np.generic]:
        """Undo `to_channels`: [channels, length] to an array of `shape`, C-contiguous."""
        if len(self.shape) == 1:
            return np.ascontiguousarray(rows).reshape(self.shape)
        split_shape = (self.group, self.shape[0] // self.group, *self.shape[1:])
        moved_shape = (
            self.group,
            self.shape[self.axis],
            *(d for i, d in enumerate(split_shape) if i not in (0, self.axis + 1)),
        )
        split = np.moveaxis(rows.reshape(moved_shape), 1, self.axis + 1)
        return np.ascontiguousarray(split).reshape(self.shape)


def kernel_of(spatial: Sequence[int]) -> tuple[int, int]:
    """Return (height, width) of a kernel of any rank: the product of all dimensions but the last, and the last."""
    return (math.prod(spatial[:-1]), spatial[-1]) if spatial else (1, 1)
