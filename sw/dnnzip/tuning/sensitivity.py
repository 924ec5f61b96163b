"""Measures of the harm that a compression does to a classifier's answers, chosen to need few samples.

The share of right answers is what counts in the end, and is a noisy measure: of a few hundred samples only a handful
change sides. Two others need fewer samples: the divergence between the plain and the compressed network's
probabilities, and the expected drop: where the answer changes, the plain network's own probabilities, brought to the
right temperature, say how much more likely the old answer was to be right than the new one.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Below this, a probability counts as this.
LEAST_PROBABILITY = 1e-9

#: Largest distance of the sum of a row of probabilities from one.
SUM_SLACK = 1e-3

#: Temperatures tried.
TEMPERATURES = np.geomspace(0.25, 8.0, 61)

#: Resamples of a bootstrap interval.
RESAMPLES = 2000


def log_probabilities(scores: NDArray[np.generic]) -> Floats:
    """Return the log probabilities of scores, in nats.

    Scores of a sample that are not all finite, as of weights that are too large, make no class probable.

    Parameters
    ----------
    scores
        [samples, classes], logits or probabilities.

    Returns
    -------
    float64 [samples, classes].
    """
    values = scores.astype(np.float64)
    is_finite = np.isfinite(values).all(axis=1)
    if not is_finite.all():
        found = np.full(values.shape, np.log(LEAST_PROBABILITY))
        if is_finite.any():
            found[is_finite] = log_probabilities(values[is_finite])
        return found
    sums = values.sum(axis=1)
    if values.min() >= 0.0 and np.abs(sums - 1.0).max() < SUM_SLACK:
        return np.asarray(np.log(np.maximum(values, LEAST_PROBABILITY)))
    return _normalised(values)


def _normalised(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class Judge:
    """The plain network's answers to some samples, with which a compressed one's are compared."""

    plain: Floats  # float64 [samples, classes], its log probabilities
    labels: NDArray[np.int64]  # int64 [samples]

    @cached_property
    def _trust(self) -> Floats:
        """The plain network's probabilities at the temperature that suits the labels best."""
        rows = np.arange(len(self.labels))
        losses = [-float(_normalised(self.plain / t)[rows, self.labels].mean()) for t in TEMPERATURES]
        return np.asarray(np.exp(_normalised(self.plain / TEMPERATURES[int(np.argmin(losses))])))

    def divergence(self, scores: NDArray[np.generic]) -> float:
        """Return the mean Kullback-Leibler divergence, in nats, of answers [samples, classes] from the plain ones.

        There may be fewer samples, from the first.
        """
        plain = self.plain[: len(scores)]
        return float((np.exp(plain) * (plain - log_probabilities(scores))).sum(axis=1).mean())

    def expected_drop(self, scores: NDArray[np.generic]) -> float:
        """Return the expected share of right answers that is lost, by the plain network's probabilities.

        Parameters
        ----------
        scores
            [samples, classes]; may be of fewer samples, from the first.
        """
        rows = np.arange(len(scores))
        old, new = self.plain[: len(scores)].argmax(axis=1), scores.argmax(axis=1)
        return float((self._trust[rows, old] - self._trust[rows, new]).mean())

    def drop(self, scores: NDArray[np.generic]) -> float:
        """Return the share of right answers that is lost, counted."""
        labels = self.labels[: len(scores)]
        before = self.plain[: len(scores)].argmax(axis=1) == labels
        return float(before.mean() - (scores.argmax(axis=1) == labels).mean())


def bootstrap_interval(before: NDArray[np.bool_], after: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the drop in the share of right answers, by resampling samples in pairs.

    Parameters
    ----------
    before, after
        bool [samples], whether the answer to each sample is right.
    seed
        Of the resampling.
    """
    rng = np.random.default_rng(seed)
    lost = before.astype(np.float64) - after
    # Few values occur, so a resample is a draw of how often each does.
    values, counts = np.unique(lost, return_counts=True)
    draws = rng.multinomial(len(lost), counts / len(lost), size=RESAMPLES)
    low, high = np.quantile(draws @ values / len(lost), [0.025, 0.975])
    return float(low), float(high)
