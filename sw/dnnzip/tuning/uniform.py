"""The best single bound for all layers, to compare with: nearest codes and biases as they are.

It is found twice. By the same measure: the coarsest bound whose drop is to be expected within what the search aims at.
And by the kindest: the coarsest whose drop, counted on all samples after the fact, is within what is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.evaluation.dataset import Dataset
from dnnzip.quantize.bound import Scope
from dnnzip.tuning.calibration import Subject
from dnnzip.tuning.choice import OCTAVES, PER_OCTAVE, Choice, coarsest_single
from dnnzip.tuning.journal import Measuring
from dnnzip.tuning.outcome import Uniform, all_bits
from dnnzip.tuning.rounding import plain_feedback
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.summary import summarise

#: Divisor of the samples for a first trial, and excess over the allowed drop at which a bound is not tried on all.
HASTE = 5
FAR_OFF = 0.05


@dataclass(frozen=True, eq=False)
class SingleBounds:
    """Single bounds for all layers of one network, on all samples."""

    model: onnx.ModelProto  # the network
    subject: Subject  # the same, for trials
    data: Dataset  # all samples
    right: NDArray[np.bool_]  # bool [samples], True where the plain network is right
    measuring: Measuring  # the measurements

    def best_of(self, choices: Sequence[Choice]) -> Uniform:
        """Return the bound with the fewest bits of some, with the drop on all samples."""
        found = []
        for choice in choices:
            result = compress(self.model, CompressionOptions(choice.bound, choice.scope))
            found.append((all_bits(summarise(result.compressed, result.left_out)), choice))
        bits, best = min(found, key=lambda item: item[0])
        name = f"single bound on all, {best.text} {best.scope}"
        drop = float(self.measuring.measured(name, lambda: self._counted_drop(best, len(self.right))))
        return Uniform(best.text, best.scope.value, drop, bits)

    def kindest(self, max_drop: float) -> Uniform:
        """Find the best single bound, by tensor or by channel, by counting on all samples, and without any margin.

        Parameters
        ----------
        max_drop
            The drop allowed, a share of all samples.
        """

        def is_within(choice: Choice) -> bool:
            def measure() -> float:
                # A bound that is far off shows it on a few samples.
                count = len(self.right)
                lost = self._counted_drop(choice, count // HASTE)
                return lost if lost > max_drop + FAR_OFF else self._counted_drop(choice, count)

            drop = float(self.measuring.measured(f"single bound, {choice.text} {choice.scope}", measure))
            self.measuring.step(choice.text)
            return drop <= max_drop

        return self.best_of([coarsest_single(scope, is_within) for scope in Scope])

    def _counted_drop(self, choice: Choice, samples: int) -> float:
        """Return the share of right answers to the first samples that a bound loses, with nearest codes."""
        given: dict[str, NDArray[np.float32]] = {}
        for name, layer in self.subject.layers.items():
            rounded = layer.round(choice, plain_feedback(1, layer.rows.shape[1]))
            if rounded is not None:
                given[name] = layer.array_of(rounded.rows)
        few = self.data.first(samples)
        answers = self.subject.scores(few.x, given).argmax(axis=1)
        return float(self.right[:samples].mean() - (answers == few.y).mean())


def uniform_steps() -> int:
    """Return about how many trials the two single bounds take."""
    return 2 * len(Scope) * (PER_OCTAVE * OCTAVES).bit_length()
