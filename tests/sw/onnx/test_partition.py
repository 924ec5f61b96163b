"""Random graphs cut into segments, which one after the other compute what the whole graph computes."""

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import graphs
from dnnzip.onnx.graph import reads_of
from dnnzip.onnx.partition import Segment, cut_around, cut_before, segment_model

CONSTANTS = {"c": np.float32(1.5), "always": np.array(True)}


def body(name):
    """A branch that reads a value of the graph around it."""
    nodes = [helper.make_node("Neg", [name], ["own"]), helper.make_node("Add", ["own", "c"], ["inner"])]
    return graphs.body(nodes, "inner")


def random_graph(rng, count=14):
    names, nodes = ["x"], []
    for number in range(count):
        first, second = rng.choice([*names[-4:], "x"], 2)
        kind = rng.choice(["Add", "Neg", "Split", "If"])
        name = f"n{number}"
        outputs = [name, f"{name}b"] if kind == "Split" else [name]
        if kind == "If":
            branch = body(first)
            nodes.append(helper.make_node("If", ["always"], outputs, then_branch=branch, else_branch=branch))
        elif kind == "Split":
            nodes.append(helper.make_node("Split", [first], outputs, axis=0, num_outputs=2))
            nodes.append(helper.make_node("Concat", [*outputs[::-1]], [f"{name}c"], axis=0))
            outputs = [f"{name}c"]
        else:
            nodes.append(helper.make_node(kind, [first, rng.choice([second, "c"])][: 1 + (kind == "Add")], outputs))
        names += outputs
    return graphs.model(nodes, {"x": [4]}, {names[-1]: [4]}, CONSTANTS)


def run(model, segments, x):
    """Run segments one after the other; each must return only what the others read, or the output."""
    output = model.graph.output[0].name
    values, wanted = {"x": x}, {output}.union(*(segment.reads for segment in segments))
    for segment in segments:
        assert set(segment.gives) <= wanted
        part = segment_model(model, segment, {name: values[name] for name in segment.reads})
        if segment.gives:
            found = ReferenceEvaluator(part).run(list(segment.gives), {name: values[name] for name in segment.reads})
            values.update(zip(segment.gives, found, strict=True))
    return values[output]


@pytest.mark.parametrize("seed", range(12))
def test_segments_of_random_graphs(seed):
    rng = np.random.default_rng(seed)
    model = random_graph(rng)
    x = rng.normal(size=4).astype(np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    nodes = model.graph.node
    chosen = sorted(rng.choice(len(nodes), 4, replace=False).tolist())
    output = model.graph.output[0].name

    stages = cut_before(model, chosen, output)
    assert [stage.nodes[0] for stage in stages if stage.nodes] == sorted({0, *chosen})
    assert sum((stage.nodes for stage in stages), ()) == tuple(range(len(nodes)))
    np.testing.assert_array_equal(run(model, stages, x), expected)

    blocks = [
        Segment((position,), tuple(sorted(reads_of(nodes[position]) - CONSTANTS.keys())), tuple(nodes[position].output))
        for position in chosen
    ]
    pieces = cut_around(model, blocks, output)
    np.testing.assert_array_equal(run(model, [p for p in pieces if p.nodes], x), expected)
    others = [piece for piece in pieces if piece not in blocks]
    assert not {position for piece in others for position in piece.nodes} & set(chosen)


def test_constants_can_be_inputs_of_a_segment():
    model = random_graph(np.random.default_rng(3))
    (segment,) = cut_before(model, [], model.graph.output[0].name)
    x = np.ones(4, np.float32)
    part = segment_model(model, segment, {"x": x, "c": CONSTANTS["c"]})
    assert {value.name for value in part.graph.input} == {"x", "c"}
    assert {tensor.name for tensor in part.graph.initializer} == {"always"}
    found = ReferenceEvaluator(part).run(None, {"x": x, "c": CONSTANTS["c"]})
    np.testing.assert_array_equal(found, ReferenceEvaluator(model).run(None, {"x": x}))
