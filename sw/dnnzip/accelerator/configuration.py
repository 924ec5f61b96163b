"""The configuration of an accelerator: its sections and their keys, checked as a whole before anything is computed."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dnnzip.accelerator.constants import (
    Bandwidth,
    Bits,
    Bytes,
    Count,
    Cycles,
    Energy,
    EnergyPerBit,
    Frequency,
    PerCycle,
    Power,
    Share,
)
from dnnzip.format.array import Placement

LARGEST_SIDE = 32
"""Nodes along a side of the mesh at most: pairs of nodes grow with the fourth power of it."""


class Section(BaseModel):
    """A table of the file: every key known, none changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MainMemory(Section):
    """The DRAM.

    Parameters
    ----------
    bandwidth
        Peak, in B/s.
    efficiency
        Share of it that long sequential reads get.
    latency
        Cycles from a request to its first data; counts in the fill of ``overlap`` alone.
    energy
        Of each bit that is read or written, with the interface, in J/bit.
    leakage
        Power that it takes without traffic, in W.
    """

    bandwidth: Bandwidth
    efficiency: Share
    latency: Cycles
    energy: EnergyPerBit
    leakage: Power


class LocalMemory(Section):
    """The SRAM of each processing element.

    Parameters
    ----------
    size
        In B; outputs beyond it go to the main memory.
    energy
        Of each bit that is read or written, in J/bit.
    leakage
        In W.
    """

    size: Bytes
    energy: EnergyPerBit
    leakage: Power


class Mesh(Section):
    """The network on chip: a mesh, rows of nodes numbered from 0.

    Parameters
    ----------
    width, height
        Nodes along its sides, 1 to 32.
    interfaces
        Nodes with a memory interface; all others hold a processing element.
    routing
        ``xy``: along the row first.
    multicast
        Whether what all elements need passes each link once.
    ports
        Whether the link between a node and its router limits, too.
    link_bits
        Width of a link; a flit.
    flits_per_cycle
        1, or 0.5 where a handshake takes two cycles; a hop takes as much longer.
    router_latency
        Cycles of a hop at a flit per cycle.
    router_energy, link_energy
        Of a bit over one hop, in J/bit.
    router_leakage, link_leakage
        Of each router, and of each of its four links, in W.
    """

    width: int = Field(ge=1, le=LARGEST_SIDE)
    height: int = Field(ge=1, le=LARGEST_SIDE)
    interfaces: tuple[int, ...] = Field(min_length=1)
    routing: Literal["xy"]
    multicast: bool
    ports: bool
    link_bits: Bits
    flits_per_cycle: Share
    router_latency: Cycles
    router_energy: EnergyPerBit
    link_energy: EnergyPerBit
    router_leakage: Power
    link_leakage: Power

    @model_validator(mode="after")
    def _interfaces_are_nodes(self) -> Self:
        nodes = self.width * self.height
        if len(set(self.interfaces)) != len(self.interfaces):
            raise ValueError("interfaces must be different nodes")
        if not all(0 <= node < nodes for node in self.interfaces):
            raise ValueError(f"interfaces must be nodes from 0 to {nodes - 1}, not {list(self.interfaces)}")
        if len(self.interfaces) == nodes:
            raise ValueError("interfaces must leave a node for a processing element")
        return self


class VectorArray(Section):
    """A processing element that multiplies a fixed number of pairs per cycle, whatever the layer's shape.

    Parameters
    ----------
    model
        ``vector``.
    macs_per_cycle, pool_per_cycle
        Multiplications, and values into a pooling, per cycle and element.
    mac_energy, pool_energy
        Of one of them, in J.
    operand_reads
        Operands that come from the local memory for each multiplication.
    leakage
        Of an element, in W.
    """

    model: Literal["vector"]
    macs_per_cycle: PerCycle
    pool_per_cycle: PerCycle
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count
    leakage: Power


