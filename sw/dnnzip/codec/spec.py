"""Interface that a codec implements to be in the registry."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.room import Room
from dnnzip.codec.tensors import CodecOptions, CodeTensor, RawTensor
from dnnzip.format import CodecRules, StreamWords, TableSet, WeightHeader

DecodeReference = Callable[[StreamWords, WeightHeader, TableSet | None], list[list[int]]]
DecodeFast = Callable[[NDArray[np.uint16], WeightHeader, TableSet | None], tuple[NDArray[np.int16], int]]
Fit = Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.int16]]


@dataclass(frozen=True)
class Tensors:
    """The tensors of a network, as an encoder looks at them before it encodes the first one."""

    load: Callable[[int], CodeTensor | RawTensor]  # makes the tensor at a position, in any order and from any thread
    sizes: Sequence[int]  # weights of each
    room: Room  # to be taken for a tensor's weights while it is in memory
    pool: Executor  # threads


@dataclass(frozen=True)
class Draft:
    """All choices for a tensor's stream or streams, before these are made."""

    encode: Callable[[], bytes]  # makes the streams, one after the other
    bits: float = 0.0  # approximate bits of the payloads; for the codec that ``AUTO`` compares with ``raw``


class Encoder(Protocol):
    """Encodes the tensors of one network."""

    @property
    def table_set(self) -> TableSet | None:
        """The table set that it codes with, if any."""

    def draft(self, position: int, tensor: CodeTensor) -> Draft:
        """Choose how to code the tensor at a position."""


@dataclass(frozen=True)
class CodecSpec:
    """A codec."""

    rules: CodecRules  # its number, its name and the rules of its headers
    # Decodes a payload in plain Python: codes of each channel. A broken rule raises ``VerdictError``.
    decode_reference: DecodeReference
    # Decodes a payload [words], which may end early: codes, int16 [channels, length], and the words taken.
    decode_fast: DecodeFast
    # Looks at a network's tensors; None where none of them has codes.
    open_encoder: Callable[[Tensors, CodecOptions], Encoder | None]
    # Where given, it chooses codes within the lowest and the highest one that keep each weight, int32 [weights], in
    # storage order. Otherwise a weight gets the code next to it on the coarsest grid.
    fit: Fit | None = None
    keeps_floats: bool = False  # True if float weights are stored as their original bytes


@dataclass(frozen=True)
class EachAlone:
    """An encoder without a table set: it looks at no tensor before it encodes it."""

    encode: Callable[[CodeTensor, CodecOptions], bytes]  # makes the streams of a tensor
    options: CodecOptions
    table_set: TableSet | None = None

    def draft(self, position: int, tensor: CodeTensor) -> Draft:
        """Return the draft that makes the streams of ``tensor``."""
        del position
        return Draft(lambda: self.encode(tensor, self.options))


def each_alone(encode: Callable[[CodeTensor, CodecOptions], bytes]) -> Callable[[Tensors, CodecOptions], Encoder]:
    """Return the ``open_encoder`` of a codec that encodes each tensor by itself."""
    return lambda _, options: EachAlone(encode, options)
