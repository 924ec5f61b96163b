"""Floats whose bits are codes: the map, and weights that are kept without loss or within a share of each."""

import json
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import dnnzip
from dnnzip.codec.kernels import best_table
from dnnzip.codec.statistics import bin_values, bins, places_for
from dnnzip.errors import InputError
from dnnzip.format import LARGEST_CODE, MAX_SHIFT
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.float_bits import PARTS
from dnnzip.quantize.float_map import EXPONENTS, MODE_PLACE, FloatMap, fitting_map
from dnnzip.quantize.grid import Lossless, MappedGrid
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.quantise import quantise, quantise_again
from dnnzip.quantize.weights import ArrayWeights

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "float_map" / "v1.json").read_text(encoding="utf-8"))
TYPES = {name: np.dtype(getattr(ml_dtypes, name, None) or name) for name in PARTS}


def every_pattern(bits):
    return np.arange(2 << bits, dtype=np.uint32).astype(np.uint16)


def every_finite_value(dtype, seed=0):
    """Return all finite values of a type in random order; of float32, a sample of all exponents."""
    rng = np.random.default_rng(seed)
    if dtype.itemsize == 4:
        patterns = rng.integers(0, 1 << 32, 4096, np.uint32)
        patterns[:6] = [0, 1 << 31, 1, (1 << 31) + 1, 0x7F7FFFFF, 0xFF7FFFFF]
    else:
        patterns = rng.permutation(1 << 8 * dtype.itemsize).astype(f"u{dtype.itemsize}")
    values = patterns.view(dtype)
    with np.errstate(invalid="ignore"):
        return values[np.isfinite(values)]


def weights_of(values):
    return ArrayWeights("w", values, Layout(values.shape, 0))


def normal(dtype, shape=(32, 256), scale=0.02, seed=1):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(dtype)


@pytest.mark.parametrize("bits", [7, 12, 15])
def test_every_pattern_has_a_code_of_its_own(bits):
    patterns = every_pattern(bits)
    for base in {0, 1, 127, (1 << bits) - 1, 0x3580 % (1 << bits)}:
        float_map = FloatMap(base, bits)
        codes = float_map.codes(patterns)
        assert (int(codes.min()), int(codes.max())) == (-(1 << bits), (1 << bits) - 1)
        assert np.unique(codes).size == patterns.size
        np.testing.assert_array_equal(float_map.patterns(codes), patterns)
        np.testing.assert_array_equal(float_map.codes(np.array([0, 1 << bits], np.uint16)), [0, -1])


def test_the_low_bits_of_a_code_are_the_mantissa_and_the_others_sign_and_exponent():
    patterns = every_pattern(15)
    codes = FloatMap(0x3500, 15).codes(patterns)
    plain = (patterns & 0x7FFF != 0) & (patterns & 0x7FFF != 0x3500)
    tokens, mantissas = codes >> 7, codes & 0x7F
    is_negative = patterns >> 15 == 1
    exponents = (((patterns >> 7) & 0xFF).astype(int) - (0x3500 >> 7)) % 256
    np.testing.assert_array_equal(tokens[plain], np.where(is_negative, -1 - exponents, exponents)[plain])
    np.testing.assert_array_equal(
        mantissas[plain], np.where(is_negative, 0x7F - (patterns & 0x7F), patterns & 0x7F)[plain]
    )


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['magnitude_bits']}-{case['base']:#x}")
def test_the_map_is_that_of_the_vectors(case):
    float_map = FloatMap(case["base"], case["magnitude_bits"])
    patterns, codes = np.array(case["patterns"], np.uint16), np.array(case["codes"], np.int16)
    np.testing.assert_array_equal(float_map.codes(patterns), codes)
    np.testing.assert_array_equal(float_map.patterns(codes), patterns)


@pytest.mark.parametrize(
    ("base", "bits", "said"),
    [(-1, 15, "base must be 0 to 32767, not -1"), (1 << 7, 7, "base must be 0 to 127, not 128"), (0, 16, "1 to 15")],
)
def test_a_map_has_its_rules(base, bits, said):
    with pytest.raises(ValueError, match=said):
        FloatMap(base, bits)


def test_the_base_puts_the_most_frequent_exponent_at_its_place():
    patterns = normal(ml_dtypes.bfloat16).view(np.uint16)
    mode = int(np.bincount((patterns.reshape(-1) >> 7) & 0xFF).argmax())
    assert fitting_map(patterns, 15, 7).base >> 7 == mode - MODE_PLACE


def test_the_base_follows_the_weights_where_they_spread_over_many_exponents():
    """A quarter of the weights has one exponent, the others lie 20 to 30 exponents below it."""
    rng = np.random.default_rng(5)
    exponents = np.where(rng.random(4000) < 0.25, 130, rng.integers(100, 111, 4000))
    patterns = (exponents << 7 | rng.integers(0, 128, 4000)).astype(np.uint16)
    base = fitting_map(patterns, 15, 7).base >> 7
    assert 130 - EXPONENTS < base <= 100


def test_training_finds_the_largest_shift_where_all_codes_are_large():
    """No token reaches a code before the largest shifts: those in between only add bits."""
    places = places_for(LARGEST_CODE)
    histogram, values = np.zeros(bins(places)), bin_values(places)
    histogram[(np.abs(values) > 1200) & (np.abs(values) < 3900)] = 1
    room = (np.zeros(64, np.int64), np.zeros(64, np.int64), np.zeros(64), np.zeros(64))
    assert best_table(histogram, values, 512, MAX_SHIFT, *room) == MAX_SHIFT


@pytest.mark.parametrize("name", TYPES)
def test_every_finite_value_comes_back_bit_by_bit(name):
    values = every_finite_value(TYPES[name])
    compressed = dnnzip.compress(values, "0", codec="ans")
    assert (compressed.bound, compressed.max_error) == (0.0, 0.0)
    again = dnnzip.Compressed.from_bytes(compressed.to_bytes()).decode()
    assert again.dtype == values.dtype
    assert again.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("name", "most"),
    [("bfloat16", 10.6), ("float16", 13.6), ("float32", 26.6), ("float8_e4m3fn", 5.6), ("float8_e5m2", 5.7)],
)
def test_normal_weights_take_the_bits_of_their_entropy(name, most):
    """Sign and exponent take about 3.6 bits, the mantissa all of its own, but for the first ones of float8."""
    weights = normal(TYPES[name], (64, 1024))
    compressed = dnnzip.compress(weights, "0")
    assert compressed.codec == "ans"
    assert compressed.bits_per_weight < most
    assert compressed.decode().tobytes() == weights.tobytes()


