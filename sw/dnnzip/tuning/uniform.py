"""The best single bound for all layers, to compare with: nearest codes and biases as they are.

It is found twice. By the same measure: the coarsest bound whose drop is to be expected within what the search aims at.
And by the kindest: the coarsest whose drop, counted on all samples after the fact, is within what is allowed.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions
from dnnzip.evaluation.dataset import Dataset
from dnnzip.quantize.bound import Scope
from dnnzip.tuning.calibration import Subject
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.outcome import Uniform, all_bits
from dnnzip.tuning.rounding import plain_feedback
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.summary import summarise

#: Bounds tried: their number for each factor of two, and the number of factors of two below the whole range.
PER_OCTAVE = 8
OCTAVES = 12

#: Divisor of the samples for a first trial, and excess over the allowed drop at which a bound is not tried on all.
HASTE = 5
FAR_OFF = 0.05


def of_choices(
    model: onnx.ModelProto,
    subject: Subject,
    data: Dataset,
    choices: Sequence[Choice],
    right: NDArray[np.bool_],
    measured: Callable[[str, Callable[[], Any]], Any],
) -> Uniform:
    """Return the bound with the fewest bits of some, with the drop on all samples; for the parameters see `kindest`."""
    found = []
    for choice in choices:
        result = compress(model, CompressionOptions(choice.bound, choice.scope, codec=CodecOptions()))
        found.append((all_bits(summarise(result.compressed, result.left_out)), choice))
    bits, best = min(found, key=lambda item: item[0])
    name = f"single bound on all, {best.text} {best.scope}"
    drop = float(measured(name, lambda: counted_drop(subject, data, best, right)))
    return Uniform(best.text, best.scope.value, drop, bits)


def counted_drop(subject: Subject, data: Dataset, choice: Choice, right: NDArray[np.bool_]) -> float:
    """Return the share of right answers that one bound for all layers loses, with nearest codes.

    Parameters
    ----------
    subject
        The network.
    data
        All samples.
    choice
        The bound.
    right
        bool [samples], True where the plain network is right.
    """
    given: dict[str, NDArray[np.float32]] = {}
    for name, layer in subject.layers.items():
        rounded = layer.round(choice, plain_feedback(1, layer.rows.shape[1]))
        if rounded is not None:
            given[name] = layer.array_of(rounded.rows)
    answers = subject.scores(data.x, given).argmax(axis=1)
    return float(right.mean() - (answers == data.y).mean())


def kindest(
    model: onnx.ModelProto,
    subject: Subject,
    data: Dataset,
    max_drop: float,
    right: NDArray[np.bool_],
    measured: Callable[[str, Callable[[], Any]], Any],
    step: Callable[[str], None],
) -> Uniform:
    """Find the best single bound, by tensor or by channel, by counting on all samples, and without any margin.

    Parameters
    ----------
    model
        The network.
    subject
        The same, for trials.
    data
        All samples.
    max_drop
        The drop allowed, a share of all samples.
    right
        bool [samples], whether the plain network is right.
    measured, step
        See `search.Search`.
    """
    choices = []
    for scope in Scope:

        def drop(octave: int, scope: Scope = scope) -> float:
            choice = Choice.of_share(2.0 ** (-octave / PER_OCTAVE), scope, nearest=True)

            def measure() -> float:
                # A bound that is far off shows it on a few samples.
                few = len(right) // HASTE
                lost = counted_drop(subject, data.first(few), choice, right[:few])
                return lost if lost > max_drop + FAR_OFF else counted_drop(subject, data, choice, right)

            value = float(measured(f"single bound, {choice.text} {scope}", measure))
            step(choice.text)
            return value

        # The finest is taken to be within the drop, the coarsest not.
        low, high = 0, PER_OCTAVE * OCTAVES
        while high - low > 1:
            middle = (low + high) // 2
            if drop(middle) <= max_drop:
                high = middle
            else:
                low = middle
        choice = Choice.of_share(2.0 ** (-high / PER_OCTAVE), scope, nearest=True)
        choices.append(choice)
    return of_choices(model, subject, data, choices, right, measured)


def uniform_steps() -> int:
    """Return about how many trials the two single bounds take."""
    return 2 * len(Scope) * (PER_OCTAVE * OCTAVES).bit_length()
