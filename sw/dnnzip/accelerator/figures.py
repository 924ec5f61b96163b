"""Cycles and energy of layers and networks, their sums, and the shares that compression saves."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


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
    """Cycles of a layer's parts."""

    # Each by itself.
    memory: float = 0.0
    communication: float = 0.0
    computation: float = 0.0
    decompressor: float = 0.0
    fill: float = 0.0  # until the first weight is where it is needed; counts in ``overlap`` alone

    def latency(self, timing: Timing) -> float:
        """Return the layer's cycles."""
        parts = (self.memory, self.communication, self.computation, self.decompressor)
        return sum(parts) if timing is Timing.SERIAL else max(parts) + self.fill


@dataclass(frozen=True)
class Energy:
    """Energy in J, by where it is spent."""

    # Bits that are read and written.
    main_memory: float = 0.0
    local_memory: float = 0.0
    communication: float = 0.0  # bits over hops
    computation: float = 0.0  # operations of the processing elements
    decompressor: float = 0.0  # decompressed weights
    # Power over time of the same parts.
    main_memory_leakage: float = 0.0
    local_memory_leakage: float = 0.0
    communication_leakage: float = 0.0
    computation_leakage: float = 0.0
    decompressor_leakage: float = 0.0

    @property
    def leakage(self) -> float:
        """Leakage of all parts."""
        parts: dict[str, float] = vars(self)
        return sum(value for name, value in parts.items() if name.endswith("leakage"))

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

    @staticmethod
    def sum(energies: "Iterable[Energy]") -> "Energy":
        """Add up."""
        parts = [vars(energy) for energy in energies]
        return Energy(**{field.name: math.fsum(part[field.name] for part in parts) for field in fields(Energy)})


@dataclass(frozen=True)
class LayerEstimate:
    """Cycles and energy of a layer."""

    name: str  # of the layer
    cycles: Cycles  # its parts
    latency: float  # cycles, by the timing asked for
    energy: Energy  # in J
    weight_bytes: float  # bytes of weights that come from the main memory
    cores: int  # processing elements at work

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return _figures(self.latency, self.energy) | {
            "cycles": vars(self.cycles),
            "weight_bytes": self.weight_bytes,
        }


@dataclass(frozen=True)
class Estimate:
    """Cycles and energy of a network."""

    layers: tuple[LayerEstimate, ...]  # its layers
    clock_hz: float  # of the accelerator
    # The loading of the table set, where there is one: once, before the first inference, and in no sum.
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
    def weight_bytes(self) -> float:
        """Bytes of all weights that come from the main memory."""
        return math.fsum(layer.weight_bytes for layer in self.layers)

    @property
    def energy(self) -> Energy:
        """Energy of all layers."""
        return Energy.sum(layer.energy for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        energy = self.energy
        return _figures(self.latency, energy) | {
            "latency_s": self.seconds,
            "weight_bytes": self.weight_bytes,
            "energy_parts_J": vars(energy),
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