class SystolicArray(Section):
    """A processing element that is a weight-stationary systolic array, filled and drained for each tile of weights.

    Parameters
    ----------
    model
        ``weight-stationary``.
    rows, columns
        Length of the reduction and filters of a tile.
    pool_per_cycle, mac_energy, pool_energy, operand_reads, leakage
        See ``VectorArray``.
    """

    model: Literal["weight-stationary"]
    rows: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=4096)
    pool_per_cycle: PerCycle
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count
    leakage: Power


class LaneArray(Section):
    """The project's own array: rows of channels, columns of their kernels' positions, a vector per cycle.

    There is one, and the next tile is loaded while one multiplies; see `dnnzip.accelerator.lanes`.

    Parameters
    ----------
    model
        ``lanes``.
    rows, columns
        Output channels and weights of each that a tile holds.
    groups
        Of rows, each with a decompressor that delivers its share of ``weights_per_cycle``; 1 where it is left out.
    vectors
        Accumulators of each row: the number of positions that run against a tile before the next one comes.
    buffer
        Bytes that the memory may be ahead.
    part_start, pass_start
        Cycles before the first of a layer's plain weights, and before each pass over the channels of a compressed one;
        before its first pass it is the decompressor's ``start``.
    stream_end
        Cycles from a stream's last weight until the next stream's header is read.
    turn_share
        Share of a decompressor's turns that deliver weights; in the others a lane lacks a word.
    queue
        Beats, of a weight for each lane, that a decompressor is ahead of the tiles at most.
    pool_per_cycle, mac_energy, pool_energy, operand_reads, leakage
        See ``VectorArray``.
    """

    model: Literal["lanes"]
    rows: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=64)
    groups: int = Field(default=1, ge=1, le=16)
    vectors: int = Field(ge=1, le=1 << 15)
    buffer: Bytes
    part_start: Cycles
    pass_start: Cycles
    stream_end: Cycles
    turn_share: Share
    queue: Count
    pool_per_cycle: PerCycle
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count
    leakage: Power


class Decompressor(Section):
    """The decompressors, one in each processing element or at each memory interface.

    Parameters
    ----------
    placement
        Where they are; see ``Placement``.
    weights_per_cycle
        Of each.
    start
        Cycles from a stream's first word to its first weight.
    table_build
        Cycles in which a decompressor makes its tables of a table set.
    energy
        Of a weight, in J.
    leakage
        Of each, in W.
    """

    placement: Placement
    weights_per_cycle: PerCycle
    start: Cycles
    table_build: Cycles
    energy: Energy
    leakage: Power


class Accelerator(Section):
    """An accelerator.

    Parameters
    ----------
    name, description
        For the reader.
    clock
        In Hz; one for all parts.
    weight_bits
        Of a weight that is not compressed: 8, 16 or 32.
    activation_bits
        Of an activation: 8, 16 or 32.
    counting
        Whose ways of counting: the model's, or `dnnzip.accelerator.nocnn`'s.
    main_memory, local_memory, mesh, array, decompressor
        Its parts.
    """

    name: str = Field(min_length=1)
    description: str
    clock: Frequency
    weight_bits: Literal[8, 16, 32]
    activation_bits: Literal[8, 16, 32]
    counting: Literal["model", "nocnn"] = "model"
    main_memory: MainMemory
    local_memory: LocalMemory
    mesh: Mesh
    array: Annotated[VectorArray | SystolicArray | LaneArray, Field(discriminator="model")]
    decompressor: Decompressor

    @model_validator(mode="after")
    def _lanes_suit_the_array(self) -> Self:
        if isinstance(self.array, LaneArray) and self.array.rows % self.array.groups:
            raise ValueError(f"array.groups must divide {self.array.rows} rows, not {self.array.groups}")
        if isinstance(self.array, LaneArray) and self.cores != 1:
            raise ValueError(f"array.model lanes needs a mesh with one processing element, not {self.cores}")
        return self

    @property
    def cores(self) -> int:
        """Processing elements."""
        return self.mesh.width * self.mesh.height - len(self.mesh.interfaces)

    def placed(self, placement: Placement) -> "Accelerator":
        """Return the accelerator with its decompressors elsewhere."""
        moved = self.decompressor.model_copy(update={"placement": Placement(placement)})
        return self.model_copy(update={"decompressor": moved})
