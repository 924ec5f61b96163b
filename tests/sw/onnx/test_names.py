"""A name of two values is refused, wherever in a model; one that a body uses again is not."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import dnnzip
from dnnzip.errors import InputError
from dnnzip.onnx.files import load_model, model_files, open_model
from dnnzip.onnx.names import check_names
from graphs import value

W = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]


def node(operator, inputs, *outputs, **more):
    return helper.make_node(operator, inputs, outputs, **more)


MATMUL = node("MatMul", ["x", "w"], "y")


def model(nodes=(MATMUL,), tensors=(W,), inputs=("x",), sparse=(), functions=()):
    graph = helper.make_graph(
        nodes, "g", [value(i) for i in inputs], [value("y")], tensors, sparse_initializer=list(sparse)
    )
    return helper.make_model(graph, opset_imports=OPSETS, functions=list(functions))


def branches(nodes, tensors=()):
    body = helper.make_graph(nodes, "inner", [], [value("z")], tensors)
    return node("If", ["yes"], "y", then_branch=body, else_branch=body)


def function(nodes):
    return helper.make_function("local", "F", ["a"], ["b"], nodes, OPSETS)


YES = numpy_helper.from_array(np.array(True), "yes")
SPARSE = helper.make_sparse_tensor(
    numpy_helper.from_array(np.ones(2, np.float32), "w"), numpy_helper.from_array(np.array([0, 3]), "i"), (4, 4)
)
CONSTANT = helper.make_node("Constant", [], ["w"], value=W)
INNER = node("MatMul", ["x", "w"], "z")

TWICE = {
    "initializers": (lambda: model(tensors=[W, W]), "has an initializer and another one of the name 'w'"),
    "dense and sparse": (lambda: model(sparse=[SPARSE]), "has an initializer and another one of the name 'w'"),
    "initializer and Constant": (
        lambda: model([CONSTANT, MATMUL]),
        "has an initializer and a node's output of the name 'w'",
    ),
    "initializer and output": (
        lambda: model([node("Abs", ["x"], "w"), MATMUL]),
        "has an initializer and a node's output of the name 'w'",
    ),
    "input and output": (
        lambda: model([node("Abs", ["x"], "x"), MATMUL]),
        "has an input and a node's output of the name 'x'",
    ),
    "inputs": (lambda: model(inputs=["x", "x"]), "has an input and another one of the name 'x'"),
    "two nodes": (lambda: model([MATMUL, MATMUL]), "has a node's output and another one of the name 'y'"),
    "one node": (
        lambda: model([node("Split", ["x"], "y", "y")]),
        "has a node's output and another one of the name 'y'",
    ),
    "a body": (
        lambda: model([branches([CONSTANT, INNER], [W])], [YES]),
        "body 'inner' has an initializer and a node's output of the name 'w'",
    ),
    "a local function": (
        lambda: model(functions=[function([node("Abs", ["a"], "a"), node("Abs", ["a"], "b")])]),
        "local function 'F' has an input and a node's output of the name 'a'",
    ),
    "a body in a local function": (
        lambda: model(functions=[function([branches([INNER, INNER])])]),
        "local function 'F' body 'inner' has a node's output and another one of the name 'z'",
    ),
}


@pytest.mark.parametrize("kind", TWICE)
def test_a_name_that_stands_for_two_values_is_one_line(kind, tmp_path):
    build, wrong = TWICE[kind]
    onnx.save(build(), tmp_path / "m.onnx")
    for read in (load_model, open_model, model_files):
        with pytest.raises(InputError) as found:
            read(tmp_path / "m.onnx")
        assert str(found.value) == f"{tmp_path / 'm.onnx'}: {wrong}; give each a name of its own"
    with pytest.raises(InputError, match=r"^model: "):
        dnnzip.compress_model(build(), max_error="1%")


def test_names_that_mean_one_value_each():
    check_names(model(inputs=["x", "w"]), "the default of an input")
    check_names(model([branches([INNER], [W]), node("MatMul", ["x", "w"], "v")], [YES, W]), "a name of a body")
    check_names(model([node("LSTM", ["x", "w", "w"], "", "y", "")]), "outputs that are left out")
    check_names(model(functions=[function([node("Abs", ["a"], "w"), node("Abs", ["w"], "b")])]), "of a function")
