"""Latency and energy of a layer on an accelerator, by the steps that it takes.

A layer's input comes from the main memory or from the cores that made it, its weights come from the main memory, each
core computes its share of the outputs and keeps them in its local memory; what does not fit there goes to the main
memory. Equations and sources are in ``docs/accelerator.md``.
"""

from dataclasses import dataclass

from dnnzip.accelerator.compute import Work, work_of
from dnnzip.accelerator.figures import Cycles, Energy, LayerEstimate, Timing
from dnnzip.accelerator.layers import Kind, Layer
from dnnzip.accelerator.machine import Machine
from dnnzip.accelerator.mesh import Pattern
from dnnzip.format.array import Placement


@dataclass(frozen=True)
class Setting:
    """Setting of an estimate."""

    batch: int  # samples at once
    bits: int  # of a weight that is not compressed
    timing: Timing  # how parts of a layer overlap


class LayerModel:
    """A layer's transfers and operations; each method is one step, and a subclass may count one in another way.

    Parameters
    ----------
    machine
        The accelerator, as it counts.
    layer, source
        The layer, and the one that makes its input; None where that comes from the main memory.
    setting
        Batch, width of plain weights and timing.
    """

    def __init__(self, machine: Machine, layer: Layer, source: Layer | None, setting: Setting) -> None:
        self.machine = machine
        self.accelerator = machine.accelerator
        self.mesh = machine.mesh
        self.layer, self.source = layer, source
        self.batch, self.bits, self.timing = setting.batch, setting.bits, setting.timing
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
        if self.layer.is_sized:
            self._load_input()
        loading = self.memory
        weight_bytes = self._load_weights()
        if self.layer.is_sized:
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
        return self.machine.leakage(self.work.cores, latency, decoders)

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
                communication=8 * byte_hops * self.machine.bit_hop,
            )
        )

    def _load_input(self) -> None:
        """Bring the input to all cores, each of which needs all of it."""
        cores = self.work.cores
        if self.source is None:
            size = self.input_bytes
            pattern = self.mesh.from_memory(cores, shared=True)
            self.memory += self.machine.memory_cycles(size)
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
        slow = self.machine.memory_cycles(spilled)
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
        self.memory += cores * self.machine.memory_cycles(stored)
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
            self.memory += cores * self.machine.memory_cycles(spilled)
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
