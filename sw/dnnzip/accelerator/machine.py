"""Cycles and energy that an accelerator takes for a number of bytes, a bit's hop, or a time."""

from dnnzip.accelerator.configuration import Accelerator
from dnnzip.accelerator.figures import Energy
from dnnzip.accelerator.mesh import MeshNetwork


class Machine:
    """An accelerator and its mesh; a subclass may count in another way.

    Parameters
    ----------
    accelerator
        The accelerator.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.mesh = MeshNetwork(accelerator.mesh)

    @property
    def bit_hop(self) -> float:
        """Energy of a bit over a hop: its router and its link."""
        return self.accelerator.mesh.router_energy.value + self.accelerator.mesh.link_energy.value

    @property
    def memory_rate(self) -> float:
        """Bytes that the main memory moves in a cycle of the accelerator, at its sustained bandwidth."""
        memory = self.accelerator.main_memory
        return memory.bandwidth.value * memory.efficiency.value / self.accelerator.clock.value

    def memory_cycles(self, size: float) -> float:
        """Return the accelerator's cycles in which the main memory moves ``size`` bytes."""
        return size / self.memory_rate

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
