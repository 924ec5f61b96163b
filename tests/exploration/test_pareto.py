"""Pareto fronts against the definition, written out."""

import numpy as np
import pytest

from dnnzip.exploration.pareto import objectives_of, pareto_front


def naive_front(values):
    """Return the front by the definition: no other point is nowhere worse and somewhere better."""
    return [
        not any(
            all(theirs <= ours for theirs, ours in zip(other, point, strict=True))
            and any(theirs < ours for theirs, ours in zip(other, point, strict=True))
            for other in values
        )
        for point in values
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_front_is_what_the_definition_says(seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    # Few different values: equal points and equal single objectives are common.
    values = rng.integers(0, rng.integers(2, 12), (rng.integers(1, 60), rng.integers(1, 6))) / 4
    got, expected = pareto_front(values).tolist(), naive_front(values.tolist())
    wrong = [index for index in range(len(values)) if got[index] != expected[index]]
    assert not wrong, f"point {wrong[0]} {values[wrong[0]]}: expected {expected[wrong[0]]}, got {got[wrong[0]]}"


def test_a_beaten_point_is_not_on_the_front():
    assert pareto_front([[1, 1], [1, 2], [2, 0], [2, 1]]).tolist() == [True, False, True, False]


def test_equal_points_are_all_on_the_front():
    assert pareto_front([[1, 2], [1, 2], [3, 3]]).tolist() == [True, True, False]


def test_infinite_objectives_are_as_good_as_any():
    assert pareto_front([[np.inf, 0], [0, np.inf], [np.inf, np.inf], [-np.inf, 1]]).tolist() == [
        True, False, False, True,
    ]  # fmt: skip


def test_no_points_have_an_empty_front():
    assert pareto_front(np.zeros((0, 3))).shape == (0,)


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="objectives must be numbers, not NaN"):
        pareto_front([[0.0, np.nan]])
    with pytest.raises(ValueError, match="must be \\[points, objectives\\], not of shape \\(2,\\)"):
        pareto_front([1.0, 2.0])


def test_larger_objectives_are_turned_round():
    rows = [{"bits": 1.0, "top1": 0.5}, {"bits": 2.0, "top1": 0.9}, {"bits": 2.0, "top1": 0.4}]
    assert pareto_front(objectives_of(rows, ["bits"], ["top1"])).tolist() == [True, True, False]
