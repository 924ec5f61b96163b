"""Results from an operator's sums: its bias, and the operators behind it that are part of its arithmetic."""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dnnzip.array.numerics import Finish, Requantised, Scaled, Unscaled, quantised
from dnnzip.array.operation import EIGHT_BITS, Operation, Values
from dnnzip.onnx.graph import attribute, factor, is_standard, operand
from dnnzip.onnx.operators import DEQUANTIZED
from dnnzip.onnx.rules import stored_array
from dnnzip.quantize.layout import Layout

BIAS_TOLERANCE = 1e-4
"""An int32 bias counts in steps of the sums' scale where its own scale is not further from that, as a share of it."""


def finish_of(
    operation: Operation, scale: NDArray[np.float32] | None, layout: Layout
) -> tuple[Finish, str, list[onnx.NodeProto]]:
    """Return the conversion of the sums, the name of the result, and the further nodes that make it.

    Parameters
    ----------
    scale
        Real value of a sum of 1, float32 [channels] or [1]; None where the sums stay as they are.
    """
    node, operator = operation.node, operation.operator
    if scale is None:
        return Unscaled(), node.output[0], []
    bias_name = "" if operator.bias is None else operand(node, operator.bias)
    if operator.result is not None:
        result = operation.quantised(node, operator.result, "result")
        if not result.is_single:
            raise operation.refusal("has a result of several scales or zero points", "give it one each")
        return _requantised(scale, _int32_bias(operation, bias_name, layout), result), node.output[0], []
    bias, addend = _bias(operation, bias_name, scale, layout)
    if addend is None and (folded := _fold(operation, scale, bias)) is not None:
        return folded
    return Scaled(scale, bias, addend), node.output[0], []


def _fold(
    operation: Operation, scale: NDArray[np.float32], bias: NDArray[np.int32]
) -> tuple[Requantised, str, list[onnx.NodeProto]] | None:
    """Follow a result over a Relu or Clip to its QuantizeLinear; None where there is none."""
    nodes: list[onnx.NodeProto] = []
    limits: tuple[float, float] = (-math.inf, math.inf)
    behind = operation.only_reader(operation.node)
    if behind is not None and behind.op_type in ("Relu", "Clip"):
        found = _limits(operation, behind)
        if found is None:
            return None
        limits = found
        nodes.append(behind)
        behind = operation.only_reader(behind)
    if behind is None or behind.op_type != "QuantizeLinear" or not is_standard(behind):
        return None
    constants = operation.index.initializers
    if operand(behind, 1) not in constants or (operand(behind, 2) and operand(behind, 2) not in constants):
        return None
    if attribute(behind, "output_dtype", 0) or (
        operand(behind, 2) and constants[operand(behind, 2)].data_type not in EIGHT_BITS
    ):
        return None
    result = operation.quantised(behind, DEQUANTIZED, "result")
    if not result.is_single:
        return None
    return _requantised(scale, bias, result, limits), behind.output[0], [*nodes, behind]


def _requantised(
    scale: NDArray[np.float32],
    bias: NDArray[np.int32],
    result: Values,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Requantised:
    assert result.scale is not None, "a result of 8 bits has a scale"
    y_scale, point = result.scale[0], int(result.zero_point[0])
    # Quantising is monotonic, so that limits of the value are limits of its code.
    low, high = (quantised(np.asarray(limit, np.float32), y_scale, point, result.dtype) for limit in limits)
    return Requantised(np.asarray(scale / y_scale, np.float32), bias, point, low, high, result.dtype)


def _limits(operation: Operation, node: onnx.NodeProto) -> tuple[float, float] | None:
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
            value = operation.constant(constant)
            if value is None or value.size != 1:
                return None
            limits[side] = float(value.reshape(-1)[0])
    return limits[0], limits[1]


def _bias(
    operation: Operation, name: str, scale: NDArray[np.float32], layout: Layout
) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
    """Return the bias of a float operator: in steps of the sums where it is int32, otherwise as float32 values."""
    none = np.zeros(1, np.int32)
    beta = np.float32(factor(operation.node, "beta"))
    if not name or beta == 0:
        return none, None
    producer = operation.index.producers.get(name)
    if producer is not None and producer.op_type == "DequantizeLinear":
        parts = [operation.index.initializers.get(operand(producer, position)) for position in range(2)]
        if all(part is not None for part in parts) and parts[0].data_type == TensorProto.INT32:  # type: ignore[union-attr]
            own = stored_array(operation.index.initializers[operand(producer, 1)]).astype(np.float64).reshape(-1)
            point = operand(producer, 2)
            is_zero = not point or (
                point in operation.index.initializers and not stored_array(operation.index.initializers[point]).any()
            )
            values = stored_array(operation.index.initializers[operand(producer, 0)])
            is_row = values.size in (1, layout.channels) and values.ndim <= (1 if len(layout.shape) > 2 else 2)
            fits = own.size in (1, scale.size, layout.channels)
            if is_zero and is_row and fits and np.allclose(own * float(beta), scale, rtol=BIAS_TOLERANCE, atol=0):
                return values.astype(np.int32).reshape(-1), None
    value = operation.constant(name)
    if value is None:
        raise operation.refusal("has a computed bias", "it must be a constant of the network")
    return none, np.asarray(beta * value, np.float32)


def _int32_bias(operation: Operation, name: str, layout: Layout) -> NDArray[np.int32]:
    """Return the bias of a QLinearConv."""
    if not name:
        return np.zeros(1, np.int32)
    tensor = operation.index.initializers.get(name)
    if tensor is None or tensor.data_type != TensorProto.INT32 or math.prod(tensor.dims) != layout.channels:
        raise operation.refusal("has a bias that is no constant of int32", f"give one of {layout.channels} values")
    return stored_array(tensor).astype(np.int32).reshape(-1)
