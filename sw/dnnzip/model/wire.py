"""A model file without its large arrays: the bytes of its message are walked through, and arrays are stepped over."""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from dnnzip.model.places import Place

#: Numbers of the fields in which a model's message holds its graph, that its tensors, and those their bytes.
GRAPH_FIELD, INITIALIZER_FIELD, RAW_DATA_FIELD = 7, 5, 9

_VARINT, _EIGHT_BYTES, _LENGTH_DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class _IrregularError(Exception):
    """The bytes are none that a serialiser writes; whoever reads the whole file will say what is wrong, if it is."""


def without_arrays(path: Path, smallest: int) -> tuple[bytes, dict[int, Place]] | None:
    """Read a model's message without the bytes of its large initializers.

    Parameters
    ----------
    path
        The file.
    smallest
        Initializers of more bytes are left out.

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
        raw = [field for field in _fields(data, start, stop) if field[0] == RAW_DATA_FIELD]
        if not raw:
            return data[start:stop]
        _, begin, first, last = raw[0]
        if len(raw) > 1 or last - first <= smallest:
            return data[start:stop]
        places[position - 1] = Place(path.absolute(), first, last - first)
        return data[start:begin] + data[last:stop]

    def graph(data: mmap.mmap, start: int, stop: int) -> bytes:
        return _rewritten(data, start, stop, INITIALIZER_FIELD, tensor)

    if not path.is_file():  # a pipe gives its bytes once, to whoever opens it first
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
    for field, begin, first, last in _fields(data, start, stop):
        if field == number:
            content = change(data, first, last)
            parts.append(tag(number, len(content)) + content)
        else:
            parts.append(data[begin:last])
    return b"".join(parts)


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Visit the fields of a message: number (0 where it has no length of its own), begin, begin and end of content."""
    position = start
    while position < stop:
        begin = position
        key, position = _varint_at(data, position)
        kind, number = key & 7, 0
        if not key >> 3:
            # No field has this number; the zeros of a file with a hole would be read as many.
            raise _IrregularError
        if kind == _VARINT:
            last = _varint_at(data, position)[1]
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            last = position + (8 if kind == _EIGHT_BYTES else 4)
        elif kind == _LENGTH_DELIMITED:
            size, position = _varint_at(data, position)
            last, number = position + size, key >> 3
        else:
            raise _IrregularError
        if last > stop:
            raise _IrregularError
        yield number, begin, position, last
        position = last


def _varint_at(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, position + place + 1
    raise _IrregularError


def tag(number: int, length: int) -> bytes:
    """Return what stands in front of a field of so many bytes."""
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(length)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(groups + bytes([value]))
