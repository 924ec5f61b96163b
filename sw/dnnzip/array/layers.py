"""Which operators of an 8-bit network run on the array, and how; or which one cannot, and why.

A layer of the array is an operator with constant weights, with what quantises its operands, and with what follows it as
far as that is part of its arithmetic: a Relu or Clip, and the QuantizeLinear of its result.
"""

import math
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dnnzip.array.numerics import Finish, Requantised, Scaled, Unscaled, quantised
from dnnzip.errors import InputError
from dnnzip.onnx.geometry import Convolution, Geometry, geometry_of
from dnnzip.onnx.graph import GraphIndex, attribute, factor, is_standard, operand, subgraphs
from dnnzip.onnx.operators import DEQUANTIZED, OPERATORS, OnArray, Operand, Operator, Reach, WeightInput, operator_of
from dnnzip.onnx.rules import stored_array
from dnnzip.quantize.layout import Layout

LONGEST_CHANNEL = (2**31 - 1) // (128 * 255)
"""Weights of a channel whose sum cannot leave 32 bits: 65,793."""

EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)
QUANTISE = "quantise the model first with 'dnnzip quantize'"

SUPPORTED = tuple(operator.name for operator in OPERATORS if operator.on_array is OnArray.RUNS)
"""Operators that run on the array."""

BIAS_TOLERANCE = 1e-4
"""An int32 bias counts in steps of the sums' scale where its own scale is not further from that, as a share of it."""


@dataclass(frozen=True, eq=False)
class ArrayLayer:
    """An operator that runs on the array.

    Parameters
    ----------
    name
        The initializer that holds its weights.
    operator
        Type and name of the node.
    source, target
        The tensor of 8-bit activations that it reads, and the tensor that it gives.
    node
        The operator, by which its sums are checked.
    stored, points
        The weights as the network stores them, and their zero point: int32, one or one for each channel.
    geometry
        How its input becomes vectors.
    weights
        int8 [channels, length], less their zero point; each channel in storage order.
    zero_point
        Of the activations.
    finish
        What becomes of the sums.
    nodes
        Positions of the graph's nodes that it stands for.
    """

    name: str
    operator: str
    source: str
    target: str
    node: onnx.NodeProto
    stored: NDArray[np.generic]
    points: NDArray[np.int32]
    geometry: Geometry
    weights: NDArray[np.int8]
    zero_point: int
    finish: Finish
    nodes: frozenset[int]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names that it reads."""
        return (self.source,)

    @property
    def gives(self) -> tuple[str, ...]:
        """Names that it gives."""
        return (self.target,)

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def length(self) -> int:
        """Weights of a channel."""
        return self.weights.size // len(self.weights)


@dataclass(frozen=True)
class _Values:
    """A quantised operand of constant scale and zero point: the 8-bit tensor's name, its scale and zero point."""

    name: str
    scale: NDArray[np.float32] | None
    zero_point: NDArray[np.int32]


def find_layers(model: onnx.ModelProto, where: str) -> list[ArrayLayer]:
    """Find the layers that run on the array, in the order of the graph.

    Parameters
    ----------
    model
        A plain network (`dnnzip.onnx.container.decompressed`) whose Constant nodes are lifted
        (`dnnzip.onnx.graph.lift_constants`).
    where
        The file, for messages.

    Raises
    ------
    InputError
        An operator with weights cannot run on the array, or there is none.
    """
    finder = _Finder(model, where)
    rows = [(node, operator_of(node)) for node in model.graph.node]
    layers = [
        finder.layer(position, node, operator)
        for position, (node, operator) in enumerate(rows)
        if operator is not None and operator.on_array is OnArray.RUNS and finder.has_weights(node, operator)
    ]
    for node, operator in rows:
        if operator is not None and operator.on_array is OnArray.REFUSED:
            raise finder.refusal(node, "does not run on the array", f"only {', '.join(SUPPORTED)} do")
    for graph in subgraphs(model.graph.node):
        for node in graph.node:
            operator = operator_of(node)
            if operator is not None and operator.on_array is not OnArray.HOST:
                raise finder.refusal(node, "is inside an If, Loop or Scan", "layers of the array must be outside")
    if not layers:
        raise InputError(where, "has no layer for the array", f"it needs one of {', '.join(SUPPORTED)} with weights")
    return layers


