"""Tensors of a weight file: name, type, shape, and the bytes where they are until they are needed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.system.spool import Place


class Content(Protocol):
    """Bytes of a tensor: little-endian values in C order."""

    @property
    def length(self) -> int:
        """Number of bytes."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Visit the bytes in pieces."""
        ...


@dataclass(frozen=True, eq=False)
class Held:
    """Bytes in memory, and those of a place behind them."""

    front: bytes  # the bytes in memory
    rest: Place | None = None  # a place whose bytes follow

    @property
    def length(self) -> int:
        """Number of bytes."""
        return len(self.front) + (0 if self.rest is None else self.rest.length)

    def chunks(self) -> Iterator[bytes]:
        """Visit the bytes in pieces."""
        yield self.front
        if self.rest is not None:
            yield from self.rest.chunks()


@dataclass(frozen=True, eq=False)
class ArrayContent:
    """Values of an array in memory."""

    array: NDArray[np.generic]  # the array, in any byte order and layout

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.array.nbytes

    def chunks(self) -> Iterator[bytes]:
        """Return all bytes as one piece."""
        yield little_bytes(self.array)


@dataclass(frozen=True, eq=False)
class Entry:
    """A tensor of a weight file."""

    name: str  # the name
    type_name: str  # name of its type as the file writes it
    dtype: np.dtype[np.generic] | None  # its NumPy type; None where NumPy has none
    shape: tuple[int, ...]  # the shape
    content: Content  # its bytes
    shard: int = 0  # number of the file that holds it, of those of a sharded one

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def array(self, where: str) -> NDArray[np.generic]:
        """Read the values: an array of its own, in the machine's byte order.

        Parameters
        ----------
        where
            The file, for messages.

        Raises
        ------
        InputError
            The file cannot be read, there is no memory for the values, or NumPy has no such type.
        """
        where = f"{where}: tensor {self.name!r}"
        if self.dtype is None:
            raise InputError(where, f"is of the type {self.type_name}, which NumPy does not have", "leave it as it is")
        with memory_for(where, f"{self.content.length} bytes", self.content.length):
            if isinstance(self.content, Place):
                return self.content.array(self.dtype).reshape(self.shape)
            stored = bytearray().join(self.content.chunks())
        values = np.frombuffer(stored, self.dtype.newbyteorder("<")).reshape(self.shape)
        return values.astype(self.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True, eq=False)
class WeightFile:
    """Tensors of a file, or of the files that an index names."""

    where: str  # the file, for messages
    entries: tuple[Entry, ...]  # its tensors, no name twice
    metadata: Sequence[Mapping[str, str]] = ({},)  # texts by name, of each file: one, or as many as there are shards
    # The ``metadata`` of the index of a sharded file; None where there is no index.
    index: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = field(default=())  # lines for the user on how the file was read

    def merged_metadata(self) -> dict[str, str]:
        """Return the texts of all files; where two differ, those of the first."""
        return {name: text for one in reversed(self.metadata) for name, text in one.items()}


def little_bytes(array: NDArray[np.generic]) -> bytes:
    """Return the values of an array as little-endian bytes in C order."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
