"""A job for the array of a board: the orders of ``dnnzip.format.frames``, for a memory that may be small.

Streams that do not fit the memory at once take turns in it: when all tiles of the loaded ones have been used, the
next ones are loaded over them. Weights that do not fit even alone are cut between tiles; a compressed stream of such a
size is decoded here first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from dnnzip.array.job import ArrayJob, ProgramError, check_job
from dnnzip.array.job_image import JobImage
from dnnzip.codec.beat_order import passes_from_channels
from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    IMAGE_ENTRY,
    IMAGE_HEADER,
    WORD_BYTES,
    ImageEntry,
    ImageKind,
    ImageLayout,
    table_bytes,
    words_of,
)
from dnnzip.format.array import ArrayShape
from dnnzip.format.frames import END, LOAD, Order
from dnnzip.format.program import Walk
from dnnzip.format.schedule import count_tiles, spans

_HEADER_WORDS = IMAGE_HEADER.bytes // WORD_BYTES
_ENTRY_WORDS = IMAGE_ENTRY.bytes // WORD_BYTES
_ORDER_BYTES = 2


class BoardImage:
    """The streams that a job fetches, placed in a board's memory, one load over the other where they do not fit.

    Members
    -------
    layout
        Where everything lies; the header and the table stay at address 0.

    Raises
    ------
    ProgramError
        The job contradicts its image.
    InputError
        The memory is too small for the table and a tile.
    """

    def __init__(self, job: ArrayJob, shape: ArrayShape, memory: int) -> None:
        self._shape = shape
        self._source = JobImage(job, shape)
        self._own: dict[int, range] = {}  # entry of the job's image to those of the board's
        used = sorted(set(self._source.fetched))
        # More entries make a larger table, which leaves less room, which may make more entries.
        count, pieces = len(used), self._cut_all(used, memory - table_bytes(len(used)))
        while len(pieces) > count:
            count, pieces = len(pieces), self._cut_all(used, memory - table_bytes(len(pieces)))
        self._data = [data.ljust(entry.words * WORD_BYTES, b"\0") for entry, data in pieces]
        self.layout = ImageLayout([entry for entry, _ in pieces], WORD_BYTES, memory)

    def walked(self, walk: Walk) -> Iterator[tuple[int, Walk]]:
        """Visit the walks that a walk of the job becomes, each with the number of the load that it needs."""
        numbers = [number for entry in walk.entries for number in self._own[entry]]
        for load, own in groupby(numbers, self.layout.loads.__getitem__):
            first, *others = own
            yield load, Walk(first, 1 + len(others))

    def load(self, load: int) -> tuple[int, bytes]:
        """Return the offset of a load in the memory, in bytes, and its content."""
        own = [number for number, its in enumerate(self.layout.loads) if its == load]
        return self.layout.entries[own[0]].offset, b"".join(self._data[number] for number in own)

    def tiles(self, number: int) -> tuple[int, int]:
        """Return the lane group of an entry, and its number of tiles."""
        entry = self.layout.entries[number]
        if entry.is_table_set:
            return 0, 0
        return self._shape.group_of(entry.part), count_tiles(entry, self._shape.columns)

    def _cut_all(self, used: Sequence[int], room: int) -> list[tuple[ImageEntry, bytes]]:
        """Return the entries and their bytes, each of at most ``room``."""
        found: list[tuple[ImageEntry, bytes]] = []
        tables: int | None = None
        for number in used:
            entry, data = self._source.entries[number], self._source.data(number)
            tables = number if entry.is_table_set else tables
            first = len(found)
            if len(data) <= room:
                found.append((entry, data))
            elif entry.is_table_set:
                raise _needs_memory(f"the table set has {len(data)} bytes, the board room for {room}")
            else:
                if entry.kind is ImageKind.STREAM:
                    entry, data = self._decoded(number, tables)
                found += _cut(entry, data, room, self._shape.columns)
            self._own[number] = range(first, len(found))
        return found

    def _decoded(self, number: int, tables: int | None) -> tuple[ImageEntry, bytes]:
        """Return a compressed entry as plain weights."""
        entry = self._source.entries[number]
        weights = self._source.weights(number, None if tables is None else self._source.table_set(tables))
        return replace(entry, kind=ImageKind.PLAIN), passes_from_channels(weights, entry.virtual_lanes).tobytes()


def _needs_memory(wrong: str) -> InputError:
    return InputError(f"{field_name('link')} serial", wrong, "build it with more memory")


def _cut(entry: ImageEntry, data: bytes, room: int, columns: int) -> Iterator[tuple[ImageEntry, bytes]]:
    """Cut plain weights between tiles, in their order, into pieces of at most ``room`` bytes."""
    lanes, length = entry.virtual_lanes, entry.length
    if lanes * columns > room:
        raise _needs_memory(f"the board has room for {room} bytes of weights, less than a tile")
    whole = room // (lanes * length) * lanes  # channels of the passes that fit at once
    for channels in spans(entry.channels, whole or lanes):
        fitting = length if whole else room // (len(channels) * columns) * columns
        for positions in spans(length, fitting):
            start = channels.start * length + positions.start * len(channels)
            own = data[start : start + len(channels) * len(positions)]
            part = replace(entry, words=words_of(own), channels=len(channels), length=len(positions))
            yield replace(part, first_channel=entry.first_channel + channels.start), own


def job_orders(job: ArrayJob, shape: ArrayShape, memory: int) -> bytes:
    """Return the message that makes a board do a job.

    Raises
    ------
    ProgramError
        The job contradicts itself.
    InputError
        The board's memory cannot hold what the job needs at once.
    """
    check_job(job, shape)
    image = BoardImage(job, shape, memory)
    writer = _OrderWriter(image, job.walks, shape.groups)
    # A vector is whole words.
    width = -(-shape.columns // WORD_BYTES) * WORD_BYTES
    vectors = np.zeros((job.vectors, width), np.uint8)
    vectors[:, : shape.columns] = job.activations
    first = 0
    for number, run in enumerate(job.runs):
        writer.need(run.groups, number)
        writer.add(Order.RUN, run.pack() + vectors[first : first + run.vectors].tobytes())
        first += run.vectors
    return writer.end()


class _OrderWriter:
    """Writes the orders of a job, loads and walks no earlier than a run needs them."""

    def __init__(self, image: BoardImage, walks: Sequence[Walk], groups: int) -> None:
        self._image = image
        self._walks = [item for walk in walks for item in image.walked(walk)]
        self._next = 0
        self._left = [0] * groups  # tiles that have been fetched and not taken
        self._loaded = -1
        self._fetched = 0
        self._message = bytearray()

    def add(self, order: Order, content: bytes) -> None:
        """Append an order with its arguments and what follows them."""
        self._message += order.to_bytes(_ORDER_BYTES, "little") + content

    def need(self, groups: Sequence[int], run: int) -> None:
        """Fetch until a run can take its tiles, and take them."""
        for group in groups:
            while not self._left[group]:
                if self._next == len(self._walks):
                    raise ProgramError(f"run {run} takes a tile of group {group}, and none comes any more")
                self._walk(*self._walks[self._next])
                self._next += 1
            self._left[group] -= 1

    def end(self) -> bytes:
        """Append the end, and return the whole message."""
        if any(self._left) or any(self._image.tiles(n)[1] for _, w in self._walks[self._next :] for n in w.entries):
            raise ProgramError("tiles are left over at the end of the program")
        self.add(Order.END, END.pack({"fetched": self._fetched}))
        return bytes(self._message)

    def _walk(self, load: int, walk: Walk) -> None:
        if load != self._loaded:
            if any(self._left):
                raise _needs_memory("the board's memory cannot hold the tiles of all its lane groups at once")
            if self._loaded < 0:
                self._load(0, self._image.layout.head(1))
            self._load(*self._image.load(load))
            self._loaded = load
        if not self._fetched:
            self._fetched = _HEADER_WORDS
        self.add(Order.WALK, walk.pack())
        for number in walk.entries:
            self._fetched += _ENTRY_WORDS + self._image.layout.entries[number].words
            group, tiles = self._image.tiles(number)
            self._left[group] += tiles

    def _load(self, address: int, data: bytes) -> None:
        values = {"words": len(data) // WORD_BYTES, "address": address // WORD_BYTES, "fetched": self._fetched}
        self.add(Order.LOAD, LOAD.pack(values) + data)
