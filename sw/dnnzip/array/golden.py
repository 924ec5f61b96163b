"""The golden array: a job, executed step by step as its words say, in NumPy."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.job import ArrayFigures, ArrayJob, ArrayResult, ProgramError, check_job
from dnnzip.array.job_image import JobImage
from dnnzip.format import ImageEntry, TableSet
from dnnzip.format.array import ArrayShape
from dnnzip.format.program import Run
from dnnzip.format.schedule import tiles
from dnnzip.link.opening import take_no_argument

STALE = 85
"""Value of columns and rows that a tile does not fill: a program whose sums depend on it is wrong."""


class GoldenArray:
    """Executes jobs in software; figures are 0. See ``dnnzip.array.job.ArrayLink``.

    Parameters
    ----------
    argument
        The text behind a colon in the link's name; must be empty.
    stale
        int8 value of places where a tile has no weights.
    """

    def __init__(self, shape: ArrayShape, argument: str = "", *, stale: int = STALE) -> None:
        take_no_argument("golden", "golden array", argument)
        self.shape = shape
        self._stale = stale

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job; see ``dnnzip.array.job.ArrayLink``.

        Raises
        ------
        ProgramError
            The job contradicts itself: a walk leaves the table, a part is damaged or does not suit the array, a run
            takes a tile that never comes or goes on with sums that nobody began, or tiles are left over.
        """
        start = time.perf_counter()
        check_job(job, self.shape)
        queues = self._tiles(JobImage(job, self.shape))
        sums = self._run(job, queues)
        for group, left in enumerate(queues):
            if next(left, None) is not None:
                raise ProgramError(f"tiles of group {group} are left over at the end of the program")
        return ArrayResult(sums, ArrayFigures(seconds=time.perf_counter() - start))

    def _tiles(self, image: JobImage) -> list[Iterator[NDArray[np.int8]]]:
        """Return the tiles of each group, int8 [rows of the group, columns], in their order."""
        parts: list[list[tuple[ImageEntry, NDArray[np.int8]]]] = [[] for _ in range(self.shape.groups)]
        tables: TableSet | None = None
        loaded = -1  # entry of the table set
        known: dict[tuple[int, int], NDArray[np.int8]] = {}
        for number in image.fetched:
            entry = image.entries[number]
            if entry.is_table_set:
                tables, loaded = image.table_set(number), number
                continue
            key = (number, loaded)
            if key not in known:
                known[key] = image.weights(number, tables)
            parts[self.shape.group_of(entry.part)].append((entry, known[key]))
        return [self._tiles_of(own) for own in parts]

    def _tiles_of(self, parts: Sequence[tuple[ImageEntry, NDArray[np.int8]]]) -> Iterator[NDArray[np.int8]]:
        """Visit the tiles of a group's parts."""
        for entry, weights in parts:
            for channels, positions in tiles(entry, self.shape.columns):
                tile = np.full((self.shape.rows_per_group, self.shape.columns), self._stale, np.int8)
                block = weights[channels.start : channels.stop, positions.start : positions.stop]
                tile[: len(channels), : len(positions)] = block
                yield tile

    def _run(self, job: ArrayJob, queues: Sequence[Iterator[NDArray[np.int8]]]) -> NDArray[np.int32]:
        """Return the sums that the runs output, int32 [vectors given, rows]."""
        shape = self.shape
        active = np.full((shape.groups, shape.rows_per_group, shape.columns), self._stale, np.int8)
        kept = np.zeros((shape.vectors, shape.rows), np.int32)
        begun = np.zeros(shape.vectors, np.bool_)
        given = np.empty((job.given, shape.rows), np.int32)
        position = out = 0
        for number, run in enumerate(job.runs):
            for group in run.groups:
                tile = next(queues[group], None)
                if tile is None:
                    raise ProgramError(f"run {number} takes a tile of group {group}, and none comes any more")
                active[group] = tile
            values = job.activations[position : position + run.vectors]
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


def _products(weights: NDArray[np.int8], values: NDArray[np.uint8], run: Run) -> NDArray[np.int32]:
    """Return the sum over the columns of weight x (activation - zero point), int32 [vectors, rows]."""
    typed = values.view(np.int8) if run.signed else values
    # At most 64 products of at most 128 x 255 each: below 2^24, and so exact in float32 whatever the order.
    operands = typed.astype(np.float32) - np.float32(run.zero_point)
    return (operands @ weights.astype(np.float32).T).astype(np.int32)
