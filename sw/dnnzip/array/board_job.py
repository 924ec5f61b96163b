"""A job for the array of a board: the orders of ``dnnzip.format.frames``, for a memory that may be small.

Streams that do not fit the memory at once take turns in it: when all tiles of what is there have been used, the next
ones are loaded over it. Weights that do not fit even alone are cut between tiles; a compressed stream that is so large
is decoded here first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dnnzip.array.golden import array_limits
from dnnzip.array.job import ArrayJob, ArrayShape, ProgramError, check_job
from dnnzip.codec import fast
from dnnzip.codec.beat_order import passes_from_channels
from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    IMAGE_ENTRY,
    IMAGE_HEADER,
    WORD_BYTES,
    ImageEntry,
    ImageError,
    ImageKind,
    TableSet,
    VerdictError,
    image_head,
    read_image_table,
    table_bytes,
)
from dnnzip.format.frames import END, LOAD, Order
from dnnzip.format.program import Walk

_HEADER_WORDS = IMAGE_HEADER.bytes // WORD_BYTES
_ENTRY_WORDS = IMAGE_ENTRY.bytes // WORD_BYTES
_ORDER_BYTES = 2


@dataclass(frozen=True)
class Piece:
    """An entry of the board's own image.

    Parameters
    ----------
    entry
        As the board's table has it, with its place.
    data
        Its words.
    segment
        Number of the load that brings it.
    """

    entry: ImageEntry
    data: bytes
    segment: int = 0


class BoardImage:
    """The streams that a job fetches, placed in a board's memory, one load over the other where they do not fit.

    Parameters
    ----------
    job
        The job.
    shape
        The array.
    memory
        Bytes of the board's memory.

    Members
    -------
    head
        The header and the table, which stay at address 0.
    pieces
        Entries of the table.

    Raises
    ------
    ProgramError
        The job contradicts its image.
    InputError
        The memory is too small for the table and a tile.
    """

    def __init__(self, job: ArrayJob, shape: ArrayShape, memory: int) -> None:
        self._shape = shape
        try:
            self._entries = read_image_table(job.image)
        except ImageError as error:
            raise ProgramError(f"image: {error}") from None
        used: set[int] = set()
        for walk in job.walks:
            if walk.count < 1 or walk.first + walk.count > len(self._entries):
                raise ProgramError(
                    f"a walk must stay in a table of {len(self._entries)} entries, "
                    f"not take {walk.count} from {walk.first} on"
                )
            used.update(range(walk.first, walk.first + walk.count))
        self._ranges: dict[int, range] = {}
        found: list[Piece] = []
        # More entries make a larger table, which leaves less room, which may make more entries.
        count = len(used)
        while True:
            start = table_bytes(count)
            found = self._cut_all(job.image, sorted(used), memory - start)
            if len(found) <= count:
                break
            count = len(found)
        self.pieces = _placed(found, start, memory)
        self.head = image_head(WORD_BYTES, 1, memory, [piece.entry for piece in self.pieces])

    def walked(self, walk: Walk) -> Iterator[tuple[int, Walk]]:
        """Visit the walks that a walk of the job becomes, each with the number of the load that it needs."""
        numbers = [number for entry in range(walk.first, walk.first + walk.count) for number in self._ranges[entry]]
        first = numbers[0]
        for number in numbers[1:]:
            if self.pieces[number].segment != self.pieces[first].segment:
                yield self.pieces[first].segment, Walk(first, number - first)
                first = number
        yield self.pieces[first].segment, Walk(first, numbers[-1] + 1 - first)

    def load(self, segment: int) -> tuple[int, bytes]:
        """Return where a load goes, in bytes, and its bytes."""
        own = [piece for piece in self.pieces if piece.segment == segment]
        return own[0].entry.offset, b"".join(piece.data for piece in own)

    def tiles(self, number: int) -> tuple[int, int]:
        """Return the lane group of a piece, and how many tiles it brings."""
        entry = self.pieces[number].entry
        if entry.is_table_set:
            return 0, 0
        passes = -(-entry.channels // entry.virtual_lanes)
        return entry.part % self._shape.groups, passes * -(-entry.length // self._shape.columns)

    def _cut_all(self, image: bytes, used: Sequence[int], room: int) -> list[Piece]:
        """Return the pieces of the entries, each of at most ``room`` bytes."""
        found: list[Piece] = []
        tables = b""
        for number in used:
            entry = self._entries[number]
            data = image[entry.offset : entry.offset + entry.words * WORD_BYTES]
            if entry.is_table_set:
                tables = data
            elif not 1 <= entry.virtual_lanes <= self._shape.rows_per_group:
                raise ProgramError(
                    f"entry {number} must have 1 to {self._shape.rows_per_group} virtual lanes, "
                    f"not {entry.virtual_lanes}"
                )
            first = len(found)
            if len(data) <= room:
                found.append(_piece(entry, data))
            elif entry.is_table_set:
                raise InputError(
                    f"{field_name('link')} serial",
                    f"the table set has {len(data)} bytes, the board room for {room}",
                    "build it with more memory",
                )
            else:
                if entry.kind is ImageKind.STREAM:
                    entry, data = self._decoded(entry, data, tables, number)
                found += _cut(entry, data, room, self._shape.columns)
            self._ranges[number] = range(first, len(found))
        return found

    def _decoded(self, entry: ImageEntry, data: bytes, tables: bytes, number: int) -> tuple[ImageEntry, bytes]:
        """Return a compressed entry as plain weights."""
        limits = array_limits(self._shape)
        try:
            table_set = TableSet.from_bytes(tables, max_shift=limits.low_bits) if tables else None
        except VerdictError as error:
            raise ProgramError(f"the table set ends with {error.verdict.label!r}") from None
        decoded = fast.decode(data, table_set, limits)
        if decoded.codes is None or decoded.codes.shape != (entry.channels, entry.length):
            raise ProgramError(f"entry {number}: the stream ends with {decoded.verdict.label!r}, or is another one")
        plain = passes_from_channels(decoded.codes.astype(np.int8), entry.virtual_lanes).tobytes()
        return replace(entry, kind=ImageKind.PLAIN), plain


def _piece(entry: ImageEntry, data: bytes) -> Piece:
    """Return an entry with the size of its data, its place still missing."""
    words = -(-len(data) // WORD_BYTES)
    return Piece(replace(entry, words=words, bus_words=words), data.ljust(words * WORD_BYTES, b"\0"))


def _cut(entry: ImageEntry, data: bytes, room: int, columns: int) -> Iterator[Piece]:
    """Cut plain weights between tiles, in their order, into pieces of at most ``room`` bytes."""
    lanes, length = entry.virtual_lanes, entry.length
    pass_bytes = lanes * length
    if lanes * columns > room:
        raise InputError(
            f"{field_name('link')} serial",
            f"the board has room for {room} bytes of weights, less than a tile",
            "build it with more memory",
        )
    if pass_bytes <= room:
        step = room // pass_bytes * lanes
        for first in range(0, entry.channels, step):
            channels = min(step, entry.channels - first)
            own = replace(entry, first_channel=entry.first_channel + first, channels=channels)
            yield _piece(own, data[first * length : (first + channels) * length])
        return
    for first in range(0, entry.channels, lanes):
        channels = min(lanes, entry.channels - first)
        step = room // (channels * columns) * columns
        for position in range(0, length, step):
            own = replace(
                entry,
                first_channel=entry.first_channel + first,
                channels=channels,
                length=min(step, length - position),
            )
            start = first * length + position * channels
            yield _piece(own, data[start : start + channels * own.length])


def _placed(pieces: Sequence[Piece], start: int, memory: int) -> list[Piece]:
    """Return the pieces with their places from ``start`` on, in as many loads as it takes."""
    placed: list[Piece] = []
    position, segment = start, 0
    for piece in pieces:
        if position + len(piece.data) > memory:
            position, segment = start, segment + 1
        placed.append(replace(piece, entry=replace(piece.entry, offset=position), segment=segment))
        position += len(piece.data)
    return placed


def job_orders(job: ArrayJob, shape: ArrayShape, memory: int) -> bytes:
    """Return the message that makes a board do a job.

    Parameters
    ----------
    job
        The job.
    shape
        The array.
    memory
        Bytes of the board's memory.

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
        writer.need(run.take, number)
        writer.add(Order.RUN, run.pack() + vectors[first : first + run.vectors].tobytes())
        first += run.vectors
    return writer.end()


