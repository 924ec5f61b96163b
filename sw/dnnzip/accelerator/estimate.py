"""Latency and energy of a network on an accelerator, layer by layer, by the steps that each layer takes.

A layer's input comes from the main memory or from the cores that made it, its weights come from the main memory, each
core computes its share of the outputs and keeps them in its local memory; what does not fit there goes to the main
memory. Equations and sources are in ``docs/accelerator.md``.
"""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from dnnzip.accelerator.compute import Work, work_of
from dnnzip.accelerator.configuration import Accelerator, LaneArray
from dnnzip.accelerator.lanes import LanePipeline, check_extent
from dnnzip.accelerator.layers import Kind, Layer, Network
from dnnzip.accelerator.mesh import MeshNetwork, Pattern
from dnnzip.format.array import Placement


class Timing(enum.StrEnum):
    """Rule by which a layer's latency is computed from its parts.

    Members
    -------
    SERIAL
        Their sum: nothing overlaps. The convention of the paper's family; it flatters compression.
    OVERLAP
        The longest of them, and the fill of the pipeline.
    """

    SERIAL = "serial"
    OVERLAP = "overlap"


@dataclass(frozen=True)
class Cycles:
    """Cycles of a layer's parts.

    Parameters
    ----------
    memory, communication, computation, decompressor
        Each by itself.
    fill
        Until the first weight is where it is needed; counts in ``overlap`` alone.
    """

    memory: float = 0.0
    communication: float = 0.0
    computation: float = 0.0
    decompressor: float = 0.0
    fill: float = 0.0

    def latency(self, timing: Timing) -> float:
        """Return the layer's cycles."""
        parts = (self.memory, self.communication, self.computation, self.decompressor)
        return sum(parts) if timing is Timing.SERIAL else max(parts) + self.fill


