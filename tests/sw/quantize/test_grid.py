import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.errors import InputError
from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import ELEMENT_TYPES, FLOAT32, element_type, rounded
from dnnzip.quantize.grid import Lossless
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step import StepSearch
from dnnzip.quantize.tolerance import bounds_of, check_bound, largest_errors
from dnnzip.quantize.weights import ArrayWeights


def weight_of(array, axis=0, point=None):
    return ArrayWeights("w", array, Layout(array.shape, axis), point)


def keeps(weights, step, bound, dtype):
    """The definition, slow: some code within one of the quotient decodes to within the bound, for every weight."""
    nearest = np.rint(weights.astype(np.float64) / np.float64(step))
    best = np.full(weights.shape, np.inf)
    for offset in (-1, 0, 1):
        arithmetic = element_type(np.dtype(dtype)).arithmetic.type
        with np.errstate(over="ignore"):
            decoded = ((nearest + offset).astype(arithmetic) * arithmetic(step)).astype(dtype)
        best = np.minimum(best, np.abs(weights.astype(np.float64) - decoded.astype(np.float64)))
    return bool(np.all(best <= bound))


def steps_above(step, bound):
    """Every float32 above a step and not above twice the bound, at most 3000 of them."""
    while True:
        step = np.nextafter(np.float32(step), np.float32(np.inf))
        if float(step) > 2 * bound:
            return
        yield step


def search(weights, bound, element, codes):
    weights = weights.astype(element.arithmetic)
    return StepSearch(weights, bound, element, codes, float(np.abs(weights).max()))


finite = st.floats(-100, 100, allow_nan=False, width=32)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(
    st.lists(finite, min_size=1, max_size=200),
    st.floats(1e-3, 1.0),
    # Down to where the smallest of the values are subnormal.
    st.sampled_from(
        [
            *((np.float32, 0), (np.float32, -130), (np.float16, 0), (np.float16, -18)),
            *((np.float64, 0), (np.float64, -140), (ml_dtypes.bfloat16, 0), (ml_dtypes.bfloat16, -130)),
            *((ml_dtypes.float8_e4m3fn, 0), (ml_dtypes.float8_e4m3fn, -10), (ml_dtypes.float8_e5m2, -18)),
            *((ml_dtypes.float8_e4m3fnuz, -2), (ml_dtypes.float8_e5m2fnuz, 0)),
        ]
    ),
)
def test_the_bound_holds_exactly_and_no_larger_step_keeps_it(values, share, kind):
    dtype, exponent = kind
    weights = np.ldexp(np.array(values, np.float64), exponent).astype(dtype)
    bound = share * float(np.abs(weights.astype(np.float64)).max())
    if bound == 0:
        return
    codes = np.empty(weights.size, np.int16)
    found = search(weights, bound, element_type(np.dtype(dtype)), codes).largest_step()
    if found is None:
        return
    step, error = found
    decoded = decoded_values(codes[None], np.asarray(step), element_type(np.dtype(dtype)))[0]
    errors = np.abs(weights.astype(np.float64) - decoded.astype(np.float64))
    assert errors.max() <= bound
    assert errors.max() == error
    assert float(step) <= 2 * bound
    for larger in itertools.islice(steps_above(step, bound), 3000):
        assert not keeps(weights, larger, bound, dtype), f"{larger!r} is larger than {step!r} and keeps {bound!r}"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("share", [1e-4, 1e-3, 0.01, 0.3])
def test_the_step_of_a_tensor_too_large_for_a_plain_search(dtype, share):
    seed = 20
    print("seed", seed)
    rng = np.random.default_rng(seed)
    # Uniform weights put most products into the last binade, where rounding is worst.
    weights = rng.uniform(-1, 1, 200_000).astype(dtype)
    bound = share * 2.0
    codes = np.empty(weights.size, np.int16)
    step, error = search(weights, bound, element_type(np.dtype(dtype)), codes).largest_step()
    decoded = decoded_values(codes[None], np.asarray(step), element_type(np.dtype(dtype)))[0]
    assert np.abs(weights.astype(np.float64) - decoded.astype(np.float64)).max() == error
    assert error <= bound
    assert keeps(weights, step, bound, dtype)
    for larger in itertools.islice(steps_above(step, bound), 30):
        assert not keeps(weights, larger, bound, dtype)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.integers(0, 1 << 20), st.sampled_from([1, 3, 255, 256, 257, 3000]), st.floats(-4.4, -0.5), st.booleans())
