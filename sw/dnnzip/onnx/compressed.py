"""The compressed model: an ONNX file in which `Decompress` nodes of the domain ``dnnzip`` replace the weights.

A node's inputs are ``stream`` (uint8 [n]), ``tables`` (uint8 [m], one initializer that all nodes share), ``step``
(float32, scalar or [channels]; left out where the stream holds the original bytes), ``zero_point`` (the network's own
where it has one that serves; left out where it is zero or the weights are float) and ``step_index`` (uint8 [channels];
with it, ``step`` and the attribute ``steps_per_octave`` are those of a grid, `dnnzip.quantize.step_grid`).

Its output has the name, type and shape of the weight:

- float weights: ``float32(code) * step``, rounded to the element type; float64 ones the product in float64;
- float weights with the attribute ``float_map``, and no step: the patterns of codes (`dnnzip.quantize.float_map`), the
  attribute being the map's base. They are the weights' own, but of float32 with the attribute ``mantissa_bits``: then
  of that many bits of the mantissa, the others zero. Where low bits are stored apart (`dnnzip.quantize.float_bits`),
  ``raw`` streams of as many channels follow those of the codes;
- integer weights with step 1: ``(code + zero_point) mod 2^bits`` of their type, the original;
- signed integer weights with a step 2 e + 1 above 1: the code itself; the network's scales hold the step already;
- integer weights with the attribute ``folded`` 0: ``zero_point + step * code``, clipped to their type, as there is no
  scale that could hold the step;
- weights with the attribute ``bits``, 2 or 4: unsigned ones of that many bits, of which each uint8 of the output holds
  several along the last axis, the first one lowest (MatMulNBits). ``axis`` and ``group`` are those of the codes.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from dnnzip.onnx.domain import DOMAIN as DOMAIN
from dnnzip.onnx.domain import is_compressed as is_compressed
from dnnzip.onnx.graph import attribute
from dnnzip.onnx.rules import number_of
from dnnzip.quantize.bound import Bound, Unit
from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid
from dnnzip.quantize.layout import Layout
from dnnzip.system.spool import Place

#: The operator and its version; a change of its meaning raises the version. Version 1 has no ``step_index``.
OPERATOR = "Decompress"
VERSION = 3

#: The version of files in which no node has an attribute of a later one, and the attributes that came later.
BASE_VERSION = 2
LATER_ATTRIBUTES = {"folded": 3, "bits": 3, "float_map": 3, "mantissa_bits": 3}

#: Element types of weights, by their numbers in ONNX, that no later version has brought.
BASE_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)
LATER_TYPES_VERSION = 3

#: Units of bounds that came with a version: earlier readers cannot read a node's ``spec`` in them.
LATER_UNITS = {Unit.RMS: 3, Unit.RELATIVE: 3, Unit.LOSSLESS: 3}

#: Places of a node's inputs, and the fewest and the most that it has.
STREAM, TABLES, STEP, ZERO_POINT, STEP_INDEX = range(5)
FEWEST_INPUTS, MOST_INPUTS = TABLES + 1, STEP_INDEX + 1
SIDE_INPUTS = (STEP, ZERO_POINT, STEP_INDEX)


@dataclass(frozen=True, eq=False)
class CompressedLayer:
    """One `Decompress` node."""

    name: str
    layout: Layout  # shape, output channels and groups; its kernel is in the stream
    stored: bytes | Place  # one or several weight streams, one after the other; or the place where they are
    # The grid of its codes, with the error tolerated in any channel and the largest one made. Integer weights with a
    # divisor above 1 decode to their codes.
    grid: Grid
    codec: str
    position: int  # where the weight stood among the network's initializers
    is_folded: bool = True  # True if the network's scales hold the divisor of integer weights, where it is above 1
    packed_bits: int = 0  # bits of a weight where several share a byte of a uint8 array in the network, otherwise 0

    @property
    def stream(self) -> bytes:
        """The weight streams, one after the other; read anew at each call where they are in a file."""
        return self.stored.read() if isinstance(self.stored, Place) else self.stored

    @property
    def stream_bytes(self) -> int:
        """Size of the streams."""
        return self.stored.length if isinstance(self.stored, Place) else len(self.stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights, in which packed ones are apart."""
        return self.layout.shape

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of the array in the network."""
        in_byte = 8 // self.packed_bits if self.packed_bits else 1
        return (*self.layout.shape[:-1], self.layout.shape[-1] // in_byte)

    @property
    def stored_type(self) -> int:
        """Number of the array's type in ONNX."""
        return TensorProto.UINT8 if self.packed_bits else number_of(self.grid.element)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the array in the network's file."""
        return self.grid.element.stored_bytes(self.weights)

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.layout.shape)

    @property
    def bound(self) -> float:
        """Largest error tolerated in any channel, in the grid's unit."""
        return self.grid.max_bound

    @property
    def max_error(self) -> float:
        """Largest error made, in the grid's unit."""
        return self.grid.max_error

    @property
    def step_loss(self) -> float:
        """Bits for each weight that steps on a grid cost, against the largest that keep the bound."""
        return self.grid.step_loss if isinstance(self.grid, FloatGrid) else 0.0

    @property
    def divisor(self) -> int:
        """2 e + 1 where the network's scales hold it, 1 otherwise."""
        return divisor_of(self.grid) if self.is_folded else 1

    @property
    def items(self) -> int:
        """Sum of the counts that the stream declares: weights, or the 16-bit items of the original bytes."""
        return math.prod(self.grid.code_shape(self.layout))


@dataclass(frozen=True, eq=False)
class CompressedModel:
    """A compressed model file, checked and not yet decoded."""

    model: onnx.ModelProto  # the file's content
    layers: tuple[CompressedLayer, ...]  # its compressed weights, in the order of the network's initializers
    tables: bytes  # the table set that all streams share
    where: str


def version_of(nodes: Iterable[onnx.NodeProto]) -> int:
    """Return the version of the operator that nodes need."""
    needed = {BASE_VERSION}
    for node in nodes:
        needed.update(LATER_ATTRIBUTES.get(entry.name, BASE_VERSION) for entry in node.attribute)
        if attribute(node, "element_type", TensorProto.FLOAT) not in BASE_TYPES:
            needed.add(LATER_TYPES_VERSION)
        specs = (entry.s.decode() for entry in node.attribute if entry.name == "spec")
        needed.update(LATER_UNITS.get(Bound.parse(spec).unit, BASE_VERSION) for spec in specs)
    return max(needed)


def divisor_of(grid: Grid) -> int:
    """Return the 2 e + 1 of integer weights, 1 of others."""
    return grid.divisor if isinstance(grid, IntegerGrid) else 1
