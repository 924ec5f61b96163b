"""Codes that are chosen for a layer's output: within the bound always, and better than the nearest ones."""

import numpy as np
import pytest

from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.tuning.layer import Inputs
from dnnzip.tuning.rate import bits_of
from dnnzip.tuning.rounding import LONGEST_BLOCK, Target, feedback_of, plain_feedback, round_rows


def inputs(rng, length, positions=3000, groups=1):
    """Columns whose entries go together, with means."""
    mixing = rng.normal(size=(groups, length, length)) / np.sqrt(length)
    sample = rng.normal(size=(groups, positions, length)) @ (np.eye(length) * 0.3 + mixing) + rng.normal(size=length)
    return Inputs.of(sample.astype(np.float32))


def output_error(rows, found, columns):
    """Squared error of the outputs about their means, straight from the columns."""
    parts = (found.astype(np.float64) - rows).reshape(len(columns.sample), -1, rows.shape[1])
    centred = columns.sample - columns.sample.mean(axis=1, keepdims=True)
    return float(((parts @ centred.transpose(0, 2, 1).astype(np.float64)) ** 2).sum() / columns.sample.shape[1])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("thrift", [0.0, 1.0, 5.0])
def test_every_weight_keeps_its_bound(seed, thrift):
    print("seed", seed)
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    channels, length = groups * int(rng.integers(1, 7)), int(rng.integers(1, 60))
    rows = (rng.normal(size=(channels, length)) * 10.0 ** rng.integers(-4, 4)).astype(np.float32)
    bounds = np.abs(rows).max(axis=1) * rng.uniform(0.001, 0.9, channels)
    steps = (bounds * rng.uniform(0.3, 1.9, channels)).astype(np.float32)
    columns = inputs(rng, length, groups=groups)
    # Even what is wanted may lie anywhere.
    wanted = rows + rng.normal(size=rows.shape) * bounds[:, None] * 3
    codes = round_rows(Target(rows, wanted, steps, bounds), feedback_of(columns.covariance, length), thrift)
    assert codes is not None
    errors = np.abs(rows.astype(np.float64) - decoded_values(codes, steps, FLOAT32))
    where = np.argwhere(errors > bounds[:, None])
    assert not where.size, f"index {where[0]}, expected at most {bounds[where[0][0]]}, got {errors[tuple(where[0])]}"


def test_a_grid_too_coarse_for_the_bound_is_refused():
    rows = np.array([[0.5, 0.1]], np.float32)
    steps, bounds = np.array([1.0], np.float32), np.array([0.3])
    assert round_rows(Target(rows, rows.astype(np.float64), steps, bounds), plain_feedback(1, 2), 0.0) is None


def test_codes_beyond_16_bits_are_refused():
    rows = np.array([[40000.0, 0.0]], np.float32)
    steps, bounds = np.array([1.0], np.float32), np.array([1.0])
    assert round_rows(Target(rows, rows.astype(np.float64), steps, bounds), plain_feedback(1, 2), 0.0) is None


@pytest.mark.parametrize("seed", range(3))
def test_feedback_makes_the_outputs_better_than_nearest_codes(seed):
    print("seed", seed)
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(8, 40)).astype(np.float32)
    steps, bounds = np.full(8, 0.5, np.float32), np.full(8, 0.5)
    columns = inputs(rng, 40)
    wide = rows.astype(np.float64)
    nearest, chosen = (
        round_rows(Target(rows, wide, steps, bounds), feedback, 0.0) * steps[:, None]
        for feedback in (plain_feedback(1, 40), feedback_of(columns.covariance, 40))
    )
    np.testing.assert_array_equal(nearest, np.rint(rows / 0.5) * 0.5)
    assert output_error(rows, chosen, columns) < 0.7 * output_error(rows, nearest, columns)


def test_thrift_takes_fewer_bits():
    rng = np.random.default_rng(1)
    rows = rng.laplace(size=(16, 64)).astype(np.float32)
    steps, bounds = np.full(16, 1.0, np.float32), np.full(16, 1.0)
    feedback = feedback_of(inputs(rng, 64).covariance, 64)
    plain, thrifty = (
        bits_of(round_rows(Target(rows, rows * 1.0, steps, bounds), feedback, thrift)) for thrift in (0.0, 1.0)
    )
    assert thrifty < 0.98 * plain


def test_long_channels_pass_errors_on_within_blocks():
    rng = np.random.default_rng(2)
    length = LONGEST_BLOCK + 7
    layer_inputs = Inputs.of(rng.normal(size=(1, 300, length)).astype(np.float32))
    assert layer_inputs.covariance.shape == (1, 2, LONGEST_BLOCK, LONGEST_BLOCK)
    centred = layer_inputs.sample[0] - layer_inputs.mean[0].astype(np.float32)
    np.testing.assert_allclose(layer_inputs.covariance[0, 1, :7, :7], (centred.T @ centred)[-7:, -7:] / 300, atol=1e-5)
    feedback = feedback_of(layer_inputs.covariance, length)
    np.testing.assert_array_equal(np.sort(feedback.order[0]), np.arange(length))
    rows = rng.normal(size=(2, length)).astype(np.float32)
    steps, bounds = np.full(2, 0.5, np.float32), np.full(2, 0.5)
    whole = round_rows(Target(rows, rows * 1.0, steps, bounds), feedback, 0.0)
    # The last seven weights know nothing of the others.
    own = feedback_of(layer_inputs.covariance[:, 1:, :7, :7], 7)
    tail = round_rows(Target(rows[:, -7:].copy(), rows[:, -7:] * 1.0, steps, bounds), own, 0.0)
    np.testing.assert_array_equal(whole[:, -7:], tail)
    assert not np.array_equal(whole, np.rint(rows / 0.5))


def test_a_group_keeps_to_its_own_inputs():
    rng = np.random.default_rng(3)
    columns = inputs(rng, 9, groups=4)
    rows = rng.normal(size=(8, 9)).astype(np.float32)
    steps, bounds = np.full(8, 0.7, np.float32), np.full(8, 0.7)
    together = round_rows(Target(rows, rows * 1.0, steps, bounds), feedback_of(columns.covariance, 9), 0.0)
    for group in range(4):
        part = slice(2 * group, 2 * group + 2)
        own = feedback_of(columns.covariance[group : group + 1], 9)
        alone = round_rows(Target(rows[part], rows[part] * 1.0, steps[part], bounds[part]), own, 0.0)
        np.testing.assert_array_equal(together[part], alone)
