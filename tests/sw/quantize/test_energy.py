"""Shares of a channel's root mean square, and what layers lose to a bound."""

import math
from fractions import Fraction

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dnnzip
import graphs
from dnnzip.codec import CodecOptions
from dnnzip.onnx.decompression import decompressed
from dnnzip.presentation.tables import loss_lines
from dnnzip.quantize.bound import Bound, Scope, parse_bounds
from dnnzip.quantize.energy import loss_of, root_mean_squares
from dnnzip.quantize.grid import IntegerGrid, Lossless
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.tolerance import bounds_of, integer_error
from dnnzip.quantize.weights import ArrayWeights
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.summary import summarise
from dnnzip.usecases.verify import verify


def weight_of(array, axis=0, point=None):
    return ArrayWeights("w", array, Layout(array.shape, axis), point)


def uneven(shape=(40, 30), axis=0, dtype=np.float32):
    """Return weights whose channels differ by factors up to a million; one is zero and one constant."""
    array = np.random.default_rng(3).normal(size=shape)
    channels = np.moveaxis(array, axis, 0)
    channels *= np.logspace(-4, 2, len(channels)).reshape(-1, *[1] * (len(shape) - 1))
    channels[3], channels[5] = 0, 0.25
    return array.astype(dtype)


def network(weights, axis=1):
    """Return a MatMul, or with axis 0 a Gemm, by these weights."""
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    if axis == 0:
        node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    length = weights.shape[1 - axis]
    x, y = [("x", [1, length], weights.dtype)], [("y", [1, weights.shape[axis]], weights.dtype)]
    return graphs.model([node], x, y, {"w": weights}, opset=17, ir_version=8)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_bound_of_a_channel_is_a_share_of_its_root_mean_square(axis, dtype):
    weight = weight_of(uneven((40, 50), axis, dtype), axis)
    rows = weight.layout.to_channels(weight.array).astype(np.float64)
    exact = [0.03 * math.sqrt(math.fsum(row * row) / len(row)) for row in rows]
    for scope in Scope:
        bounds = bounds_of(weight, Bound.parse("3%rms"), scope)
        np.testing.assert_allclose(bounds, exact, rtol=1e-14)
        for make in (quantise, quantise_lines):
            result = make(weight, Bound.parse("3%rms"), scope)
            assert result.grid.scope is Scope.CHANNEL
            errors = np.abs(weight.layout.to_channels(result.grid.restore(result.codes, weight.layout)) - rows)
            assert (errors.max(axis=1) <= bounds).all()
            assert not errors[[3, 5]].any()


def test_sums_go_in_storage_order():
    rows = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
    rows[1, 0] = 3e9
    for row, root in zip(rows, root_mean_squares(rows), strict=True):
        total = 0.0
        for value in row.tolist():
            total += value * value
        assert root == math.sqrt(total / 1000)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(1, 1000),
    st.integers(-128, 127),
)
def test_integer_weights_have_the_floor_of_the_smallest_channel(rows, thousandths, point):
    weight = weight_of(np.array(rows, np.int8), point=np.array(point, np.int8))
    share = Fraction(thousandths, 1000)
    error = integer_error(weight, Bound.parse(f"{thousandths / 10}%rms"), Scope.TENSOR)
    energies = [sum((value - point) ** 2 for value in row) for row in rows]
    used = min((energy for energy in energies if energy), default=0)
    is_flat = len({value for row in rows for value in row}) == 1
    wanted = 0 if is_flat else next(e for e in range(256, -1, -1) if 3 * e * e <= share**2 * used)
    assert error == min(wanted, 255)


@pytest.mark.parametrize("codec", ["auto", "ans", "line"])
def test_files_with_such_bounds_are_checked_from_what_they_say(codec):
    original = network(uneven(axis=1))
    options = CompressionOptions(parse_bounds("2%rms"), codec=CodecOptions(codec))
    made = compress(onnx.ModelProto.FromString(original.SerializeToString()), options).compressed
    assert made.layers[0].grid.spec == "2%rms"
    assert {entry.domain: entry.version for entry in made.model.opset_import}["dnnzip"] == 3
    assert verify(original, made).ok
    # The file with the weights of one at a wider bound is found out.
    wider = compress(original, CompressionOptions(parse_bounds("6%rms"), codec=CodecOptions(codec))).compressed.model
    for entry in wider.graph.node[0].attribute:
        if entry.name == "spec":
            entry.s = b"2%rms"
    assert not dnnzip.verify(network(uneven(axis=1)), wider).ok


