"""Cycles of the project's own array: tiles of weights are loaded one ahead of the one that multiplies.

A tile holds ``columns`` weights of each of ``rows`` channels. The next tile is loaded from a buffer that the memory
fills all the time; once it is complete, and the tile before it has met its vectors, it is taken, and loading goes on.
Rows are divided into groups, each with a decompressor and a stream of its own; they take their tiles together. Of a
compressed stream, a pass of channels starts after its lanes' states, and a column takes a turn of all lanes. While a
tile has no place yet, a decompressor goes on until its queue is full.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from dnnzip.accelerator.configuration import Accelerator, LaneArray
from dnnzip.accelerator.layers import Layer
from dnnzip.errors import InputError
from dnnzip.format.schedule import shares, sizes


@dataclass(frozen=True)
class Tile:
    """A tile."""

    vectors: int  # vectors that meet it
    size: float  # its bytes in the main memory
    cycles: float  # that its weights take at least, whatever the memory does
    start: float  # cycles before the first of them
    packed: bool = False  # whether they come from decompressors
    ahead: float = 0.0  # cycles' worth of them that a decompressor's queue holds
    beats: int = 0  # cycles in which a group's queue is emptied into it
    begins: bool = False  # whether it is the first tile of a stream, which is read once the stream before it has ended


@dataclass(frozen=True)
class Pass:
    """Channels that are loaded side by side."""

    channels: int  # of all groups of rows
    most: int  # of the group with the most of them
    lanes: int  # virtual lanes of that group's stream; its rows where weights are not compressed


def passes(layer: Layer, array: LaneArray) -> list[Pass]:
    """Return the passes over a layer's channels, one after the other.

    Channels are divided evenly among the groups of rows. Plain weights fill a group's rows; a compressed stream has as
    many virtual lanes as the group has rows, or the largest power of two that is not above its channels.
    """
    rows = array.rows // array.groups
    found: list[Pass] = []
    for part in shares(layer.units, array.groups):
        lanes = rows if layer.bits_per_weight is None else min(rows, 1 << (len(part).bit_length() - 1))
        for number, count in enumerate(sizes(len(part), lanes)):
            if number == len(found):
                found.append(Pass(0, 0, lanes))
            before = found[number]
            found[number] = Pass(before.channels + count, max(before.most, count), max(before.lanes, lanes))
    return found


def chunks(layer: Layer, array: LaneArray, batch: int) -> list[int]:
    """Return the sizes of the chunks of vectors that run against all of a layer's tiles; weights are loaded for each.

    A layer of one tile per channel needs no accumulators, and no chunks.

    Parameters
    ----------
    layer
        The layer.
    array
        The array.
    batch
        Samples at once.
    """
    positions = layer.positions * batch
    if layer.reduction <= array.columns:
        return [positions]
    return sizes(positions, array.vectors)


#: Most passes, tiles of a channel and chunks of vectors of a layer, and most tiles against all of its chunks.
MOST_PASSES, MOST_TILES = 1 << 22, 1 << 26


def vectors_of(layer: Layer, array: LaneArray, batch: int) -> int:
    """Return the number of vectors, one per cycle, that a layer sends into the array."""
    blocks = math.ceil(layer.reduction / array.columns)
    per_position = sum(_groups(layer, each) for each in passes(layer, array)) * blocks
    return layer.positions * batch * per_position


def _groups(layer: Layer, each: Pass) -> int:
    """Return the number of the layer's own groups of which a pass has channels."""
    return max(1, each.channels * layer.groups // layer.units)


def check_extent(layer: Layer, array: LaneArray, batch: int) -> None:
    """Refuse a layer whose passes, tiles and chunks are more than can be gone through one by one.

    Raises
    ------
    InputError
        They are.
    """
    passes_, tiles = 2 * layer.units // array.rows, layer.reduction // array.columns
    sweeps = layer.positions * batch // array.vectors
    if max(passes_, tiles, sweeps) > MOST_PASSES or tiles * sweeps > MOST_TILES:
        raise InputError(
            f"layer {layer.name!r}", "is too large for an array of lanes", "take another accelerator or a smaller batch"
        )


class LanePipeline:
    """The array while a network runs: one call per layer, in their order.

    Parameters
    ----------
    accelerator
        With an array of ``LaneArray``.
    weight_bits
        Of a weight that is not compressed.
    batch
        Samples at once.
    """

    def __init__(self, accelerator: Accelerator, weight_bits: int, batch: int) -> None:
        assert isinstance(accelerator.array, LaneArray), "another array has no lanes"
        memory = accelerator.main_memory
        self.array = accelerator.array
        self.decompressor = accelerator.decompressor
        self.rate = memory.bandwidth.value * memory.efficiency.value / accelerator.clock.value
        self.port = accelerator.mesh.link_bits.value / 8
        self.weight_bits, self.batch = weight_bits, batch
        # When the last tile was decoded, loaded and taken, and when its last vector goes; bytes in the buffer.
        self.decoded = self.loaded = self.taken = self.ended = 0.0
        self.held = 0.0
        self.started = False
        self.first_taken = 0.0

    def cycles(self, layer: Layer) -> float:
        """Return the cycles from the last vector of the layer before, or the network's first tile, to its own last."""
        before = self.ended
        first = not self.started
        for position, size in enumerate(chunks(layer, self.array, self.batch)):
            self._pass_all(layer, size)
            if first and position == 0:
                before = self.first_taken
        return self.ended - before

    def _pass_all(self, layer: Layer, vectors: int) -> None:
        """Run all tiles of a layer against ``vectors`` vectors."""
        begins = True
        for each, alike in itertools.groupby(passes(layer, self.array)):
            count = sum(1 for _ in alike)
            moved: tuple[float, ...] = ()
            for done in range(count):
                state = self._state()
                self._run(self._tiles(layer, each, vectors, begins))
                begins = False
                shift = tuple(now - then for now, then in zip(self._state(), state, strict=True))
                # Passes that are alike soon take alike: what is left of them need not be gone through.
                if shift == moved:
                    left = count - 1 - done
                    self.decoded, self.loaded, self.taken, self.ended = (
                        now + left * step for now, step in zip(self._state(), shift, strict=True)
                    )
                    break
                moved = shift

    def _state(self) -> tuple[float, float, float, float]:
        return self.decoded, self.loaded, self.taken, self.ended

    def _start(self, layer: Layer, each: Pass, begins: bool) -> float:
        """Return the cycles before the first weight of a pass."""
        if layer.bits_per_weight is None:
            return self.array.part_start.value if begins else 0.0
        if not begins:
            return self.array.pass_start.value
        # Each virtual lane has a state to be read.
        states = self.array.rows // self.array.groups - each.lanes
        return self.decompressor.start.value + self.array.stream_end.value - states

    def _tiles(self, layer: Layer, each: Pass, vectors: int, begins: bool) -> Iterator[Tile]:
        """Visit the tiles of a pass; ``begins`` where it is the first one of a layer."""
        packed = layer.bits_per_weight is not None
        bits = layer.bits_per_weight or self.weight_bits
        vectors *= _groups(layer, each)
        # In a turn each lane delivers a weight of its own time slot, also those without a channel.
        turn = self.array.rows / self.decompressor.weights_per_cycle.value / self.array.turn_share.value
        # Lanes of a group deliver a beat together.
        beats = math.ceil(each.most * self.array.groups / self.decompressor.weights_per_cycle.value)
        start = self._start(layer, each, begins)
        for columns in sizes(layer.reduction, self.array.columns):
            size = each.channels * columns * bits / 8
            if packed:
                ahead = self.array.queue.value / beats * turn
                yield Tile(vectors, size, columns * turn, start, packed, ahead, columns * beats, begins)
            else:
                # The link is shared evenly; the group with the most channels is the last.
                share = each.most * self.array.groups / each.channels
                yield Tile(vectors, size, size * share / self.port, start)
            start, begins = 0.0, False

    def _run(self, tiles: Iterator[Tile]) -> None:
        for tile in tiles:
            # From here on the tile has a place: the one before has been taken.
            free = max(self.loaded, self.taken)
            # A decompressor goes on by itself; plain weights, and the next stream, come once the last are in place.
            before = self.decoded if tile.packed and not tile.begins else self.loaded if tile.packed else free
            self._fill(before - self.decoded)
            if tile.packed:
                self._fill(tile.start)
            # The buffer's bytes are ready; the rest comes at the memory's rate.
            cycles = max(tile.cycles, (tile.size - self.held) / self.rate)
            done = before + tile.start + cycles
            if tile.packed:
                done = max(done, free + max(0.0, cycles - tile.ahead))
            filling = done - before - (tile.start if tile.packed else 0.0)
            self._fill(filling - tile.size / self.rate)
            self.decoded = done
            self.loaded = max(done, free + tile.beats)
            self.taken = max(self.loaded, self.ended)
            if not self.started:
                self.started, self.first_taken = True, self.taken
            self.ended = self.taken + tile.vectors

    def _fill(self, cycles: float) -> None:
        """Let the memory fill the buffer for some cycles; below 0 where more was taken out than came in."""
        self.held = max(0.0, min(self.array.buffer.value, self.held + cycles * self.rate))