class _OrderWriter:
    """Writes the orders of a job, loads and walks no earlier than a run needs them.

    Parameters
    ----------
    image
        What is fetched.
    walks
        Of the job.
    groups
        Lane groups of the array.
    """

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

    def need(self, take: int, run: int) -> None:
        """Fetch until a run can take its tiles, and take them."""
        for group, _ in enumerate(self._left):
            if not take >> group & 1:
                continue
            while not self._left[group]:
                if self._next == len(self._walks):
                    raise ProgramError(f"run {run} takes a tile of group {group}, and none comes any more")
                self._walk(*self._walks[self._next])
                self._next += 1
            self._left[group] -= 1

    def end(self) -> bytes:
        """Append the end, and return the whole message."""
        if any(self._left) or any(self._image.tiles(n)[1] for _, w in self._walks[self._next :] for n in _numbers(w)):
            raise ProgramError("tiles are left over at the end of the program")
        self.add(Order.END, END.pack({"fetched": self._fetched}))
        return bytes(self._message)

    def _walk(self, segment: int, walk: Walk) -> None:
        if segment != self._loaded:
            if any(self._left):
                raise InputError(
                    f"{field_name('link')} serial",
                    "the board's memory cannot hold the tiles of all its lane groups at once",
                    "build it with more memory",
                )
            if self._loaded < 0:
                self._load(0, self._image.head)
            self._load(*self._image.load(segment))
            self._loaded = segment
        if not self._fetched:
            self._fetched = _HEADER_WORDS
        self.add(Order.WALK, walk.pack())
        for number in _numbers(walk):
            self._fetched += _ENTRY_WORDS + self._image.pieces[number].entry.words
            group, tiles = self._image.tiles(number)
            self._left[group] += tiles

    def _load(self, address: int, data: bytes) -> None:
        values = {
            "words": len(data) // WORD_BYTES,
            "address": address // WORD_BYTES,
            "fetched": self._fetched,
        }
        self.add(Order.LOAD, LOAD.pack(values) + data)


def _numbers(walk: Walk) -> range:
    return range(walk.first, walk.first + walk.count)
