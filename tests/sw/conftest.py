"""Small networks with every operator and weight type, and the way from a network to its compressed model."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
from onnx import TensorProto, helper

from dnnzip.encoding import encode_quantised
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.grid import Grid
from dnnzip.quantize.quantise import quantise
from graphs import network_of

FLOATS = {"float32": np.float32, "float16": np.float16}
INTEGERS = {"int8": np.int8, "uint8": np.uint8}

# operator: (weight shape, input shape, attributes, channels of the result)
OPERATORS = {
    "Conv1D": ("Conv", (6, 4, 3), (2, 4, 9), {}),
    "Conv2D": ("Conv", (6, 4, 3, 2), (2, 4, 8, 7), {}),
    "Conv3D": ("Conv", (4, 2, 2, 3, 2), (1, 2, 4, 5, 4), {}),
    "Depthwise": ("Conv", (6, 1, 3, 3), (1, 6, 5, 5), {"group": 6}),
    "ConvTranspose": ("ConvTranspose", (4, 3, 3, 2), (1, 4, 5, 4), {"group": 2}),
    "Gemm": ("Gemm", (8, 5), (3, 8), {}),
    "GemmTransposed": ("Gemm", (5, 8), (3, 8), {"transB": 1}),
    "MatMul": ("MatMul", (8, 5), (3, 8), {}),
    "MatMulBatched": ("MatMul", (2, 8, 5), (2, 3, 8), {}),
}


class Result(NamedTuple):
    """A weight, its grid and its codes."""

    weight: Weight
    grid: Grid
    codes: np.ndarray


def float_network(operator, dtype="float32", seed=0):
    """One operator that reads a float weight `w`."""
    rng = np.random.default_rng(seed)
    op, shape, x_shape, attributes = OPERATORS[operator]
    w = rng.normal(size=shape).astype(FLOATS[dtype])
    x = rng.normal(size=x_shape).astype(FLOATS[dtype])
    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    return network_of([node], {"w": w}, x, w.dtype, len(x))


def channel_axis(operator):
    op, shape, _, attributes = OPERATORS[operator]
    if op == "Conv":
        return 0
    if op == "ConvTranspose":
        return 1
    if op == "Gemm":
        return 0 if attributes.get("transB") else 1
    return len(shape) - 1


def integers(rng, shape, dtype):
    limits = np.iinfo(INTEGERS[dtype])
    return rng.integers(limits.min, limits.max + 1, shape).astype(INTEGERS[dtype])


def qdq_network(operator, dtype="int8", per_channel=False, seed=0, bias=False):
    """One operator that reads its weight `w` through DequantizeLinear."""
    rng = np.random.default_rng(seed)
    op, shape, x_shape, attributes = OPERATORS[operator]
    axis = channel_axis(operator)
    count = shape[axis]
    w = integers(rng, shape, dtype)
    scale = rng.uniform(0.01, 0.02, count if per_channel else ()).astype(np.float32)
    point = integers(rng, count if per_channel else (), dtype)
    x = rng.normal(size=x_shape).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_float"], axis=axis),
        helper.make_node(op, ["x", "w_float"], ["y"], **attributes),
    ]
    constants = {"w": w, "w_scale": scale, "w_zero": point}
    if bias:
        constants |= {
            "b": rng.integers(-5000, 5000, shape[0]).astype(np.int32),
            "b_scale": np.float32(0.02) * scale,
        }
        nodes[1].input.append("b_float")
        nodes.insert(0, helper.make_node("DequantizeLinear", ["b", "b_scale"], ["b_float"], axis=0))
    return network_of(nodes, constants, x, np.float32, len(x))


def qlinear_network(operator, dtype="int8", per_channel=False, seed=0, bias=False):
    """QLinearConv or QLinearMatMul with a weight `w`."""
    rng = np.random.default_rng(seed)
    shape, x_shape = ((6, 4, 3, 3), (1, 4, 8, 7)) if operator == "QLinearConv" else ((8, 5), (3, 8))
    count = shape[0] if operator == "QLinearConv" else shape[-1]
    x = integers(rng, x_shape, "uint8")
    constants = {
        "x_scale": np.float32(0.05),
        "x_zero": np.uint8(120),
        "w": integers(rng, shape, dtype),
        "w_scale": rng.uniform(0.01, 0.02, count if per_channel else ()).astype(np.float32),
        # Runtimes take a zero point by channel only where it is zero.
        "w_zero": np.zeros(count, INTEGERS[dtype]) if per_channel else np.asarray(INTEGERS[dtype](7)),
        "y_scale": np.float32(0.5),
        "y_zero": np.uint8(128),
    }
    inputs = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"]
    if bias:
        constants["b"] = rng.integers(-5000, 5000, shape[0]).astype(np.int32)
        inputs.append("b")
    nodes = [helper.make_node(operator, inputs, ["y"])]
    return network_of(nodes, constants, x, np.uint8, len(x))


def integer_network(operator, dtype="int8", scaled="constant", seed=0):
    """ConvInteger or MatMulInteger with a weight `w`, scaled behind it or not at all."""
    rng = np.random.default_rng(seed)
    shape, x_shape = ((6, 4, 3, 3), (1, 4, 8, 7)) if operator == "ConvInteger" else ((8, 5), (3, 8))
    x = integers(rng, x_shape, "uint8")
    constants = {"w": integers(rng, shape, dtype), "x_zero": np.uint8(120), "w_zero": INTEGERS[dtype](9)}
    nodes = [helper.make_node(operator, ["x", "w", "x_zero", "w_zero"], ["sums"])]
    if scaled == "no":
        nodes[0].output[0] = "y"
        return network_of(nodes, constants, x, np.int32, len(x))
    nodes.append(helper.make_node("Cast", ["sums"], ["sums_float"], to=TensorProto.FLOAT))
    constants["scale"] = np.float32(0.01)
    if scaled == "constant":
        nodes.append(helper.make_node("Mul", ["sums_float", "scale"], ["y"]))
    else:
        # As a dynamically quantised network has it: the input's scale is computed, the weight's is constant.
        constants["one"] = np.float32(1.5)
        nodes.append(helper.make_node("Abs", ["one"], ["x_scale"]))
        nodes.append(helper.make_node("Mul", ["x_scale", "scale"], ["both_scales"]))
        nodes.append(helper.make_node("Mul", ["sums_float", "both_scales"], ["y"]))
    return network_of(nodes, constants, x, np.float32, len(x))


def compress(model, bound="2%", scope=Scope.TENSOR):
    """Compress every weight of a model in memory; the compressed model and the results on the grid."""
    weights, _ = find_weights(model)
    quantised = [quantise(weight, Bound.parse(bound), scope) for weight in weights]
    tables, encoded = encode_quantised(weights, quantised)
    results = [Result(weight, item.grid, item.codes) for weight, item in zip(weights, quantised, strict=True)]
    return compressed_model(model, weights, encoded, tables), results


@pytest.fixture(scope="session")
def networks():
    """Return the builders of small networks."""
    return SimpleNamespace(
        float_network=float_network,
        qdq_network=qdq_network,
        qlinear_network=qlinear_network,
        integer_network=integer_network,
        compress=compress,
    )
