"""The program of a layer: which tiles meet which vectors in which order, and where each sum is in what comes out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.image import PlacedLayer
from dnnzip.array.job import ArrayJob
from dnnzip.format.array import ArrayShape
from dnnzip.format.program import Run, Walk
from dnnzip.format.schedule import passes, spans


@dataclass(frozen=True)
class Step:
    """Tiles that lane groups take at once: for some a pass of channels each, at one block of positions or more."""

    passes: dict[int, range]  # lane group to its channels
    groups: tuple[int, ...]  # groups of the convolution to which these channels belong, in order

    @property
    def take(self) -> int:
        """A bit for each lane group that takes a tile."""
        return sum(1 << group for group in self.passes)


@dataclass(frozen=True)
class PlannedRun:
    """A run, and the tiles and vectors that it multiplies."""

    run: Run
    step: Step
    group: int  # group of the convolution whose vectors it multiplies
    start: int  # the first of these vectors
    position: int  # the first position of the block

    @property
    def vectors(self) -> slice:
        """Range of the vectors within the group."""
        return slice(self.start, self.start + self.run.vectors)


class LayerProgram:
    """Lays out a layer's work on an array.

    A layer whose channels fit the array's columns needs no accumulators: all its vectors pass each tile. Otherwise the
    vectors go in chunks that fit the accumulators, and the weights are fetched for each chunk anew.

    Parameters
    ----------
    placed
        The layer in the image.
    groups
        Groups of the convolution: channel c belongs to group c x groups // channels.
    tables
        The table set's entry; None where the layer needs none.
    """

    def __init__(self, shape: ArrayShape, placed: PlacedLayer, groups: int, tables: Walk | None) -> None:
        self._shape = shape
        self._channels = sum(part.channels for part in placed.parts)
        self._length = placed.parts[0].length
        self._groups = groups
        self._walk = placed.walk
        self._tables = tables
        own: list[list[range]] = [[] for _ in range(shape.groups)]
        for part in placed.parts:
            first = part.first_channel
            own[shape.group_of(part.part)] += [range(first + it.start, first + it.stop) for it in passes(part)]
        self._blocks = spans(self._length, shape.columns)
        self.steps = tuple(self._steps(own))

    @property
    def chunk(self) -> int:
        """Vectors of a group of the convolution that the accumulators hold at once."""
        return self._shape.vectors // max(len(step.groups) for step in self.steps)

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of activations and sums in a job for each vector of a group of the convolution."""
        given = sum(len(step.groups) for step in self.steps)
        return given * (len(self._blocks) * self._shape.columns + 4 * self._shape.rows)

    def job(self, image: bytes, vectors: NDArray[np.generic], zero_point: int) -> ArrayJob:
        """Return the job that multiplies the layer with vectors, int8 or uint8 [groups, one or more, length]."""
        signed = vectors.dtype == np.int8
        planned = list(self._planned(vectors.shape[1], zero_point, signed))
        columns = self._shape.columns
        total = sum(item.run.vectors for item in planned)
        activations = np.full((total, columns), zero_point & 0xFF, np.uint8)
        data = vectors.view(np.uint8)
        row = 0
        for item in planned:
            block = data[item.group, item.vectors, item.position : item.position + columns]
            activations[row : row + item.run.vectors, : block.shape[1]] = block
            row += item.run.vectors
        walks = [] if self._tables is None else [self._tables]
        walks += [self._walk] * self._chunks(vectors.shape[1])
        return ArrayJob(image, walks, [item.run for item in planned], activations)

    def sums(self, given: NDArray[np.int32], vectors: int) -> NDArray[np.int32]:
        """Return the sums of the layer, int32 [vectors, channels], from the array's results.

        ``given`` [vectors given, rows] are the sums of a job's runs in their order, ``vectors`` those of each group.
        """
        sums = np.empty((vectors, self._channels), np.int32)
        row = 0
        for item in self._planned(vectors, 0, False):
            if not item.run.last:
                continue
            rows = given[row : row + item.run.vectors]
            row += item.run.vectors
            for group, channels in item.step.passes.items():
                own = self._of_group(channels, item.group)
                start = group * self._shape.rows_per_group + own.start - channels.start
                sums[item.vectors, own.start : own.stop] = rows[:, start : start + len(own)]
        return sums

    def _steps(self, passes: Sequence[Sequence[range]]) -> Iterator[Step]:
        for number in range(max(map(len, passes))):
            own = {group: channels[number] for group, channels in enumerate(passes) if number < len(channels)}
            step = self._step(own)
            if len(self._blocks) > 1 and len(step.groups) > self._shape.vectors:
                # Not even one vector of each group of the convolution has its accumulator: one lane group at a time.
                yield from (self._step({group: channels}) for group, channels in own.items())
            else:
                yield step

    def _step(self, passes: dict[int, range]) -> Step:
        groups = {channel * self._groups // self._channels for channels in passes.values() for channel in channels}
        return Step(passes, tuple(sorted(groups)))

    def _of_group(self, channels: range, group: int) -> range:
        """Return those of some channels that belong to a group of the convolution."""
        share = self._channels // self._groups
        start = max(channels.start, group * share)
        return range(start, max(start, min(channels.stop, (group + 1) * share)))

    def _chunks(self, vectors: int) -> int:
        """Return the number of times that the layer's weights are fetched."""
        return 1 if len(self._blocks) == 1 else len(spans(vectors, self.chunk))

    def _planned(self, vectors: int, zero_point: int, signed: bool) -> Iterator[PlannedRun]:
        """Visit the runs for a number of vectors of each group, in their order."""
        if len(self._blocks) == 1:
            yield from self._in_one_block(vectors, zero_point, signed)
            return
        for chunk in spans(vectors, self.chunk):
            count = len(chunk)
            for step in self.steps:
                for block in self._blocks:
                    first, last = block.start == 0, block.stop == self._length
                    for place, group in enumerate(step.groups):
                        take = 0 if place else step.take
                        run = Run(count, place * count, take, zero_point, signed, first, last)
                        yield PlannedRun(run, step, group, chunk.start, block.start)

    def _in_one_block(self, vectors: int, zero_point: int, signed: bool) -> Iterator[PlannedRun]:
        for step in self.steps:
            take = step.take
            for group in step.groups:
                for own in spans(vectors, self._shape.vectors):
                    run = Run(len(own), 0, take, zero_point, signed, True, True)
                    yield PlannedRun(run, step, group, own.start, 0)
                    take = 0
