"""Tensors as codecs take them, and the options for coding them."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import AUTO, MAX_CHANNELS, MAX_KERNEL, TableSet

WEIGHTS_PER_STREAM = 1 << 24
"""A longer tensor is split, so that its payload's words can be counted in a header."""


@dataclass(frozen=True)
class CodeTensor:
    """A tensor on its integer grid."""

    name: str
    codes: NDArray[np.int16]  # int16 [channels, length], C-contiguous, each channel in storage order
    # Height and width of a channel's taps; where one is over 8, and for (1, 1), the neighbours of a weight are the
    # previous two.
    kernel: tuple[int, int] = (1, 1)
    # Low bits of each weight, signed items of `low_width` bits that are stored behind its codes; shape of `codes`.
    low: NDArray[np.int16] | None = None
    low_width: int = 0

    @cached_property
    def extremes(self) -> tuple[int, int]:
        """The lowest and the highest code, and 0."""
        return int(self.codes.min(initial=0)), int(self.codes.max(initial=0))

    @property
    def taps(self) -> tuple[int, int]:
        """The kernel as the stream declares it: (1, 1) where it is larger than the format's history."""
        return self.kernel if max(self.kernel) <= MAX_KERNEL else (1, 1)


@dataclass(frozen=True)
class RawTensor:
    """A tensor that is stored losslessly."""

    name: str
    # uint8 or uint16 [items]: its bytes, floats as little-endian 16-bit items.
    items: NDArray[np.uint8] | NDArray[np.uint16]


class TensorSource(Protocol):
    """A tensor that is made when it is needed."""

    @property
    def name(self) -> str:
        """Name of the initializer."""

    @property
    def weights(self) -> int:
        """Number of weights."""

    def load(self) -> CodeTensor | RawTensor:
        """Make the tensor; it may be asked for twice, from any thread, and is equal each time."""


AnyTensor = CodeTensor | RawTensor | TensorSource


@dataclass(frozen=True)
class CodecOptions:
    """Options for coding a network."""

    # The codec's name, or ``AUTO`` for the smaller one of ``ans`` and ``raw`` for each tensor; ``line``, the baseline,
    # codes what it gets, but is short only for codes on straight segments.
    codec: str = AUTO
    log2_states: int = 9  # log2 of the tANS states: 8, 9 or 10
    # Virtual lanes of each stream; a tensor of fewer channels has fewer. By default as many as its size carries.
    virtual_lanes: int | None = None
    groups: int = 1  # streams of whole channels into which a tensor is split, for as many groups of lanes
    table_set: TableSet | None = None  # code with this set instead of training one
    jobs: int = 1  # threads


def weights_of(tensor: AnyTensor) -> int:
    """Return the weights of a tensor, or the items."""
    if isinstance(tensor, CodeTensor):
        return tensor.codes.size
    return tensor.items.size if isinstance(tensor, RawTensor) else tensor.weights


def parts_of(codes: NDArray[np.int16], groups: int) -> list[slice]:
    """Return the channels of each stream: as many streams as groups, more where one would be too long."""
    channels = codes.shape[0]
    groups = max(groups, -(-codes.size // WEIGHTS_PER_STREAM), -(-channels // MAX_CHANNELS))
    # Not `format.schedule.shares`: some of its edges are one further, and streams stay as they are.
    edges = np.linspace(0, channels, min(groups, channels) + 1).astype(int)
    return [slice(int(start), int(end)) for start, end in pairwise(edges)]