def test_settled_weights_change_nothing(seed, size, exponent, are_near_middles):
    """Looking at every weight one by one finds the same step, codes and largest error."""
    rng = np.random.default_rng(seed)
    weights = rng.laplace(0, 1, size).astype(np.float32)
    if are_near_middles:
        # Every weight is a suspect.
        weights = ((rng.integers(-200, 200, size) + 0.5) * (1 + 1e-7 * rng.integers(-9, 9, size))).astype(np.float32)
    largest = float(np.abs(weights).max())
    bound = 10.0**exponent * largest if not are_near_middles else 0.5
    codes, expected, again = (np.zeros(size, np.int16) for _ in range(3))
    found = search(weights, bound, FLOAT32, codes).largest_step()
    start = np.float32(2 * bound)
    start = np.nextafter(start, np.float32(0)) if float(start) > 2 * bound else start
    assert found == search(weights, bound, FLOAT32, expected).step_by_all(weights, int(start.view(np.uint32)), 1)
    if found is None:
        return
    np.testing.assert_array_equal(codes, expected)
    search(weights, bound, FLOAT32, again).fill_codes(found[0])
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("element", [item for item in ELEMENT_TYPES.values() if item.is_narrow], ids=lambda t: t.name)
def test_rounding_to_a_narrow_type_is_numpys(element):
    patterns = np.arange(1 << (8 * element.bytes - 1), dtype=f"u{element.bytes}")
    every = patterns.view(element.dtype)
    with np.errstate(invalid="ignore"):  # of patterns that are no number
        every = every[np.isfinite(every)].astype(np.float64)
    middles = ((every[1:] + every[:-1]) / 2).astype(np.float32)
    around = [np.nextafter(middles, np.float32(limit)) for limit in (0, np.inf)]
    over = np.float32(every[-1] + (every[-1] - every[-2]) / 2)
    ends = np.array([np.nextafter(over, np.float32(0)), over, 1e30, np.inf], np.float32)
    values = np.concatenate([every.astype(np.float32), middles, *around, ends])
    values = values[:: 3 if element.bytes > 1 else 1]
    with np.errstate(over="ignore"):
        expected = values.astype(element.dtype).astype(np.float64)
    # Types without infinities have a NaN for what is over their range.
    expected[~np.isfinite(expected)] = np.inf
    for sign in (np.float32(1), np.float32(-1)):
        np.testing.assert_array_equal(
            [rounded(sign * value, element.rounding) for value in values], float(sign) * expected
        )


def test_the_slow_definition_can_fail():
    weights = np.array([0.3, 1.0], np.float32)
    assert keeps(weights, np.float32(0.2), 0.1, np.float32)
    assert not keeps(weights, np.float32(0.2), 0.0999, np.float32)


def test_no_step_where_codes_do_not_fit():
    codes = np.empty(2, np.int16)
    assert search(np.array([1.0, 0.3], np.float32), 1e-6, FLOAT32, codes).largest_step() is None
    assert search(np.array([32767.0, 0.3], np.float32), 0.5, FLOAT32, codes).largest_step() is not None
    assert codes[0] == LARGEST_CODE
    assert search(np.array([32769.0, 0.3], np.float32), 0.5, FLOAT32, codes).largest_step() is None


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
)
def test_extreme_magnitudes(dtype):
    limits = ml_dtypes.finfo(dtype)
    for values in (
        [limits.max, -limits.max, 1],
        [float(limits.smallest_subnormal), -3 * float(limits.smallest_subnormal), 0],
        [limits.tiny, -limits.tiny, 0.3 * float(limits.tiny)],
    ):
        weights = np.array(values, dtype).reshape(1, 3)
        result = quantise(weight_of(weights), Bound.parse("10%"))
        if isinstance(result.grid, Lossless):
            continue
        restored = decoded_values(result.codes, result.grid.step, result.grid.element)
        assert np.all(largest_errors(weight_of(weights), restored, 1, Scope.TENSOR) <= result.grid.bound)


