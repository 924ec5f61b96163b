import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.quantize.grid import Lossless
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise, quantise_again
from dnnzip.quantize.step_grid import EXACT, STEPS_PER_OCTAVE, Snap, StepGrid, loss_bits, on_grid, roots
from dnnzip.quantize.tolerance import bounds_of, largest_errors
from dnnzip.quantize.weights import ArrayWeights

EXPONENTS = {np.float32: (-149, 128), np.float16: (-24, 16)}


def weight_of(array):
    return ArrayWeights("w", array, Layout(array.shape, 0))


def spread_channels(seed, channels=40, length=12, octaves=6.0, dtype=np.float32):
    print("seed", seed)
    rng = np.random.default_rng(seed)
    scales = 2.0 ** rng.uniform(-octaves, 0, (channels, 1))
    return (rng.normal(size=(channels, length)) * scales).astype(dtype)


def keeps(weights, step, bound, dtype):
    """The definition, slow: some code within one of the quotient decodes to within the bound, for every weight."""
    nearest = np.rint(weights.astype(np.float64) / np.float64(step))
    best = np.full(weights.shape, np.inf)
    for offset in (-1, 0, 1):
        decoded = ((nearest + offset).astype(np.float32) * np.float32(step)).astype(dtype)
        best = np.minimum(best, np.abs(weights.astype(np.float64) - decoded.astype(np.float64)))
    return bool(np.all(best <= bound))


@pytest.mark.parametrize("per_octave", STEPS_PER_OCTAVE)
def test_roots_are_powers_of_two_cut_to_24_bits(per_octave):
    for i, root in enumerate(roots(per_octave)):
        scaled = int(root * 2**24)
        assert scaled == root * 2**24
        exact = 2 ** (24 * per_octave - i)
        assert scaled**per_octave <= exact < (scaled + 1) ** per_octave, f"root {i} of {per_octave}: {root}"


@pytest.mark.parametrize("per_octave", STEPS_PER_OCTAVE)
def test_steps_fall_by_no_more_than_the_sixteenth_root_of_two(per_octave):
    grid = StepGrid(per_octave, np.array([0.7], np.float32), np.arange(EXACT, dtype=np.uint8))
    ratios = grid.steps()[:-1].astype(np.float64) / grid.steps()[1:]
    assert np.all(ratios > 1)
    assert ratios.max() <= 2 ** (1 / 16) * (1 + 1e-6)


@settings(max_examples=400, deadline=None, print_blob=True)
@given(
    st.integers(0, 1 << 30),
    st.sampled_from([np.float32, np.float16]),
    st.floats(0, 1),
    st.floats(0, 30),
    st.sampled_from(["0.01%", "0.5%", "2%", "10%", "33.3%", "50%", "100%"]),
    st.sampled_from(list(Scope)),
    st.sampled_from([quantise, quantise_lines]),
)
def test_no_decoded_weight_overflows_or_breaks_its_bound_at_any_exponent(
    seed, dtype, place, spread, text, scope, method
):
    rng = np.random.default_rng(seed)
    low, high = EXPONENTS[dtype]
    exponents = low + place * (high - low) - rng.uniform(0, spread, (int(rng.integers(1, 9)), 1))
    values = rng.uniform(-1, 1, (len(exponents), int(rng.integers(1, 17)))) * 2.0**exponents
    limit = float(np.finfo(dtype).max)
    weight = weight_of(values.clip(-limit, limit).astype(dtype))
    bound = Bound.parse(text)
    result = method(weight, bound, scope)
    if isinstance(result.grid, Lossless):
        return
    restored = result.grid.restore(result.codes, weight.layout)
    assert np.isfinite(restored).all()
    errors = largest_errors(weight, restored, 1, scope)
    assert np.all(errors <= bounds_of(weight, bound, scope))
    np.testing.assert_array_equal(errors, result.grid.error)
    if result.grid.step_grid is not None:
        np.testing.assert_array_equal(result.grid.step_grid.steps(), result.grid.step)
    if method is quantise:
        np.testing.assert_array_equal(quantise_again(weight, result.grid).codes, result.codes)


def test_weights_at_the_end_of_float32_keep_their_bound():
    largest = float(np.finfo(np.float32).max)
    rng = np.random.default_rng(12)
    for top in (1.0, 0.999, 0.97, 0.6):
        for text in ("33.3%", "40%", "7%", "100%"):
            weight = weight_of((rng.uniform(-1, 1, (6, 300)) * largest * top).astype(np.float32))
            for scope in Scope:
                result = quantise(weight, Bound.parse(text), scope)
                restored = result.grid.restore(result.codes, weight.layout)
                assert np.isfinite(restored).all(), (top, text, scope)
                assert np.all(largest_errors(weight, restored, 1, scope) <= result.grid.bound), (top, text, scope)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("text", ["0.05%", "1%", "20%"])
