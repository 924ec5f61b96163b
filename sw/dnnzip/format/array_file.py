"""The array file: one compressed array with all that decoding needs.

All numbers are little-endian. The fields of `FIELDS` come first; ``docs/array_file.md`` has the order of all parts.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

MAGIC = b"DNZA"
VERSION = 2

#: The version of files whose grid came with no later one.
BASE_VERSION = 1


class GridKind(IntEnum):
    """Way from codes to weights."""

    LOSSLESS = 0  # codes are the original bytes of float weights, in items of 16 bits
    FLOAT = 1  # code times step; one step, or one for each row
    STEP_GRID = 2  # the same, the steps of rows as indices into a geometric grid
    INTEGER = 3  # zero point plus divisor times code; with divisor 1, modulo 256
    MAPPED = 4  # the bits of float weights, mapped to codes; of version 2


@dataclass(frozen=True)
class Field:
    """A number in the fixed part of the header: its name, its type as `struct` writes it, its meaning."""

    name: str
    kind: str
    meaning: str


FIELDS = (
    Field("magic", "4s", "`DNZA`"),
    Field("version", "H", "1, or 2 with a mapped grid; readers refuse a larger one"),
    Field("dimensions", "B", "dimensions of the array, 1 to 64"),
    Field("axis", "B", "axis of the output channels"),
    Field("grid", "B", "0 lossless, 1 float, 2 step grid, 3 integer, 4 mapped"),
    Field("scope", "B", "range of a percentage: 0 of the tensor, 1 of each channel"),
    Field("divisor", "H", "2 e + 1 of an integer grid, e the error in lsb; base of a mapped one; otherwise 1"),
    Field("zero_point", "h", "of an integer grid; otherwise 0"),
    Field(
        "per_octave",
        "H",
        "steps to an octave of a step grid: 16, 32, 64, 128 or 256; bits of float32's mantissa in a mapped one, "
        "0 where it keeps all bits of the type; otherwise 0",
    ),
    Field("steps", "I", "float32 steps: 1 or one for each row; of a step grid, base and exact ones; otherwise 0"),
    Field("indices", "I", "indices of a step grid, one for each row; otherwise 0"),
    Field("rows", "Q", "channels of the streams: the size of the axis, or a multiple where a channel is split"),
    Field("table_bytes", "Q", "bytes of the table set stream; 0 where no stream needs one"),
    Field("stream_bytes", "Q", "bytes of the weight streams"),
    Field("bound", "d", "largest error tolerated in any channel; lsb for integers"),
    Field("error", "d", "largest error made"),
    Field("step_loss", "d", "bits for each weight that a step grid costs; otherwise 0"),
)

FIXED = struct.Struct("<" + "".join(field.kind for field in FIELDS))
LENGTH, DIMENSION, CHECK = struct.Struct("<H"), struct.Struct("<Q"), struct.Struct("<I")
MOST_DIMENSIONS = 64
TEXTS = 3
STEP_BYTES = 4


class ArrayFileError(ValueError):
    """Bytes that are no array file; the message says what is wrong with them."""


class NoArrayFileError(ArrayFileError):
    """Bytes of another kind of file."""


class NewerVersionError(ArrayFileError):
    """An array file of a version that is not known yet."""


@dataclass(frozen=True)
class ArrayHeader:
    """The header of an array file; see `FIELDS`."""

    # The texts: element type, bound as written, codec.
    element: str
    spec: str
    codec: str
    # Shape of the array, and the axis of its output channels.
    shape: tuple[int, ...]
    axis: int
    grid: GridKind
    scope: int
    rows: int
    bound: float
    error: float
    divisor: int = 1
    zero_point: int = 0
    per_octave: int = 0
    step_loss: float = 0.0
    # Steps as little-endian float32, and their indices.
    steps: bytes = b""
    index: bytes = b""


def pack(header: ArrayHeader, tables: bytes, stream: bytes) -> bytes:
    """Return an array file."""
    return b"".join([pack_header(header, len(tables), len(stream)), tables, stream])


def pack_header(header: ArrayHeader, table_bytes: int, stream_bytes: int) -> bytes:
    """Return all of an array file that stands before its streams of these sizes."""
    counted = {
        "magic": MAGIC,
        "version": VERSION if header.grid is GridKind.MAPPED else BASE_VERSION,
        "dimensions": len(header.shape),
        "steps": len(header.steps) // STEP_BYTES,
        "indices": len(header.index),
        "table_bytes": table_bytes,
        "stream_bytes": stream_bytes,
    }
    values = vars(header) | counted
    parts = [FIXED.pack(*(values[field.name] for field in FIELDS))]
    for text in (header.element, header.spec, header.codec):
        encoded = text.encode()
        parts += [LENGTH.pack(len(encoded)), encoded]
    parts += [DIMENSION.pack(size) for size in header.shape]
    front = b"".join([*parts, header.steps, header.index])
    return front + CHECK.pack(zlib.crc32(front))


class Readable(Protocol):
    """Bytes that are read in order, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""
        ...


