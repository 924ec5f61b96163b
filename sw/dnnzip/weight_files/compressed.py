"""The compressed weight file: a weight file in which array files are in the place of compressed tensors.

A compressed tensor has its own name, and is an array of uint8: an array file (`dnnzip.format.array_file`) without a
table set. The table set that all of them share is one more such array. Tensors that are left out stay as they are. The
metadata of each file has the key ``dnnzip``, a JSON object: ``version``, 1; ``tables``, the name of the table set, or
null; ``compressed``, the names of the compressed tensors; ``left_out``, a sentence to the names of the tensors that
this rule left out.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnzip.encoding import UPDATE, Encoded, Reading, decode_codes, restore_weights
from dnnzip.errors import InputError
from dnnzip.format import array_file
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.memory import memory_for
from dnnzip.quantize.element_type import ElementType
from dnnzip.quantize.grid import FloatGrid, Grid
from dnnzip.system.spool import Place
from dnnzip.tensor_file import Form, check_stream, checked_grid, form_of, header_of
from dnnzip.weight_files.chunk_reader import ChunkReader
from dnnzip.weight_files.entry import Content, Entry, Held, WeightFile, little_bytes
from dnnzip.weight_files.npz_file import Member

KEY = "dnnzip"
VERSION = 1
AGAIN = "compress the weights again"

UINT8 = np.dtype(np.uint8)

#: Name of the table set, followed by as many underscores as make it a new one.
TABLES_NAME = "dnnzip.tables"


@dataclass(frozen=True, eq=False)
class CompressedTensor:
    """A compressed tensor of a weight file."""

    name: str  # the name
    form: Form  # shape, and the rows that it is coded in
    grid: Grid  # the grid of its codes
    codec: str  # codec of its streams
    stored: bytes | Place  # its streams, or their place
    reading: Reading  # file and tensor, for messages
    shard: int = 0  # number of its file among the shards

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.form.shape

    @property
    def element(self) -> ElementType:
        """Type of the tensor."""
        return self.grid.element

    @property
    def step_loss(self) -> float:
        """Bits for each weight that steps on a grid cost, against the largest that keep the bounds."""
        return self.grid.step_loss if isinstance(self.grid, FloatGrid) else 0.0

    def codes(self, tables: bytes) -> NDArray[np.int16]:
        """Decode the streams with a table set: int16 [rows, length], or [1, items] of a lossless grid.

        Raises
        ------
        InputError
            They are damaged, or there is no memory for them.
        """
        stream = self.stored
        if isinstance(stream, Place):
            with memory_for(self.reading.where, f"a stream of {stream.length} bytes", stream.length):
                stream = stream.read()
        check_stream(stream, self.codec, self.grid, self.form, self.reading)
        rows, length = self.grid.code_shape(self.form.layout)
        return decode_codes(stream, tables, rows * length, self.reading)

    def decode(self, tables: bytes) -> NDArray[np.generic]:
        """Return the weights, in their own type and shape; see `codes`."""
        return self.form.array_of(restore_weights(self.codes(tables), self.grid, self.form.layout, self.reading))

    def entry(self) -> Entry:
        """Return the tensor as a compressed file holds it."""
        size = self.stored.length if isinstance(self.stored, Place) else len(self.stored)
        header = header_of(self.form, Encoded(self.grid, b"", self.codec))
        front = array_file.pack_header(header, 0, size)
        content = Held(front, self.stored) if isinstance(self.stored, Place) else Held(front + self.stored)
        return Entry(self.name, "U8", UINT8, (content.length,), content, self.shard)


@dataclass(frozen=True, eq=False)
class LeftOutEntry:
    """A tensor that is not compressed."""

    entry: Entry  # the tensor
    rule: str  # the sentence of the rule that left it out


@dataclass(frozen=True, eq=False)
class CompressedFile:
    """A compressed weight file, checked and not yet decoded."""

    where: str  # the file, for messages
    tensors: tuple[CompressedTensor, ...]  # the compressed tensors
    left_out: tuple[LeftOutEntry, ...]  # the others
    order: tuple[str, ...]  # names of both, as in the original
    tables: bytes  # the table set that all streams share; empty where none needs one
    # Those of the original; see `WeightFile`.
    metadata: Sequence[Mapping[str, str]]
    index: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def of_one_piece(self) -> "CompressedFile":
        """Return the same with the tensors of all shards in one file."""
        whole = WeightFile(self.where, (), self.metadata)
        return replace(
            self,
            tensors=tuple(replace(tensor, shard=0) for tensor in self.tensors),
            left_out=tuple(LeftOutEntry(replace(item.entry, shard=0), item.rule) for item in self.left_out),
            metadata=[whole.merged_metadata()],
            index=None,
        )

    def as_weight_file(self) -> WeightFile:
        """Return the file as it is stored."""
        entries = {item.entry.name: item.entry for item in self.left_out}
        entries |= {tensor.name: tensor.entry() for tensor in self.tensors}
        ordered = [entries[name] for name in self.order]
        tables = None
        if self.tables:
            tables = TABLES_NAME
            while tables in entries:
                tables += "_"
            ordered.append(Entry(tables, "U8", UINT8, (len(self.tables),), Held(self.tables)))
        metadata = [
            {**texts, KEY: json.dumps(self._declaration(tables, shard))} for shard, texts in enumerate(self.metadata)
        ]
        return WeightFile(self.where, tuple(ordered), metadata, self.index)

    def _declaration(self, tables: str | None, shard: int) -> dict[str, Any]:
        """Return the description of a shard, for its metadata."""
        rules: dict[str, list[str]] = {}
        for item in self.left_out:
            if item.entry.shard == shard:
                rules.setdefault(item.rule, []).append(item.entry.name)
        compressed = [tensor.name for tensor in self.tensors if tensor.shard == shard]
        return {"version": VERSION, "tables": tables, "compressed": compressed, "left_out": rules}

    def decompressed(self) -> WeightFile:
        """Return the plain weights; each tensor is decoded when its bytes are asked for."""
        entries = {item.entry.name: item.entry for item in self.left_out}
        for tensor in self.tensors:
            dtype = tensor.element.dtype
            content = Decoded(tensor, self.tables)
            entries[tensor.name] = Entry(tensor.name, dtype.name, dtype, tensor.shape, content, tensor.shard)
        return WeightFile(self.where, tuple(entries[name] for name in self.order), self.metadata, self.index)


@dataclass(frozen=True, eq=False)
class Decoded:
    """Values of a compressed tensor."""

    tensor: CompressedTensor  # the tensor
    tables: bytes  # the table set

    @property
    def length(self) -> int:
        """Number of bytes."""
        return math.prod(self.tensor.shape) * self.tensor.element.bytes

    def chunks(self) -> Iterator[bytes]:
        """Return all values as one piece."""
        yield little_bytes(self.tensor.decode(self.tables))


def is_compressed(file: WeightFile) -> bool:
    """Return True if a weight file is a compressed one."""
    return any(KEY in texts for texts in file.metadata)


def open_compressed(file: WeightFile) -> CompressedFile:
    """Check a compressed weight file and list its tensors, without decoding them.

    Raises
    ------
    InputError
        It is not compressed, of a newer version, or damaged.
    """
    if not is_compressed(file):
        raise InputError(file.where, "is not a compressed weight file", "make one with 'dnnzip compress'")
    reading = Reading(file.where, AGAIN)
    entries = {entry.name: entry for entry in file.entries}
    declared = [_declared(texts.get(KEY), reading) for texts in file.metadata]
    tables_names = {one["tables"] for one in declared}
    if len(tables_names) > 1:
        raise reading.damaged("its files name different table sets")
    (tables_name,) = tables_names
    tables = b"" if tables_name is None else _tables(entries, tables_name, reading)
    compressed = [name for one in declared for name in one["compressed"]]
    rules = {name: rule for one in declared for rule, names in one["left_out"].items() for name in names}
    named = [*compressed, *rules]
    if len({*named}) != len(named) or {*named} != entries.keys() - {tables_name}:
        raise reading.damaged("its metadata do not name its tensors, each once")
    return CompressedFile(
        file.where,
        tuple(_tensor(entries[name], file.where) for name in compressed),
        tuple(LeftOutEntry(entries[name], rule) for name, rule in rules.items()),
        tuple(entry.name for entry in file.entries if entry.name != tables_name),
        tables,
        [{key: text for key, text in texts.items() if key != KEY} for texts in file.metadata],
        file.index,
    )


def _declared(text: str | None, reading: Reading) -> dict[str, Any]:
    """Return the description of a file in its metadata, checked."""
    if text is None:
        raise reading.damaged(f"one of its files has no {KEY!r} in its metadata")
    try:
        declared = parse_json(text)
    except ValueError as error:
        raise reading.damaged(f"its metadata are no JSON ({error})") from None
    version = declared.get("version") if isinstance(declared, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InputError(reading.where, f"is of version {version} of compressed weight files", UPDATE)
    if version != VERSION or not _is_sound(declared):
        raise reading.damaged("its metadata are no description of compressed weights")
    assert isinstance(declared, dict)
    return declared


def _is_sound(declared: Any) -> bool:
    def are_names(names: Any) -> bool:
        return isinstance(names, list) and all(isinstance(name, str) for name in names)

    left_out = declared.get("left_out")
    return (
        isinstance(declared.get("tables", 0), str | None)
        and are_names(declared.get("compressed"))
        and isinstance(left_out, dict)
        and all(map(are_names, left_out.values()))
    )


def _tables(entries: Mapping[str, Entry], name: str, reading: Reading) -> bytes:
    entry = entries.get(name)
    if entry is None:
        raise InputError(reading.where, f"lacks its table set {name!r}", "name the index where it is one of its shards")
    _check_bytes(entry, reading)
    with memory_for(reading.where, f"a table set of {entry.content.length} bytes", entry.content.length):
        return b"".join(entry.content.chunks())


def _check_bytes(entry: Entry, reading: Reading) -> None:
    if entry.dtype != UINT8 or len(entry.shape) != 1:
        raise reading.damaged(f"{entry.name!r} is no list of bytes")


def _tensor(entry: Entry, where: str) -> CompressedTensor:
    """Read the header of a compressed tensor."""
    reading = Reading(f"{where}: tensor {entry.name!r}", AGAIN)
    _check_bytes(entry, reading)
    content: Content = entry.content.place() if isinstance(entry.content, Member) else entry.content
    reader = ChunkReader(content.chunks())
    try:
        header, table_bytes, stream_bytes = array_file.unpack_header(reader, content.length)
    except array_file.NewerVersionError as error:
        raise InputError(reading.where, str(error), UPDATE) from None
    except array_file.ArrayFileError as error:
        raise InputError(reading.where, str(error), AGAIN) from None
    if table_bytes:
        raise reading.damaged("it has a table set of its own")
    form = form_of(header, reading)
    grid = checked_grid(header, form, reading)
    if isinstance(content, Place):
        stored: bytes | Place = Place(content.path, content.offset + content.length - stream_bytes, stream_bytes)
    else:
        with memory_for(reading.where, f"a stream of {stream_bytes} bytes", stream_bytes):
            stored = reader.read(stream_bytes)
    return CompressedTensor(entry.name, form, grid, header.codec, stored, reading, entry.shard)
