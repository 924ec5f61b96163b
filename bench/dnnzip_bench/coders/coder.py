"""Interface that every compressor in the comparison has."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.step_grid import FLOAT_BITS
from dnnzip_bench.coders.task import Task


class Coder(ABC):
    """A compressor at work on one task; what it prepares when it is made is not timed."""

    name: ClassVar[str]
    """Name in the tables."""
    package: ClassVar[str] = ""
    """The distribution that has to be installed; empty where dnnzip itself is enough."""
    remark: ClassVar[str] = ""
    """Settings in which it is run, for the notes below the tables."""
    takes_floats: ClassVar[bool] = True
    takes_integers: ClassVar[bool] = True

    def __init__(self, task: Task) -> None:
        self.task = task

    @classmethod
    def takes(cls, task: Task) -> bool:
        """Return True if it can compress the weights of a task at all."""
        return cls.takes_integers if task.is_integer else cls.takes_floats

    @abstractmethod
    def encode(self) -> Sequence[bytes]:
        """Compress the weights, from floats (or integers) to bytes."""

    @abstractmethod
    def decode(self, streams: Sequence[bytes]) -> list[NDArray[np.generic]]:
        """Return the tensors: as many values as [channels, length], floats or the codes of integers."""

    STEP_BITS: ClassVar[int] = 0
    """Bits per tensor for the step of its grid, where its streams do not hold it."""

    def bits(self, streams: Sequence[bytes]) -> int:
        """Return the size of all tensors, with everything that a decoder needs counted."""
        return 8 * sum(map(len, streams)) + self.STEP_BITS * len(self.task.weights)

    def limit_bits(self, streams: Sequence[bytes]) -> float:
        """Return the size that its streams are never to be above; 0 where there is none."""
        del streams
        return 0.0


class CodesCoder(Coder):
    """A lossless coder of integers, which gets the codes of dnnzip's grid."""

    STEP_BITS = FLOAT_BITS
    TENSOR_BITS: ClassVar[int] = 0
    """Bits per tensor for what its streams do not say."""

    def encode(self) -> Sequence[bytes]:
        """Round each tensor to its grid and compress the codes."""
        return [self.pack(index, self.task.rounded(index)) for index in range(len(self.task.weights))]

    def decode(self, streams: Sequence[bytes]) -> list[NDArray[np.generic]]:
        """Return the values of the codes in the streams."""
        restored = []
        for index, stream in enumerate(streams):
            shape = (self.task.weights[index].layout.channels, self.task.weights[index].layout.length)
            restored.append(self.task.restored(index, self.unpack(stream, shape)))
        return restored

    def bits(self, streams: Sequence[bytes]) -> int:
        """Return the streams' size with what they do not say."""
        return super().bits(streams) + self.TENSOR_BITS * len(streams)

    @abstractmethod
    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Compress the codes of a tensor, int16 [channels, length]."""

    @abstractmethod
    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Return the codes of a tensor of a shape."""
