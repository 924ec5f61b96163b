"""The compressed model: an ONNX file in which `Decompress` nodes of the domain ``dnnzip`` replace the weights.

A node's inputs are ``stream`` (uint8 [n]), ``tables`` (uint8 [m], one initializer that all nodes share), ``step``
(float32, scalar or [channels]; left out where the stream holds the original bytes), ``zero_point`` (the network's own
where it has one that serves; left out where it is zero or the weights are float) and ``step_index`` (uint8 [channels];
with it, ``step`` and the attribute ``steps_per_octave`` are those of a grid, `dnnzip.quantize.step_grid`).

Its output has the name, type and shape of the weight:

- float weights: ``float32(code) * step``, rounded to the element type;
- int8 and uint8 weights with step 1: ``(code + zero_point) mod 256``, the original;
- int8 weights with a step 2 e + 1 above 1: the code itself; the network's scales hold the step already;
- integer weights with the attribute ``folded`` 0: ``zero_point + step * code``, clipped to their type, as there is no
  scale that could hold the step.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid
from dnnzip.quantize.layout import Layout
from dnnzip.system.spool import Place

#: Domain and version of the operator; a change of its meaning raises the version. Version 1 has no ``step_index``.
DOMAIN = "dnnzip"
OPERATOR = "Decompress"
VERSION = 3

#: The version of files in which no node has an attribute of a later one, and the attributes that came later.
BASE_VERSION = 2
LATER_ATTRIBUTES = {"folded": 3}

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
        """Shape of the weight."""
        return self.layout.shape

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


def is_compressed(model: onnx.ModelProto) -> bool:
    """Return True if a model holds compressed weights."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def version_of(nodes: Iterable[onnx.NodeProto]) -> int:
    """Return the version of the operator that nodes need."""
    names = {entry.name for node in nodes for entry in node.attribute}
    return max((LATER_ATTRIBUTES[name] for name in names & LATER_ATTRIBUTES.keys()), default=BASE_VERSION)


def divisor_of(grid: Grid) -> int:
    """Return the 2 e + 1 of integer weights, 1 of others."""
    return grid.divisor if isinstance(grid, IntegerGrid) else 1
