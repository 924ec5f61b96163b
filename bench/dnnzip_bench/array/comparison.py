"""Networks with compressed weights compared with the same with plain ones: cycles, words, and what must hold."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dnnzip.array.network import compile_network
from dnnzip.format.array import Placement
from dnnzip_bench.array.networks import Network, compressed
from dnnzip_bench.array.passage import LayerPassage, Passage, pass_through
from dnnzip_hw.array import ArrayParameters
from dnnzip_sim.array import Memory

PLAIN = "plain"
BOUNDS = ("0lsb", "1lsb", "1%", "2%")
WIDTHS = (1, 2, 4, 8)
"""Bytes per cycle of the memory."""

BATCHES = (1, 16)

LATENCY = 30
"""Cycles from the address of a burst to its first data."""

BYTES_PER_GROUP = 2
"""A lane group takes a word of 16 bits in each cycle."""

LEAST_OF_RATIO = 0.97
"""Where the memory limits a layer, its speed-up is this share of its ratio of bytes, at least."""

MOST_COST = 1.01
"""Where the array limits a layer, compressed weights take at most this multiple of the cycles."""

START_CYCLES = 150
"""Most cycles of a stream's header, first words and end beyond those of its bytes; small layers feel it."""


@dataclass(frozen=True)
class Case:
    """A network, how its weights are stored, and what it runs on."""

    network: str
    bound: str  # `plain`, or the largest error of the compressed weights
    width: int  # bytes per cycle of the memory
    batch: int
    placement: Placement


@dataclass(frozen=True)
class Outcome:
    """A case and what it took."""

    case: Case
    passage: Passage

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        layers = [asdict(layer) | {"limit": layer.limit} for layer in self.passage.layers]
        totals = {name: value for name, value in asdict(self.passage).items() if name != "layers"}
        return asdict(self.case) | totals | {"utilisation": self.passage.utilisation, "layers": layers}


def parameters_for(width: int, placement: Placement) -> ArrayParameters:
    """Return the accelerator for a memory of a number of bytes per cycle: a lane group, and 16 rows, for each two."""
    groups = -(-width // BYTES_PER_GROUP)
    return ArrayParameters(groups=groups, bus_bits=8 * BYTES_PER_GROUP * groups, placement=placement)


def outcomes(
    network: Network,
    widths: tuple[int, ...] = WIDTHS,
    batches: tuple[int, ...] = BATCHES,
    bounds: tuple[str, ...] = (PLAIN, *BOUNDS),
    placements: tuple[Placement, ...] = tuple(Placement),
) -> Iterator[Outcome]:
    """Measure a network in every case; with plain weights first."""
    for width in widths:
        shape = parameters_for(width, placements[0]).shape
        for bound in bounds:
            model = network.model if bound == PLAIN else compressed(network, bound, shape)
            compiled = compile_network(model, shape, network.name)
            for batch in batches:
                for placement in placements:
                    parameters = parameters_for(width, placement)
                    memory = Memory(width, LATENCY)
                    passage = pass_through(compiled, network.data.x[:batch], parameters, memory)
                    yield Outcome(Case(network.name, bound, width, batch, placement), passage)


@dataclass(frozen=True)
class Comparison:
    """A layer with compressed weights, compared with itself with plain ones."""

    case: Case  # of the compressed ones
    plain: LayerPassage
    packed: LayerPassage

    @property
    def where(self) -> str:
        """Name of the network and the layer."""
        return f"{self.case.network}, {self.packed.name}"

    @property
    def speed_up(self) -> float:
        """Speed-up of compressed weights: cycles with plain ones over cycles with them."""
        return self.plain.cycles / self.packed.cycles

    @property
    def bytes_ratio(self) -> float:
        """Ratio of plain to compressed bytes."""
        return self.plain.stored_bytes / self.packed.stored_bytes

    @property
    def limit(self) -> str:
        """Limit of the layer in both forms, or the two limits."""
        if self.plain.limit == self.packed.limit:
            return self.plain.limit
        return f"{self.plain.limit}, {self.packed.limit}"

    @property
    def fault(self) -> str:
        """Description of the first rule that does not hold; empty where all hold."""
        if self.limit == "memory" and self.packed.compressed:
            most = self.plain.cycles / (self.bytes_ratio * LEAST_OF_RATIO) + START_CYCLES * self.packed.fetches
            if self.packed.cycles > most:
                return f"speed-up {self.speed_up:.3f}, less than {LEAST_OF_RATIO} of the ratio {self.bytes_ratio:.3f}"
        if self.limit == "array" and self.packed.cycles > MOST_COST * self.plain.cycles + START_CYCLES:
            return f"{self.packed.cycles} cycles, more than {MOST_COST} times {self.plain.cycles}"
        return ""


def compare(plain: Outcome, packed: Outcome) -> list[Comparison]:
    """Return the comparison of each layer."""
    return [
        Comparison(packed.case, before, after)
        for before, after in zip(plain.passage.layers, packed.passage.layers, strict=True)
    ]
