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

from dnnzip.array.geometry import Convolution, Geometry, Product
from dnnzip.array.numerics import Finish, Requantised, Scaled, Unscaled, quantised
from dnnzip.errors import InputError
from dnnzip.onnx.constants import WEIGHT_INPUT
from dnnzip.onnx.graph import GraphIndex, attribute, is_standard, operand, subgraphs
from dnnzip.onnx.rules import stored_array
from dnnzip.quantize.layout import Layout

LONGEST_SUM = (2**31 - 1) // (128 * 255)
"""Weights of a channel whose sum cannot leave 32 bits: 65,793."""

EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)
QUANTISE = "quantise the model first with 'dnnzip quantize'"

SUPPORTED = ("Conv", "Gemm", "MatMul", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
"""Operators that run on the array."""

UNSUPPORTED = ("ConvTranspose", "DeformConv", "LSTM", "GRU", "RNN", "QGemm", "FusedConv", "FusedGemm", "FusedMatMul")
"""Operators with weights of their own that do not."""

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
    geometry: Geometry
    weights: NDArray[np.int8]
    zero_point: int
    finish: Finish
    nodes: frozenset[int]

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.weights)

    @property
    def length(self) -> int:
        """Weights of a channel."""
        return self.weights.size // len(self.weights)


@dataclass(frozen=True)
class _Operand:
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
    layers = [
        finder.layer(position, node)
        for position, node in enumerate(model.graph.node)
        if is_standard(node) and node.op_type in SUPPORTED and finder.has_weights(node)
    ]
    for node in model.graph.node:
        if node.op_type in UNSUPPORTED:
            raise finder.refusal(node, "does not run on the array", f"only {', '.join(SUPPORTED)} do")
    for graph in subgraphs(model.graph.node):
        for node in graph.node:
            if node.op_type in SUPPORTED + UNSUPPORTED:
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

    def has_weights(self, node: onnx.NodeProto) -> bool:
        """Whether an operator has constant weights; a product of two computed matrices has not, and is no layer."""
        if node.op_type not in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"):
            return True
        index = self._index
        return any(
            name in index.initializers or self._dequantised_initializer(name)
            for name in (operand(node, 0), operand(node, WEIGHT_INPUT[node.op_type]))
        )

    def layer(self, position: int, node: onnx.NodeProto) -> ArrayLayer:
        """Return the layer of an operator."""
        left, right = self._operands(node)
        stored = stored_array(self._index.initializers[right.name])
        geometry, layout = self._geometry(node, stored.shape)
        weights = self._weights(node, stored, layout, right.zero_point)
        scale = self._sum_scale(node, left, right, layout)
        finish, target, nodes = self._finish(node, scale, layout)
        zero_point = int(left.zero_point.reshape(-1)[0])
        return ArrayLayer(
            right.name,
            _label(node),
            left.name,
            target,
            geometry,
            weights,
            zero_point,
            finish,
            frozenset({position, *nodes}),
        )

    def _operands(self, node: onnx.NodeProto) -> tuple[_Operand, _Operand]:
        """Return the activations and the weights of an operator."""
        if node.op_type in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"):
            name = operand(node, 0)
            if name in self._index.initializers or self._dequantised_initializer(name):
                raise self.refusal(node, "has its constant on the left", "the array takes weights on the right")
        match node.op_type:
            case "Conv" | "Gemm" | "MatMul":
                right = self._dequantised(node, 1, "weights")
                left = self._dequantised(node, 0, "input")
            case "QLinearConv" | "QLinearMatMul":
                left = self._quantised(node, 0, 1, 2, "input")
                right = self._quantised(node, 3, 4, 5, "weights")
            case _:
                left = self._quantised(node, 0, None, 2, "input")
                right = self._quantised(node, 1, None, 3, "weights")
        if left.zero_point.size != 1 or (left.scale is not None and left.scale.size != 1):
            raise self.refusal(node, "has activations of several scales or zero points", "give them one each")
        tensor = self._index.initializers.get(right.name)
        if tensor is None:
            raise self.refusal(node, "has computed weights", "they must be constants of the network")
        if tensor.data_type not in EIGHT_BITS:
            kind = TensorProto.DataType.Name(tensor.data_type).lower()
            raise self.refusal(node, f"has {kind} weights", "the array takes int8 and uint8")
        return left, right

    def _dequantised(self, node: onnx.NodeProto, index: int, role: str) -> _Operand:
        """Return an operand of a float operator, behind its DequantizeLinear."""
        name = operand(node, index)
        producer = self._index.producers.get(name)
        if producer is None or producer.op_type != "DequantizeLinear" or not is_standard(producer):
            raise self.refusal(node, f"its {role} {'are' if role == 'weights' else 'is'} float", QUANTISE)
        axis = attribute(producer, "axis", 1)
        found = self._quantised(producer, 0, 1, 2, role, node)
        assert found.scale is not None
        if role == "weights" and max(found.scale.size, found.zero_point.size) > 1:
            self._check_axis(node, found.name, axis)
        return found

    def _check_axis(self, node: onnx.NodeProto, name: str, axis: int) -> None:
        tensor = self._index.initializers.get(name)
        if tensor is None or not tensor.dims:
            return
        wanted = _channel_axis(node, len(tensor.dims))
        if axis % len(tensor.dims) != wanted:
            raise self.refusal(
                node, f"has weights with scales along axis {axis}", f"their output channels lie along axis {wanted}"
            )

    def _quantised(
        self,
        holder: onnx.NodeProto,
        index: int,
        scale: int | None,
        zero_point: int,
        role: str,
        node: onnx.NodeProto | None = None,
    ) -> _Operand:
        """Return an operand whose scale and zero point are inputs of ``holder``."""
        constants = self._index.initializers
        found: dict[str, NDArray[np.generic] | None] = {"scale": None, "zero point": None}
        for what, position in (("scale", scale), ("zero point", zero_point)):
            name = "" if position is None else operand(holder, position)
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
        return _Operand(
            operand(holder, index),
            None if scales is None else scales.astype(np.float32).reshape(-1),
            np.zeros(1, np.int32) if points is None else points.astype(np.int32).reshape(-1),
        )

    def _geometry(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> tuple[Geometry, Layout]:
        """Return how an operator's input becomes vectors, and where the channels of its weights are."""
        if node.op_type not in ("Conv", "QLinearConv", "ConvInteger"):
            if len(shape) != 2 or 0 in shape:
                raise self.refusal(node, f"has weights of the shape {shape}", "the array takes a matrix")
            transposed = node.op_type == "Gemm" and attribute(node, "transA", 0) != 0
            return Product(transposed), Layout(shape, _channel_axis(node, 2))
        if len(shape) < 3 or 0 in shape:
            raise self.refusal(node, f"has weights of the shape {shape}", "they need channels and a kernel")
        rank = len(shape) - 2
        lists = {entry.name: tuple(map(int, entry.ints)) for entry in node.attribute}
        auto_pad = next(
            (entry.s.decode(errors="replace") for entry in node.attribute if entry.name == "auto_pad"), "NOTSET"
        )
        pads = lists.get("pads", (0,) * (2 * rank)) if auto_pad == "NOTSET" else (0,) * (2 * rank)
        geometry = Convolution(
            shape[2:],
            lists.get("strides", (1,) * rank),
            lists.get("dilations", (1,) * rank),
            tuple(zip(pads[:rank], pads[rank:], strict=True)),
            auto_pad,
            attribute(node, "group", 1),
        )
        if geometry.groups < 1 or shape[0] % geometry.groups:
            raise self.refusal(node, f"has {geometry.groups} groups", f"they must divide its {shape[0]} channels")
        if lists.get("kernel_shape", geometry.kernel) != geometry.kernel:
            raise self.refusal(node, "has a kernel_shape that is not that of its weights", "give the same")
        return geometry, Layout(shape, 0)

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
        if layout.length > LONGEST_SUM:
            raise self.refusal(
                node,
                f"has channels of {layout.length} weights, whose sums could leave 32 bits",
                f"at most {LONGEST_SUM}",
            )
        return rows.astype(np.int8)

    def _sum_scale(
        self, node: onnx.NodeProto, left: _Operand, right: _Operand, layout: Layout
    ) -> NDArray[np.float32] | None:
        """Return what a sum of 1 stands for, float32 [channels] or [1]; None where later nodes hold the scale."""
        if left.scale is None or right.scale is None:
            return None
        if right.scale.size not in (1, layout.channels):
            raise self.refusal(
                node, f"has {right.scale.size} scales of weights", "give one, or one for each output channel"
            )
        alpha = _float_attribute(node, "alpha") if node.op_type == "Gemm" else np.float32(1)
        return np.asarray(alpha * left.scale * right.scale, np.float32)

    def _finish(
        self, node: onnx.NodeProto, scale: NDArray[np.float32] | None, layout: Layout
    ) -> tuple[Finish, str, set[int]]:
        """Return what becomes of the sums, the name of the result, and the positions of further nodes that make it."""
        none = np.zeros(1, np.int32)
        if scale is None:
            return Unscaled(), node.output[0], set()
        if node.op_type in ("QLinearConv", "QLinearMatMul"):
            result = self._quantised(node, 0, 6, 7, "result")
            bias = self._int32_bias(node, operand(node, 8), layout) if node.op_type == "QLinearConv" else none
            dtype = self._type_of_point(operand(node, 7))
            return self._requantised(node, scale, bias, result, dtype), node.output[0], set()
        bias, addend = self._bias(node, scale, layout)
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
        result = self._quantised(behind, 0, 1, 2, "result")
        if result.scale is None or result.scale.size != 1 or result.zero_point.size != 1:
            return None
        nodes.add(self._positions[id(behind)])
        dtype = self._type_of_point(operand(behind, 2))
        return self._requantised(node, scale, bias, result, dtype, limits), behind.output[0], nodes

    def _requantised(
        self,
        node: onnx.NodeProto,
        scale: NDArray[np.float32],
        bias: NDArray[np.int32],
        result: _Operand,
        dtype: np.dtype[np.generic],
        limits: tuple[float, float] = (-math.inf, math.inf),
    ) -> Requantised:
        if result.scale is None or result.scale.size != 1 or result.zero_point.size != 1:
            raise self.refusal(node, "has a result of several scales or zero points", "give it one each")
        y_scale, point = result.scale[0], int(result.zero_point[0])
        # Quantising is monotonic, so that limits of the value are limits of its code.
        low, high = (quantised(np.asarray(limit, np.float32), y_scale, point, dtype) for limit in limits)
        return Requantised(np.asarray(scale / y_scale, np.float32), bias, point, low, high, dtype)

    def _type_of_point(self, name: str) -> np.dtype[np.generic]:
        """Return the type of a result by its zero point; uint8 where that is left out."""
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
        self, node: onnx.NodeProto, scale: NDArray[np.float32], layout: Layout
    ) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """Return the bias of a float operator: in steps of the sums where it is int32, otherwise as float32 values."""
        none = np.zeros(1, np.int32)
        name = operand(node, 2) if node.op_type in ("Conv", "Gemm") else ""
        beta = _float_attribute(node, "beta") if node.op_type == "Gemm" else np.float32(1)
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
                is_row = values.size in (1, layout.channels) and values.ndim <= 1 + (node.op_type == "Gemm")
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
        """Return the node that alone reads a node's result; None where others do, or it is an output."""
        readers = self._index.readers(node.output[0])
        if len(readers) != 1 or not self._index.is_only_read_by(node.output[0], readers[0].node):
            return None
        return readers[0].node if readers[0].index == 0 and is_standard(readers[0].node) else None

    def _dequantised_initializer(self, name: str) -> bool:
        producer = self._index.producers.get(name)
        return (
            producer is not None
            and producer.op_type == "DequantizeLinear"
            and operand(producer, 0) in self._index.initializers
        )


def _channel_axis(node: onnx.NodeProto, rank: int) -> int:
    """Return the axis of the output channels in an operator's weights of so many dimensions."""
    if node.op_type in ("Conv", "QLinearConv", "ConvInteger"):
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return rank - 1


def _float_attribute(node: onnx.NodeProto, name: str) -> np.float32:
    """Return a float attribute of Gemm, 1 where it is left out."""
    return np.float32(next((entry.f for entry in node.attribute if entry.name == name), 1.0))


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
