"""Layers and their sizes: every operator by hand, the light models by their known counts, what cannot be known."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import graphs
from dnnzip.digits import MODEL
from dnnzip.errors import InputError
from dnnzip.onnx.files import open_model
from dnnzip.onnx.operators import Role
from dnnzip.onnx.shapes import network_shape

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# Weights of convolutions and matrix products, and their multiplications for one sample.
KNOWN = {
    "bvlc_alexnet": (60_954_656, 654_560_384),
    "densenet121": (7_894_208, 2_834_161_664),
    "inception_v1": (6_990_272, 1_431_556_352),
    "inception_v2": (11_174_080, 2_018_851_840),
    "resnet50": (25_502_912, 4_089_184_256),
    "shufflenet": (1_365_464, 124_664_528),
    "squeezenet": (1_231_552, 349_151_936),
    "vgg19": (143_652_544, 19_632_062_464),
    "zfnet512": (87_242_528, 1_481_727_008),
}


def model(nodes, inputs, weights=(), opset=19):
    """Return a network; ``inputs`` and ``weights`` are names to shapes."""
    arrays = {
        name: value if isinstance(value, np.ndarray) else np.zeros(value, np.float32)
        for name, value in dict(weights).items()
    }
    return graphs.model(nodes, inputs, {"y": None}, arrays, opset=opset)


def only(nodes, inputs, weights=()):
    (layer,) = network_shape(model(nodes, inputs, weights), "small.onnx").layers
    return layer


def sizes(layer):
    found = layer.counts
    return found.units, found.reduction, found.positions, found.groups, layer.weights, found.inputs, found.outputs


@pytest.mark.parametrize("name", KNOWN)
def test_a_network_of_shapes_only_is_read_as_it_is(name):
    layers = network_shape(open_model(LIGHT / f"light_{name}.onnx"), name).layers
    macs = sum(layer.macs for layer in layers)
    assert (sum(layer.weights for layer in layers), macs) == KNOWN[name]


def test_all_light_models_are_known():
    assert {path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx")} == set(KNOWN)


def test_a_convolution_with_stride_and_group():
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=2, strides=[2, 2])
    layer = only([node], {"x": ["n", 6, 9, 9]}, {"w": (8, 3, 3, 3)})
    assert sizes(layer) == (8, 27, 16, 2, 216, 486, 128)
    assert (layer.name, layer.operator, layer.role, layer.source) == ("w", "Conv", Role.CONVOLUTION, None)


def test_a_transposed_convolution_multiplies_each_input_by_its_kernel():
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    layer = only([node], {"x": [1, 4, 5, 5]}, {"w": (4, 3, 2, 2)})
    assert layer.macs == 4 * 25 * 3 * 4
    assert (layer.weights, layer.counts.outputs) == (48, 300)


@pytest.mark.parametrize(("transposed", "shape"), [(0, (20, 10)), (1, (10, 20))])
def test_a_gemm(transposed, shape):
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=transposed)
    assert sizes(only([node], {"x": [None, 20]}, {"w": shape})) == (10, 20, 1, 1, 200, 20, 10)


def test_a_matmul_over_a_sequence():
    layer = only([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ["b", 7, 20]}, {"w": (20, 10)})
    assert (sizes(layer), layer.role) == ((10, 20, 7, 1, 200, 140, 70), Role.DENSE)


def test_a_product_of_activations_has_no_weights():
    nodes = [helper.make_node("MatMul", ["x", "z"], ["y"], name="scores")]
    layer = only(nodes, {"x": [1, 2, 7, 20], "z": [1, 2, 20, 5]})
    assert (sizes(layer), layer.role, layer.name) == ((5, 20, 14, 1, 0, 280, 70), Role.PRODUCT, "scores")


def test_poolings():
    window = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 3], strides=[2, 3])
    assert sizes(only([window], {"x": [1, 4, 6, 6]})) == (4, 6, 6, 1, 0, 144, 24)
    whole = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    assert sizes(only([whole], {"x": [1, 4, 6, 6]})) == (4, 36, 1, 1, 0, 144, 4)


def test_a_weight_behind_a_dequantisation_keeps_its_own_name():
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    weights = {"q": np.zeros((8, 3, 3, 3), np.int8), "s": np.array(0.1, np.float32)}
    layer = only(nodes, {"x": [1, 3, 9, 9]}, weights)
    assert (layer.name, layer.weights) == ("q", 216)


def test_sources_follow_branches_and_other_operators():
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["t"]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("Conv", ["r", "b"], ["u"]),
        helper.make_node("Conv", ["r", "b"], ["v"]),
        helper.make_node("Add", ["u", "v"], ["s"]),
        helper.make_node("Conv", ["x", "a"], ["w"]),
        helper.make_node("MaxPool", ["s"], ["y"], kernel_shape=[2, 2]),
    ]
    weights = {"a": (4, 4, 1, 1), "b": (4, 4, 1, 1)}
    layers = network_shape(model(nodes, {"x": [1, 4, 6, 6]}, weights), "small.onnx").layers
    assert [layer.source for layer in layers] == [None, 0, 0, None, 2]


def test_pads_that_are_computed_from_constants_are_followed():
    nodes = [
        helper.make_node("Concat", ["ones", "more"], ["flat"], axis=0),
        helper.make_node("Reshape", ["flat", "two"], ["pairs"]),
        helper.make_node("Transpose", ["pairs"], ["turned"]),
        helper.make_node("Reshape", ["turned", "one"], ["pads"]),
        helper.make_node("Pad", ["x", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["y"]),
    ]
    constants = {
        "ones": np.array([0, 0, 0, 0], np.int64),
        "more": np.array([1, 1, 2, 2], np.int64),
        "two": np.array([4, 2], np.int64),
        "one": np.array([-1], np.int64),
        "w": (8, 3, 1, 1),
    }
    layer = only(nodes, {"x": [1, 3, 9, 9]}, constants)
    # Rows of the pairs: begin, end of each axis after the transposition.
    pads = np.array([0, 0, 0, 0, 1, 1, 2, 2]).reshape(4, 2).T.reshape(-1)
    padded = [size + pads[axis] + pads[axis + 4] for axis, size in enumerate((1, 3, 9, 9))]
    assert layer.counts.inputs == np.prod(padded)


def test_a_target_shape_made_from_a_shape_is_followed():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    constants = {
        "zero": np.array(0, np.int64),
        "axes": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
        "w": (12, 5),
    }
    assert only(nodes, {"x": ["n", 3, 2, 2]}, constants).counts.positions == 1


def test_the_model_is_left_as_it_is():
    network = open_model(MODEL)
    before = network.SerializeToString(deterministic=True)
    assert network_shape(network, "digits").layers
    assert network.SerializeToString(deterministic=True) == before


def test_a_network_that_does_not_compute_is_refused():
    relu = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(InputError, match="has no convolution, matrix product or pooling; give a network that computes"):
        network_shape(model([relu], {"x": [1, 3]}), "small.onnx")


@pytest.mark.zoo
def test_zoo_networks_are_read(zoo):
    found = {path.stem: network_shape(open_model(path), path.name).layers for path in sorted(zoo.glob("*.onnx"))}
    macs = {name: sum(layer.macs for layer in layers if layer.weights) for name, layers in found.items()}
    assert macs["lenet5_mnist"] == 416_520
    assert macs["resnet56_cifar10"] == 125_485_696
    assert macs["mobilenet_v1_025_imagenet"] == 41_030_272
    assert macs["resnet8_cifar10"] == macs["resnet8_cifar10_int8"] == 12_501_632
