"""nocnn, the estimator of one of the paper's authors: this model with the ways of counting in which it departs from it.

Every cycle of every layer is the tool's own, and energy to the digits that it prints. ``docs/accelerator.md`` says what
each departure changes.
"""

import math
from dataclasses import replace

from dnnzip.accelerator.compute import Work
from dnnzip.accelerator.configuration import Accelerator, VectorArray
from dnnzip.accelerator.estimator import Estimator
from dnnzip.accelerator.figures import Cycles, Energy
from dnnzip.accelerator.layer_model import LayerModel
from dnnzip.accelerator.layers import Kind, Layer
from dnnzip.accelerator.mesh import Pattern


class NocnnLayer(LayerModel):
    """A layer as the tool counts it: bytes, operations and cycles of a core are whole numbers."""

    def _work(self) -> Work:
        """Share units among cores in fractions, and drop the channels of a pooling that do not divide evenly."""
        array, layer = self.accelerator.array, self.layer
        if not isinstance(array, VectorArray) or layer.kind is Kind.LOOKUP or not layer.is_sized:
            return super()._work()
        cores = min(layer.units, self.accelerator.cores)
        outputs = layer.reduction * layer.positions * self.batch
        if layer.kind is Kind.POOLING:
            each = layer.units // cores * outputs
            return Work(cores, each // array.pool_per_cycle.value, each * cores)
        each = math.floor(layer.units / cores * outputs)
        return Work(cores, each // array.macs_per_cycle.value, each * cores)

    def _leakage(self, cycles: Cycles, latency: float, decoders: int) -> Energy:
        """Leave out processing elements, routers of memory interfaces, and the local memories in convolutions.

        The main memory leaks while it is not used, and only then.
        """
        leaked = super()._leakage(cycles, latency, decoders)
        awake = (cycles.communication + cycles.computation) / self.accelerator.clock.value
        return replace(
            leaked,
            main_memory_leakage=self.accelerator.main_memory.leakage.value * awake,
            local_memory_leakage=0.0 if self.layer.kind is Kind.CONVOLUTION else leaked.local_memory_leakage,
            communication_leakage=self.accelerator.cores / self.mesh.nodes * leaked.communication_leakage,
            computation_leakage=0.0,
        )

    @property
    def input_bytes(self) -> float:
        """Bytes of all inputs of the batch, whole ones."""
        return math.floor(super().input_bytes)

    def _per_core_output(self, layer: Layer) -> tuple[int, float]:
        """Return whole bytes, both of all cores and of each."""
        cores = min(layer.units, self.accelerator.cores)
        bits = layer.output_bits or self.accelerator.activation_bits
        return cores, layer.outputs * self.batch * bits // 8 // cores

    def _written(self, size: float) -> float:
        """Return 0: bytes from the main memory are not written into the local memories."""
        del size
        return 0.0

    def _pairs(self, sources: int, pattern: Pattern) -> int:
        """Count local energy for a range of the sources and all destinations."""
        del pattern
        return (sources - 1) * self.work.cores

    def _spilled(self, sources: int, held: float, capacity: float) -> float:
        """Return all of the input but one memory's size, which is read from the main memory."""
        del sources, held
        return self.input_bytes - capacity

    def _spill_read(self, spilled: float, capacity: float) -> float:
        """Return one local memory's size for each core, whose energy such a read takes."""
        del spilled
        return capacity * self.work.cores

    def _moved(self, cycles: float) -> float:
        return math.floor(cycles)

    def _per_core_weights(self, ratio: float) -> float:
        """Cut the bytes of a core; of a dense layer, those of a neuron before it takes a core's neurons."""
        layer, cores = self.layer, self.work.cores
        if layer.kind is Kind.CONVOLUTION or not layer.units:
            return math.floor(layer.weights * self.bits // 8 / ratio / cores)
        neuron = math.floor(layer.weights // layer.units * self.bits // 8 / ratio)
        return math.floor(neuron * (layer.units / cores))

    def _operand_bits(self) -> float:
        """Return the width of weights, for the values of a pooling as well."""
        return self.bits


class Nocnn(Estimator):
    """The tool.

    Parameters
    ----------
    accelerator
        The accelerator.
    """

    layer_model = NocnnLayer

    @property
    def memory_rate(self) -> float:
        """Whole bytes per cycle; a memory slower than one would divide by zero in the tool."""
        return max(1, math.floor(super().memory_rate))

    def memory_cycles(self, size: float) -> float:
        """Return the whole cycles of the main memory for a number of bytes."""
        return math.floor(super().memory_cycles(size))


def estimator_of(accelerator: Accelerator) -> Estimator:
    """Return the estimator that counts as an accelerator's configuration says."""
    return Nocnn(accelerator) if accelerator.counting == "nocnn" else Estimator(accelerator)