def test_a_range_of_zero_is_kept_without_loss():
    for value in (0.0, 0.7, -0.7):
        weights = np.full((3, 4), value, np.float32)
        for text in ("5%", "0.1"):
            result = quantise(weight_of(weights), Bound.parse(text))
            assert result.grid.max_error == 0
            assert result.grid.max_bound == 0
            np.testing.assert_array_equal(decoded_values(result.codes, result.grid.step, FLOAT32), weights)
    mixed = np.array([[0.5, 0.5], [1.0, 2.0]], np.float32)
    result = quantise(weight_of(mixed), Bound.parse("10%"), Scope.CHANNEL)
    assert result.grid.error[0] == 0
    assert result.grid.step[0] == 0.5


def test_float64_weights_that_no_float32_is():
    for values in ([1e300, -1e300, 1.0], [1e-300, 2e-300, 0.0], [0.1, 0.1, 0.1]):
        weights = np.array(values).reshape(1, 3)
        result = quantise(weight_of(weights), Bound.parse("0.0001%"))
        restored = result.grid.restore(result.codes, Layout((1, 3), 0))
        np.testing.assert_array_equal(restored, weights)
    # Not a multiple of any float32: the bound holds between float64 numbers.
    weights = np.array([[1 / 3, -2 / 7, 1e-9]])
    result = quantise(weight_of(weights), Bound.parse("1%"))
    error = float(np.abs(result.grid.restore(result.codes, Layout((1, 3), 0)) - weights).max())
    assert 0 < error == result.grid.max_error <= 0.01 * (1 / 3 + 2 / 7)


def test_bounds_of_percentages_take_the_range_of_tensor_or_channel():
    weights = np.array([[0, 1, 2], [0, 10, -10]], np.float32)
    assert bounds_of(weight_of(weights), Bound.parse("2%"), Scope.TENSOR) == 0.02 * 20
    np.testing.assert_array_equal(
        bounds_of(weight_of(weights), Bound.parse("2%"), Scope.CHANNEL), [0.02 * 2, 0.02 * 20]
    )
    grid = quantise(weight_of(weights), Bound.parse("2%"), Scope.CHANNEL).grid
    np.testing.assert_array_equal(grid.bound, [0.04, 0.4])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-128, 127), min_size=2, max_size=40),
    st.integers(0, 200),
    st.integers(-128, 127),
    st.sampled_from([np.int8, np.uint8]),
)
def test_integer_codes_keep_e_steps(values, error, point, dtype):
    array = np.array(values, np.int8).astype(dtype).reshape(1, -1)
    weight = weight_of(array, point=np.array(point, np.int8).astype(dtype))
    result = quantise(weight, Bound.parse(f"{error}lsb"))
    assert result.grid.unit is Unit.LSB
    assert np.all((result.codes >= -128) & (result.codes <= 127))
    shifted = array.astype(int) - int(weight.zero_point)
    if result.grid.divisor == 1:
        np.testing.assert_array_equal((result.codes + int(weight.zero_point)) % 256, array.astype(int) % 256)
    else:
        assert result.grid.divisor == 2 * error + 1
        assert np.abs(shifted - result.grid.divisor * result.codes).max() == result.grid.max_error <= error


def test_a_percentage_of_integer_weights_is_an_exact_floor():
    # 7 % of 100 is 7, though the nearest floats give 7.000000000000001 or a little less.
    array = np.array([[0, 100, 50]], np.int8)
    for text, error in (("7%", 7), ("0.99%", 0), ("1%", 1), ("1.999%", 1), ("29%", 29), ("100%", 100)):
        assert quantise(weight_of(array), Bound.parse(text)).grid.max_bound == error
    by_channel = np.array([[0, 100], [0, 20], [0, 0]], np.int8)
    assert quantise(weight_of(by_channel), Bound.parse("10%"), Scope.CHANNEL).grid.max_bound == 2
    assert quantise(weight_of(np.full((2, 2), 5, np.int8)), Bound.parse("3lsb")).grid.max_error == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_that_are_not_finite_name_the_layer(bad, dtype):
    weights = np.ones((2, 3), dtype)
    weights[1, 1] = bad
    with pytest.raises(InputError, match=r"^layer 'w': has NaN or infinite weights; "):
        quantise(weight_of(weights), Bound.parse("1%"))
    with pytest.raises(InputError, match=r"^layer 'w': has NaN or infinite weights; "):
        check_bound([weight_of(weights)], Bound.parse("0.1"))