def test_files_without_such_bounds_stay_readable_by_older_readers():
    made = compress(network(uneven(axis=1)), CompressionOptions(parse_bounds("2%"))).compressed.model
    assert {entry.domain: entry.version for entry in made.opset_import}["dnnzip"] == 2


def test_channels_that_become_zero_are_counted():
    weight = weight_of(uneven())
    result = quantise(weight, Bound.parse("5%"))
    restored = result.grid.restore(result.codes, weight.layout)
    zeroed = (restored == 0).all(axis=1) & (weight.array != 0).any(axis=1)
    loss = loss_of(weight, result)
    assert (loss.channels, loss.zeroed_channels) == (40, int(zeroed.sum()))
    assert loss.zeroed_channels > 20
    wide = weight.array.astype(np.float64)
    assert loss.lost_energy == pytest.approx(((wide - restored) ** 2).sum() / (wide**2).sum(), rel=1e-12)
    assert loss.is_large


def test_energy_is_lost_without_channels_that_become_zero():
    array = np.random.default_rng(2).normal(size=(8, 400)).astype(np.float32)
    loss = loss_of(weight_of(array), quantise(weight_of(array), Bound.parse("20%")))
    assert (loss.zeroed_channels, loss.is_large) == (0, True)
    small = loss_of(weight_of(array), quantise(weight_of(array), Bound.parse("1%")))
    assert not small.is_large
    assert 0 < small.lost_energy < 0.01


def test_integer_weights_lose_energy_around_their_zero_point():
    array = np.array([[12, 11, 9, 8], [60, -40, 20, 100]], np.int8)
    weight = weight_of(array, point=np.array(10, np.int8))
    result = quantise(weight, Bound.parse("3lsb"))
    assert isinstance(result.grid, IntegerGrid)
    shifted = array.astype(np.int64) - 10
    left = shifted - 7 * result.codes.astype(np.int64)
    loss = loss_of(weight, result)
    assert loss.zeroed_channels == 1
    assert loss.lost_energy == pytest.approx((left**2).sum() / (shifted**2).sum())


@pytest.mark.parametrize("text", ["0", "1e-30"])
def test_lossless_weights_lose_nothing(text):
    result = quantise(weight_of(uneven()), Bound.parse(text))
    assert isinstance(result.grid, Lossless)
    assert loss_of(weight_of(uneven()), result).lost_energy == 0


def test_layers_that_lose_much_are_named():
    original = network(uneven(axis=1))
    done = compress(original, CompressionOptions(parse_bounds("5%")))
    summary = summarise(done.compressed, done.left_out, done.losses)
    decoded = onnx.numpy_helper.to_array(decompressed(done.compressed).graph.initializer[0])
    # One channel was zero before.
    zeroed = int((decoded == 0).all(axis=0).sum()) - 1
    (line,) = loss_lines(summary)
    assert line.startswith(f"large loss: w: {zeroed} of 30 channels become zero, ")
    (item,) = summary.as_json()["lossy"]
    assert (item["name"], item["channels"], item["zeroed_channels"]) == ("w", 30, zeroed)


def test_the_default_bound_is_that_of_the_command_and_of_python(tmp_path, good):
    original = network(uneven((30, 40), axis=0), axis=0)
    onnx.save(original, tmp_path / "m.onnx")
    good("compress", tmp_path / "m.onnx", "-o", tmp_path / "c.onnx")
    made = dnnzip.compress_model(original)
    assert (tmp_path / "c.onnx").read_bytes() == made.model.SerializeToString()
    (layer,) = made.layers
    assert layer.grid.spec.endswith("%rms")
    assert not made.large_losses
    array = dnnzip.compress(uneven((30, 40)))
    assert array.max_error == layer.max_error


def test_the_command_names_what_is_lost(tmp_path, good):
    onnx.save(network(uneven(axis=1)), tmp_path / "m.onnx")
    out = good(
        "compress", tmp_path / "m.onnx", "-o", tmp_path / "c.onnx", "--max-error", "5%", "--error-scope", "tensor"
    )
    assert "large loss: w: " in out
    assert "channels become zero" in out
