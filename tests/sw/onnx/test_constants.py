"""Constants wherever a model may store them: each is listed once, counted, and known for a weight where it is one."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession

import graphs
from dnnzip.onnx import rules
from dnnzip.onnx.constants import stored_bytes
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.reference_op import Decompress
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import verify
from graphs import value

OPSET = helper.make_opsetid("", 17)
W = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


def node(operator, inputs, output, **more):
    return helper.make_node(operator, inputs, [output], **more)


def constant(name, value=W, **attribute):
    return helper.make_node("Constant", [], [name], **(attribute or {"value": numpy_helper.from_array(value, name)}))


def body(name, nodes, initializers=(), inputs=()):
    made = graphs.body(nodes, name, initializers, name)
    made.input.extend(map(value, inputs))
    return made


def model(nodes, initializers=(), functions=(), sparse=()):
    made = graphs.model(nodes, {"x": None}, {"y": None}, initializers, opset=17, sparse_initializer=list(sparse))
    made.opset_import.extend([helper.make_opsetid("local", 1), helper.make_opsetid("other", 1)])
    made.functions.extend(functions)
    return made


def function(name, inputs, nodes, opset=17):
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, inputs, ["r"], nodes, opsets)


def sparse(name="w", array=W):
    places = np.flatnonzero(array > 0)
    return helper.make_sparse_tensor(
        numpy_helper.from_array(array.reshape(-1)[places], name), numpy_helper.from_array(places, "places"), array.shape
    )


YES = ("yes", np.array(True))
UNREAD, SPARSE = rules.is_read_as_weight.sentence, rules.is_dense.sentence
NO_FUNCTION = rules.is_outside_functions.sentence


def branches(*bodies, output="y"):
    return node("If", ["yes"], output, then_branch=bodies[0], else_branch=bodies[-1])


def behind(operator, inputs, initializers=(("w", W),), **attributes):
    return model([node(operator, inputs, "v", **attributes), node("MatMul", ["x", "v"], "y")], initializers)


def handed_on():
    return [
        function("Outer", ["a", "b"], [node("Lin", ["a", "b"], "r", domain="local")]),
        function("Lin", ["a", "b"], [node("MatMul", ["a", "b"], "r")]),
    ]


# Networks of one input [3, 8] that hide their weights, and the names of these.
FOUND = {
    "a Constant in each branch": (
        lambda: model(
            [branches(*(body(n, [constant("w"), node("MatMul", ["x", "w"], n)]) for n in ("a", "b")))], [YES]
        ),
        ["w.2", "w.3"],
    ),
    "an initializer of a body in a body": (
        lambda: model(
            [branches(body("a", [branches(body("b", [node("MatMul", ["x", "w"], "b")], [("w", W)]), output="a")]))],
            [YES],
        ),
        ["w.2", "w.3", "w.4", "w.5"],
    ),
    "an outer weight that a body transposes": (
        lambda: model(
            [branches(body("a", [node("Transpose", ["w"], "t"), node("MatMul", ["x", "t"], "a")]))], [YES, ("w", W.T)]
        ),
        ["w"],
    ),
    "a Constant in a function": (
        lambda: model(
            [node("Lin", ["x"], "y", domain="local")],
            functions=[function("Lin", ["a"], [constant("w"), node("MatMul", ["a", "w"], "r")])],
        ),
        1,
    ),
    "handed to a function": (
        lambda: model(
            [node("Lin", ["x", "w"], "y", domain="local")],
            [("w", W)],
            [function("Lin", ["a", "b"], [node("MatMul", ["a", "b"], "r")])],
        ),
        ["w"],
    ),
    "handed on by a function": (
        lambda: model([node("Outer", ["x", "w"], "y", domain="local")], [("w", W)], handed_on()),
        ["w"],
    ),
    "transposed by a function": (
        lambda: model(
            [node("Turn", ["w"], "v", domain="local"), node("MatMul", ["x", "v"], "y")],
            [("w", W.T)],
            [function("Turn", ["a"], [node("Transpose", ["a"], "r")])],
        ),
        ["w"],
    ),
    "transposed": (lambda: behind("Transpose", ["w"], [("w", W.T)]), ["w"]),
    "transposed twice": (
        lambda: model(
            [node("Transpose", ["w"], "t"), node("Transpose", ["t"], "v"), node("MatMul", ["x", "v"], "y")], [("w", W)]
        ),
        ["w"],
    ),
    "an Identity": (lambda: behind("Identity", ["w"]), ["w"]),
    "cast": (lambda: behind("Cast", ["w"], [("w", W.astype(np.float16))], to=TensorProto.FLOAT), ["w"]),
    "reshaped from a list": (
        lambda: behind("Reshape", ["w", "s"], [("w", W.reshape(-1)), ("s", np.array([8, 5]))]),
        ["w"],
    ),
    "reshaped from numbers of a node": (
        lambda: model(
            [
                constant("w", value_floats=W.reshape(-1).tolist()),
                node("Reshape", ["w", "s"], "v"),
                node("MatMul", ["x", "v"], "y"),
            ],
            [("s", np.array([8, 5]))],
        ),
        ["w"],
    ),
    "reshaped from four dimensions": (
        lambda: behind("Reshape", ["w", "s"], [("w", W.reshape(2, 4, 5, 1)), ("s", np.array([-1, 5]))]),
        ["w"],
    ),
    "squeezed": (lambda: behind("Squeeze", ["w", "s"], [("w", W[None]), ("s", np.array([0]))]), ["w"]),
    "scaled": (lambda: behind("Mul", ["w", "s"], [("w", W), ("s", W[:1])]), ["w"]),
    "scaled from the left": (lambda: behind("Mul", ["s", "w"], [("w", W), ("s", W[:1])]), ["w"]),
    "joined": (lambda: behind("Concat", ["w", "v0"], [("w", W[:4]), ("v0", W[4:])], axis=0), ["w", "v0"]),
    "sliced": (
        lambda: behind(
            "Slice", ["w", "b", "e"], [("w", np.tile(W, (2, 1))), ("b", np.array([8])), ("e", np.array([16]))]
        ),
        ["w"],
    ),
    "the left side": (
        lambda: model([node("Transpose", ["x"], "t"), node("MatMul", ["w", "t"], "y")], [("w", W.T)]),
        ["w"],
    ),
    "read by Shape too": (
        lambda: model(
            [
                node("Shape", ["w"], "s"),
                node("Cast", ["s"], "f", to=TensorProto.FLOAT),
                node("ReduceSum", ["f"], "g"),
                node("MatMul", ["x", "w"], "m"),
                node("Add", ["m", "g"], "y"),
            ],
            [("w", W)],
        ),
        ["w"],
    ),
    "read otherwise too": (
        lambda: model(
            [node("ReduceSum", ["w"], "g"), node("MatMul", ["x", "w"], "m"), node("Add", ["m", "g"], "y")], [("w", W)]
        ),
        ["w"],
    ),
    "of two layouts": (
        lambda: model([node("MatMul", ["x", "w"], "m"), node("Gemm", ["m", "w"], "y", transB=1)], [("w", W)]),
        ["w"],
    ),
    "a table and a product of one": (
        lambda: model(
            [
                constant("i", np.array([[0, 1, 4]])),
                node("Transpose", ["w"], "t"),
                node("Gather", ["t", "i"], "g"),
                node("MatMul", ["x", "w"], "m"),
                node("ReduceSum", ["g"], "s"),
                node("Add", ["m", "s"], "y"),
            ],
            [("w", W)],
        ),
        ["w"],
    ),
    "of an LSTM": (
        lambda: model(
            [node("Unsqueeze", ["x", "a"], "u"), node("LSTM", ["u", "w", "r"], "y", hidden_size=4)],
            [
                ("w", np.tile(W[:1], (1, 16, 1)).repeat(2, 2)[:, :, :8]),
                ("r", np.tile(W[:1], (1, 16, 1))[:, :, :4]),
                ("a", np.array([0])),
            ],
        ),
        ["w", "r"],
    ),
}

# The rule, and the names of the weights that are left out by it.
LEFT = {
    "handed to a Loop": (
        lambda: model(
            [
                node(
                    "Loop",
                    ["", "yes", "w"],
                    "y",
                    body=body("a", [node("MatMul", ["x", "inner"], "a")], inputs=["i", "go", "inner"]),
                )
            ],
            [YES, ("w", W)],
        ),
        UNREAD,
        ["w"],
    ),
    "in a function of another opset": (
        lambda: model(
            [node("Lin", ["x"], "y", domain="local")],
            functions=[function("Lin", ["a"], [constant("w"), node("MatMul", ["a", "w"], "r")], opset=9)],
        ),
        NO_FUNCTION,
        ["w"],
    ),
    "a sparse initializer": (lambda: model([node("MatMul", ["x", "w"], "y")], sparse=[sparse()]), SPARSE, ["w"]),
    "a sparse Constant": (
        lambda: model([constant("w", sparse_value=sparse()), node("MatMul", ["x", "w"], "y")]),
        SPARSE,
        ["w"],
    ),
    "of an unknown operator": (
        lambda: model([node("Magic", ["x", "w", "b"], "y", domain="other")], [("w", W), ("b", W[0])]),
        UNREAD,
        ["w"],
    ),
    "packed for an unknown operator": (
        lambda: model([node("MatMulNBits", ["x", "w"], "y", domain="other")], [("w", np.ones((5, 2, 4), np.uint8))]),
        UNREAD,
        ["w"],
    ),
}


@pytest.mark.parametrize("kind", FOUND)
def test_a_weight_that_the_graph_hides_is_found_and_the_network_computes_the_same(kind):
    build, names = FOUND[kind]
    original = build()
    feeds = {"x": np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)}
    compressed = compress(original, CompressionOptions(Bound.parse("0.001%"))).compressed
    found = [layer.name for layer in compressed.layers]
    assert len(found) == names if isinstance(names, int) else found == names
    plain = decompressed(compressed)
    wanted, got = (InferenceSession(m.SerializeToString()).run(None, feeds)[0] for m in (build(), plain))
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    assert verify(build(), compressed).differences == ()


@pytest.mark.parametrize("kind", FOUND)
def test_the_reference_operator_serves_weights_wherever_they_were(kind):
    feeds = {"x": np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)}
    compressed = compress(FOUND[kind][0](), CompressionOptions(Bound.parse("1%"))).compressed
    (found,) = ReferenceEvaluator(compressed.model, new_ops=[Decompress]).run(None, feeds)[:1]
    np.testing.assert_array_equal(found, ReferenceEvaluator(decompressed(compressed)).run(None, feeds)[0])


@pytest.mark.parametrize("kind", LEFT)
def test_a_weight_that_cannot_be_followed_is_left_out_and_counted(kind):
    build, rule, names = LEFT[kind]
    weights, left_out = find_weights(build())
    assert not weights
    assert [(item.name, item.rule, item.is_weight) for item in left_out] == [(name, rule, True) for name in names]


@pytest.mark.parametrize("operator", ["Add", "Concat"])
def test_what_no_operator_reads_as_its_weight_is_listed_and_not_counted(operator):
    nodes = [node(operator, ["table", "x"], "a", **({"axis": 0} if operator == "Concat" else {}))]
    network = model([*nodes, node("MatMul", ["a", "x"], "y")], [("table", W), ("shape", np.ones((4, 4), np.int64))])
    (item,) = find_weights(network)[1]
    assert (item.name, item.rule, item.is_weight) == ("table", UNREAD, False)


def test_indices_and_shapes_that_are_looked_up_are_no_weights():
    network = model([node("Gather", ["table", "x"], "y")], [("table", np.ones((4, 4), np.int64))])
    assert find_weights(network) == ([], [])


def test_a_name_of_a_body_is_not_the_outer_one():
    """The body has a tensor of its own under the name of an outer weight: each is a weight for itself."""
    inner = body("a", [node("MatMul", ["x", "w"], "a")], [("w", W)])
    written = body("b", [node("Abs", ["x"], "w"), node("MatMul", ["x", "w"], "b")])
    network = model(
        [node("If", ["yes"], "h", then_branch=inner, else_branch=written), node("MatMul", ["h", "w"], "y")],
        [YES, ("w", np.concatenate([W, W]))],
    )
    weights, left_out = find_weights(network)
    assert not left_out
    assert [(weight.name, weight.shape, len(weight.readers)) for weight in weights] == [
        ("w", (16, 5), 1),
        ("w.2", (8, 5), 1),
    ]
    # A body that reads the outer tensor before it writes the name does read it.
    (branch,) = (entry.g for entry in network.graph.node[0].attribute if entry.name == "else_branch")
    branch.node[0].op_type = "Relu"
    branch.node.insert(0, node("MatMul", ["x", "w"], "before"))
    assert [len(weight.readers) for weight in find_weights(network)[0]] == [2, 1]


def test_sparse_weights_are_counted_as_if_dense_and_their_bytes_as_stored():
    (item,) = find_weights(model([node("MatMul", ["x", "w"], "y")], sparse=[sparse()]))[1]
    stored = int((W > 0).sum())
    assert (item.shape, item.weights, item.bytes) == ((8, 5), 40, stored * (4 + 8))


BITS = {
    **dict.fromkeys(("INT2", "UINT2"), 2),
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), 6),
    **dict.fromkeys(("INT8", "UINT8", "BOOL", "FLOAT8E8M0", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2"), 8),
    "FLOAT8E5M2FNUZ": 8,
    **dict.fromkeys(("INT16", "UINT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("INT32", "UINT32", "FLOAT"), 32),
    **dict.fromkeys(("INT64", "UINT64", "DOUBLE", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}


def test_every_element_type_is_known():
    """A type that a later version of ONNX adds is to be looked at here."""
    assert set(TensorProto.DataType.keys()) <= {*BITS, "STRING", "UNDEFINED"}


@pytest.mark.parametrize("kind", sorted(set(BITS) & set(TensorProto.DataType.keys())))
@pytest.mark.parametrize("count", [12, 7])
def test_bytes_are_those_of_the_type_in_whatever_field_they_stand(kind, count):
    element_type = TensorProto.DataType.Value(kind)
    ones = [1] * count
    fields = helper.make_tensor("w", element_type, [count], ones)
    assert not fields.raw_data
    assert stored_bytes(fields) == -(-count * BITS[kind] // 8)
    raw = numpy_helper.from_array(numpy_helper.to_array(fields), "w")
    assert stored_bytes(raw) == len(raw.raw_data) == stored_bytes(fields)


def test_texts_and_unknown_types_have_the_bytes_that_they_take():
    assert stored_bytes(helper.make_tensor("w", TensorProto.STRING, [2], ["abc", "de"])) == 5
    assert stored_bytes(onnx.TensorProto(name="w", data_type=99, dims=[4], raw_data=b"1234567")) == 7
