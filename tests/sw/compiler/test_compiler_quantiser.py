"""onnxruntime's quantiser as dnnzip calls it: what it makes, again and again the same, and what it refuses."""

import logging

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from dnnzip.compiler.quantiser import quantise_network
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.flow.compression import CompressionOptions, compress
from dnnzip.model.accuracy import evaluate
from dnnzip.model.bound import Bound
from dnnzip.model.dataset import Dataset, load_dataset
from dnnzip.model.files import load_model
from dnnzip.model.weights import find_weights


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
    assert [weight.dtype for weight in weights] == [np.int8] * 5
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
    nothing = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])],
            "nothing",
            [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
            [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        )
    )
    with pytest.raises(InputError, match=r"^net: has nothing to quantise; give a network with Conv, Gemm or MatMul$"):
        quantise_network(nothing, samples, "net")
    wrong = Dataset(samples.x.astype(np.float64), samples.y, "set.npz")
    with pytest.raises(InputError, match=r"^set\.npz: x is float64; net takes float$"):
        quantise_network(load_model(MODEL), wrong, "net")