class _Finder:
    """Looks at the operators of one model."""

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self._index = GraphIndex(model)
        self._positions = {id(node): position for position, node in enumerate(model.graph.node)}
        self._where = where

    def refusal(self, node: onnx.NodeProto, wrong: str, right: str) -> InputError:
        """Return the error that names an operator."""
        return InputError(f"{self._where}: {_label(node)}", wrong, right)

    def has_weights(self, node: onnx.NodeProto, operator: Operator) -> bool:
        """Whether an operator has constant weights; a product of two computed matrices has not, and is no layer."""
        sides = (operator.source, operator.weights[0])
        return operator.reach is not Reach.ROW or any(self._is_constant(operand(node, side.index)) for side in sides)

    def layer(self, position: int, node: onnx.NodeProto, operator: Operator) -> ArrayLayer:
        """Return the layer of an operator."""
        left, right = self._operands(node, operator)
        stored = stored_array(self._index.initializers[right.name])
        geometry = self._geometry(node, operator, stored.shape)
        layout = operator.weights[0].layout(node, stored.shape)
        weights = self._weights(node, stored, layout, right.zero_point)
        scale = self._sum_scale(node, left, right, layout)
        finish, target, nodes = self._finish(node, operator, scale, layout)
        zero_point = int(left.zero_point.reshape(-1)[0])
        return ArrayLayer(
            right.name,
            _label(node),
            left.name,
            target,
            node,
            stored,
            right.zero_point,
            geometry,
            weights,
            zero_point,
            finish,
            frozenset({position, *nodes}),
        )

    def _operands(self, node: onnx.NodeProto, operator: Operator) -> tuple[_Values, _Values]:
        """Return the activations and the weights of an operator."""
        source, weight = operator.source, operator.weights[0]
        if operator.reach is Reach.ROW and self._is_constant(operand(node, source.index)):
            raise self.refusal(node, "has its constant on the left", "the array takes weights on the right")
        if operator.is_integer:
            left = self._quantised(node, source, "input")
            right = self._quantised(node, weight, "weights")
        else:
            right = self._dequantised(node, weight, "weights")
            left = self._dequantised(node, source, "input")
        if left.zero_point.size != 1 or (left.scale is not None and left.scale.size != 1):
            raise self.refusal(node, "has activations of several scales or zero points", "give them one each")
        tensor = self._index.initializers.get(right.name)
        if tensor is None:
            raise self.refusal(node, "has computed weights", "they must be constants of the network")
        if tensor.data_type not in EIGHT_BITS:
            kind = TensorProto.DataType.Name(tensor.data_type).lower()
            raise self.refusal(node, f"has {kind} weights", "the array takes int8 and uint8")
        return left, right

    def _dequantised(self, node: onnx.NodeProto, position: Operand, role: str) -> _Values:
        """Return an operand of a float operator, behind its DequantizeLinear."""
        producer = self._index.producers.get(operand(node, position.index))
        if producer is None or producer.op_type != "DequantizeLinear" or not is_standard(producer):
            raise self.refusal(node, f"its {role} {'are' if role == 'weights' else 'is'} float", QUANTISE)
        found = self._quantised(producer, DEQUANTIZED, role, node)
        assert found.scale is not None
        if isinstance(position, WeightInput) and max(found.scale.size, found.zero_point.size) > 1:
            self._check_axis(node, position, found.name, attribute(producer, "axis", 1))
        return found

    def _check_axis(self, node: onnx.NodeProto, weight: WeightInput, name: str, axis: int) -> None:
        tensor = self._index.initializers.get(name)
        if tensor is None or not tensor.dims:
            return
        wanted = weight.layout(node, tuple(tensor.dims)).axis
        if axis % len(tensor.dims) != wanted:
            raise self.refusal(
                node, f"has weights with scales along axis {axis}", f"their output channels lie along axis {wanted}"
            )

    def _quantised(
        self, holder: onnx.NodeProto, position: Operand, role: str, node: onnx.NodeProto | None = None
    ) -> _Values:
        """Return an operand whose scale and zero point are inputs of ``holder``."""
        constants = self._index.initializers
        found: dict[str, NDArray[np.generic] | None] = {"scale": None, "zero point": None}
        for what, index in (("scale", position.scale), ("zero point", position.zero_point)):
            name = "" if index is None else operand(holder, index)
            if name and name not in constants:
                raise self.refusal(
                    node or holder, f"the {what} of its {role} is computed", f"it must be a constant; {QUANTISE}"
                )
            found[what] = stored_array(constants[name]) if name else None
        points = found["zero point"]
        if points is not None and points.dtype not in (np.int8, np.uint8):
            raise self.refusal(
                node or holder,
                f"its {role} {'are' if role == 'weights' else 'is'} {points.dtype}",
                "the array takes int8 and uint8",
            )
        scales = found["scale"]
        return _Values(
            operand(holder, position.index),
            None if scales is None else scales.astype(np.float32).reshape(-1),
            np.zeros(1, np.int32) if points is None else points.astype(np.int32).reshape(-1),
        )

    def _geometry(self, node: onnx.NodeProto, operator: Operator, shape: tuple[int, ...]) -> Geometry:
        """Return how an operator's input becomes vectors."""
        geometry = geometry_of(node, shape)
        if geometry is None or 0 in shape:
            right = "the array takes a matrix" if operator.reach is Reach.ROW else "they need channels and a kernel"
            raise self.refusal(node, f"has weights of the shape {shape}", right)
        if isinstance(geometry, Convolution):
            if geometry.groups < 1 or shape[0] % geometry.groups:
                raise self.refusal(node, f"has {geometry.groups} groups", f"they must divide its {shape[0]} channels")
            declared = next((tuple(entry.ints) for entry in node.attribute if entry.name == "kernel_shape"), None)
            if declared not in (None, geometry.kernel):
                raise self.refusal(node, "has a kernel_shape that is not that of its weights", "give the same")
        return geometry

    def _weights(
        self, node: onnx.NodeProto, stored: NDArray[np.generic], layout: Layout, points: NDArray[np.int32]
    ) -> NDArray[np.int8]:
        """Return weights less their zero point, by channel."""
        if points.size not in (1, layout.channels):
            raise self.refusal(
                node, f"has {points.size} zero points of weights", "give one, or one for each output channel"
            )
        rows = layout.to_channels(stored).astype(np.int32) - points.reshape(-1, 1)
        if rows.min() < -128 or rows.max() > 127:
            raise self.refusal(
                node,
                f"has weights from {rows.min()} to {rows.max()} around their zero point",
                "they must fit 8 bits, -128 to 127",
            )
        if layout.length > LONGEST_CHANNEL:
            raise self.refusal(
                node,
                f"has channels of {layout.length} weights, whose sums could leave 32 bits",
                f"at most {LONGEST_CHANNEL}",
            )
        return rows.astype(np.int8)

    def _sum_scale(
        self, node: onnx.NodeProto, left: _Values, right: _Values, layout: Layout
    ) -> NDArray[np.float32] | None:
        """Return what a sum of 1 stands for, float32 [channels] or [1]; None where later nodes hold the scale."""
        if left.scale is None or right.scale is None:
            return None
        if right.scale.size not in (1, layout.channels):
            raise self.refusal(
                node, f"has {right.scale.size} scales of weights", "give one, or one for each output channel"
            )
        return np.asarray(np.float32(factor(node, "alpha")) * left.scale * right.scale, np.float32)

    def _finish(
        self, node: onnx.NodeProto, operator: Operator, scale: NDArray[np.float32] | None, layout: Layout
    ) -> tuple[Finish, str, set[int]]:
        """Return what becomes of the sums, the name of the result, and the positions of further nodes that make it."""
        if scale is None:
            return Unscaled(), node.output[0], set()
        bias_name = "" if operator.bias is None else operand(node, operator.bias)
        if operator.result is not None:
            result = self._quantised(node, operator.result, "result")
            bias = self._int32_bias(node, bias_name, layout)
            dtype = self._type_of_point(node, operator.result)
            return self._requantised(node, scale, bias, result, dtype), node.output[0], set()
        bias, addend = self._bias(node, bias_name, scale, layout)
        if addend is None and (folded := self._fold(node, scale, bias)) is not None:
            return folded
        return Scaled(scale, bias, addend), node.output[0], set()

    def _fold(
        self, node: onnx.NodeProto, scale: NDArray[np.float32], bias: NDArray[np.int32]
    ) -> tuple[Requantised, str, set[int]] | None:
        """Follow a result over a Relu or Clip to its QuantizeLinear; None where there is none."""
        nodes: set[int] = set()
        limits: tuple[float, float] = (-math.inf, math.inf)
        behind = self._only_reader(node)
        if behind is not None and behind.op_type in ("Relu", "Clip"):
            found = self._limits(behind)
            if found is None:
                return None
            limits = found
            nodes.add(self._positions[id(behind)])
            behind = self._only_reader(behind)
        if behind is None or behind.op_type != "QuantizeLinear" or not is_standard(behind):
            return None
        constants = self._index.initializers
        if operand(behind, 1) not in constants or (operand(behind, 2) and operand(behind, 2) not in constants):
            return None
        if attribute(behind, "output_dtype", 0) or (
            operand(behind, 2) and constants[operand(behind, 2)].data_type not in EIGHT_BITS
        ):
            return None
        result = self._quantised(behind, DEQUANTIZED, "result")
        if result.scale is None or result.scale.size != 1 or result.zero_point.size != 1:
            return None
        nodes.add(self._positions[id(behind)])
        dtype = self._type_of_point(behind, DEQUANTIZED)
        return self._requantised(node, scale, bias, result, dtype, limits), behind.output[0], nodes

    def _requantised(
        self,
        node: onnx.NodeProto,
        scale: NDArray[np.float32],
        bias: NDArray[np.int32],
        result: _Values,
        dtype: np.dtype[np.generic],
        limits: tuple[float, float] = (-math.inf, math.inf),
    ) -> Requantised:
        if result.scale is None or result.scale.size != 1 or result.zero_point.size != 1:
            raise self.refusal(node, "has a result of several scales or zero points", "give it one each")
        y_scale, point = result.scale[0], int(result.zero_point[0])
        # Quantising is monotonic, so that limits of the value are limits of its code.
        low, high = (quantised(np.asarray(limit, np.float32), y_scale, point, dtype) for limit in limits)
        return Requantised(np.asarray(scale / y_scale, np.float32), bias, point, low, high, dtype)

    def _type_of_point(self, node: onnx.NodeProto, result: Operand) -> np.dtype[np.generic]:
        """Return the type of a result by its zero point; uint8 where that is left out."""
        name = "" if result.zero_point is None else operand(node, result.zero_point)
        return stored_array(self._index.initializers[name]).dtype if name else np.dtype(np.uint8)

    def _limits(self, node: onnx.NodeProto) -> tuple[float, float] | None:
        """Return the limits of a Relu or a Clip; None where they are computed."""
        if node.op_type == "Relu":
            return 0.0, math.inf
        limits = [-math.inf, math.inf]
        for side, name in enumerate(("min", "max")):
            given = next((float(entry.f) for entry in node.attribute if entry.name == name), None)
            constant = operand(node, 1 + side)
            if given is not None:
                limits[side] = given
            elif constant:
                value = self._constant(constant)
                if value is None or value.size != 1:
                    return None
                limits[side] = float(value.reshape(-1)[0])
        return limits[0], limits[1]

    def _constant(self, name: str) -> NDArray[np.float32] | None:
        """Return a constant, also one behind a DequantizeLinear, as float32; None for what is computed."""
        constants = self._index.initializers
        if name in constants:
            return stored_array(constants[name]).astype(np.float32)
        producer = self._index.producers.get(name)
        if producer is None or producer.op_type != "DequantizeLinear" or operand(producer, 0) not in constants:
            return None
        parts = [operand(producer, position) for position in range(3)]
        if any(part and part not in constants for part in parts):
            return None
        values = stored_array(constants[parts[0]]).astype(np.int64)
        points = stored_array(constants[parts[2]]).astype(np.int64) if parts[2] else np.zeros(1, np.int64)
        scales = stored_array(constants[parts[1]]).astype(np.float32)
        return np.asarray((values - points).astype(np.float32) * scales, np.float32)

    def _bias(
        self, node: onnx.NodeProto, name: str, scale: NDArray[np.float32], layout: Layout
    ) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Return the bias of a float operator: in steps of the sums where it is int32, otherwise as float32 values."""
        none = np.zeros(1, np.int32)
        beta = np.float32(factor(node, "beta"))
        if not name or beta == 0:
            return none, None
        producer = self._index.producers.get(name)
        if producer is not None and producer.op_type == "DequantizeLinear":
            parts = [self._index.initializers.get(operand(producer, position)) for position in range(2)]
            if all(part is not None for part in parts) and parts[0].data_type == TensorProto.INT32:  # type: ignore[union-attr]
                own = stored_array(self._index.initializers[operand(producer, 1)]).astype(np.float64).reshape(-1)
                point = operand(producer, 2)
                is_zero = not point or (
                    point in self._index.initializers and not stored_array(self._index.initializers[point]).any()
                )
                values = stored_array(self._index.initializers[operand(producer, 0)])
                is_row = values.size in (1, layout.channels) and values.ndim <= (1 if len(layout.shape) > 2 else 2)
                fits = own.size in (1, scale.size, layout.channels)
                if is_zero and is_row and fits and np.allclose(own * float(beta), scale, rtol=BIAS_TOLERANCE, atol=0):
                    return values.astype(np.int32).reshape(-1), None
        value = self._constant(name)
        if value is None:
            raise self.refusal(node, "has a computed bias", "it must be a constant of the network")
        return none, np.asarray(beta * value, np.float32)

    def _int32_bias(self, node: onnx.NodeProto, name: str, layout: Layout) -> NDArray[np.int32]:
        """Return the bias of a QLinearConv."""
        if not name:
            return np.zeros(1, np.int32)
        tensor = self._index.initializers.get(name)
        if tensor is None or tensor.data_type != TensorProto.INT32 or math.prod(tensor.dims) != layout.channels:
            raise self.refusal(node, "has a bias that is no constant of int32", f"give one of {layout.channels} values")
        return stored_array(tensor).astype(np.int32).reshape(-1)

    def _only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the node that alone reads a node's result, as its first input; None where others do."""
        use = self._index.only_reader(node)
        return use.node if use is not None and use.index == 0 and is_standard(use.node) else None

    def _is_constant(self, name: str) -> bool:
        """Return True for a constant, also one behind a DequantizeLinear."""
        producer = self._index.producers.get(name)
        if producer is not None and producer.op_type == "DequantizeLinear":
            name = operand(producer, 0)
        return name in self._index.initializers


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
