"""Safetensors files: the header read and checked, tensors left in the file; written tensor by tensor.

The library ``safetensors`` checks a header. Tensors are read and written here: it would hold all of a file that it
writes, takes the last of two tensors of one name, and reads no bfloat16 without a training framework.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from dnnzip.errors import InputError
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.memory import memory_for
from dnnzip.inputs.reading import check_input, open_regular, unreadable
from dnnzip.system.spool import Place
from dnnzip.weight_files.entry import Entry
from dnnzip.weight_files.types import ORDER, STORED_TYPES, type_of_dtype

RIGHT = "name a whole safetensors file"

#: Key of the texts in a header, which no tensor can have.
METADATA = "__metadata__"

LENGTH = struct.Struct("<Q")

#: A header is filled up to a multiple of this many bytes, so that values behind it are aligned.
ALIGNMENT = 8

TYPES = {item.name: item for item in STORED_TYPES}


def read_safetensors(path: Path, shard: int = 0) -> tuple[list[Entry], dict[str, str]]:
    """Read the header of a safetensors file.

    Parameters
    ----------
    path
        The file.
    shard
        Number of the file among the shards of an index.

    Returns
    -------
    Its tensors in the order of their bytes, and its metadata.

    Raises
    ------
    InputError
        The file cannot be read, is damaged or truncated, or names a tensor twice.
    """
    check_input(path, None, RIGHT)
    try:
        with safe_open(path, "numpy", backend="pread"):
            pass
    except SafetensorError as error:
        reason = str(error).splitlines()[0].removeprefix("Error while deserializing header: ")[:120]
        raise InputError(str(path), f"is no safetensors file, or is damaged ({reason})", RIGHT) from None
    except OSError as error:
        raise unreadable(path, error, RIGHT) from None
    size, header = _header(path)
    metadata = header.pop(METADATA, None) or {}
    place, entries = path.absolute(), []
    for name, facts in header.items():
        known = TYPES.get(facts["dtype"])
        if known is None:
            raise InputError(f"{path}: tensor {name!r}", f"is of the type {facts['dtype']}", "update dnnzip to read it")
        start, end = facts["data_offsets"]
        content = Place(place, LENGTH.size + size + start, end - start)
        entries.append(Entry(name, known.name, known.dtype, tuple(facts["shape"]), content, shard))
    return sorted(entries, key=_offset), metadata


def _offset(entry: Entry) -> int:
    assert isinstance(entry.content, Place)
    return entry.content.offset


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the size of a header that the library has accepted, and its content."""
    with open_regular(path, RIGHT) as file:
        (size,) = LENGTH.unpack(file.read(LENGTH.size))
        with memory_for(str(path), f"a header of {size} bytes", size):
            text = file.read(size)
    try:
        return size, parse_json(text)
    except ValueError as error:
        raise InputError(str(path), f"is damaged: {error}", RIGHT) from None


def write_safetensors(entries: Sequence[Entry], metadata: Mapping[str, str], file: BinaryIO, where: str) -> None:
    """Write a safetensors file, tensor by tensor: those of wide types first, then by name, as the library does.

    Parameters
    ----------
    entries
        The tensors.
    metadata
        Texts by name.
    file
        Open for bytes.
    where
        Name of the file in messages.

    Raises
    ------
    InputError
        A tensor is of a type or of a name that such files do not have, or cannot be read.
    """
    names = {entry.name: _type_name(entry, where) for entry in entries}
    ordered = sorted(entries, key=lambda entry: (-ORDER[names[entry.name]], entry.name))
    header: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for entry in ordered:
        start, end = end, end + entry.content.length
        header[entry.name] = {"dtype": names[entry.name], "shape": list(entry.shape), "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(LENGTH.pack(len(text)) + text)
    for chunk in _chunks(ordered):
        file.write(chunk)


def _chunks(entries: Sequence[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield from entry.content.chunks()


def _type_name(entry: Entry, where: str) -> str:
    """Return the name of a tensor's type in a safetensors file."""
    known = TYPES.get(entry.type_name) if entry.dtype is None else type_of_dtype(entry.dtype)
    if known is None:
        wrong = f"cannot hold {entry.name!r}, an array of {entry.type_name}"
        raise InputError(where, wrong, "name an output that ends in .npz, or leave the array out of the input")
    if entry.name == METADATA:
        raise InputError(where, f"cannot hold a tensor named {METADATA!r}", "rename it")
    return known.name
