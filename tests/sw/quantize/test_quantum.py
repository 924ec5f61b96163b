"""Float weights that are multiples of one quantum."""

import ml_dtypes
import numpy as np
import pytest

from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.element_type import element_type
from dnnzip.quantize.grid import FloatGrid
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.quantise import quantise, quantise_again
from dnnzip.quantize.quantum import quantum_of, step_on
from dnnzip.quantize.weights import ArrayWeights


def whole_numbers(rows=64, columns=32, spread=40):
    return np.rint(spread * np.random.default_rng(0).normal(size=(rows, columns))).clip(-127, 127)


def weight_of(values):
    return ArrayWeights("w", values, Layout(values.shape, 0))


def decoded(values, bound, scope=Scope.TENSOR):
    """Return grid and decoded weights, which are the same from the second pass."""
    weight = weight_of(values)
    result = quantise(weight, Bound.parse(bound), scope)
    again = quantise_again(weight, result.grid)
    np.testing.assert_array_equal(again.codes, result.codes)
    restored = result.grid.restore(result.codes, weight.layout).astype(np.float64)
    assert np.abs(restored - values.astype(np.float64)).max() == result.grid.max_error <= result.grid.max_bound
    return result.grid, restored


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("bound", ["0.1%", "0.3%", "0.5%", "0.7%", "1%", "3%", "20%"])
def test_whole_numbers_stay_whole(dtype, bound):
    grid, restored = decoded(whole_numbers().astype(dtype), bound)
    np.testing.assert_array_equal(restored, np.rint(restored))
    assert float(grid.step) % 2 == 1
    assert grid.max_error == np.floor(grid.max_bound)


def test_whole_numbers_of_long_channels_stay_whole():
    _, restored = decoded(whole_numbers(4, 300).astype(np.float32), "1%", Scope.CHANNEL)
    np.testing.assert_array_equal(restored, np.rint(restored))


def test_short_channels_keep_the_grid_of_their_steps():
    grid, _ = decoded(whole_numbers(64, 9).astype(np.float32), "1%", Scope.CHANNEL)
    assert grid.step_grid is not None


@pytest.mark.parametrize("quantum", [0.037, 1 / 64, 3e-20, 1e20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_levels_are_kept_without_loss(quantum, dtype):
    levels = whole_numbers(spread=3).clip(-8, 7).astype(dtype)
    values = levels * dtype(np.float32(quantum))
    if dtype is np.float32:
        values = levels * np.float32(quantum)
    for bound in ("1%", "0.0000001%"):
        grid, _ = decoded(values, bound)
        assert isinstance(grid, FloatGrid)
        assert (grid.max_error, float(grid.step)) == (0, float(np.float32(quantum)))


def test_a_coarse_step_is_taken_where_the_quantum_costs_more():
    # Below one quantum: its step is 1.98 times that of the quantum, and no whole number has to stay.
    values = (whole_numbers(spread=30).clip(-49, 50) * 0.25).astype(np.float32)
    values[0, :2] = -49 * 0.25, 50 * 0.25
    grid, _ = decoded(values, "1%")
    assert float(grid.step) > 0.4


def test_other_weights_have_no_quantum():
    rng = np.random.default_rng(1)
    for values in (rng.normal(size=5000), np.zeros(3), np.arange(70_000.0), np.array([1e-40, 1e20, 0.0])):
        element = element_type(np.dtype(np.float32))
        assert quantum_of(values.astype(np.float32), element) is None
    # The last one is none only behind the sample.
    late = np.append(np.ones(5000), 0.3).astype(np.float32)
    assert quantum_of(late, element) is None


def test_the_step_of_a_quantum_is_an_odd_multiple():
    assert [float(step_on(np.float32(2), bound)) for bound in (0.1, 1.9, 2, 3.9, 4, 1e30)] == [2, 2, 6, 6, 10, 131070]
