"""The golden array: a job, executed step by step as its words say, in NumPy."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.job import ArrayFigures, ArrayJob, ArrayResult, ArrayShape, ProgramError, check_job
from dnnzip.codec import fast
from dnnzip.codec.beat_order import channels_from_passes
from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    MAX_LOG2_STATES,
    NARROW_BITS,
    WORD_BYTES,
    Codec,
    ImageEntry,
    ImageError,
    ImageKind,
    Limits,
    TableSet,
    VerdictError,
    read_image_table,
)
from dnnzip.format.program import Run, Walk

STALE = 85
"""What stands here in columns and rows that a tile does not fill: a program whose sums depend on it is wrong."""


class GoldenArray:
    """Executes jobs in software; figures are 0. See ``dnnzip.array.job.ArrayLink``.

    Parameters
    ----------
    shape
        How large the array is.
    argument
        What follows a colon in the link's name; must be empty.
    stale
        int8 value that stands where a tile has no weights.
    """

    def __init__(self, shape: ArrayShape, argument: str = "", *, stale: int = STALE) -> None:
        if argument:
            raise InputError(
                f"{field_name('link')} golden:{argument}",
                "the golden array takes no argument",
                f"{field_name('link')} golden",
            )
        self._shape = shape
        self._stale = stale

    @property
    def shape(self) -> ArrayShape:
        """How large the array is."""
        return self._shape

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job; see ``dnnzip.array.job.ArrayLink``.

        Raises
        ------
        ProgramError
            The job contradicts itself: a walk leaves the table, a part is damaged or does not suit the array, a run
            takes a tile that never comes or goes on with sums that nobody began, or tiles are left over.
        """
        start = time.perf_counter()
        check_job(job, self._shape)
        parts = self._fetch(job.image, job.walks)
        tiles = [self._tiles(own) for own in parts]
        sums = self._run(job.runs, job.activations, tiles)
        for group, left in enumerate(tiles):
            if next(left, None) is not None:
                raise ProgramError(f"tiles of group {group} are left over at the end of the program")
        return ArrayResult(sums, ArrayFigures(seconds=time.perf_counter() - start))

    def _fetch(self, image: bytes, walks: Sequence[Walk]) -> list[list[tuple[NDArray[np.int8], int]]]:
        """Return the parts of each group in their order: weights, int8 [channels, length], and virtual lanes."""
        try:
            entries = read_image_table(image)
        except ImageError as error:
            raise ProgramError(f"image: {error}") from None
        parts: list[list[tuple[NDArray[np.int8], int]]] = [[] for _ in range(self._shape.groups)]
        tables: TableSet | None = None
        known: dict[tuple[int, int], NDArray[np.int8]] = {}
        for walk in walks:
            if walk.count < 1 or walk.first + walk.count > len(entries):
                raise ProgramError(
                    f"a walk must stay in a table of {len(entries)} entries, not take {walk.count} from {walk.first} on"
                )
            for number, entry in enumerate(entries[walk.first : walk.first + walk.count], walk.first):
                data = image[entry.offset : entry.offset + entry.words * WORD_BYTES]
                if entry.is_table_set:
                    tables = _table_set(data, number, array_limits(self._shape).low_bits)
                    continue
                key = (number, id(tables))
                if key not in known:
                    known[key] = self._weights(entry, data, tables, number)
                parts[entry.part % self._shape.groups].append((known[key], entry.virtual_lanes))
        return parts

    def _weights(self, entry: ImageEntry, data: bytes, tables: TableSet | None, number: int) -> NDArray[np.int8]:
        """Return the weights of an entry, int8 [channels, length]."""
        where, wanted = f"entry {number}", (entry.channels, entry.length)
        if not 1 <= entry.virtual_lanes <= self._shape.rows_per_group:
            raise ProgramError(
                f"{where} must have 1 to {self._shape.rows_per_group} virtual lanes, not {entry.virtual_lanes}"
            )
        if not entry.channels or not entry.length:
            raise ProgramError(f"{where} must have weights, not {wanted}")
        if entry.kind is ImageKind.PLAIN:
            count = entry.channels * entry.length
            if entry.words != -(-count // WORD_BYTES):
                raise ProgramError(f"{where} must have the words of {count} bytes, not {entry.words}")
            return channels_from_passes(np.frombuffer(data, np.int8, count), *wanted, entry.virtual_lanes)
        decoded = fast.decode(data, tables, array_limits(self._shape))
        if decoded.codes is None or decoded.header is None:
            raise ProgramError(f"{where}: the stream ends with {decoded.verdict.label!r}")
        if decoded.header.codec != Codec.ANS:
            raise ProgramError(f"{where} must be an ans stream, whose order is that of the tiles")
        if decoded.codes.shape != wanted or decoded.header.lanes != entry.virtual_lanes:
            raise ProgramError(f"{where} says {wanted} in {entry.virtual_lanes} lanes, and its stream does not")
        return decoded.codes.astype(np.int8)

    def _tiles(self, parts: Sequence[tuple[NDArray[np.int8], int]]) -> Iterator[NDArray[np.int8]]:
        """Visit the tiles of a group, int8 [rows of the group, columns], in the order in which they become complete."""
        rows, columns = self._shape.rows_per_group, self._shape.columns
        for weights, lanes in parts:
            for channel in range(0, weights.shape[0], lanes):
                for position in range(0, weights.shape[1], columns):
                    block = weights[channel : channel + lanes, position : position + columns]
                    tile = np.full((rows, columns), self._stale, np.int8)
                    tile[: block.shape[0], : block.shape[1]] = block
                    yield tile

    def _run(
        self, runs: Sequence[Run], activations: NDArray[np.uint8], tiles: Sequence[Iterator[NDArray[np.int8]]]
    ) -> NDArray[np.int32]:
        """Return the sums that the runs give, int32 [vectors given, rows]."""
        shape = self._shape
        active = np.full((shape.groups, shape.rows_per_group, shape.columns), self._stale, np.int8)
        kept = np.zeros((shape.vectors, shape.rows), np.int32)
        begun = np.zeros(shape.vectors, np.bool_)
        given = np.empty((sum(run.vectors for run in runs if run.last), shape.rows), np.int32)
        position = out = 0
        for number, run in enumerate(runs):
            for group in range(shape.groups):
                if run.take >> group & 1:
                    tile = next(tiles[group], None)
                    if tile is None:
                        raise ProgramError(f"run {number} takes a tile of group {group}, and none comes any more")
                    active[group] = tile
            values = activations[position : position + run.vectors]
            position += run.vectors
            products = _products(active.reshape(shape.rows, shape.columns), values, run)
            place = slice(run.base, run.base + run.vectors)
            if not run.first:
                if not begun[place].all():
                    raise ProgramError(f"run {number} goes on with sums that no run began")
                # int32 arrays wrap around, as the accumulators do.
                products += kept[place]
            if run.last:
                given[out : out + run.vectors] = products
                out += run.vectors
            else:
                kept[place] = products
            begun[place] = not run.last
        return given


def array_limits(shape: ArrayShape) -> Limits:
    """Return what the decompressors of an array support: codes of 8 bits, as many virtual lanes as rows."""
    return Limits(shape.rows_per_group.bit_length() - 1, MAX_LOG2_STATES, NARROW_BITS, False)


def _products(weights: NDArray[np.int8], values: NDArray[np.uint8], run: Run) -> NDArray[np.int32]:
    """Return the sum over the columns of weight x (activation - zero point), int32 [vectors, rows]."""
    typed = values.view(np.int8) if run.signed else values
    # At most 64 products of at most 128 x 255 each: below 2^24, and so exact in float32 whatever the order.
    operands = typed.astype(np.float32) - np.float32(run.zero_point)
    return (operands @ weights.astype(np.float32).T).astype(np.int32)


def _table_set(data: bytes, number: int, max_shift: int) -> TableSet:
    try:
        return TableSet.from_bytes(data, max_shift=max_shift)
    except VerdictError as error:
        raise ProgramError(f"entry {number}: the table set ends with {error.verdict.label!r}") from None
