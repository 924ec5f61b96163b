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
    """The DRAM."""

    bandwidth: Bandwidth  # peak, in B/s
    efficiency: Share  # share of it that long sequential reads get
    latency: Cycles  # cycles from a request to its first data; counts in the fill of ``overlap`` alone
    energy: EnergyPerBit  # of each bit that is read or written, with the interface, in J/bit
    leakage: Power  # power that it takes without traffic, in W


class LocalMemory(Section):
    """The SRAM of each processing element."""

    size: Bytes  # in B; outputs beyond it go to the main memory
    energy: EnergyPerBit  # of each bit that is read or written, in J/bit
    leakage: Power  # in W


class Mesh(Section):
    """The network on chip: a mesh, rows of nodes numbered from 0."""

    # width, height: nodes along its sides, 1 to 32.
    width: int = Field(ge=1, le=LARGEST_SIDE)
    height: int = Field(ge=1, le=LARGEST_SIDE)
    # Nodes with a memory interface; all others hold a processing element.
    interfaces: tuple[int, ...] = Field(min_length=1)
    routing: Literal["xy"]  # ``xy``: along the row first
    multicast: bool  # whether what all elements need passes each link once
    ports: bool  # whether the link between a node and its router limits, too
    link_bits: Bits  # width of a link; a flit
    flits_per_cycle: Share  # 1, or 0.5 where a handshake takes two cycles; a hop takes as much longer
    router_latency: Cycles  # cycles of a hop at a flit per cycle
    # router_energy, link_energy: of a bit over one hop, in J/bit.
    router_energy: EnergyPerBit
    link_energy: EnergyPerBit
    # router_leakage, link_leakage: of each router, and of each of its four links, in W.
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
    """A processing element that multiplies a fixed number of pairs per cycle, whatever the layer's shape."""

    model: Literal["vector"]
    # macs_per_cycle, pool_per_cycle: multiplications, and values into a pooling, per cycle and element.
    macs_per_cycle: PerCycle
    pool_per_cycle: PerCycle
    # mac_energy, pool_energy: of one of them, in J.
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count  # operands that come from the local memory for each multiplication
    leakage: Power  # of an element, in W


class SystolicArray(Section):
    """A processing element that is a weight-stationary systolic array, filled and drained for each tile of weights."""

    model: Literal["weight-stationary"]
    # rows, columns: length of the reduction and filters of a tile.
    rows: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=4096)
    # pool_per_cycle, mac_energy, pool_energy, operand_reads, leakage: see ``VectorArray``.
    pool_per_cycle: PerCycle
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count
    leakage: Power


class LaneArray(Section):
    """The project's own array: rows of channels, columns of their kernels' positions, a vector per cycle.

    There is one, and the next tile is loaded while one multiplies; see `dnnzip.accelerator.lanes`.
    """

    model: Literal["lanes"]
    # rows, columns: output channels and weights of each that a tile holds.
    rows: int = Field(ge=1, le=4096)
    columns: int = Field(ge=1, le=64)
    # Of rows, each with a decompressor that delivers its share of ``weights_per_cycle``; 1 where it is left out.
    groups: int = Field(default=1, ge=1, le=16)
    # Accumulators of each row: the number of positions that run against a tile before the next one comes.
    vectors: int = Field(ge=1, le=1 << 15)
    buffer: Bytes  # bytes that the memory may be ahead
    # part_start, pass_start: cycles before the first of a layer's plain weights, and before each pass over the channels
    # of a compressed one; before its first pass it is the decompressor's ``start``.
    part_start: Cycles
    pass_start: Cycles
    stream_end: Cycles  # cycles from a stream's last weight until the next stream's header is read
    turn_share: Share  # share of a decompressor's turns that deliver weights; in the others a lane lacks a word
    queue: Count  # beats, of a weight for each lane, that a decompressor is ahead of the tiles at most
    # pool_per_cycle, mac_energy, pool_energy, operand_reads, leakage: see ``VectorArray``.
    pool_per_cycle: PerCycle
    mac_energy: Energy
    pool_energy: Energy
    operand_reads: Count
    leakage: Power


class Decompressor(Section):
    """The decompressors, one in each processing element or at each memory interface."""

    placement: Placement
    weights_per_cycle: PerCycle  # of each
    start: Cycles  # cycles from a stream's first word to its first weight
    table_build: Cycles  # cycles in which a decompressor makes its tables of a table set
    energy: Energy  # of a weight, in J
    leakage: Power  # of each, in W


class Accelerator(Section):
    """An accelerator."""

    name: str = Field(min_length=1)
    description: str
    clock: Frequency  # in Hz; one for all parts
    weight_bits: Literal[8, 16, 32]  # of a weight that is not compressed
    activation_bits: Literal[8, 16, 32]  # of an activation
    # Whose ways of counting: the model's, or `dnnzip.accelerator.nocnn`'s.
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
