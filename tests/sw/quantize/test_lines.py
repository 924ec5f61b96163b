"""Straight segments within a bound, as few as can be."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.codec import CodecOptions
from dnnzip.codec.line.choices import fit_lines
from dnnzip.encoding import encode_quantised
from dnnzip.format import MAX_SEGMENT, WEIGHT_HEADER
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.grid import Lossless
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.tolerance import largest_errors
from dnnzip.quantize.weights import ArrayWeights
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import require, verify


def weight_of(array, axis=0, point=None):
    return ArrayWeights("w", array, Layout(array.shape, axis), point)


def exact_segments(codes):
    """Return the lengths of the longest exact segments, one after the other, modulo 2**16."""
    lengths, start = [], 0
    while start < len(codes):
        end = start + 1
        while end < min(len(codes), start + MAX_SEGMENT) and (
            end == start + 1 or (codes[end] - codes[end - 1] - codes[start + 1] + codes[start]) % (1 << 16) == 0
        ):
            end += 1
        lengths.append(end - start)
        start = end
    return lengths


def suits(low, high):
    """Return True if a line of whole slope and intercept passes through all intervals, by trying every slope."""
    span = max(high) - min(low)
    place = np.arange(len(low))
    return any((low - slope * place).max() <= (high - slope * place).min() for slope in range(-span, span + 1))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 12)), min_size=1, max_size=40))
def test_segments_pass_through_every_interval_and_none_can_be_longer(pairs):
    low = np.array([value for value, _ in pairs], np.int32)
    high = low + np.array([width for _, width in pairs], np.int32)
    codes = fit_lines(low, high)
    assert codes.dtype == np.int16
    assert np.all((low <= codes) & (codes <= high))
    start = wanted = 0
    while start < low.size:
        end = start + 1
        while end < low.size and suits(low[start : end + 1], high[start : end + 1]):
            end += 1
        start, wanted = end, wanted + 1
    assert len(exact_segments(codes.tolist())) <= wanted


def test_the_widest_intervals_and_the_longest_segments():
    full = np.full(1000, 32767, np.int32)
    assert exact_segments(fit_lines(-full, full).tolist()) == [256, 256, 256, 232]
    ends = np.tile(np.array([-32767, 32767], np.int32), 50)
    assert fit_lines(ends, ends).tolist() == ends.tolist()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    st.lists(st.floats(-100, 100, allow_nan=False, width=32), min_size=2, max_size=120),
    st.floats(1e-3, 0.5),
    st.sampled_from([(np.float32, 0), (np.float32, -130), (np.float16, 0), (np.float16, -18)]),
    st.sampled_from(list(Scope)),
)
def test_the_bound_holds_exactly(values, share, kind, scope):
    dtype, exponent = kind
    array = np.ldexp(np.array(values[: len(values) // 2 * 2], np.float64), exponent).astype(dtype).reshape(2, -1)
    weight = weight_of(array)
    result = quantise_lines(weight, Bound(Fraction(share), Unit.SHARE, ""), scope)
    if isinstance(result.grid, Lossless):
        return
    restored = result.grid.restore(result.codes, weight.layout)
    errors = largest_errors(weight, restored, 1, scope)
    assert np.array_equal(errors, result.grid.error)
    assert np.all(errors <= result.grid.bound)
    axis = 1 if scope is Scope.CHANNEL else None
    spans = array.max(axis=axis).astype(np.float64) - array.min(axis=axis).astype(np.float64)
    assert np.array_equal(result.grid.bound, np.where(spans > 0, share * spans, 0.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_bound_below_the_finest_grid_is_stored_losslessly(dtype):
    array = np.random.default_rng(3).normal(size=(4, 50)).astype(dtype)
    result = quantise_lines(weight_of(array), Bound.parse("1e-7"))
    assert isinstance(result.grid, Lossless)
    assert result.grid.max_error == 0
    constant = quantise_lines(weight_of(np.full((2, 3), -0.7, dtype)), Bound.parse("1%"))
    assert (constant.codes.tolist(), constant.grid.max_error) == ([[-1] * 3] * 2, 0.0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("text", ["0lsb", "1lsb", "7lsb", "300lsb", "3%"])
def test_integer_weights_keep_their_scale_and_their_type(dtype, text):
    rng = np.random.default_rng(8)
    limits = np.iinfo(dtype)
    array = rng.integers(limits.min, limits.max + 1, (6, 40)).astype(dtype)
    point = rng.integers(limits.min, limits.max + 1, 6).astype(dtype)
    weight = weight_of(array, point=point)
    result = quantise_lines(weight, Bound.parse(text))
    assert (result.grid.divisor, result.grid.unit) == (1, Unit.LSB)
    restored = result.grid.restore(result.codes, weight.layout)
    errors = np.abs(restored.astype(int) - array.astype(int))
    assert errors.max() == result.grid.max_error <= result.grid.max_bound
    assert result.grid.max_bound == min({"3%": 7}.get(text) or int(text.removesuffix("lsb")), 255)
    # Nothing wraps: a weight never leaves its type's range to come back at the other end.
    values = result.codes.astype(int) + point.astype(int)[:, None]
    assert values.min() >= limits.min
    assert values.max() <= limits.max


@pytest.mark.parametrize("kind", ["float", "half", "integer"])
@pytest.mark.parametrize("scope", list(Scope))
def test_compress_with_lines_keeps_the_bound(networks, kind, scope):
    network = {
        "float": lambda: networks.float_network("ConvTranspose"),
        "half": lambda: networks.float_network("Gemm", "float16"),
        "integer": lambda: networks.qdq_network("Conv2D", "uint8", per_channel=True),
    }[kind]()
    result = compress(network.model, CompressionOptions(Bound.parse("5%"), scope, codec=CodecOptions("line")))
    assert [layer.codec for layer in result.compressed.layers] == ["line"]
    require(verify(network.model, result.compressed))
    (layer,) = result.compressed.layers
    assert layer.max_error > 0


@pytest.mark.zoo
@pytest.mark.parametrize("model", ["lenet5_mnist", "resnet8_cifar10", "dscnn_kws", "mobilenet_v1_025_imagenet"])
def test_bits_are_those_of_the_oracle_but_for_headers(zoo, model):
    oracle = zoo.parent / "oracles" / "codecs.json"
    if not oracle.is_file():
        pytest.skip("no oracle beside the zoo")
    expected = json.loads(oracle.read_text())["models"][model]
    weights, _ = find_weights(load_model(zoo / f"{model}.onnx"))
    count = sum(weight.weights for weight in weights)
    assert count == expected["weights"]
    frame = WEIGHT_HEADER.bits + 32 + 8  # header, CRC-32, and the second length of a last segment on its own
    for share, schemes in expected["bits_per_weight"].items():
        bound = Bound(Fraction(share), Unit.SHARE, share)
        results = [quantise_lines(weight, bound) for weight in weights]
        _, encoded = encode_quantised(weights, results, CodecOptions("line"))
        bits = 8 * sum(len(item.stream) for item in encoded) - frame * len(weights)
        assert bits / count <= schemes["piecewise_linear_greedy"] * 1.0005
