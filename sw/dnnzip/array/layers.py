"""Layers of an 8-bit network that run on the array, or the reason why an operator cannot.

A layer of the array is an operator with constant weights, with what quantises its operands, and with what follows it as
far as that is part of its arithmetic: a Relu or Clip, and the QuantizeLinear of its result.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.array.numerics import Finish
from dnnzip.array.operation import Operation, Values
from dnnzip.array.results import finish_of
from dnnzip.errors import InputError
from dnnzip.onnx.geometry import Convolution, Geometry, geometry_of
from dnnzip.onnx.graph import GraphIndex, factor, subgraphs
from dnnzip.onnx.operators import OPERATORS, OnArray, Reach, operator_of
from dnnzip.onnx.rules import stored_array
from dnnzip.quantize.layout import Layout

LONGEST_SUM = (2**31 - 1) // (128 * 255)
"""Weights of a channel whose sum cannot leave 32 bits: 65,793."""

SUPPORTED = tuple(operator.name for operator in OPERATORS if operator.on_array is OnArray.RUNS)
"""Operators that run on the array."""


@dataclass(frozen=True, eq=False)
class ArrayLayer:
    """An operator that runs on the array."""

    name: str  # the initializer that holds its weights
    operator: str  # type and name of the node
    # The tensor of 8-bit activations that it reads, and the tensor that it writes.
    source: str
    target: str
    node: onnx.NodeProto  # the operator, by which its sums are checked
    # The weights as the network stores them, and their zero point: int32, one or one for each channel.
    stored: NDArray[np.generic]
    points: NDArray[np.int32]
    geometry: Geometry  # how its input becomes vectors
    weights: NDArray[np.int8]  # int8 [channels, length], less their zero point; each channel in storage order
    zero_point: int  # of the activations
    finish: Finish
    nodes: frozenset[int]  # positions of the graph's nodes that it replaces

    @property
    def reads(self) -> tuple[str, ...]:
        """Names that it reads."""
        return (self.source,)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names that it writes."""
        return (self.target,)

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def length(self) -> int:
        """Weights of a channel."""
        return self.weights.size // len(self.weights)


def find_layers(model: onnx.ModelProto, where: str) -> list[ArrayLayer]:
    """Find the layers that run on the array, in the order of the graph.

    Parameters
    ----------
    model
        A plain network (`dnnzip.onnx.decompression.decompressed`) whose Constant nodes are lifted
        (`dnnzip.onnx.graph.lift_constants`).

    Raises
    ------
    InputError
        An operator with weights cannot run on the array, or there is none.
    """
    index = GraphIndex(model)
    operations = [_operation(node, index, where) for node in model.graph.node]
    positions = {id(node): position for position, node in enumerate(model.graph.node)}
    layers = [
        _layer(operation, positions)
        for operation in operations
        if operation is not None and operation.operator.on_array is OnArray.RUNS and operation.has_weights
    ]
    for operation in operations:
        if operation is not None and operation.operator.on_array is OnArray.REFUSED:
            raise operation.refusal("does not run on the array", f"only {', '.join(SUPPORTED)} do")
    for graph in subgraphs(model.graph.node):
        for node in graph.node:
            inner = _operation(node, index, where)
            if inner is not None and inner.operator.on_array is not OnArray.HOST:
                raise inner.refusal("is inside an If, Loop or Scan", "layers of the array must be outside")
    if not layers:
        raise InputError(where, "has no layer for the array", f"it needs one of {', '.join(SUPPORTED)} with weights")
    return layers


def _operation(node: onnx.NodeProto, index: GraphIndex, where: str) -> Operation | None:
    operator = operator_of(node)
    return None if operator is None else Operation(node, operator, index, where)


def _layer(operation: Operation, positions: Mapping[int, int]) -> ArrayLayer:
    left, right = operation.operands()
    stored = stored_array(operation.index.initializers[right.name])
    geometry = _geometry(operation, stored.shape)
    layout = operation.operator.weights[0].layout(operation.node, stored.shape)
    weights = _weights(operation, stored, layout, right.zero_point)
    finish, target, nodes = finish_of(operation, _sum_scale(operation, left, right, layout), layout)
    return ArrayLayer(
        right.name,
        operation.label,
        left.name,
        target,
        operation.node,
        stored,
        right.zero_point,
        geometry,
        weights,
        int(left.zero_point.reshape(-1)[0]),
        finish,
        frozenset(positions[id(node)] for node in (operation.node, *nodes)),
    )


def _geometry(operation: Operation, shape: tuple[int, ...]) -> Geometry:
    """Return the geometry by which an operator's input becomes vectors."""
    geometry = geometry_of(operation.node, shape)
    if geometry is None or 0 in shape:
        right = (
            "the array takes a matrix" if operation.operator.reach is Reach.ROW else "they need channels and a kernel"
        )
        raise operation.refusal(f"has weights of the shape {shape}", right)
    if isinstance(geometry, Convolution):
        if geometry.groups < 1 or shape[0] % geometry.groups:
            raise operation.refusal(f"has {geometry.groups} groups", f"they must divide its {shape[0]} channels")
        declared = next((tuple(entry.ints) for entry in operation.node.attribute if entry.name == "kernel_shape"), None)
        if declared not in (None, geometry.kernel):
            raise operation.refusal("has a kernel_shape that is not that of its weights", "give the same")
    return geometry


def _weights(
    operation: Operation, stored: NDArray[np.generic], layout: Layout, points: NDArray[np.int32]
) -> NDArray[np.int8]:
    """Return weights less their zero point, by channel."""
    if points.size not in (1, layout.channels):
        raise operation.refusal(f"has {points.size} zero points of weights", "give one, or one for each output channel")
    rows = layout.to_channels(stored).astype(np.int32) - points.reshape(-1, 1)
    if rows.min() < -128 or rows.max() > 127:
        raise operation.refusal(
            f"has weights from {rows.min()} to {rows.max()} around their zero point",
            "they must fit 8 bits, -128 to 127",
        )
    if layout.length > LONGEST_SUM:
        raise operation.refusal(
            f"has channels of {layout.length} weights, whose sums could leave 32 bits",
            f"at most {LONGEST_SUM}",
        )
    return rows.astype(np.int8)


def _sum_scale(operation: Operation, left: Values, right: Values, layout: Layout) -> NDArray[np.float32] | None:
    """Return the real value of a sum of 1, float32 [channels] or [1]; None where later nodes hold the scale."""
    if left.scale is None or right.scale is None:
        return None
    if right.scale.size not in (1, layout.channels):
        raise operation.refusal(f"has {right.scale.size} scales of weights", "give one, or one for each output channel")
    return np.asarray(np.float32(factor(operation.node, "alpha")) * left.scale * right.scale, np.float32)