@dataclass(frozen=True)
class Energy:
    """Energy in J, by where it is spent.

    Parameters
    ----------
    main_memory, local_memory
        Bits that are read and written.
    communication
        Bits over hops.
    computation
        Operations of the processing elements.
    decompressor
        Decompressed weights.
    main_memory_leakage, local_memory_leakage, communication_leakage, computation_leakage, decompressor_leakage
        Power over time of the same parts.
    """

    main_memory: float = 0.0
    local_memory: float = 0.0
    communication: float = 0.0
    computation: float = 0.0
    decompressor: float = 0.0
    main_memory_leakage: float = 0.0
    local_memory_leakage: float = 0.0
    communication_leakage: float = 0.0
    computation_leakage: float = 0.0
    decompressor_leakage: float = 0.0

    @property
    def leakage(self) -> float:
        """Leakage of all parts."""
        return sum(value for name, value in self.parts().items() if name.endswith("leakage"))

    @property
    def dynamic(self) -> float:
        """Energy at zero leakage."""
        return self.main_memory + self.local_memory + self.communication + self.computation + self.decompressor

    @property
    def total(self) -> float:
        """Energy of all parts, with leakage."""
        return self.dynamic + self.leakage

    def as_json(self) -> dict[str, float]:
        """Return the five parts of the documented JSON object; local memory counts as memory."""
        return {
            "memory": self.main_memory + self.local_memory,
            "communication": self.communication,
            "computation": self.computation,
            "decompressor": self.decompressor,
            "leakage": self.leakage,
        }

    def parts(self) -> dict[str, float]:
        """Return each part by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def sum(energies: "Iterable[Energy]") -> "Energy":
        """Add up."""
        parts = [energy.parts() for energy in energies]
        return Energy(**{field.name: math.fsum(part[field.name] for part in parts) for field in fields(Energy)})


@dataclass(frozen=True)
class LayerEstimate:
    """Cycles and energy of a layer.

    Parameters
    ----------
    name
        Of the layer.
    cycles
        Its parts.
    latency
        Cycles, by the timing asked for.
    energy
        In J.
    weight_bytes
        Bytes of weights that come from the main memory.
    cores
        Processing elements at work.
    """

    name: str
    cycles: Cycles
    latency: float
    energy: Energy
    weight_bytes: float
    cores: int

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return _figures(self.latency, self.energy) | {
            "cycles": {field.name: getattr(self.cycles, field.name) for field in fields(Cycles)},
            "weight_bytes": self.weight_bytes,
        }


@dataclass(frozen=True)
class Estimate:
    """Cycles and energy of a network.

    Parameters
    ----------
    layers
        Its layers.
    clock_hz
        Of the accelerator.
    table_set
        The loading of the table set, where there is one: once, before the first inference, and in no sum.
    """

    layers: tuple[LayerEstimate, ...]
    clock_hz: float
    table_set: LayerEstimate | None = None

    @property
    def latency(self) -> float:
        """Cycles of all layers, one after the other."""
        return math.fsum(layer.latency for layer in self.layers)

    @property
    def seconds(self) -> float:
        """The same in seconds."""
        return self.latency / self.clock_hz

    @property
    def energy(self) -> Energy:
        """Energy of all layers."""
        return Energy.sum(layer.energy for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        energy = self.energy
        return _figures(self.latency, energy) | {
            "latency_s": self.seconds,
            "weight_bytes": math.fsum(layer.weight_bytes for layer in self.layers),
            "energy_parts_J": energy.parts(),
        }


def _figures(latency: float, energy: Energy) -> dict[str, Any]:
    return {
        "latency_cycles": latency,
        "energy_J": energy.as_json(),
        "energy_total_J": energy.total,
        "energy_without_leakage_J": energy.dynamic,
    }


def reductions(before: Estimate | LayerEstimate, after: Estimate | LayerEstimate) -> dict[str, float]:
    """Return the shares of latency and energy that are saved, up to 1; below 0 where there is more.

    Parameters
    ----------
    before, after
        With weights that are not compressed, and with such as are.
    """
    return {
        "latency_reduction": _saved(before.latency, after.latency),
        "energy_reduction": _saved(before.energy.total, after.energy.total),
        "energy_reduction_without_leakage": _saved(before.energy.dynamic, after.energy.dynamic),
    }


def _saved(before: float, after: float) -> float:
    """Return the share that is saved; of nothing, as a small layer may take in whole cycles, none."""
    return 1 - after / before if before else 0.0


def _bit_hop(accelerator: Accelerator) -> float:
    """Return the energy of a bit over a hop: its router and its link."""
    return accelerator.mesh.router_energy.value + accelerator.mesh.link_energy.value


class LayerModel:
    """A layer's transfers and operations; each method is one step, and a subclass may count one in another way.

    Parameters
    ----------
    estimator
        The estimator that it belongs to.
    layer, source
        The layer, and the one that makes its input; None where that comes from the main memory.
    batch, bits, timing
        As for ``Estimator.estimate``.
    """

    def __init__(
        self, estimator: "Estimator", layer: Layer, source: Layer | None, batch: int, bits: int, timing: Timing
    ) -> None:
        self.estimator = estimator
        self.accelerator = estimator.accelerator
        self.mesh = estimator.mesh
        self.layer, self.source, self.batch, self.bits = layer, source, batch, bits
        self.timing = timing
        self.work = self._work()
        self.is_compressed = layer.bits_per_weight is not None and layer.weights > 0
        self.memory = self.communication = 0.0
        self.energies: list[Energy] = []

    def estimate(self, pipeline: float | None) -> LayerEstimate:
        """Return the estimate of the layer.

        Parameters
        ----------
        pipeline
            Its cycles where the array's tiles were gone through one by one; None otherwise.
        """
        self._load_input()
        loading = self.memory
        weight_bytes = self._load_weights()
        self._store_output()
        self._compute()
        decompressor, decoders = self._decompress()
        cycles = Cycles(self.memory, self.communication, self.work.cycles, decompressor, self._fill())
        # The memory brings activations before it goes on with weights.
        latency = cycles.latency(self.timing) if pipeline is None else pipeline + loading
        leaked = self._leakage(cycles, latency, decoders)
        return LayerEstimate(
            self.layer.name, cycles, latency, Energy.sum((*self.energies, leaked)), weight_bytes, self.work.cores
        )

    def _work(self) -> Work:
        """Return the work of the processing elements for the layer."""
        return work_of(self.layer, self.accelerator, self.batch)

    def _leakage(self, cycles: Cycles, latency: float, decoders: int) -> Energy:
        """Return the leakage while the layer runs: of everything, all the time, whatever the parts' cycles."""
        del cycles
        return self.estimator.leakage(self.work.cores, latency, decoders)

    @property
    def input_bytes(self) -> float:
        """Bytes of all inputs of the batch."""
        return self.layer.inputs * self.batch * self._activation_bits() / 8

    def _per_core_output(self, layer: Layer) -> tuple[int, float]:
        """Return the cores that hold a layer's outputs, and the bytes that each of them holds."""
        cores = min(layer.units, self.accelerator.cores)
        return cores, layer.outputs * self.batch * (layer.output_bits or self.accelerator.activation_bits) / 8 / cores

    def _written(self, size: float) -> float:
        """Return the bytes that a core writes into its local memory of those that come from the main memory."""
        return size

    def _pairs(self, sources: int, pattern: Pattern) -> int:
        """Return the transfers between cores that take local energy."""
        del sources
        return pattern.flows

    def _spilled(self, sources: int, held: float, capacity: float) -> float:
        """Return the input's bytes that do not fit in the local memories of the cores that made it."""
        return sources * (held - capacity)

    def _spill_read(self, spilled: float, capacity: float) -> float:
        """Return the bytes that are read from the main memory for an input that did not fit."""
        del capacity
        return spilled

    def _moved(self, cycles: float) -> float:
        """Return the cycles of a transfer as they are counted."""
        return cycles

    def _spend(self, *, main: float = 0.0, local: float = 0.0, byte_hops: float = 0.0) -> None:
        """Add the energy of bytes in and out of memories, and over hops."""
        accelerator = self.accelerator
        self.energies.append(
            Energy(
                main_memory=8 * main * accelerator.main_memory.energy.value,
                local_memory=8 * local * accelerator.local_memory.energy.value,
                communication=8 * byte_hops * _bit_hop(accelerator),
            )
        )

    def _load_input(self) -> None:
        """Bring the input to all cores, each of which needs all of it."""
        cores = self.work.cores
        if self.source is None:
            size = self.input_bytes
            pattern = self.mesh.from_memory(cores, shared=True)
            self.memory += self.estimator.memory_cycles(size)
            self.communication += self._moved(self.mesh.cycles(pattern, size))
            self._spend(main=size, local=self._written(size) * cores, byte_hops=size * self.mesh.byte_hops(pattern))
            return
        sources, held = self._per_core_output(self.source)
        capacity = self.accelerator.local_memory.size.value
        between = self.mesh.between(sources, cores)
        pairs = self._pairs(sources, between)
        if held <= capacity:
            self.communication += self._moved(self.mesh.cycles(between, held))
            self._spend(local=2 * held * pairs, byte_hops=held * self.mesh.byte_hops(between))
            return
        self._load_spilled_input(sources, held, capacity, pairs)

    def _load_spilled_input(self, sources: int, held: float, capacity: float, pairs: int) -> None:
        """Bring what the local memories hold from there, and the rest from the main memory, at the same time."""
        cores = self.work.cores
        spilled = self._spilled(sources, held, capacity)
        between, outside = self.mesh.between(sources, cores), self.mesh.from_memory(cores, shared=True)
        slow = self.estimator.memory_cycles(spilled)
        within, beyond = map(self._moved, self.mesh.cycles_together((between, capacity), (outside, spilled)))
        if self.timing is Timing.OVERLAP:
            self.memory += slow
            self.communication += max(within, beyond)
        # Summed, the later one counts: memory and network of the way over the main memory, or the network alone.
        elif beyond + slow > within:
            self.memory += slow
            self.communication += beyond
        else:
            self.communication += within
        main = self._spill_read(spilled, capacity)
        local = 2 * capacity * pairs + self._written(spilled) * cores
        hops = capacity * self.mesh.byte_hops(between) + spilled * self.mesh.byte_hops(outside)
        self._spend(main=main, local=local, byte_hops=hops)

    def _load_weights(self) -> float:
        """Bring each core its own weights; return their bytes in the main memory."""
        layer, cores = self.layer, self.work.cores
        if not layer.weights:
            return 0.0
        plain = self._per_core_weights(1.0) * self.work.fetches
        stored = plain
        if self.is_compressed and layer.bits_per_weight is not None:
            stored = self._per_core_weights(self.bits / layer.bits_per_weight) * self.work.fetches
        at_elements = self.accelerator.decompressor.placement is Placement.PE
        moved = stored if at_elements else plain
        pattern = self.mesh.from_memory(cores)
        self.memory += cores * self.estimator.memory_cycles(stored)
        self.communication += self._moved(self.mesh.cycles(pattern, moved))
        self._spend(
            main=stored * cores, local=self._written(plain) * cores, byte_hops=moved * self.mesh.byte_hops(pattern)
        )
        return stored * cores

    def _per_core_weights(self, ratio: float) -> float:
        """Return the bytes of a core's weights, that many times smaller than plain ones."""
        return self.layer.weights * self.bits / 8 / ratio / self.work.cores

    def _store_output(self) -> None:
        """Keep the outputs in the local memories, and the rest that does not fit in the main memory."""
        cores, held = self._per_core_output(self.layer)
        capacity = self.accelerator.local_memory.size.value
        spilled = max(0.0, held - capacity)
        self._spend(local=min(held, capacity) * cores)
        if spilled:
            pattern = self.mesh.to_memory(cores)
            self.memory += cores * self.estimator.memory_cycles(spilled)
            self.communication += self._moved(self.mesh.cycles(pattern, spilled))
            self._spend(main=spilled * cores, byte_hops=spilled * self.mesh.byte_hops(pattern))

    def _compute(self) -> None:
        """Add the energy of the operations and of their operands."""
        array = self.accelerator.array
        reads, each = array.operand_reads.value, array.mac_energy.value
        if self.layer.kind is Kind.POOLING:
            reads, each = 1.0, array.pool_energy.value
        self._spend(local=self.work.operations * (reads * self._operand_bits() / 8))
        self.energies.append(Energy(computation=self.work.operations * each))

    def _activation_bits(self) -> int:
        return self.layer.input_bits or self.accelerator.activation_bits

    def _operand_bits(self) -> float:
        """Return the width of an operand: of a multiplication, the mean of weight and activation."""
        activation = self._activation_bits()
        return activation if self.layer.kind is Kind.POOLING else (self.bits + activation) / 2

    def _decompress(self) -> tuple[float, int]:
        """Return the cycles of a decompressor, and how many of them are at work; add their energy."""
        if not self.is_compressed:
            return 0.0, 0
        decompressor = self.accelerator.decompressor
        at_elements = decompressor.placement is Placement.PE
        count = self.work.cores if at_elements else len(self.accelerator.mesh.interfaces)
        weights = self.layer.weights * self.work.fetches
        self.energies.append(Energy(decompressor=weights * decompressor.energy.value))
        cycles = weights / count / decompressor.weights_per_cycle.value
        # Where parts overlap, the start is in the fill, whatever limits the layer.
        return cycles if self.timing is Timing.OVERLAP else cycles + decompressor.start.value, count

    def _fill(self) -> float:
        """Return the cycles until the first weight, or input, is at the farthest core."""
        far = int(self.mesh.from_memory(self.work.cores).hops.max())
        fill = far * self.mesh.cycles_per_hop
        if self.layer.weights or self.source is None:
            fill += self.accelerator.main_memory.latency.value
        if self.is_compressed:
            fill += self.accelerator.decompressor.start.value
        return fill


