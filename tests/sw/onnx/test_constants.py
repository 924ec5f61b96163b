"""Constants wherever a model may store them: each is listed once, counted, and known for a weight where it is one."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphs
from dnnzip.onnx import rules
from dnnzip.onnx.constants import stored_bytes
from dnnzip.onnx.weights import find_weights
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


def function(name, inputs, nodes):
    return helper.make_function("local", name, inputs, ["r"], nodes, [OPSET, helper.make_opsetid("local", 1)])


def sparse(name="w", array=W):
    places = np.flatnonzero(array > 0)
    return helper.make_sparse_tensor(
        numpy_helper.from_array(array.reshape(-1)[places], name), numpy_helper.from_array(places, "places"), array.shape
    )


YES = ("yes", np.array(True))
NO_BODY, NO_FUNCTION = rules.is_outside_subgraphs.sentence, rules.is_outside_functions.sentence
UNREAD, SPARSE = rules.is_read_as_weight.sentence, rules.is_dense.sentence


def branches(*bodies):
    return node("If", ["yes"], "y", then_branch=bodies[0], else_branch=bodies[-1])


def behind(operator, inputs, initializers=(("w", W),), **attributes):
    return model([node(operator, inputs, "v", **attributes), node("MatMul", ["x", "v"], "y")], initializers)


# The rule, and the names of the weights that are left out by it.
HIDDEN = {
    "a Constant in each branch": (
        lambda: model(
            [branches(*(body(n, [constant("w"), node("MatMul", ["x", "w"], n)]) for n in ("a", "b")))], [YES]
        ),
        NO_BODY,
        ["w", "w"],
    ),
    "an initializer of a body in a body": (
        lambda: model(
            [branches(body("a", [branches(body("b", [node("MatMul", ["x", "w"], "b")], [("w", W)]))]))], [YES]
        ),
        NO_BODY,
        ["w"] * 4,
    ),
    "an outer weight that a body transposes": (
        lambda: model(
            [branches(body("a", [node("Transpose", ["w"], "t"), node("MatMul", ["x", "t"], "a")]))], [YES, ("w", W)]
        ),
        UNREAD,
        ["w"],
    ),
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
    "a Constant in a function": (
        lambda: model(
            [node("Lin", ["x"], "y", domain="local")],
            functions=[function("Lin", ["a"], [constant("w"), node("MatMul", ["a", "w"], "r")])],
        ),
        NO_FUNCTION,
        ["w"],
    ),
    "handed to a function": (
        lambda: model(
            [node("Lin", ["x", "w"], "y", domain="local")],
            [("w", W)],
            [function("Lin", ["a", "b"], [node("MatMul", ["a", "b"], "r")])],
        ),
        NO_FUNCTION,
        ["w"],
    ),
    "handed on by a function": (
        lambda: model(
            [node("Outer", ["x", "w"], "y", domain="local")],
            [("w", W)],
            [
                function("Outer", ["a", "b"], [node("Lin", ["a", "b"], "r", domain="local")]),
                function("Lin", ["a", "b"], [node("MatMul", ["a", "b"], "r")]),
            ],
        ),
        NO_FUNCTION,
        ["w"],
    ),
    "transposed by a function": (
        lambda: model(
            [node("Turn", ["w"], "v", domain="local"), node("MatMul", ["x", "v"], "y")],
            [("w", W)],
            [function("Turn", ["a"], [node("Transpose", ["a"], "r")])],
        ),
        UNREAD,
        ["w"],
    ),
    "a sparse initializer": (lambda: model([node("MatMul", ["x", "w"], "y")], sparse=[sparse()]), SPARSE, ["w"]),
    "a sparse Constant": (
        lambda: model([constant("w", sparse_value=sparse()), node("MatMul", ["x", "w"], "y")]),
        SPARSE,
        ["w"],
    ),
    "transposed": (lambda: behind("Transpose", ["w"]), UNREAD, ["w"]),
    "an Identity": (lambda: behind("Identity", ["w"]), UNREAD, ["w"]),
    "cast": (lambda: behind("Cast", ["w"], [("w", W.astype(np.float16))], to=TensorProto.FLOAT), UNREAD, ["w"]),
    "reshaped from a list": (
        lambda: behind("Reshape", ["w", "s"], [("w", W.reshape(-1)), ("s", np.array([8, 5]))]),
        UNREAD,
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
        UNREAD,
        ["w"],
    ),
    "scaled": (lambda: behind("Mul", ["w", "s"], [("w", W), ("s", W[:1])]), UNREAD, ["w"]),
    "joined": (lambda: behind("Concat", ["w", "v0"], [("w", W), ("v0", W)], axis=0), UNREAD, ["w", "v0"]),
    "of an LSTM": (
        lambda: model([node("LSTM", ["x", "w", "r"], "y", hidden_size=4)], [("w", W[None]), ("r", W[None])]),
        UNREAD,
        ["w", "r"],
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


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_weight_that_the_graph_hides_is_left_out_and_counted(kind):
    build, rule, names = HIDDEN[kind]
    weights, left_out = find_weights(build())
    assert not weights
    assert [(item.name, item.rule, item.is_weight) for item in left_out] == [(name, rule, True) for name in names]


def test_what_no_operator_reads_as_its_weight_is_listed_and_not_counted():
    for array in (W, W.astype(np.float64), W.astype(ml_dtypes.bfloat16), W.astype(np.int8)):
        network = model([node("Gather", ["table", "x"], "y")], [("table", array), ("shape", np.ones((4, 4), np.int64))])
        (item,) = find_weights(network)[1]
        assert (item.name, item.rule, item.is_weight) == ("table", UNREAD, False)


def test_a_name_of_a_body_is_not_the_outer_one():
    """The body has a tensor of its own under the name of an outer weight, which stays a weight to compress."""
    inner = body("a", [node("MatMul", ["x", "w"], "a")], [("w", W)])
    written = body("b", [node("Abs", ["x"], "w"), node("MatMul", ["x", "w"], "b")])
    network = model(
        [node("If", ["yes"], "h", then_branch=inner, else_branch=written), node("MatMul", ["h", "w"], "y")],
        [YES, ("w", np.concatenate([W, W]))],
    )
    (weight,), (left,) = find_weights(network)
    assert (weight.name, weight.shape) == ("w", (16, 5))
    assert (left.name, left.shape, left.rule) == ("w", (8, 5), NO_BODY)
    # One that reads the outer tensor before it writes the name does read it.
    (branch,) = (entry.g for entry in network.graph.node[0].attribute if entry.name == "else_branch")
    branch.node[0].input[0] = "w"
    assert not find_weights(network)[0]


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
