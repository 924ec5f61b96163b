"""Samples that bounds are chosen with, and samples that confirm them: never the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Largest number of samples in a set that is cross-fitted.
SMALL_SET = 2000

#: Number of samples to choose with from a larger set, at most half of it.
LARGE_CHOICE = 4000

#: Parts of a small set.
FOLDS = 4

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Samples to choose with, and samples that are not seen while choosing: int64 indices, rising."""

    chosen_with: Indices
    unseen: Indices


@dataclass(frozen=True, eq=False)
class Split:
    """Division of a set of samples."""

    # Searches whose outcome is measured on their unseen samples; each sample is unseen in at most one.
    folds: tuple[Fold, ...]
    final: Indices  # samples that the result is chosen with: all in a small set, otherwise those of the only fold

    @property
    def is_cross_fitted(self) -> bool:
        """Return True if searches on parts of the set confirm the result, not its own unseen samples."""
        return len(self.folds) > 1


def split(samples: int, seed: int) -> Split:
    """Divide a set of samples at random.

    A small set is cut into four parts: bounds are chosen with three and confirmed on the fourth, four times, so that
    each sample is unseen once; the result is chosen with all. Of a larger set, one part is chosen with and the rest
    confirms.

    Parameters
    ----------
    samples
        Number of samples in the set.
    seed
        Of the random generator.
    """
    order = np.random.default_rng(seed).permutation(samples)
    if samples > SMALL_SET:
        chosen_with, unseen = np.split(order, [min(LARGE_CHOICE, samples // 2)])
        return Split((Fold(np.sort(chosen_with), np.sort(unseen)),), np.sort(chosen_with))
    parts = np.array_split(order, min(FOLDS, samples))
    every = np.arange(samples)
    folds = tuple(Fold(np.setdiff1d(every, part), np.sort(part)) for part in parts)
    return Split(folds, every)
