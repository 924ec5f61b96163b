"""The best single bound for all layers, to compare with: nearest codes and biases as they are.

It is found twice. By the same measure: the coarsest bound whose drop is to be expected within what the search aims at.
And by the kindest: the coarsest whose drop, counted on all samples after the fact, is within what is allowed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions
from dnnzip.evaluation.dataset import Dataset
from dnnzip.quantize.bound import Scope
from dnnzip.tuning.calibration import Known, Subject
from dnnzip.tuning.choice import SINGLE_OCTAVES, SINGLE_PER_OCTAVE, Choice, coarsest_single
from dnnzip.tuning.outcome import Uniform, all_bits
from dnnzip.tuning.rounding import plain_feedback
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.summary import summarise

#: Divisor of the samples for a first trial, and excess over the allowed drop at which a bound is not tried on all.
HASTE = 5
FAR_OFF = 0.05


@dataclass(frozen=True, eq=False)
class SingleBounds:
    """Trials of single bounds for all layers on all samples.

    Parameters
    ----------
    model
        The network.
    subject
        The same, for trials.
    data
        All samples.
    right
        bool [samples], True where the plain network is right.
    measured, step
        See `search.Search`.
    """

    model: onnx.ModelProto
    subject: Subject
    data: Dataset
    right: NDArray[np.bool_]
    measured: Known
    step: Callable[[str], None]

    def fewest_bits(self, choices: Sequence[Choice]) -> Uniform:
        """Return the bound with the fewest bits of some, with the drop on all samples."""
        found = []
        for choice in choices:
            result = compress(self.model, CompressionOptions(choice.bound, choice.scope, codec=CodecOptions()))
            found.append((all_bits(summarise(result.compressed, result.left_out)), choice))
        bits, best = min(found, key=lambda item: item[0])
        name = f"single bound on all, {best.text} {best.scope}"
        drop = float(self.measured(name, lambda: self.counted_drop(best, len(self.right))))
        return Uniform(best.text, best.scope.value, drop, bits)

    def counted_drop(self, choice: Choice, samples: int) -> float:
        """Return the share of right answers to the first samples that a bound loses, with nearest codes."""
        data, right = self.data.first(samples), self.right[:samples]
        given: dict[str, NDArray[np.float32]] = {}
        for name, layer in self.subject.layers.items():
            rounded = layer.round(choice, plain_feedback(1, layer.rows.shape[1]))
            if rounded is not None:
                given[name] = layer.array_of(rounded.rows)
        answers = self.subject.scores(data.x, given).argmax(axis=1)
        return float(right.mean() - (answers == data.y).mean())

    def kindest(self, max_drop: float) -> Uniform:
        """Find the best bound, by tensor or by channel, by counting on all samples, and without any margin.

        Parameters
        ----------
        max_drop
            The drop allowed, a share of all samples.
        """

        def loss(choice: Choice) -> float:
            def measure() -> float:
                # A bound that is far off shows it on a few samples.
                lost = self.counted_drop(choice, len(self.right) // HASTE)
                return lost if lost > max_drop + FAR_OFF else self.counted_drop(choice, len(self.right))

            value = float(self.measured(f"single bound, {choice.text} {choice.scope}", measure))
            self.step(choice.text)
            return value

        return self.fewest_bits([coarsest_single(scope, loss, max_drop) for scope in Scope])


def uniform_steps() -> int:
    """Return about how many trials the two single bounds take."""
    return 2 * len(Scope) * (SINGLE_PER_OCTAVE * SINGLE_OCTAVES).bit_length()
