"""Columns, biases and stages of a network, against what onnxruntime makes of the whole."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper

import graphs
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.evaluation.accuracy import scores_of
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.onnx.biases import corrected, with_biases
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import find_weights
from dnnzip.tuning.im2col import Columns
from dnnzip.tuning.stages import StagedNetwork


def model_of(nodes, x_shape, initializers, output="y"):
    arrays = {name: np.asarray(values, np.float32) for name, values in initializers.items()}
    return graphs.model(nodes, {"x": x_shape}, {output: None}, arrays)


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


CONVOLUTIONS = [
    ((6, 4, 3, 3), {}),
    ((6, 4, 3, 3), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    ((6, 4, 2, 3), {"dilations": [2, 1], "pads": [0, 1, 1, 0]}),
    ((6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    ((4, 1, 3, 2), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((6, 4, 4, 2), {"auto_pad": "SAME_LOWER"}),
    ((6, 4, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    ((5, 4, 3), {"pads": [1, 1]}),
]


@pytest.mark.parametrize(("shape", "options"), CONVOLUTIONS)
def test_columns_times_weights_are_a_convolutions_outputs(shape, options):
    rng = np.random.default_rng(4)
    w = rng.normal(size=shape).astype(np.float32)
    x = rng.normal(size=(3, 4, 9, 8)[: len(shape)]).astype(np.float32)
    model = model_of([helper.make_node("Conv", ["x", "w"], ["y"], **options)], [None, *x.shape[1:]], {"w": w})
    (weight,), _ = find_weights(model)
    columns = Columns.of(model.graph.node[0], weight)
    assert columns is not None
    found = columns.sample([x[:2], x[2:]], np.random.default_rng(0))
    rows = weight.layout.to_channels(w).reshape(columns.groups, -1, columns.length)
    # Fewer positions than would be sampled: they are all there, in order.
    outputs = (found @ rows.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(-1, shape[0])
    expected = np.moveaxis(run(model, x), 1, -1).reshape(-1, shape[0])
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize(("operator", "options", "is_known"), [
    ("MatMul", {}, True),
    ("Gemm", {}, True),
    ("Gemm", {"transB": 1}, True),
    ("Gemm", {"alpha": 0.5}, False),
    ("ConvTranspose", {}, False),
])  # fmt: skip
def test_columns_of_products(operator, options, is_known):
    rng = np.random.default_rng(5)
    shape = (3, 2, 3, 3) if operator == "ConvTranspose" else (7, 5) if options.get("transB") else (5, 7)
    x = rng.normal(size=(4, 3, 6, 6) if operator == "ConvTranspose" else (4, 5)).astype(np.float32)
    w = rng.normal(size=shape).astype(np.float32)
    model = model_of([helper.make_node(operator, ["x", "w"], ["y"], **options)], [None, *x.shape[1:]], {"w": w})
    (weight,), _ = find_weights(model)
    columns = Columns.of(model.graph.node[0], weight)
    assert (columns is not None) == is_known
    if columns is not None:
        rows = weight.layout.to_channels(w)
        np.testing.assert_allclose(columns.sample([x], np.random.default_rng(0))[0] @ rows.T, run(model, x), atol=1e-5)


def test_a_sample_of_positions_is_the_same_for_the_same_seed():
    rng = np.random.default_rng(6)
    w = rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    x = rng.normal(size=(4, 3, 60, 60)).astype(np.float32)
    model = model_of([helper.make_node("Conv", ["x", "w"], ["y"])], [None, *x.shape[1:]], {"w": w})
    (weight,), _ = find_weights(model)
    columns = Columns.of(model.graph.node[0], weight)
    first, again, other = (columns.sample([x], np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape[1] < 4 * 58 * 58
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def mixed():
    """Convolutions that share a bias, one without, a product and a sum: every way to a bias."""
    rng = np.random.default_rng(7)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w2", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a", "c"], ["d"]),
        helper.make_node("Conv", ["d", "w3"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "w4"], ["y"]),
    ]
    shapes = {"w1": (4, 4, 3, 3), "w2": (4, 4, 3, 3), "w3": (2, 4, 5, 5), "w4": (8, 3), "b": (4,)}
    return model_of(nodes, [None, 4, 6, 6], {name: rng.normal(size=shape) for name, shape in shapes.items()})


def test_biases_of_their_own_change_nothing():
    model = mixed()
    weights, _ = find_weights(model)
    biased = with_biases(model, weights)
    assert set(biased.biases) == {"a", "c", "e", "y"}
    assert len(set(biased.biases.values())) == 4
    assert len(biased.added) == 2
    x = np.random.default_rng(8).normal(size=(5, 4, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(run(biased.model, x), run(model, x), rtol=1e-4, atol=1e-4)


def test_corrected_biases_reach_the_outputs_and_zeros_leave_the_graph_alone():
    model = mixed()
    weights, _ = find_weights(model)
    x = np.random.default_rng(8).normal(size=(5, 4, 6, 6)).astype(np.float32)
    shift = np.array([1, -2, 3], np.float32)
    moved = corrected(model, weights, {"y": shift, "e": np.zeros(2, np.float32)}).model
    np.testing.assert_allclose(run(moved, x), run(model, x) + shift, rtol=1e-4, atol=1e-4)
    assert [len(node.input) for node in moved.graph.node if node.op_type == "Conv"] == [3, 3, 2]
    assert [node.op_type for node in moved.graph.node].count("Add") == 2
    untouched = corrected(model, weights, {"e": np.zeros(2, np.float32), "y": np.zeros(3, np.float32)}).model
    assert [node.op_type for node in untouched.graph.node] == [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("batch", [1, 7])
def test_stages_give_what_the_whole_network_gives(batch):
    model = mixed()
    weights, _ = find_weights(model)
    biased = with_biases(model, weights)
    staged = StagedNetwork(biased.model, weights, biased.biases, "net")
    assert [stage.weights for stage in staged.stages] == [(), ("w1",), ("w2",), ("w3",), ("w4",)]
    given = {weight.name: weight.array for weight in weights} | biased.values()
    x = np.random.default_rng(9).normal(size=(batch, 4, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(staged.finish(1, staged.start(x), given, batch), run(model, x), rtol=1e-4, atol=1e-4)
    other = given | {"w3": 2 * given["w3"]}
    assert not np.allclose(staged.finish(1, staged.start(x), other, batch), run(model, x), atol=1e-2)


def test_stages_of_the_digits_network():
    model, data = load_model(MODEL), load_dataset(TEST_SET).first(130)
    weights, _ = find_weights(model)
    biased = with_biases(model, weights)
    staged = StagedNetwork(biased.model, weights, biased.biases, "digits")
    given = {weight.name: weight.array for weight in weights} | biased.values()
    found = staged.finish(1, staged.start(data.x), given, 130)
    np.testing.assert_allclose(found, scores_of(model, data, "digits"), rtol=1e-4, atol=1e-4)