def test_units_must_suit_the_type():
    with pytest.raises(InputError, match=r"^max_error '1lsb': layer 'w' has float32 weights; lsb is for integer"):
        quantise(weight_of(np.ones((2, 2), np.float32)), Bound.parse("1lsb"))
    with pytest.raises(InputError, match=r"^max_error '0\.1': layer 'w' has int8 weights; give lsb"):
        quantise(weight_of(np.ones((2, 2), np.int8)), Bound.parse("0.1"))


def test_a_bound_over_every_range_is_refused():
    small, large = np.array([[0, 1]], np.float32), np.array([[0, 4]], np.float32)
    with pytest.raises(
        InputError,
        match=r"^max_error '4\.5': is over the range of every .*; the largest range is 4, and 4\.5% is a share",
    ):
        check_bound([weight_of(small), weight_of(large)], Bound.parse("4.5"))
    check_bound([weight_of(small), weight_of(large)], Bound.parse("3"))
    with pytest.raises(InputError, match=r"the largest range is 20 lsb$"):
        check_bound([weight_of(np.array([[0, 20]], np.int8))], Bound.parse("21lsb"))
    check_bound([weight_of(np.zeros((2, 2), np.int8))], Bound.parse("0lsb"))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("2%", "1/50", Unit.SHARE),
        (" .5 % ", "1/200", Unit.SHARE),
        ("100%", "1", Unit.SHARE),
        ("0.003", "3/1000", Unit.ABSOLUTE),
        ("1e-3", "1/1000", Unit.ABSOLUTE),
        ("0lsb", "0", Unit.LSB),
        ("1 LSB", "1", Unit.LSB),
    ],
)
def test_bounds_are_read_exactly(text, value, unit):
    bound = Bound.parse(text)
    assert (str(bound.value), bound.unit) == (value, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an error bound"),
        ("%", "is not an error bound"),
        ("two", "is not an error bound"),
        ("1/3", "is not an error bound"),
        ("1_0", "is not a finite number"),
        ("nan", "is not a finite number"),
        ("inf%", "is not a finite number"),
        ("1e999", "is not a finite number"),
        ("0%", "is not above zero"),
        ("-1%", "is not above zero"),
        ("-0.5", "is not above zero"),
        ("1e-999", "is not above zero"),
        ("100.1%", "is over 100 %"),
        ("0.5lsb", "is not a whole number of steps"),
        ("-1lsb", "is not a whole number of steps"),
    ],
)
def test_other_bounds_name_the_option(text, message):
    with pytest.raises(InputError, match=rf"^--first {text!r}: {message}; give "):
        Bound.parse(text, "--first")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.data())
def test_layouts_are_undone(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    group = data.draw(st.sampled_from([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])) if axis else 1
    layout = Layout(tuple(shape), axis, group)
    array = np.arange(np.prod(shape)).reshape(shape)
    rows = layout.to_channels(array)
    assert rows.shape == (layout.channels, layout.length)
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(layout.from_channels(rows), array)
    # A channel's weights keep their order of storage.
    assert np.all(np.diff(rows, axis=1) > 0)


def test_channels_of_a_grouped_transposed_convolution():
    layout = Layout((4, 3, 1, 2), 1, 2, (1, 2))
    array = np.arange(24).reshape(4, 3, 1, 2)
    rows = layout.to_channels(array)
    # Channel 4 is the second of group 1: input channels 2 and 3.
    np.testing.assert_array_equal(rows[4], array[2:4, 1].reshape(-1))
