"""Measures of harm, folds and intervals."""

import numpy as np
import pytest

from dnnzip.tuning.folds import LARGE_CHOICE, SMALL_SET, split
from dnnzip.tuning.sensitivity import Judge, bootstrap_interval, log_probabilities


def classifier(rng, samples=4000, classes=5):
    """Logits, and labels drawn from their probabilities: a classifier whose probabilities are right."""
    logits = rng.normal(size=(samples, classes)) * 1.5
    shares = np.exp(log_probabilities(logits))
    labels = (shares.cumsum(axis=1) > rng.random((samples, 1))).argmax(axis=1)
    return logits, labels


def test_log_probabilities_of_logits_and_of_probabilities_are_one():
    logits, _ = classifier(np.random.default_rng(0), 50)
    from_logits = log_probabilities(logits)
    np.testing.assert_allclose(np.exp(from_logits).sum(axis=1), 1)
    np.testing.assert_allclose(log_probabilities(np.exp(from_logits)), from_logits, atol=1e-9)


def test_the_same_answers_do_no_harm():
    logits, labels = classifier(np.random.default_rng(1), 200)
    judge = Judge(log_probabilities(logits), labels)
    assert judge.divergence(logits) == pytest.approx(0, abs=1e-12)
    assert judge.expected_drop(logits) == judge.drop(logits) == 0
    assert judge.divergence(logits[:20] * 2) > 0


def test_the_expected_drop_is_the_counted_one_with_less_noise():
    rng = np.random.default_rng(2)
    expected, counted = [], []
    for _ in range(40):
        logits, labels = classifier(rng)
        judge = Judge(log_probabilities(logits), labels)
        noisy = logits + rng.normal(size=logits.shape) * 0.5
        expected.append(judge.expected_drop(noisy))
        counted.append(judge.drop(noisy))
    print("expected", np.mean(expected), np.std(expected), "counted", np.mean(counted), np.std(counted))
    assert np.mean(expected) == pytest.approx(np.mean(counted), rel=0.1)
    assert np.std(expected) < 0.5 * np.std(counted)


def test_an_overconfident_network_is_believed_less():
    logits, labels = classifier(np.random.default_rng(3))
    noisy = logits + np.random.default_rng(4).normal(size=logits.shape) * 0.5
    right = Judge(log_probabilities(logits), labels).expected_drop(noisy)
    assert Judge(log_probabilities(4 * logits), labels).expected_drop(noisy) == pytest.approx(right, rel=0.05)


def test_the_interval_covers_the_drop():
    before = np.arange(1000) % 10 != 0
    after = before & (np.arange(1000) % 50 != 7)
    low, high = bootstrap_interval(before, after, 0)
    drop = before.mean() - after.mean()
    # 20 of 1000 are lost: the standard error is 0.0044.
    assert low == pytest.approx(drop - 1.96 * 0.00443, abs=0.0015)
    assert high == pytest.approx(drop + 1.96 * 0.00443, abs=0.0015)
    assert (low, high) == bootstrap_interval(before, after, 0)


def test_a_pair_that_moves_together_has_no_interval():
    before = np.arange(100) % 2 == 0
    assert bootstrap_interval(before, before, 0) == (0, 0)


@pytest.mark.parametrize("samples", [40, 451, SMALL_SET])
def test_small_sets_are_unseen_once(samples):
    found = split(samples, 3)
    assert found.is_cross_fitted
    assert len(found.folds) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.unseen for fold in found.folds])), np.arange(samples))
    for fold in found.folds:
        assert not np.intersect1d(fold.unseen, fold.chosen_with).size
        assert len(fold.unseen) + len(fold.chosen_with) == samples
    np.testing.assert_array_equal(found.final, np.arange(samples))


@pytest.mark.parametrize("samples", [SMALL_SET + 1, 10000])
def test_large_sets_are_cut_in_two(samples):
    found = split(samples, 3)
    (fold,) = found.folds
    assert not found.is_cross_fitted
    assert len(fold.chosen_with) == min(LARGE_CHOICE, samples // 2)
    assert not np.intersect1d(fold.unseen, fold.chosen_with).size
    assert len(fold.unseen) + len(fold.chosen_with) == samples
    np.testing.assert_array_equal(found.final, fold.chosen_with)


def test_the_seed_chooses_the_folds():
    first, again, other = (split(100, seed).folds[0].unseen for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
