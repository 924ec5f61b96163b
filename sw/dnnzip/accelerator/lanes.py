"""Cycles of the project's own array: tiles of weights are loaded one ahead of the one that multiplies.

A tile holds ``columns`` weights of each of ``rows`` channels. The next tile is loaded from a buffer that the memory
fills all the time; once it is complete, and the tile before it has met its vectors, it is taken, and loading goes on.
Of a compressed stream, a pass of channels starts after its lanes' states, and a column takes a turn of all lanes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dnnzip.accelerator.configuration import Accelerator, LaneArray
from dnnzip.accelerator.layers import Layer


@dataclass(frozen=True)
class Tile:
    """A tile, or several in a row that are alike.

    Parameters
    ----------
    vectors
        Vectors that meet it.
    size
        Its bytes in the main memory.
    cycles
        That its loading takes at least, whatever the memory does.
    start
        Cycles before its loading begins.
    """

    vectors: int
    size: float
    cycles: float
    start: float


def rows_in_use(layer: Layer, rows: int) -> int:
    """Return the channels of a pass: of a compressed layer a power of two where it has fewer than there are rows."""
    if layer.bits_per_weight is None or layer.units >= rows:
        return min(rows, layer.units)
    return 1 << (layer.units.bit_length() - 1)


def chunks(layer: Layer, array: LaneArray, batch: int) -> list[int]:
    """Return the vectors that go against all of a layer's tiles before the next ones do; weights come for each anew.

    A layer of one tile per channel needs no accumulators, and no chunks.
    """
    positions = layer.positions * batch
    if layer.reduction <= array.columns:
        return [positions]
    whole, rest = divmod(positions, array.vectors)
    return [array.vectors] * whole + ([rest] if rest else [])


def vectors_of(layer: Layer, array: LaneArray, batch: int) -> int:
    """Return the vectors, one per cycle, that a layer sends into the array."""
    blocks = math.ceil(layer.reduction / array.columns)
    per_position = sum(groups for _, groups in _passes(layer, array.rows)) * blocks
    return layer.positions * batch * per_position


def _passes(layer: Layer, rows: int) -> Iterator[tuple[int, int]]:
    """Visit the passes over a layer's channels: how many channels each has, of how many groups."""
    used = rows_in_use(layer, rows)
    for first in range(0, layer.units, used):
        channels = min(used, layer.units - first)
        yield channels, max(1, channels * layer.groups // layer.units)


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
        # When loading goes on, when the last tile was taken and when its last vector goes; bytes in the buffer.
        self.loaded = self.taken = self.ended = 0.0
        self.held = 0.0
        self.started = False
        self.first_taken = 0.0

    def cycles(self, layer: Layer) -> float:
        """Return the cycles from the last vector of the layer before, or the network's first tile, to its own last."""
        before = self.ended
        first = not self.started
        for position, size in enumerate(chunks(layer, self.array, self.batch)):
            start = self.array.part_start.value
            if layer.bits_per_weight is not None:
                start = self.decompressor.start.value + self.array.stream_end.value
            self._pass_all(layer, size, start)
            if first and position == 0:
                before = self.first_taken
        return self.ended - before

    def _pass_all(self, layer: Layer, vectors: int, start: float) -> None:
        """Run all tiles of a layer against so many vectors."""
        steps: list[tuple[tuple[int, int], int]] = []
        for each in _passes(layer, self.array.rows):
            if steps and steps[-1][0] == each:
                steps[-1] = (each, steps[-1][1] + 1)
            else:
                steps.append((each, 1))
        for (channels, groups), count in steps:
            moved: tuple[float, ...] = ()
            for done in range(count):
                state = (self.loaded, self.taken, self.ended)
                self._run(self._tiles(layer, channels, groups * vectors, start))
                start = self._between(layer)
                shift = tuple(now - then for now, then in zip(self._state(), state, strict=True))
                # Passes that are alike soon take alike: what is left of them need not be gone through.
                if shift == moved:
                    left = count - 1 - done
                    self.loaded, self.taken, self.ended = (
                        now + left * step for now, step in zip(self._state(), shift, strict=True)
                    )
                    break
                moved = shift

    def _state(self) -> tuple[float, float, float]:
        return self.loaded, self.taken, self.ended

    def _between(self, layer: Layer) -> float:
        return 0.0 if layer.bits_per_weight is None else self.array.pass_start.value

    def _tiles(self, layer: Layer, channels: int, vectors: int, start: float) -> Iterator[Tile]:
        """Visit the tiles of a pass."""
        packed = layer.bits_per_weight is not None
        bits = layer.bits_per_weight or self.weight_bits
        whole, rest = divmod(layer.reduction, self.array.columns)
        for columns in [self.array.columns] * whole + ([rest] if rest else []):
            size = channels * columns * bits / 8
            # In a turn each lane gives a weight of its own time slot, also those without a channel.
            turn = self.array.rows / self.decompressor.weights_per_cycle.value / self.array.turn_share.value
            cycles = columns * turn if packed else size / self.port
            yield Tile(vectors, size, cycles, start)
            start = 0.0

    def _run(self, tiles: Iterator[Tile]) -> None:
        for tile in tiles:
            begin = max(self.loaded, self.taken)
            self.held = self._filled(begin - self.loaded)
            # What is in the buffer is there; the rest comes as fast as the memory gives it.
            cycles = max(tile.cycles, (tile.size - self.held) / self.rate)
            self.held = self._filled(cycles + tile.start - tile.size / self.rate)
            self.loaded = begin + tile.start + cycles
            self.taken = max(self.loaded, self.ended)
            if not self.started:
                self.started, self.first_taken = True, self.taken
            self.ended = self.taken + tile.vectors

    def _filled(self, cycles: float) -> float:
        return max(0.0, min(self.array.buffer.value, self.held + cycles * self.rate))
