"""The header of a GGUF file, read and checked: its texts, its tensors, and where their bytes begin.

The library ``gguf`` maps the whole file and goes on behind its end, so a truncated one can keep it busy for hours; it
is used for the values of quantised types alone.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dnnzip.errors import InputError
from dnnzip.inputs.reading import check_input, open_regular

MAGIC = b"GGUF"
VERSIONS = (2, 3)
RIGHT = "name a whole GGUF file"
ALIGNMENT_KEY = "general.alignment"
SPLIT_KEY = "split.count"

#: Numbers of metadata by their type's number, as `struct` writes them.
NUMBERS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
TEXT, ARRAY = 8, 9
WORD, LONG = struct.Struct("<I"), struct.Struct("<Q")

#: Bytes of the shortest description of a tensor, of the shortest metadata.
SHORTEST_TENSOR, SHORTEST_FIELD = 24, 13

MOST_DIMENSIONS = 8
MOST_NESTED = 4


@dataclass(frozen=True)
class GgufTensor:
    """A tensor as the header describes it."""

    name: str  # the name
    shape: tuple[int, ...]  # its shape, the slowest axis first
    type_number: int  # number of its type
    offset: int  # where its bytes begin, from the beginning of the file


class _Reader:
    """Takes parts of a file in order, and none behind its end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.left = size

    def take(self, size: int) -> bytes:
        self._go(size)
        return self._file.read(size)

    def skip(self, size: int) -> None:
        self._go(size)
        self._file.seek(size, 1)

    def _go(self, size: int) -> None:
        if size > self.left:
            raise ValueError("it is truncated")
        self.left -= size

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def text(self) -> str:
        return self.take(self.number(LONG)).decode()

    def value(self, kind: int) -> str | None:
        """Return a number or a text as text; arrays are passed over."""
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            self._skip_array(1)
            return None
        form = NUMBERS.get(kind)
        if form is None:
            raise ValueError(f"its metadata has the type {kind}")
        return str(form.unpack(self.take(form.size))[0])

    def _skip_array(self, depth: int) -> None:
        kind, count = self.number(WORD), self.number(LONG)
        if kind in NUMBERS:
            self.skip(count * NUMBERS[kind].size)
            return
        if kind not in (TEXT, ARRAY) or depth == MOST_NESTED:
            raise ValueError(f"its metadata has arrays of the type {kind}")
        if count * LONG.size > self.left:
            raise ValueError("it is truncated")
        for _ in range(count):
            if kind == TEXT:
                self.skip(self.number(LONG))
            else:
                self._skip_array(depth + 1)


def read_gguf_header(path: Path) -> tuple[list[GgufTensor], dict[str, str]]:
    """Read the header of a GGUF file.

    Returns
    -------
    Its tensors, and the metadata that are numbers or texts.

    Raises
    ------
    InputError
        The file cannot be read, is none of a known version, is big-endian, truncated or damaged, or a part of several.
    """
    size = check_input(path, None, RIGHT)
    assert size is not None
    try:
        with open_regular(path, RIGHT) as file:
            return _read(path, _Reader(file, size), size)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"is no GGUF file, or is damaged ({error})", RIGHT) from None


def _read(path: Path, reader: _Reader, size: int) -> tuple[list[GgufTensor], dict[str, str]]:
    if reader.take(len(MAGIC)) != MAGIC:
        raise ValueError("its first bytes are not GGUF")
    version = reader.number(WORD)
    if version not in VERSIONS:
        if int.from_bytes(version.to_bytes(4, "big"), "little") in VERSIONS:
            raise InputError(str(path), "is a big-endian GGUF file", "convert it with gguf-convert-endian FILE little")
        raise InputError(str(path), f"is of version {version} of GGUF", "give one of version 2 or 3")
    count, fields = reader.number(LONG), reader.number(LONG)
    if count * SHORTEST_TENSOR + fields * SHORTEST_FIELD > reader.left:
        raise ValueError(f"it has {size} bytes, and says to have {count} tensors and {fields} fields")
    metadata = _metadata(reader, fields)
    if int(metadata.get(SPLIT_KEY, "1")) > 1:
        raise InputError(
            str(path), f"is one of {metadata[SPLIT_KEY]} parts", "merge them with llama-gguf-split --merge"
        )
    alignment = int(metadata.get(ALIGNMENT_KEY, "32"))
    if alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"its alignment is {alignment}")
    tensors = [_tensor(reader) for _ in range(count)]
    names = {tensor.name for tensor in tensors}
    if len(names) < len(tensors):
        raise ValueError("two tensors have one name")
    start = size - reader.left
    start += -start % alignment
    return [GgufTensor(one.name, one.shape, one.type_number, start + one.offset) for one in tensors], metadata


def _metadata(reader: _Reader, fields: int) -> dict[str, str]:
    texts: dict[str, str] = {}
    for _ in range(fields):
        key = reader.text()
        value = reader.value(reader.number(WORD))
        if key in texts:
            raise ValueError(f"key {key[:80]!r} is there twice")
        if value is not None:
            texts[key] = value
    return texts


def _tensor(reader: _Reader) -> GgufTensor:
    name, dimensions = reader.text(), reader.number(WORD)
    if dimensions > MOST_DIMENSIONS:
        raise ValueError(f"tensor {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(reader.number(LONG) for _ in range(dimensions))
    if math.prod(shape) >= 1 << 63:
        raise ValueError(f"tensor {name[:80]!r} has the shape {shape}")
    return GgufTensor(name, shape[::-1], reader.number(WORD), reader.number(LONG))
