"""Latency and energy of a network on an accelerator: the sum of its layers, and the loading of its table set."""

from typing import ClassVar

from dnnzip.accelerator.configuration import LaneArray
from dnnzip.accelerator.figures import Cycles, Energy, Estimate, LayerEstimate, Timing
from dnnzip.accelerator.lanes import LanePipeline, check_extent
from dnnzip.accelerator.layer_model import LayerModel, Setting
from dnnzip.accelerator.layers import Kind, Network
from dnnzip.accelerator.machine import Machine
from dnnzip.format.array import Placement


class Estimator(Machine):
    """Estimates networks on an accelerator; one of them serves many networks.

    Parameters
    ----------
    accelerator
        The accelerator.
    """

    layer_model: ClassVar[type[LayerModel]] = LayerModel

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
        setting = Setting(batch, bits, timing)
        estimates = []
        tables = None
        if compressed and network.table_bytes and network.is_compressed:
            tables = self._tables(network.table_bytes, timing)
        lanes = None
        if timing is Timing.OVERLAP and isinstance(self.accelerator.array, LaneArray):
            lanes = LanePipeline(self.accelerator, bits, batch)
        for layer in network.layers:
            is_computed = layer.is_sized and layer.kind is not Kind.LOOKUP
            if isinstance(self.accelerator.array, LaneArray) and is_computed:
                check_extent(layer, self.accelerator.array, batch)
            own = layer if compressed else layer.compressed(None)
            before = None if layer.source is None else network.layers[layer.source]
            source = before if before is not None and before.is_sized else None
            model = self.layer_model(self, own, source, setting)
            estimates.append(model.estimate(lanes.cycles(own) if lanes and own.weights and is_computed else None))
        return Estimate(tuple(estimates), self.accelerator.clock.value, tables)

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
            moved = 8 * size * self.mesh.byte_hops(pattern) * self.bit_hop
        build = accelerator.decompressor.table_build.value
        cycles = Cycles(memory, communication, decompressor=build, fill=accelerator.main_memory.latency.value)
        latency = cycles.latency(timing)
        spent = Energy(main_memory=energy, communication=moved)
        leaked = self.leakage(0, latency, cores)
        return LayerEstimate("(table set)", cycles, latency, Energy.sum((spent, leaked)), size, cores)
