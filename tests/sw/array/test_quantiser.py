"""onnxruntime's quantiser as dnnzip calls it: what it makes, again and again the same, and what it refuses."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

import graphs
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import evaluate, session_options
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.quantize import quantise_network

node = onnx.helper.make_node


@pytest.fixture(scope="module")
def samples():
    return load_dataset(TEST_SET, 60)


def test_the_digits_network(samples):
    model = load_model(MODEL)
    before = model.SerializeToString()
    level = logging.root.manager.disable
    made = quantise_network(model, samples, "digits")
    assert logging.root.manager.disable == level
    assert model.SerializeToString() == before
    onnx.checker.check_model(made, full_check=True)
    assert made.SerializeToString() == quantise_network(model, samples, "digits").SerializeToString()
    weights, left_out = find_weights(made)
    assert [weight.element.dtype for weight in weights] == [np.int8] * 5
    assert not left_out
    assert all(weight.zero_point.any() == 0 for weight in weights)
    scales = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    assert scales["conv2.weight_scale"].shape == (16,)
    activations = [node for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert {scales[node.input[2]].dtype for node in activations} == {np.dtype(np.int8)}
    assert evaluate(made, TEST_SET).top1 >= evaluate(model, TEST_SET).top1 - 0.01


def test_samples_decide_the_ranges(samples):
    model = load_model(MODEL)
    few = Dataset(samples.x[:2], samples.y[:2], samples.where)
    assert quantise_network(model, few, "digits") != quantise_network(model, samples, "digits")


@pytest.mark.parametrize("batch", [1, 7])
def test_a_network_of_a_fixed_batch(samples, batch):
    model = load_model(MODEL)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    made = quantise_network(model, samples, "digits")
    assert evaluate(made, TEST_SET, 60).top1 >= 0.95


def test_refusals(nets, samples):
    with pytest.raises(InputError, match=r"^net: is of 8 bits already; run it as it is$"):
        quantise_network(nets.qdq("Conv", (2, 4, 6, 6), (7, 4, 3, 3)).model, samples, "net")
    compressed = compress(load_model(MODEL), CompressionOptions(Bound.parse("2%"))).compressed.model
    with pytest.raises(InputError, match=r"^net: is compressed; quantise the network first, then compress it$"):
        quantise_network(compressed, samples, "net")
    nothing = graphs.model([node("Relu", ["x"], ["y"])], {"x": [None, 4]}, {"y": [None, 4]})
    with pytest.raises(InputError, match=r"^net: has nothing to quantise; give a network with Conv, Gemm or MatMul$"):
        quantise_network(nothing, samples, "net")
    wrong = Dataset(samples.x.astype(np.float64), samples.y, "set.npz")
    with pytest.raises(InputError, match=r"^set\.npz: x is float64; net takes float$"):
        quantise_network(load_model(MODEL), wrong, "net")


SAMPLES = Dataset(np.random.default_rng(3).normal(size=(8, 12)).astype(np.float32), np.zeros(8, np.int64), "set.npz")


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(nodes, constants, opset=17, *, ir_version=8, listed=(), **parts):
    """Make a network from `x` (float32 [n, 12]) to `y`; `listed` initializers are inputs as well."""
    inputs = {"x": ["n", 12]} | {name: constants[name].shape for name in listed}
    return graphs.model(nodes, inputs, {"y": None}, constants, opset=opset, ir_version=ir_version, **parts)


def gemm(inputs, output, **attributes):
    return node("Gemm", inputs, [output], **attributes)


def matmul(left, right, output, **attributes):
    return node("MatMul", [left, right], [output], **attributes)


def old(opset):
    """Gemm, then Clip, Softmax and Squeeze, which changed with opsets 11 and 13."""
    constants = {"w": values(12, 6), "b": values(6, seed=1)}
    low_high, axes = {"low": np.float32(-1), "high": np.float32(1)}, {"axes": np.array([2])}
    clip = node("Clip", ["h"], ["c"], min=-1.0, max=1.0)
    if opset >= 11:
        constants |= low_high
        clip = node("Clip", ["h", "low", "high"], ["c"])
    unsqueeze, squeeze = (
        node(op, [i, "axes"] if opset >= 13 else [i], [o], **({} if opset >= 13 else {"axes": [2]}))
        for op, i, o in (("Unsqueeze", "c", "u"), ("Squeeze", "u", "s"))
    )
    constants |= axes if opset >= 13 else {}
    nodes = [gemm(["x", "w", "b"], "h"), clip, unsqueeze, squeeze, node("Softmax", ["s"], ["y"])]
    ir_version = 3 if opset < 9 else 6
    return network(nodes, constants, opset, ir_version=ir_version, listed=("w", "b") if ir_version == 3 else ())


def sparse_weight():
    dense = np.where(np.abs(values(12, 6)) > 0.5, values(12, 6), 0).reshape(-1)
    places = np.flatnonzero(dense)
    flat = onnx.helper.make_sparse_tensor(
        numpy_helper.from_array(dense[places], "w"), numpy_helper.from_array(places, "w_places"), (12, 6)
    )
    by_axis = onnx.helper.make_sparse_tensor(
        numpy_helper.from_array(dense[places], "w"),
        numpy_helper.from_array(np.stack(np.unravel_index(places, (12, 6)), axis=1), "w_places"),
        (12, 6),
    )
    return flat, by_axis


def with_function(opset):
    function = onnx.helper.make_function(
        "local", "Product", ["a", "b"], ["c"], [matmul("a", "b", "c")], [onnx.helper.make_opsetid("", opset)]
    )
    model = network([node("Product", ["x", "w"], ["y"], domain="local")], {"w": values(12, 6)}, opset)
    model.opset_import.append(onnx.helper.make_opsetid("local", 1))
    model.functions.append(function)
    return model


def constant_nodes():
    nodes = [
        node("Constant", [], [name], value=numpy_helper.from_array(value, name))
        for name, value in (("w", values(12, 6)), ("b", values(6)))
    ]
    return network([*nodes, gemm(["x", "w", "b"], "y")], {}, 11)


SQUARE = {"w": values(12, 12), "v": values(12, 12, seed=1), "b": values(12, seed=2)}

KINDS = {
    **{f"opset {opset}": lambda opset=opset: old(opset) for opset in (7, 8, 9, 10, 11, 12, 13, 17, 21)},
    "a bias of two layers": lambda: network([gemm(["x", "w", "b"], "h"), gemm(["h", "v", "b"], "y")], SQUARE, 11),
    "a bias that Add reads": lambda: network([gemm(["x", "w", "b"], "h"), node("Add", ["h", "b"], ["y"])], SQUARE, 11),
    "a weight of both orientations": lambda: network(
        [gemm(["x", "w"], "h"), gemm(["h", "w"], "y", transB=1)], SQUARE, 12
    ),
    "Constant nodes": constant_nodes,
    "a bias of one value": lambda: network(
        [gemm(["x", "w", "b"], "y", transB=1)], {"w": values(6, 12), "b": values(1)}
    ),
    "a bias of one row": lambda: network([gemm(["x", "w", "b"], "y")], {"w": values(12, 6), "b": values(1, 6)}),
    "a sparse initializer": lambda: network([matmul("x", "w", "y")], {}, 11, sparse_initializer=[sparse_weight()[0]]),
    "a sparse constant": lambda: network(
        [node("Constant", [], ["w"], sparse_value=sparse_weight()[1]), matmul("x", "w", "y")], {}
    ),
    "a local function": lambda: with_function(17),
    "a local function of opset 11": lambda: with_function(11),
    "the domain ai.onnx": lambda: network([matmul("x", "w", "y", domain="ai.onnx")], {"w": values(12, 6)}),
    "a default value": lambda: network([matmul("x", "w", "y")], {"w": values(12, 6)}, listed=["w"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_networks_become_files_that_run(kind):
    model = KINDS[kind]()
    before = model.SerializeToString()
    made = quantise_network(model, SAMPLES, "net")
    assert model.SerializeToString() == before
    onnx.checker.check_model(made, full_check=True)
    options = session_options()
    # Without its optimisations: integer kernels of some processors saturate.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted, found = (
        onnxruntime.InferenceSession(m.SerializeToString(), options).run(["y"], {"x": SAMPLES.x})[0]
        for m in (model, made)
    )
    assert np.abs(found - wanted).max() <= 0.05 * np.abs(wanted).max()
    arrays = [tensor for tensor in made.graph.initializer if len(tensor.dims) >= 2]
    assert arrays
    assert all(tensor.data_type == TensorProto.INT8 for tensor in arrays)


def test_what_cannot_be_quantised_is_one_line(monkeypatch):
    doubles = network([matmul("xd", "w", "d")], {"w": values(12, 6).astype(np.float64)})
    doubles.graph.node.insert(0, node("Cast", ["x"], ["xd"], to=TensorProto.DOUBLE))
    doubles.graph.node.append(node("Cast", ["d"], ["y"], to=TensorProto.FLOAT))
    with pytest.raises(InputError, match=r"^net: has no float32 weights that onnxruntime quantises; give a network"):
        quantise_network(doubles, SAMPLES, "net")
    broken = network([gemm(["x", "w"], "y")], {"w": np.full((12, 6), np.nan, np.float32)})
    with pytest.raises(InputError, match=r"^net: layer 'w': has NaN or infinite weights; mend it$"):
        quantise_network(broken, SAMPLES, "net")
    whole = network([gemm(["x", "w", "c"], "y")], {"w": values(12, 6), "c": values(8, 6)})
    whole.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    with pytest.raises(InputError, match=r"^net: onnxruntime cannot quantise it \(.*\)$"):
        quantise_network(whole, SAMPLES, "net")
    # Where the converter fails, or makes something else of the network.
    constant = node("Constant", [], ["w"], sparse_value=sparse_weight()[0])
    body = graphs.body([constant, matmul("x", "w", "z")], "z")
    nodes = [node("If", ["yes"], ["h"], then_branch=body, else_branch=body), matmul("h", "v", "y")]
    inside = network(nodes, {"yes": np.array(True), "v": values(6, 6)}, 11)
    with pytest.raises(InputError, match=r"^net: is of opset 11 and cannot be converted to 13 \(.*\); export it with"):
        quantise_network(inside, SAMPLES, "net")
    other = network([gemm(["x", "w"], "y")], {"w": values(12, 6, seed=9)}, 13)
    monkeypatch.setattr("dnnzip.usecases.quantisable.version_converter.convert_version", lambda *_: other)
    with pytest.raises(InputError, match=r"^net: is of opset 11 and gives other results at 13; export it with"):
        quantise_network(network([gemm(["x", "w"], "y")], {"w": values(12, 6)}, 11), SAMPLES, "net")


def test_a_result_that_does_not_run_is_refused(monkeypatch):
    """onnxruntime's quantiser itself may make an invalid file, as it does below opset 13."""
    monkeypatch.setattr("dnnzip.usecases.quantisable.SMALLEST_OPSET", 10)
    with pytest.raises(InputError, match=r"^net: what onnxruntime's quantiser makes of it is invalid \("):
        quantise_network(network([gemm(["x", "w"], "y")], {"w": values(12, 6)}, 11), SAMPLES, "net")
    monkeypatch.setattr("dnnzip.usecases.quantize.onnx.checker.check_model", lambda *_: None)
    with pytest.raises(
        InputError, match=r"^net: what onnxruntime's quantiser makes of it: does not run in onnxruntime"
    ):
        quantise_network(network([gemm(["x", "w"], "y")], {"w": values(12, 6)}, 11), SAMPLES, "net")
