"""Networks with all that a file may hold, and how each is compressed."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

import graphs
from dnnzip.codec import CodecOptions
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases.compress import CompressionOptions, compress

SEED = 14


def copy(model):
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    return fresh


def branch(operator, name):
    nodes = [
        helper.make_node(operator, ["sum"], [f"{name}.inner"]),
        helper.make_node("Add", [f"{name}.inner", f"{name}.own"], [f"{name}.out"], name=f"{name}.add"),
    ]
    return graphs.body(nodes, f"{name}.out", {f"{name}.own": np.array([0.5, -0.5, 1.0], np.float32)}, name)


def rich_network(*_):
    """Return a network with all that a file may hold: a body, a function, constants, annotations, a left-out weight."""
    rng = np.random.default_rng(SEED)

    def array(*shape):
        return rng.normal(size=shape).astype(np.float32)

    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "mask"),
        numpy_helper.from_array(np.array([0, 2], np.int64), "mask.indices"),
        [1, 3],
    )
    nodes = [
        helper.make_node("Constant", [], ["shift"], value=numpy_helper.from_array(array(1, 5))),
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["c"], ["r"], name="leaky", alpha=0.1),
        helper.make_node("Flatten", ["r"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc.w", "fc.b"], ["g"], name="fc", transB=1, beta=0.5),
        helper.make_node("Sub", ["g", "shift"], ["d"], name="sub"),
        helper.make_node("Twice", ["d"], ["t"], name="twice", domain="local"),
        helper.make_node("MatMul", ["t", "last.w"], ["m"], name="last"),
        helper.make_node("Add", ["m", "mask"], ["sum"], name="masked"),
        helper.make_node(
            "If", ["is_first"], ["y"], name="if", then_branch=branch("Relu", "then"), else_branch=branch("Abs", "else")
        ),
    ]
    shapes = {"conv.w": (4, 2, 3, 3), "conv.b": (4,), "fc.w": (5, 36), "fc.b": (5,), "last.w": (5, 3)}
    model = graphs.model(
        nodes,
        {"x": ["n", 2, 6, 6]},
        {"y": [1, 3], "g": [1, 5]},
        {name: array(*shape) for name, shape in shapes.items()} | {"is_first": np.array(True)},
        value_info=graphs.values({"r": ["n", 4, 3, 3], "fc.w": [5, 36], "t": [1, 5]}),
        sparse_initializer=[sparse],
    )
    addition = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], [addition], model.opset_import))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.producer_name = "a test"
    helper.set_model_props(model, {"classes": "a,b,c"})
    return model


def old_network(*_):
    """Return a network of version 3, whose initializers are inputs as well, with a bias that two layers share."""
    rng = np.random.default_rng(SEED)
    shapes = {"w1": (4, 6), "w2": (6, 6), "b": (6,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b"], ["y"]),
    ]
    return graphs.model(nodes, {"x": [2, 4]} | shapes, {"y": [2, 6]}, arrays, opset=9, ir_version=3)


#: Name to the network and how it is compressed.
CASES = {
    "rich": (rich_network, "5%", {"exclude": ("last*",)}),
    "rich, raw": (rich_network, "5%", {"codec": CodecOptions("raw")}),
    "rich, lines by channel": (rich_network, "5%", {"codec": CodecOptions("line"), "scope": Scope.CHANNEL}),
    "old": (old_network, "3%", {}),
    "float16": (lambda n: n.float_network("ConvTranspose", "float16").model, "4%", {"scope": Scope.CHANNEL}),
    "QDQ": (lambda n: n.qdq_network("Conv2D", "uint8", per_channel=True, bias=True).model, "2lsb", {}),
    "QDQ without loss": (lambda n: n.qdq_network("Gemm", "uint8", per_channel=True).model, "0lsb", {}),
    "QDQ, far beyond the range": (lambda n: n.qdq_network("Gemm").model, "100%", {}),
    "QLinear": (lambda n: n.qlinear_network("QLinearConv", bias=True).model, "1lsb", {}),
    "integer": (lambda n: n.integer_network("MatMulInteger").model, "1lsb", {}),
    "integer, dynamic": (lambda n: n.integer_network("ConvInteger", scaled="dynamic").model, "3%", {}),
}


def made(networks, case):
    """Return the original and its compressed model."""
    build, bound, options = CASES[case]
    model = build(networks)
    original = copy(model)
    return original, compress(model, CompressionOptions(Bound.parse(bound), **options)).compressed.model
