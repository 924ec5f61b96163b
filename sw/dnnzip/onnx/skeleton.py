"""A model file without its large arrays: the bytes of its message are walked through, and arrays are stepped over."""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from dnnzip.system.spool import Place

#: Numbers of the fields in which a model's message holds its graph, that its tensors, and those their bytes.
GRAPH_FIELD, INITIALIZER_FIELD, RAW_DATA_FIELD = 7, 5, 9

#: Fields of a tensor that may stand next to its bytes: dims, type, name, text, metadata. With any other, the parser
#: says what the tensor holds: values in two fields are for no second reader to choose from.
PLAIN_FIELDS = {1, 2, 8, 12, 16}

_VARINT, _EIGHT_BYTES, _LENGTH_DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_LARGEST_NUMBER = (1 << 29) - 1


class _IrregularError(Exception):
    """The bytes are none that a serialiser writes; whoever reads the whole file will say what is wrong, if it is."""


class _Field(NamedTuple):
    """A field of a message: its number, where its tag and its content begin, and where that ends."""

    number: int
    is_delimited: bool
    begin: int
    first: int
    last: int


def without_arrays(path: Path, smallest: int) -> tuple[bytes, dict[int, Place]] | None:
    """Read a model's message without the bytes of its large initializers, those of more than ``smallest``.

    Returns
    -------
    The message, and for the position of each such initializer where its bytes are; None where the file cannot be mapped
    or is not written in the usual way.
    """
    places: dict[int, Place] = {}
    position = 0

    def tensor(data: mmap.mmap, start: int, stop: int) -> bytes:
        nonlocal position
        position += 1
        content = _sole_array(_fields(data, start, stop))
        if content is None or content.last - content.first <= smallest:
            return data[start:stop]
        places[position - 1] = Place(path.absolute(), content.first, content.last - content.first)
        return data[start : content.begin] + data[content.last : stop]

    graphs = 0

    def graph(data: mmap.mmap, start: int, stop: int) -> bytes:
        nonlocal graphs
        graphs += 1
        if graphs > 1:
            # The parser joins two of them.
            raise _IrregularError
        return _rewritten(data, start, stop, INITIALIZER_FIELD, tensor)

    if not path.is_file():  # a pipe yields its bytes once, to whoever opens it first
        return None
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _rewritten(data, 0, len(data), GRAPH_FIELD, graph), places
    except (OSError, ValueError, _IrregularError):
        return None


def _rewritten(
    data: mmap.mmap, start: int, stop: int, number: int, change: Callable[[mmap.mmap, int, int], bytes]
) -> bytes:
    """Return a message with the inner messages of one field changed."""
    parts = []
    for field in _fields(data, start, stop):
        if field.number != number:
            parts.append(data[field.begin : field.last])
        elif field.is_delimited:
            content = change(data, field.first, field.last)
            parts.append(tag(number, len(content)) + content)
        else:
            raise _IrregularError
    return b"".join(parts)


def _sole_array(fields: Iterator[_Field]) -> _Field | None:
    """Return the field of a tensor's bytes; None where there is none, or another that may hold values."""
    raw = None
    for field in fields:
        if field.number == RAW_DATA_FIELD and field.is_delimited and raw is None:
            raw = field
        elif field.number not in PLAIN_FIELDS:
            return None
    return raw


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[_Field]:
    """Visit the fields of a message."""
    position = start
    while position < stop:
        begin = position
        key, position = _varint_at(data, position)
        kind, number = key & 7, key >> 3
        if not 1 <= number <= _LARGEST_NUMBER:
            # Zero is the number of no field; the zeros of a file with a hole would be read as many.
            raise _IrregularError
        if kind == _VARINT:
            last = _varint_at(data, position)[1]
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            last = position + (8 if kind == _EIGHT_BYTES else 4)
        elif kind == _LENGTH_DELIMITED:
            size, position = _varint_at(data, position)
            last = position + size
        else:
            raise _IrregularError
        if last > stop:
            raise _IrregularError
        yield _Field(number, kind == _LENGTH_DELIMITED, begin, position, last)
        position = last


def _varint_at(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            if place and not byte:
                # Longer than it need be: parsers differ in how much of it they take.
                raise _IrregularError
            return value, position + place + 1
    raise _IrregularError


def tag(number: int, length: int) -> bytes:
    """Return the tag and the length in front of a field of ``length`` bytes."""
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(length)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(groups + bytes([value]))