def test_each_channel_has_the_largest_step_of_the_grid_that_keeps_its_bound(dtype, text):
    weight = weight_of(spread_channels(3, dtype=dtype))
    result = quantise(weight, Bound.parse(text), Scope.CHANNEL)
    grid = result.grid.step_grid
    assert grid is not None
    steps = grid.every_step()
    for channel, index in enumerate(grid.index):
        bound = float(result.grid.bound[channel])
        assert keeps(weight.array[channel], steps[index], bound, dtype)
        for larger in steps[:index][steps[:index] <= 2 * bound]:
            assert not keeps(weight.array[channel], larger, bound, dtype), f"channel {channel}: {larger} keeps it too"


def test_a_channel_out_of_reach_keeps_its_float32_and_others_do_not_mind():
    array = spread_channels(4)
    far = array.copy()
    far[7] *= np.float32(2.0**-60)
    near, apart = (quantise(weight_of(item), Bound.parse("2%"), Scope.CHANNEL) for item in (array, far))
    assert apart.grid.step_grid.index[7] == EXACT
    assert np.count_nonzero(apart.grid.step_grid.index == EXACT) == 1
    alone = quantise(weight_of(far[7:8]), Bound.parse("2%"), Scope.CHANNEL)
    assert apart.grid.step[7] == alone.grid.step[0]
    assert near.grid.step_grid.per_octave == apart.grid.step_grid.per_octave
    others = np.arange(len(array)) != 7
    np.testing.assert_array_equal(near.grid.step[others], apart.grid.step[others])


def test_channels_of_zeros_take_any_step_and_constant_ones_keep_theirs():
    array = spread_channels(5)
    array[2], array[3] = 0, 0.3
    result = quantise(weight_of(array), Bound.parse("2%"), Scope.CHANNEL)
    restored = decoded_values(result.codes, result.grid.step, FLOAT32)
    np.testing.assert_array_equal(restored[2:4], array[2:4])
    assert result.grid.step_grid.index[2] != EXACT
    assert result.grid.step_grid.index[3] == EXACT
    zeros = quantise(weight_of(np.zeros((40, 9), np.float32)), Bound.parse("2%"), Scope.CHANNEL)
    assert not zeros.grid.step_grid.index.any()


def test_the_grid_is_chosen_by_what_it_costs():
    steps = (2.0 ** np.random.default_rng(6).uniform(-0.9, 0, 100)).astype(np.float32)
    assert on_grid(steps, 9, Snap.BELOW).per_octave == 256
    wide = (2.0 ** np.random.default_rng(6).uniform(-14, 0, 100)).astype(np.float32)
    assert on_grid(wide, 9, Snap.BELOW).per_octave == 16
    # On channels of as many weights a step that is a hundredth too small costs more than the float32 of the right one.
    assert on_grid(wide, 100_000, Snap.BELOW) is None
    assert on_grid(steps[:1], 9, Snap.BELOW) is None


@pytest.mark.parametrize("snap", Snap)
def test_steps_move_as_asked(snap):
    steps = (2.0 ** np.random.default_rng(7).uniform(-14, 0, 500)).astype(np.float32)
    grid = on_grid(steps, 9, snap)
    ratios = grid.steps().astype(np.float64) / steps
    half = 2 ** (1 / 32) * (1 + 1e-6)
    low, high = {Snap.BELOW: (1 / half**2, 1), Snap.NEAREST: (1 / half, half), Snap.ABOVE: (1, half**2)}[snap]
    assert low <= ratios.min()
    assert ratios.max() <= high
    assert on_grid(grid.steps(), 9, snap).steps().tolist() == grid.steps().tolist()


def test_the_loss_is_the_mean_of_what_smaller_steps_cost():
    assert loss_bits(np.array([2, 8], np.float32), np.array([1, 8], np.float32)) == 0.5
    weight = weight_of(spread_channels(8, channels=400))
    result = quantise(weight, Bound.parse("2%"), Scope.CHANNEL)
    assert 0 < result.grid.step_loss <= 1 / result.grid.step_grid.per_octave
    assert quantise(weight, Bound.parse("2%")).grid.step_loss == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((17, [1.0], [0]), "steps to an octave must be one of"),
        ((16, [1.0, 2.0], [0]), r"values must be float32 \[1\], not float32 \[2\]"),
        ((16, [1.0], [EXACT]), r"values must be float32 \[2\], not float32 \[1\]"),
    ],
)
def test_fields_are_checked(fields, message):
    per_octave, values, index = fields
    with pytest.raises(ValueError, match=message):
        StepGrid(per_octave, np.array(values, np.float32), np.array(index, np.uint8))
    with pytest.raises(ValueError, match="index must be uint8"):
        StepGrid(16, np.ones(1, np.float32), np.zeros(1, np.int8))


def test_side_bytes_are_those_of_the_file(networks):
    compressed, _ = networks.compress(networks.float_network("Depthwise").model, "2%", Scope.CHANNEL)
    (layer,) = open_compressed(compressed, "m").layers
    stored = {tensor.name: len(tensor.raw_data) for tensor in compressed.graph.initializer}
    assert layer.grid.side_bytes == sum(size for name, size in stored.items() if name.startswith("w.step"))
