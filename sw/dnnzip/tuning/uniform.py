"""The best single bound for all layers, to compare with: nearest codes and biases as they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions
from dnnzip.flow.compression import CompressionOptions, compress
from dnnzip.flow.summary import summarise
from dnnzip.model.bound import Scope
from dnnzip.model.dataset import Dataset
from dnnzip.tuning.calibration import Subject
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.outcome import Uniform, all_bits
from dnnzip.tuning.rounding import plain_feedback

#: Bounds tried: so many for each factor of two, from all of the range down by so many factors of two.
PER_OCTAVE = 8
OCTAVES = 12

#: On this part of the samples, a bound that loses so much more than is allowed is not tried on all.
HASTE = 5
FAR_OFF = 0.05


def best_uniform(
    model: onnx.ModelProto,
    subject: Subject,
    data: Dataset,
    max_drop: float,
    right: NDArray[np.bool_],
    measured: Callable[[str, Callable[[], Any]], Any],
    step: Callable[[str], None],
) -> Uniform:
    """Find the best single bound, by tensor or by channel.

    It is judged more kindly than the search: by all samples, none of them unseen, and without any margin.

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
    best: Uniform | None = None
    for scope in Scope:

        def drop(octave: int, scope: Scope = scope) -> float:
            choice = Choice.of_share(2.0 ** (-octave / PER_OCTAVE), scope, nearest=True)

            def measure() -> float:
                given: dict[str, NDArray[np.float32]] = {}
                for name, layer in subject.layers.items():
                    rounded = layer.round(choice, plain_feedback(1, layer.rows.shape[1]))
                    if rounded is not None:
                        given[name] = layer.array_of(rounded.rows)
                # A bound that is far off shows it on a few samples.
                for count in (len(right) // HASTE, len(right)):
                    answers = subject.scores(data.x[:count], given).argmax(axis=1)
                    lost = float(right[:count].mean() - (answers == data.y[:count]).mean())
                    if lost > max_drop + FAR_OFF:
                        break
                return lost

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
        result = compress(model, CompressionOptions(choice.bound, scope, codec=CodecOptions()))
        found = Uniform(choice.text, scope.value, drop(high), all_bits(summarise(result.compressed, result.left_out)))
        if best is None or found.bits_per_weight < best.bits_per_weight:
            best = found
    assert best is not None, "there are scopes"
    return best


def uniform_steps() -> int:
    """Return about how many trials the best single bound takes."""
    return len(Scope) * ((PER_OCTAVE * OCTAVES).bit_length() + 1)