class Estimator:
    """Estimates networks on an accelerator; one of them serves many networks.

    Parameters
    ----------
    accelerator
        The accelerator.
    """

    layer_model: ClassVar[type[LayerModel]] = LayerModel

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.mesh = MeshNetwork(accelerator.mesh)

    def estimate(
        self,
        network: Network,
        timing: Timing = Timing.SERIAL,
        batch: int = 1,
        weight_bits: int | None = None,
        compressed: bool = True,
    ) -> Estimate:
        """Estimate a network.

        Parameters
        ----------
        network
            Its layers.
        timing
            How parts of a layer overlap.
        batch
            Samples at once: weights come once for all of them.
        weight_bits
            Of a weight that is not compressed; None for the accelerator's.
        compressed
            Whether compressed weights are used as such; otherwise all come with ``weight_bits``.

        Returns
        -------
        Cycles are those of the whole batch, and so is the energy.

        Raises
        ------
        InputError
            A layer is too large for the model of an array of lanes.
        """
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, not {batch}")
        bits = weight_bits or self.accelerator.weight_bits
        estimates = []
        tables = None
        if compressed and network.table_bytes and network.is_compressed:
            tables = self._tables(network.table_bytes, timing)
        lanes = None
        if timing is Timing.OVERLAP and isinstance(self.accelerator.array, LaneArray):
            lanes = LanePipeline(self.accelerator, bits, batch)
        for layer in network.layers:
            if isinstance(self.accelerator.array, LaneArray):
                check_extent(layer, self.accelerator.array, batch)
            own = layer if compressed else layer.compressed(None)
            source = None if layer.source is None else network.layers[layer.source]
            model = self.layer_model(self, own, source, batch, bits, timing)
            estimates.append(model.estimate(lanes.cycles(own) if lanes and own.weights else None))
        return Estimate(tuple(estimates), self.accelerator.clock.value, tables)

    def memory_cycles(self, size: float) -> float:
        """Return the accelerator's cycles in which the main memory moves ``size`` bytes, at its sustained bandwidth."""
        memory = self.accelerator.main_memory
        return size / (memory.bandwidth.value * memory.efficiency.value / self.accelerator.clock.value)

    def leakage(self, cores: int, latency: float, decoders: int) -> Energy:
        """Return the leakage energy, in J, of a time.

        Parameters
        ----------
        cores
            Processing elements at work.
        latency
            The time, in cycles.
        decoders
            Decompressors at work.
        """
        accelerator, mesh = self.accelerator, self.accelerator.mesh
        seconds = latency / accelerator.clock.value
        of_node = mesh.router_leakage.value + 4 * mesh.link_leakage.value
        return Energy(
            main_memory_leakage=accelerator.main_memory.leakage.value * seconds,
            local_memory_leakage=cores * accelerator.local_memory.leakage.value * seconds,
            communication_leakage=self.mesh.nodes * of_node * seconds,
            computation_leakage=cores * accelerator.array.leakage.value * seconds,
            decompressor_leakage=decoders * accelerator.decompressor.leakage.value * seconds,
        )

    def _tables(self, size: int, timing: Timing) -> LayerEstimate:
        """Return the cost of loading the table set, which goes to every decompressor."""
        accelerator = self.accelerator
        in_elements = accelerator.decompressor.placement is Placement.PE
        cores = accelerator.cores if in_elements else len(accelerator.mesh.interfaces)
        memory = self.memory_cycles(size)
        communication, energy = 0.0, 8 * size * accelerator.main_memory.energy.value
        moved = 0.0
        if in_elements:
            pattern = self.mesh.from_memory(cores, shared=True)
            communication = self.mesh.cycles(pattern, size)
            moved = 8 * size * self.mesh.byte_hops(pattern) * _bit_hop(accelerator)
        build = accelerator.decompressor.table_build.value
        cycles = Cycles(memory, communication, decompressor=build, fill=accelerator.main_memory.latency.value)
        latency = cycles.latency(timing)
        spent = Energy(main_memory=energy, communication=moved)
        leaked = self.leakage(0, latency, cores)
        return LayerEstimate("(table set)", cycles, latency, Energy.sum((spent, leaked)), size, cores)