class _Reader:
    """Takes parts of a file in order.

    Parameters
    ----------
    file
        Where it begins.
    size
        Bytes from there to its end.
    """

    def __init__(self, file: Readable, size: int) -> None:
        self.left = size
        self.check = 0
        self._file = file

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ArrayFileError("is truncated")
        part = self._file.read(size)
        if len(part) != size:
            raise ArrayFileError("is truncated")
        self.left -= size
        self.check = zlib.crc32(part, self.check)
        return part

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])


def unpack(data: bytes) -> tuple[ArrayHeader, bytes, bytes]:
    """Read an array file: its header, the table set stream, the weight streams.

    Raises
    ------
    ArrayFileError
        See `unpack_header`.
    """
    header, table_bytes, stream_bytes = unpack_header(io.BytesIO(data), len(data))
    start = len(data) - stream_bytes
    return header, data[start - table_bytes : start], data[start:]


def unpack_header(file: Readable, size: int) -> tuple[ArrayHeader, int, int]:
    """Read an array file up to its streams.

    No memory is taken for counts that the bytes do not back. The numbers of the header are as the file says: a reader
    has to check that they suit each other.

    Parameters
    ----------
    file
        Where the array file begins.
    size
        Its bytes.

    Returns
    -------
    The header, and the bytes of the table set stream and of the weight streams, which are all that is left.

    Raises
    ------
    ArrayFileError
        The bytes are no array file, of a newer version, truncated, too long, or their header is damaged.
    """
    reader = _Reader(file, size)
    fixed = reader.take(min(FIXED.size, size))
    if fixed[: len(MAGIC)] != MAGIC:
        raise NoArrayFileError("is no compressed array")
    if len(fixed) < FIXED.size:
        raise ArrayFileError("is truncated")
    values = dict(zip((field.name for field in FIELDS), FIXED.unpack(fixed), strict=True))
    if not BASE_VERSION <= values.pop("version") <= VERSION:
        raise NewerVersionError(f"is of another version of array files than {BASE_VERSION} to {VERSION}")
    texts = [reader.take(reader.number(LENGTH)) for _ in range(TEXTS)]
    shape = tuple(reader.number(DIMENSION) for _ in range(values["dimensions"]))
    steps, index = reader.take(STEP_BYTES * values["steps"]), reader.take(values["indices"])
    check = reader.check
    if reader.number(CHECK) != check:
        raise ArrayFileError("is damaged: the checksum of its header is wrong")
    behind = reader.left - values["table_bytes"] - values["stream_bytes"]
    if behind < 0:
        raise ArrayFileError("is truncated")
    if behind:
        raise ArrayFileError(f"is damaged: {behind} bytes follow its end")
    try:
        element, spec, codec = (text.decode() for text in texts)
        grid = GridKind(values["grid"])
    except ValueError as error:
        raise ArrayFileError(f"is damaged: {error}") from None
    kept = ("axis", "scope", "rows", "bound", "error", "divisor", "zero_point", "per_octave", "step_loss")
    facts = {name: values[name] for name in kept}
    header = ArrayHeader(element, spec, codec, shape, grid=grid, steps=steps, index=index, **facts)
    return header, values["table_bytes"], values["stream_bytes"]