def test_zeros_of_pruned_weights_are_no_escapes():
    """A zero takes the low bits and about one more: half of the weights are zeros here, of both signs."""
    rng = np.random.default_rng(2)
    weights = normal(ml_dtypes.bfloat16, (64, 1024))
    weights[rng.random(weights.shape) < 0.5] = 0
    weights[rng.random(weights.shape) < 0.01] = -0.0
    compressed = dnnzip.compress(weights, "0")
    assert compressed.bits_per_weight < 10
    assert compressed.decode().tobytes() == weights.tobytes()


@pytest.mark.parametrize("codec", ["ans", "raw", "auto", "line"])
@pytest.mark.parametrize("shape", [(7,), (1, 300), (5, 1), (3, 4, 3, 3)])
def test_shapes_and_codecs_of_low_bits(codec, shape):
    weights = normal(np.float32, shape)
    for bound in ("0", "0.01%rel"):
        compressed = dnnzip.Compressed.from_bytes(dnnzip.compress(weights, bound, codec=codec).to_bytes())
        restored = compressed.decode()
        assert np.all(np.abs(restored.astype(float) - weights) <= compressed.bound * np.abs(weights.astype(float)))
        assert bound != "0" or restored.tobytes() == weights.tobytes()


def test_streams_of_several_groups_have_their_low_bits_behind_them():
    weights = normal(np.float32, (12, 40))
    assert dnnzip.compress(weights, "0", groups=4, codec="ans").decode().tobytes() == weights.tobytes()


@pytest.mark.parametrize("share", ["40%", "10%", "1%", "0.1%", "0.001%"])
@pytest.mark.parametrize("name", [*TYPES, "float64"])
def test_every_weight_keeps_its_share(name, share):
    dtype = np.dtype(TYPES.get(name, name))
    values = every_finite_value(dtype) if name != "float64" else normal(dtype, (40, 100), 1e-3)
    compressed = dnnzip.compress(values, f"{share}rel", codec="ans")
    restored = compressed.decode().astype(np.float64)
    wide, part = values.astype(np.float64), float(Fraction(share[:-1]) / 100)
    assert np.all(np.abs(restored - wide) <= part * np.abs(wide))
    errors = np.abs(restored - wide)[wide != 0] / np.abs(wide[wide != 0])
    assert compressed.max_error == errors.max()
    assert compressed.max_error <= compressed.bound == part


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16", "float64"])
def test_a_share_keeps_no_more_of_the_mantissa_than_it_needs(name):
    weights = normal(np.dtype(TYPES.get(name, name)), (32, 256))
    weights[0, :20] = 0
    result = quantise(weights_of(weights), Bound.parse("1%rel"), Scope.TENSOR)
    assert isinstance(result.grid, MappedGrid)
    assert result.grid.mantissa_bits == 6
    assert 0.5**7 * 0.9 < result.grid.max_error <= 0.5**7
    np.testing.assert_array_equal(quantise_again(weights_of(weights), result.grid).codes, result.codes)
    assert np.all(result.grid.restore(result.codes, Layout(weights.shape, 0))[0, :20] == 0)


def test_subnormal_float16_weights_cost_no_bits_of_the_others():
    weights = normal(np.float16, (32, 256), 1e-5)
    assert np.mean(np.abs(weights) < 6e-5) > 0.9
    assert quantise(weights_of(weights), Bound.parse("1%rel")).grid.mantissa_bits == 6


def test_a_weight_next_to_the_largest_number_is_not_rounded_to_infinity():
    weights = np.array([[np.finfo(np.float32).max, 1.0]], np.float32)
    compressed = dnnzip.compress(weights, "30%rel", codec="ans")
    assert np.isfinite(compressed.decode()).all()


def test_float64_without_loss_keeps_its_bytes():
    result = quantise(weights_of(normal(np.float64)), Bound.parse("0"))
    assert isinstance(result.grid, Lossless)


@pytest.mark.parametrize("bound", ["0", "1%rel"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bound, bad):
    weights = normal(np.float32)
    weights[3, 3] = bad
    with pytest.raises(InputError, match=r"has NaN or infinite"):
        dnnzip.compress(weights, bound)
