"""nocnn, the estimator of one of the paper's authors: this model with the ways of counting in which it departs from it.

With all departures, every cycle of every layer is the tool's own, and energy to the digits that it prints.
"""

import math
from dataclasses import dataclass, fields, replace

from dnnzip.accelerator.compute import Work
from dnnzip.accelerator.configuration import Accelerator, Section, VectorArray
from dnnzip.accelerator.estimator import Estimator
from dnnzip.accelerator.figures import Cycles, Energy
from dnnzip.accelerator.layer_model import LayerModel
from dnnzip.accelerator.layers import Kind, Layer
from dnnzip.accelerator.mesh import Pattern


@dataclass(frozen=True)
class Departures:
    """The tool's ways of counting; each can be switched off. ``docs/accelerator.md`` says what each one changes.

    Parameters
    ----------
    whole_bytes_per_cycle
        The memory's bandwidth is cut to whole bytes per cycle.
    whole_counts
        Bytes, operations and cycles of a core are cut to whole numbers, and load imbalance is not counted.
    convolutions_keep_no_leakage
        Local memories do not leak in convolutions.
    elements_do_not_leak
        Processing elements do not leak.
    interface_routers_do_not_leak
        Routers of memory interfaces do not leak.
    memory_leaks_outside_transfers
        The main memory leaks while it is not used, and only then.
    spill_of_all_but_one_core
        Where outputs do not fit in local memories, the next layer reads all of its input but one memory's size from the
        main memory.
    spill_energy_of_local_part
        Such a read takes the energy of one local memory's size for each core.
    local_reads_by_ranges
        Transfers between cores take local energy for (sources - 1) x destinations.
    loads_skip_local_memory
        Bytes from the main memory are not written into the local memories.
    """

    whole_bytes_per_cycle: bool = True
    whole_counts: bool = True
    convolutions_keep_no_leakage: bool = True
    elements_do_not_leak: bool = True
    interface_routers_do_not_leak: bool = True
    memory_leaks_outside_transfers: bool = True
    spill_of_all_but_one_core: bool = True
    spill_energy_of_local_part: bool = True
    local_reads_by_ranges: bool = True
    loads_skip_local_memory: bool = True


NONE = Departures(**{field.name: False for field in fields(Departures)})
"""No departure: this model on the tool's constants."""


def free(accelerator: Accelerator) -> Accelerator:
    """Return an accelerator whose decompressors take neither time nor energy."""
    nothing = {"start": 0.0, "table_build": 0.0, "energy": 0.0, "leakage": 0.0, "weights_per_cycle": math.inf}
    return _changed(accelerator, decompressor=_constants(accelerator.decompressor, **nothing))


def _changed(accelerator: Accelerator, **sections: Section) -> Accelerator:
    return accelerator.model_copy(update=sections)


def _constants(section: Section, **values: float) -> Section:
    """Return a section with other values of its constants."""
    return section.model_copy(
        update={name: getattr(section, name).model_copy(update={"value": value}) for name, value in values.items()}
    )


