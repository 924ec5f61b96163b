"""Networks with all that a file may hold, and how each is compressed."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases.compress import CompressionOptions, compress

SEED = 14


def copy(model):
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    return fresh


def value(name, shape, data_type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, data_type, shape)


def branch(operator, name):
    own = numpy_helper.from_array(np.array([0.5, -0.5, 1.0], np.float32), f"{name}.own")
    nodes = [
        helper.make_node(operator, ["sum"], [f"{name}.inner"]),
        helper.make_node("Add", [f"{name}.inner", f"{name}.own"], [f"{name}.out"], name=f"{name}.add"),
    ]
    return helper.make_graph(nodes, name, [], [value(f"{name}.out", [1, 3])], [own])


def rich_network(*_):
    """Return a network with all that a file may hold: a body, a function, constants, annotations, a left-out weight."""
    rng = np.random.default_rng(SEED)

    def array(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "mask"),
        numpy_helper.from_array(np.array([0, 2], np.int64), "mask.indices"),
        [1, 3],
    )
    nodes = [
        helper.make_node("Constant", [], ["shift"], value=array("", 1, 5)),
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["c"], ["r"], name="leaky", alpha=0.1),
        helper.make_node("Flatten", ["r"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc.w", "fc.b"], ["g"], name="fc", transB=1, beta=0.5),
        helper.make_node("Sub", ["g", "shift"], ["d"], name="sub"),
        helper.make_node("Twice", ["d"], ["t"], name="twice", domain="local"),
        helper.make_node("MatMul", ["t", "last.w"], ["m"], name="last"),
        helper.make_node("Add", ["m", "mask"], ["sum"], name="masked"),
        helper.make_node(
            "If",
            ["is_first"],
            ["y"],
            name="if",
            then_branch=branch("Relu", "then"),
            else_branch=branch("Abs", "else"),
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "rich",
        [value("x", ["n", 2, 6, 6])],
        [value("y", [1, 3]), value("g", [1, 5])],
        [
            array("conv.w", 4, 2, 3, 3),
            array("conv.b", 4),
            array("fc.w", 5, 36),
            array("fc.b", 5),
            array("last.w", 5, 3),
            numpy_helper.from_array(np.array(True), "is_first"),
        ],
        value_info=[value("r", ["n", 4, 3, 3]), value("fc.w", [5, 36]), value("t", [1, 5])],
        sparse_initializer=[sparse],
    )
    twice = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 19)]
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("local", 1)],
        functions=[twice],
        ir_version=9,
        producer_name="a test",
    )
    helper.set_model_props(model, {"classes": "a,b,c"})
    return model


def old_network(*_):
    """Return a network of version 3, whose initializers are inputs as well, with a bias that two layers share."""
    rng = np.random.default_rng(SEED)
    tensors = {
        "w1": rng.normal(size=(4, 6)).astype(np.float32),
        "w2": rng.normal(size=(6, 6)).astype(np.float32),
        "b": rng.normal(size=6).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b"], ["y"]),
        ],
        "old",
        [value("x", [2, 4]), *(value(name, array.shape) for name, array in tensors.items())],
        [value("y", [2, 6])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3)


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
