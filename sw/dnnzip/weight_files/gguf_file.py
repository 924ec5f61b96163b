"""GGUF files as input: plain types as they are, quantised blocks as the float32 values that they represent."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.inputs.reading import check_input
from dnnzip.system import extras
from dnnzip.system.spool import Place
from dnnzip.weight_files.entry import Entry, WeightFile, little_bytes
from dnnzip.weight_files.gguf_header import RIGHT, GgufTensor, read_gguf_header
from dnnzip.weight_files.types import STORED_TYPES, StoredType

#: Types of GGUF that safetensors has too, by their number.
PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}

FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Values of quantised blocks, as float32."""

    place: Place  # where the blocks are
    shape: tuple[int, ...]  # shape of the values; a row is whole blocks
    block_type: Any  # type of the blocks, a ``GGMLQuantizationType``
    row_bytes: int  # bytes of a row's blocks

    @property
    def length(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * FLOAT32.itemsize

    def chunks(self) -> Iterator[bytes]:
        """Return all values as one piece."""
        where = str(self.place.path)
        # What damaged scales yield is found where the values are used.
        with memory_for(where, f"{self.length} bytes", self.length), np.errstate(all="ignore"):
            blocks = self.place.array(np.dtype(np.uint8)).reshape(-1, self.row_bytes)
            yield little_bytes(np.asarray(_gguf(where).dequantize(blocks, self.block_type), np.float32))


def read_gguf(path: Path) -> WeightFile:
    """Read the header of a GGUF file.

    Returns
    -------
    Its tensors, the metadata that are numbers or texts, and a note on tensors of quantised types.

    Raises
    ------
    InputError
        The file cannot be read or is damaged, or has a type that is not known.
    MissingToolError
        It has tensors of quantised types, and the extra ``gguf`` is not installed.
    """
    size = check_input(path, None, RIGHT)
    assert size is not None
    described, metadata = read_gguf_header(path)
    entries, quantised = [], set()
    for tensor in described:
        number = tensor.type_number
        content, known = _plain(path, tensor) if number in PLAIN else _blocks(path, tensor)
        place = content.place if isinstance(content, Blocks) else content
        if place.offset + place.length > size:
            raise InputError(f"{path}: tensor {tensor.name!r}", "is truncated", RIGHT)
        if isinstance(content, Blocks):
            quantised.add(content.block_type.name)
        entries.append(Entry(tensor.name, known.name, known.dtype, tensor.shape, content))
    count = sum(isinstance(entry.content, Blocks) for entry in entries)
    note = (
        f"note: {count} tensors of {', '.join(sorted(quantised))} are taken as the float32 values that they represent"
    )
    return WeightFile(str(path), tuple(entries), [metadata], None, (note,) if count else ())


def _plain(path: Path, tensor: GgufTensor) -> tuple[Place, StoredType]:
    known = _type(PLAIN[tensor.type_number])
    return Place(path.absolute(), tensor.offset, math.prod(tensor.shape) * known.bits // 8), known


def _blocks(path: Path, tensor: GgufTensor) -> tuple[Blocks, StoredType]:
    """Return the blocks of a tensor, after its rows have been found to be whole ones."""
    where = f"{path}: tensor {tensor.name!r}"
    library = _gguf(str(path))
    try:
        block_type = library.GGMLQuantizationType(tensor.type_number)
        values, size = library.GGML_QUANT_SIZES[block_type]
        with np.errstate(all="ignore"):
            library.dequantize(np.zeros((1, size), np.uint8), block_type)
    except (ValueError, KeyError):
        raise InputError(where, f"is of the unknown type {tensor.type_number}", "update gguf to read it") from None
    except NotImplementedError:
        raise InputError(where, f"is of the type {block_type.name}, which gguf cannot de-quantise", RIGHT) from None
    columns = tensor.shape[-1] if tensor.shape else 1
    if columns < 1 or columns % values:
        raise InputError(where, f"has rows of {columns} values, and blocks of {values}", RIGHT)
    row_bytes = columns // values * size
    place = Place(path.absolute(), tensor.offset, math.prod(tensor.shape[:-1]) * row_bytes)
    return Blocks(place, tensor.shape, block_type, row_bytes), _type("F32")


def _type(name: str) -> StoredType:
    return next(item for item in STORED_TYPES if item.name == name)


@cache
def _gguf(where: str) -> Any:
    """Return the library of quantised types."""
    try:
        import gguf.quants
    except ImportError as error:
        raise extras.missing(f"{where}, which has quantised tensors", error.name, "gguf") from None
    return gguf.quants