class NocnnLayer(LayerModel):
    """A layer as the tool counts it."""

    machine: "Nocnn"

    def _work(self) -> Work:
        """Share units among cores in fractions, and drop the channels of a pooling that do not divide evenly."""
        array, layer = self.accelerator.array, self.layer
        if not (self._departures.whole_counts and isinstance(array, VectorArray)):
            return super()._work()
        cores = min(layer.units, self.accelerator.cores)
        outputs = layer.reduction * layer.positions * self.batch
        if layer.kind is Kind.POOLING:
            each = layer.units // cores * outputs
            return Work(cores, each // array.pool_per_cycle.value, each * cores)
        each = math.floor(layer.units / cores * outputs)
        return Work(cores, each // array.macs_per_cycle.value, each * cores)

    def _leakage(self, cycles: Cycles, latency: float, decoders: int) -> Energy:
        """Leave out what the tool does not count."""
        leaked, departures = super()._leakage(cycles, latency, decoders), self._departures
        if departures.memory_leaks_outside_transfers:
            awake = (cycles.communication + cycles.computation) / self.accelerator.clock.value
            leaked = replace(leaked, main_memory_leakage=self.accelerator.main_memory.leakage.value * awake)
        if departures.convolutions_keep_no_leakage and self.layer.kind is Kind.CONVOLUTION:
            leaked = replace(leaked, local_memory_leakage=0.0)
        if departures.interface_routers_do_not_leak:
            share = self.accelerator.cores / self.mesh.nodes
            leaked = replace(leaked, communication_leakage=share * leaked.communication_leakage)
        return replace(leaked, computation_leakage=0.0) if departures.elements_do_not_leak else leaked

    @property
    def _departures(self) -> Departures:
        return self.machine.departures

    @property
    def input_bytes(self) -> float:
        """Bytes of all inputs of the batch, whole ones."""
        return self._whole(super().input_bytes)

    def _per_core_output(self, layer: Layer) -> tuple[int, float]:
        """Return whole bytes, both of all cores and of each."""
        if not self._departures.whole_counts:
            return super()._per_core_output(layer)
        cores = min(layer.units, self.accelerator.cores)
        bits = layer.output_bits or self.accelerator.activation_bits
        return cores, layer.outputs * self.batch * bits // 8 // cores

    def _written(self, size: float) -> float:
        return 0.0 if self._departures.loads_skip_local_memory else size

    def _pairs(self, sources: int, pattern: Pattern) -> int:
        if self._departures.local_reads_by_ranges:
            return (sources - 1) * self.work.cores
        return super()._pairs(sources, pattern)

    def _spilled(self, sources: int, held: float, capacity: float) -> float:
        if self._departures.spill_of_all_but_one_core:
            return self.input_bytes - capacity
        return super()._spilled(sources, held, capacity)

    def _spill_read(self, spilled: float, capacity: float) -> float:
        return capacity * self.work.cores if self._departures.spill_energy_of_local_part else spilled

    def _moved(self, cycles: float) -> float:
        return self._whole(cycles)

    def _per_core_weights(self, ratio: float) -> float:
        """Cut the bytes of a core; of a dense layer, those of a neuron before it takes a core's neurons."""
        layer, cores = self.layer, self.work.cores
        if not self._departures.whole_counts:
            return super()._per_core_weights(ratio)
        if layer.kind is Kind.CONVOLUTION:
            return math.floor(layer.weights * self.bits // 8 / ratio / cores)
        neuron = math.floor(layer.weights // layer.units * self.bits // 8 / ratio)
        return math.floor(neuron * (layer.units / cores))

    def _operand_bits(self) -> float:
        """Return the width of weights, for the values of a pooling as well."""
        return self.bits if self._departures.whole_counts else super()._operand_bits()

    def _whole(self, value: float) -> float:
        return math.floor(value) if self._departures.whole_counts else value


class Nocnn(Estimator):
    """The tool.

    Parameters
    ----------
    accelerator
        The accelerator.
    departures
        The tool's ways of counting.
    """

    layer_model = NocnnLayer

    def __init__(self, accelerator: Accelerator, departures: Departures = Departures()) -> None:
        super().__init__(accelerator)
        self.departures = departures

    def memory_cycles(self, size: float) -> float:
        """Return the cycles of the main memory for a number of bytes."""
        memory, departures = self.accelerator.main_memory, self.departures
        if not departures.whole_bytes_per_cycle:
            cycles = super().memory_cycles(size)
        else:
            # A memory slower than a byte per cycle would divide by zero in the tool.
            rate = memory.bandwidth.value * memory.efficiency.value / self.accelerator.clock.value
            cycles = size / max(1, math.floor(rate))
        return math.floor(cycles) if departures.whole_counts else cycles


def estimator_of(accelerator: Accelerator) -> Estimator:
    """Return the estimator that counts as an accelerator's configuration says."""
    return Nocnn(accelerator) if accelerator.counting == "nocnn" else Estimator(accelerator)
