"""Every operator in every form on the golden array: sums as NumPy's and onnxruntime's, results as onnxruntime's."""

import numpy as np
import pytest

from dnnzip.format.array import ArrayShape
from dnnzip.onnx.geometry import Convolution
from dnnzip.quantize.layout import Layout

CONVS = {
    "plain": ((2, 3, 7, 6), (5, 3, 3, 3), {}),
    "one tap": ((3, 6, 4, 4), (9, 6, 1, 1), {}),
    "stride and padding": ((2, 4, 9, 8), (6, 4, 3, 2), {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    "dilation": ((1, 2, 11, 9), (7, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "groups": ((2, 6, 5, 5), (4, 3, 3, 3), {"group": 2}),
    "more groups than a pass has channels": ((2, 12, 5, 5), (24, 2, 2, 3), {"group": 6}),
    "depthwise": ((2, 11, 6, 6), (11, 1, 3, 3), {"group": 11, "pads": [1, 1, 1, 1]}),
    "depthwise, small kernel": ((2, 11, 6, 6), (22, 1, 2, 2), {"group": 11}),
    "same upper": ((2, 3, 7, 6), (5, 3, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((2, 3, 7, 6), (5, 3, 4, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    "valid": ((2, 3, 7, 6), (5, 3, 4, 3), {"auto_pad": "VALID"}),
    "1D": ((2, 4, 13), (6, 4, 5), {"strides": [2], "pads": [1, 2]}),
    "3D": ((1, 2, 4, 5, 4), (3, 2, 2, 3, 2), {}),
    "one output": ((3, 2, 3, 3), (1, 2, 3, 3), {}),
}

PRODUCTS = {
    "Gemm": ("Gemm", (6, 23), (23, 9), {}),
    "Gemm, right side transposed": ("Gemm", (6, 23), (9, 23), {"transB": 1}),
    "Gemm, alpha": ("Gemm", (6, 23), (9, 23), {"transB": 1, "alpha": 0.5}),
    "MatMul": ("MatMul", (6, 23), (23, 9), {}),
    "MatMul of three dimensions": ("MatMul", (6, 4, 7), (7, 10), {}),
    "long channel": ("MatMul", (3, 700), (700, 6), {}),
    "one weight": ("MatMul", (3, 1), (1, 1), {}),
}

SHAPES = [ArrayShape(2, 4, 5, 16), ArrayShape(1, 1, 1, 16), ArrayShape(4, 16, 64, 2048), ArrayShape(8, 2, 7, 32)]


def check(nets, network, shape=SHAPES[0], steps=0, fused=True):
    """Check that sums are right and results are onnxruntime's, or off by at most the given number of steps."""
    found, run = nets.on_array(network, shape)
    assert [layer.mismatches for layer in run.layers] == [0]
    assert run.layers[0].sums > 0
    wanted = nets.reference(network.model, network.x, fused=fused)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
    else:
        assert np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max() <= steps
        assert len(np.unique(found)) > 1
    return found


def name_of(shape):
    return f"{shape.groups}x{shape.rows_per_group}x{shape.columns}x{shape.vectors}"


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_convolutions(nets, name, shape):
    x_shape, w_shape, attributes = CONVS[name]
    check(nets, nets.qdq("Conv", x_shape, w_shape, attributes, seed=5), shape)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_products(nets, name, shape):
    op, x_shape, w_shape, attributes = PRODUCTS[name]
    check(nets, nets.qdq(op, x_shape, w_shape, attributes, per_channel=op == "Gemm", seed=6), shape)


@pytest.mark.parametrize("x_type", [np.int8, np.uint8])
@pytest.mark.parametrize("w_type", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_types_and_zero_points(nets, x_type, w_type, per_channel):
    # onnxruntime takes zero points by channel only where they are equal.
    w_zero = 0 if per_channel and w_type == np.int8 else 100 if w_type == np.uint8 else -20
    if per_channel and w_type == np.uint8:
        w_zero = 128
    network = nets.qdq(
        "Conv",
        (2, 4, 6, 6),
        (7, 4, 3, 3),
        {"pads": [1, 1, 1, 1]},
        x_type=x_type,
        y_type=x_type,
        w_type=w_type,
        w_zero=w_zero,
        per_channel=per_channel,
        y_zero=9,
        seed=7,
    )
    # It has no integer kernel for int8 x uint8.
    check(nets, network, steps=1, fused=x_type == np.uint8 or w_type == np.int8)


@pytest.mark.parametrize("zero", [-128, -1, 127])
def test_extreme_values_and_zero_points(nets, zero):
    network = nets.qdq("Conv", (2, 4, 6, 6), (7, 4, 3, 3), x_zero=zero, seed=8)
    network.x[:] = np.where(network.x > 0, 127, -128)
    check(nets, network)


BEHIND = {
    "Relu": ([("Relu", {}, {})], 0, 1),
    "Relu to the lowest code": ([("Relu", {}, {})], -128, 0),
    "Clip": ([("Clip", {"low": np.float32(-2.25), "high": np.float32(3.5)}, {})], -5, 1),
    "Clip to 6": ([("Clip", {"low": np.float32(0), "high": np.float32(6)}, {})], -128, 1),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_is_folded_into_the_result(nets, name):
    behind, y_zero, steps = BEHIND[name]
    network = nets.qdq("Conv", (2, 4, 6, 6), (7, 4, 3, 3), behind=behind, y_zero=y_zero, seed=9)
    compiled = nets.compile_network(network.model, nets.small, "net")
    assert [type(piece).__name__ for piece in compiled.pieces] == ["ArrayLayer"]
    check(nets, network, steps=steps)


FLOATS = {
    "no QuantizeLinear": {"quantised": False},
    "float bias": {"bias": "float32"},
    "no bias": {"bias": None},
    "another operator": {"behind": [("Sigmoid", {}, {})]},
    "float bias, no QuantizeLinear": {"bias": "float32", "quantised": False},
}


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_float_results(nets, name, op):
    shapes = {"Conv": ((2, 4, 6, 6), (7, 4, 3, 3)), "Gemm": ((5, 20), (20, 7))}
    check(nets, nets.qdq(op, *shapes[op], seed=10, per_channel=False, **FLOATS[name]), steps=1)


def test_gemm_with_its_left_side_transposed_and_beta(nets):
    network = nets.qdq("Gemm", (6, 6), (6, 7), {"transA": 1, "beta": 2.0, "alpha": 0.25}, bias="float32", seed=11)
    check(nets, network, steps=1)
    network = nets.qdq("Gemm", (5, 20), (20, 7), {"beta": 0.0}, bias="float32", seed=11)
    check(nets, network, steps=1)


def test_gemm_with_an_int32_bias_and_beta(nets):
    network = nets.qdq("Gemm", (5, 20), (20, 7), {"beta": 0.5, "alpha": 2.0}, seed=12, per_channel=False)
    check(nets, network, steps=1)


QLINEAR = {
    "QLinearConv": ("QLinearConv", (2, 4, 8, 7), (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}, {"bias": True}),
    "QLinearConv, groups": ("QLinearConv", (2, 4, 8, 7), (6, 2, 3, 3), {"group": 2}, {}),
    "QLinearConv, int8": ("QLinearConv", (2, 4, 8, 7), (6, 4, 3, 3), {}, {"x_type": np.int8, "bias": True}),
    "QLinearConv, uint8 weights": ("QLinearConv", (2, 4, 8, 7), (6, 4, 3, 3), {}, {"w_type": np.uint8, "w_zero": 128}),
    "QLinearMatMul": ("QLinearMatMul", (4, 12), (12, 9), {}, {}),
    "QLinearMatMul, int8": ("QLinearMatMul", (4, 12), (12, 9), {}, {"x_type": np.int8}),
    "ConvInteger": (
        "ConvInteger",
        (2, 4, 8, 7),
        (6, 4, 3, 3),
        {"strides": [2, 1]},
        {"w_type": np.uint8, "w_zero": 120},
    ),
    "MatMulInteger": ("MatMulInteger", (4, 12), (12, 9), {}, {}),
    "MatMulInteger, int8": ("MatMulInteger", (4, 12), (12, 9), {}, {"x_type": np.int8, "w_zero": -1}),
}


@pytest.mark.parametrize("name", QLINEAR)
def test_integer_operators(nets, name):
    op, x_shape, w_shape, attributes, options = QLINEAR[name]
    check(nets, nets.integer(op, x_shape, w_shape, attributes, seed=13, **options))


@pytest.mark.parametrize("batch", [None, 1, 2, 3, 4])
def test_fixed_and_free_batches(nets, batch):
    network = nets.qdq("Conv", (7, 3, 5, 5), (4, 3, 3, 3), batch=batch, seed=14)
    free = nets.qdq("Conv", (7, 3, 5, 5), (4, 3, 3, 3), seed=14)
    wanted = nets.reference(free.model, network.x)
    for size in (2, 50):
        found, run = nets.on_array(network, batch=size)
        np.testing.assert_array_equal(found[:7], wanted)
        np.testing.assert_array_equal(run.scores, wanted.reshape(7, -1))


def test_an_input_too_small_for_the_kernel_gives_nothing(nets):
    network = nets.qdq("Conv", (2, 3, 5, 5), (4, 3, 3, 3), seed=15)
    layer = next(iter(nets.compile_network(network.model, nets.small, "net").layers.values())).layer
    x = network.x[:, :, :2]
    assert layer.geometry.vectors(x, 3).shape == (1, 0, 27)
    assert layer.geometry.output(np.empty((0, 4), np.int32), x.shape).shape == (2, 4, 0, 3)


def swapped_padding(monkeypatch):
    padding = Convolution.padding
    monkeypatch.setattr(Convolution, "padding", lambda self, spatial: tuple(p[::-1] for p in padding(self, spatial)))


def one_group(monkeypatch):
    """Give every group the inputs of the first."""
    vectors = Convolution.vectors
    monkeypatch.setattr(Convolution, "vectors", lambda self, *given: vectors(self, *given)[[0] * self.groups])


def other_channels(monkeypatch):
    to_channels = Layout.to_channels
    monkeypatch.setattr(Layout, "to_channels", lambda self, array: to_channels(self, array)[::-1])


@pytest.mark.parametrize(("fault", "name"), [
    (swapped_padding, "stride and padding"),
    (swapped_padding, "same upper"),
    (swapped_padding, "same lower"),
    (one_group, "groups"),
    (other_channels, "plain"),
])  # fmt: skip
def test_the_checks_take_no_geometry_from_what_they_check(nets, monkeypatch, fault, name):
    x_shape, w_shape, attributes = CONVS[name]
    network = nets.qdq("Conv", x_shape, w_shape, attributes, seed=5)
    fault(monkeypatch)
    _, run = nets.on_array(network, SHAPES[0])
    assert run.layers[0].norm_mismatches > 0
    assert run.layers[0].kernel_mismatches == run.layers[0].norm_mismatches
