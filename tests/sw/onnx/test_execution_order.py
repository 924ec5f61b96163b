"""The order of execution comes from who reads what, and not from where nodes and initializers stand in the file."""

import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import graphs
from dnnzip.onnx.execution_order import execution_order
from dnnzip.onnx.node_order import sorted_nodes

LAYERS = 9
NAMES = [f"w{number}" for number in range(LAYERS)]


@pytest.fixture
def rng():
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    return random.Random(seed)


def chain(prepare="", depth=LAYERS):
    """Return the nodes of layers one after the other, their weights behind nodes that only prepare constants."""
    nodes = []
    for number in range(depth):
        weight = f"w{number}"
        if prepare:
            nodes.append(helper.make_node(prepare, [weight], [f"{weight}_made"]))
            weight = f"{weight}_made"
        nodes.append(helper.make_node("MatMul", [f"x{number}", weight], [f"x{number + 1}"]))
    return nodes


def model_of(nodes, names=NAMES, outputs=(f"x{LAYERS}",)):
    arrays = {name: np.ones((2, 2), np.float32) for name in names}
    return graphs.model(nodes, {"x0": [2, 2]}, {name: [2, 2] for name in outputs}, arrays)


@pytest.mark.parametrize("prepare", ["", "Identity", "Transpose"])
def test_a_chain_in_any_order_of_nodes_and_initializers(rng, prepare):
    for _ in range(20):
        nodes, names = chain(prepare), list(NAMES)
        rng.shuffle(nodes)
        rng.shuffle(names)
        model = model_of(nodes, names)
        assert execution_order(model, names) == NAMES
        outputs = [node.output[0] for node in sorted_nodes(model.graph) if node.op_type == "MatMul"]
        assert outputs == [f"x{number}" for number in range(1, LAYERS + 1)]


def test_constants_that_are_prepared_at_the_top_of_a_sorted_file(rng):
    """As exporters write it: every DequantizeLinear first, in an order of its own."""
    nodes = chain("DequantizeLinear")
    prepare = [node for node in nodes if node.op_type == "DequantizeLinear"]
    rng.shuffle(prepare)
    model = model_of([*prepare, *(node for node in nodes if node.op_type == "MatMul")])
    assert execution_order(model, NAMES) == NAMES


def test_branches_keep_the_order_of_the_file_where_both_are_ready():
    branches = [helper.make_node("MatMul", ["x0", f"w{number}"], [f"y{number}"]) for number in (2, 0, 1)]
    model = model_of([*branches, helper.make_node("Sum", ["y0", "y1", "y2"], ["x1"])], NAMES[:3], ["x1"])
    assert execution_order(model, NAMES[:3]) == ["w2", "w0", "w1"]


def test_a_shared_weight_stands_at_its_first_use():
    nodes = [helper.make_node("MatMul", [f"x{i}", name], [f"x{i + 1}"]) for i, name in enumerate(["w1", "w0", "w1"])]
    assert execution_order(model_of(nodes, NAMES[:2], ["x3"]), NAMES[:2]) == ["w1", "w0"]


def test_a_body_reads_what_is_around_it():
    inner = graphs.body([helper.make_node("MatMul", ["x1", "w1"], ["inside"])], "inside")
    nodes = [
        helper.make_node("MatMul", ["x2", "w2"], ["x3"]),
        helper.make_node("If", ["flag"], ["x2"], then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["x0", "w0"], ["x1"]),
    ]
    model = model_of(nodes, NAMES[:3], ["x3"])
    model.graph.initializer.append(helper.make_tensor("flag", TensorProto.BOOL, [], [True]))
    assert execution_order(model, ["w2", "w1", "w0"]) == ["w0", "w1", "w2"]


def test_a_body_uses_weights_in_the_order_of_its_own_nodes():
    nodes = chain(depth=3)
    nodes[0].input[0] = "x0"
    order = ["w1", "w2", "w0"]
    for node, name in zip(nodes, order, strict=True):
        node.input[1] = name
    inner = graphs.body(nodes, "x3")
    outer = [
        helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["y", "w3"], ["z"]),
    ]
    model = model_of(outer, NAMES[:4], ["z"])
    model.graph.initializer.append(helper.make_tensor("flag", TensorProto.BOOL, [], [True]))
    assert execution_order(model, NAMES[:4]) == [*order, "w3"]


def test_a_weight_that_a_loop_is_handed_is_used_inside():
    inner = graphs.body(
        [
            helper.make_node("MatMul", ["v", "w1"], ["a"]),
            helper.make_node("MatMul", ["a", "carried"], ["b"]),
            helper.make_node("Identity", ["carried"], ["kept"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "on",
    )
    for name, kind in (("turn", TensorProto.INT64), ("go", TensorProto.BOOL), ("v", 1), ("carried", 1)):
        inner.input.append(helper.make_tensor_value_info(name, kind, None))
    inner.output.extend(helper.make_tensor_value_info(name, 1, None) for name in ("b", "kept"))
    nodes = [
        helper.make_node("Loop", ["", "", "x0", "w0"], ["x1", "unused"], body=inner),
        helper.make_node("MatMul", ["x1", "w2"], ["y"]),
    ]
    assert execution_order(model_of(nodes, NAMES[:3], ["y"]), NAMES[:3]) == ["w1", "w0", "w2"]


def test_what_no_activation_meets_comes_last():
    nodes = [helper.make_node("MatMul", ["w1", "w2"], ["product"]), helper.make_node("MatMul", ["x0", "w0"], ["x1"])]
    model = model_of(nodes, NAMES[:4], ["x1", "product"])
    assert execution_order(model, ["w3", "w2", "w0", "w1"]) == ["w0", "w3", "w2", "w1"]


def test_a_cycle_ends():
    nodes = [helper.make_node("Add", ["a", "w0"], ["b"]), helper.make_node("Add", ["b", "w1"], ["a"])]
    model = model_of(nodes, NAMES[:2], ["a"])
    assert [node.output[0] for node in sorted_nodes(model.graph)] == ["b", "a"]
    assert execution_order(model, NAMES[:2]) == NAMES[:2]


def test_a_deep_network_takes_no_recursion():
    depth = 5000
    names = [f"w{number}" for number in range(depth)]
    model = model_of(chain(depth=depth)[::-1], [], [f"x{depth}"])
    model.graph.initializer.extend(onnx.TensorProto(name=name) for name in names)
    assert execution_order(model, names[::-1]) == names
