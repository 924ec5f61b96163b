"""Trials of choices on calibration samples: the network is put on its grids front to back, and its answers compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.onnx.biases import BiasedModel, with_biases
from dnnzip.onnx.weights import Weight
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.im2col import Columns
from dnnzip.tuning.layer import Inputs, Layer, Rounded
from dnnzip.tuning.rounding import Feedback
from dnnzip.tuning.sensitivity import Judge, log_probabilities
from dnnzip.tuning.stages import StagedNetwork, State

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

#: Fewest samples whose inputs are looked at; as many more as the layers with the fewest outputs need.
LEAST_SAMPLES = 256

#: At most this share of the samples, as numerator and denominator, is looked at: the others judge, since grids that
#: were made for samples flatter them.
LOOKED_AT = 2, 3

#: Most samples whose answers are compared in a trial: the first number divided by the number of layers, as the work
#: grows with both, or the second number where that is more.
JUDGED_WORK = 16384
LEAST_JUDGED = 512

#: Layer name to its choice; a layer that is missing stays as it is.
Choices = Mapping[str, Choice]


class Subject:
    """A network whose layers get bounds.

    Parameters
    ----------
    model
        The network, its constants lifted (`find_weights`).
    weights
        Its float32 weights.
    where
        The file, for messages.
    output
        Name of the output that holds the scores; None takes the first.
    """

    def __init__(
        self, model: onnx.ModelProto, weights: Sequence[Weight], where: str, output: str | None = None
    ) -> None:
        self.biased: BiasedModel = with_biases(model, weights)
        self.staged = StagedNetwork(self.biased.model, weights, self.biased.biases, where, output)
        by_name = {weight.name: weight for weight in weights}
        self.layers: dict[str, Layer] = {}
        for stage in self.staged.stages:
            for name in stage.weights:
                if name not in self.layers and stage.node is not None:
                    self.layers[name] = Layer(by_name[name], Columns.of(stage.node, by_name[name]))
        self.plain: dict[str, Floats] = {name: layer.array_of(layer.rows) for name, layer in self.layers.items()}
        self.plain |= self.biased.values()
        #: Position of the stage in which a layer's weight is read first.
        self.first = {
            name: next(position for position, stage in enumerate(self.staged.stages) if name in stage.weights)
            for name in self.layers
        }

    def scores(self, x: Array, given: Mapping[str, Floats]) -> Floats:
        """Return the network's answers with the given weights and biases.

        Parameters
        ----------
        x
            Samples, [samples, ...].
        given
            Name to weights or biases, float32, that replace the plain ones.

        Returns
        -------
        float32 [samples, classes].
        """
        return self.staged.finish(1, self.staged.start(x), {**self.plain, **given}, len(x))


@dataclass(frozen=True, eq=False)
class Trial:
    """A network under some choices.

    Parameters
    ----------
    choices
        The choices.
    rounded
        Layer name to what became of it.
    given
        Weights and biases by name, those that differ from the plain network's.
    scores
        float32 [samples, classes], its answers to the samples that are judged.
    """

    choices: Choices
    rounded: dict[str, Rounded]
    given: dict[str, Floats]
    scores: Floats


class Calibration:
    """A network and the samples by which its bounds are chosen.

    Parameters
    ----------
    subject
        The network.
    x, y
        Samples and labels.
    seed
        Chooses the positions of outputs that are looked at.

    Members
    -------
    judged
        The samples by whose answers trials are judged; none of them is looked at.
    judge
        The plain network's answers to them.
    """

    def __init__(self, subject: Subject, x: Array, y: NDArray[np.int64], seed: int) -> None:
        self.subject = subject
        self.x = x
        self._seed = seed
        self._inputs: dict[int, Inputs] = {}
        staged = subject.staged
        self._looked_at = x[: self._enough()]
        state = staged.start(self._looked_at)
        for position in range(1, len(staged.stages)):
            found = self._look(position, state)
            if found is not None:
                self._inputs[position] = found
            state = staged.run(position, state, subject.plain)
        count = min(max(LEAST_JUDGED, JUDGED_WORK // len(subject.layers)), len(x) - len(self._looked_at))
        self.judged = x[-count:]
        self.judge = Judge(log_probabilities(subject.scores(self.judged, {})), y[-count:])
        self._feedback: dict[str, Feedback] = {}

    def _enough(self) -> int:
        """Return the number of samples that must be looked at so that each layer's inputs are known well."""
        staged = self.subject.staged
        state = staged.start(self.x[:1])
        most = LEAST_SAMPLES
        for position in range(1, len(staged.stages)):
            columns, entry = self._columns(position), staged.stages[position].entry
            if columns is not None:
                most = max(most, columns.samples_for(state[entry][0], staged.batch(1)))
            state = staged.run(position, state, self.subject.plain)
        return max(min(most, len(self.x) * LOOKED_AT[0] // LOOKED_AT[1]), 1)

    def inputs(self, name: str) -> Inputs | None:
        """Return the plain inputs of a layer; None where they cannot be told."""
        return self._inputs.get(self.subject.first[name])

    def feedback(self, name: str) -> Feedback:
        """Return the error feedback of a layer with the plain network's inputs."""
        if name not in self._feedback:
            self._feedback[name] = self.subject.layers[name].feedback(self.inputs(name))
        return self._feedback[name]

    def trial(self, choices: Choices) -> Trial:
        """Put layers on their grids, front to back, each with the inputs that those before it leave.

        A layer makes up for what the ones before it changed, within its bound, and its bias for the mean shift of its
        output. With nearest codes, neither is done.
        """
        staged = self.subject.staged
        rounded: dict[str, Rounded] = {}
        given: dict[str, Floats] = {}
        state = staged.start(self._looked_at)
        for position in range(1, len(staged.stages)):
            stage = staged.stages[position]
            layers = [self.subject.layers[name] for name in stage.weights]
            plain = self._inputs.get(position)
            found = None
            if plain is not None and not any(choices[name].nearest for name in stage.weights if name in choices):
                found = self._look(position, state)
            for layer in layers:
                if layer.name in choices and layer.name not in rounded:
                    result = self._round(layer, choices[layer.name], plain, found)
                    # A layer whose codes would not fit into 16 bits stays as it is.
                    if result is not None:
                        rounded[layer.name] = result
                        given[layer.name] = layer.array_of(result.rows)
            if stage.bias and plain is not None and found is not None:
                layer = layers[0]
                rows = rounded[layer.name].rows if layer.name in rounded else layer.rows
                given[stage.bias] = self.subject.plain[stage.bias] + layer.shift(rows, plain, found)
            state = staged.run(position, state, {**self.subject.plain, **given})
        return Trial(choices, rounded, given, self.subject.scores(self.judged, given))

    def harms(
        self, trial: Trial | None, others: Mapping[str, Sequence[Choice]], samples: int, known: "Known"
    ) -> dict[str, list[tuple[float, float]]]:
        """Measure what other choices for single layers do.

        Parameters
        ----------
        trial
            State of all other layers; None for the plain network.
        others
            Layer name to the choices to measure.
        samples
            Number of judged samples to take the divergence over, from the first.
        known
            Returns a measurement by its name; the second argument makes it where it is not known.

        Returns
        -------
        For each layer and choice the increase of the divergence in nats, and that of the layer's output error.
        """
        staged, subject = self.subject.staged, self.subject
        given = {**subject.plain, **(trial.given if trial else {})}
        x = self.judged[:samples]
        base = known("base", lambda: self.judge.divergence(staged.finish(1, staged.start(x), given, len(x))))
        # The inputs of a layer behind compressed ones are those that the trial itself looked at.
        states = [staged.start(x), *([staged.start(self._looked_at)] if trial else [])]
        result: dict[str, list[tuple[float, float]]] = {}
        for position in range(1, len(staged.stages)):
            for name in staged.stages[position].weights:
                if subject.first[name] != position or name not in others:
                    continue
                result[name] = []
                found = _Lazy(self._found, name, states[-1] if trial else None)
                for choice in others[name]:

                    def measure(
                        choice: Choice = choice,
                        name: str = name,
                        position: int = position,
                        state: State = states[0],
                        found: _Lazy = found,
                    ) -> tuple[float, float]:
                        replaced, more = self._replaced(name, choice, trial, given, found)
                        scores = staged.finish(position, state, replaced, len(x))
                        return self.judge.divergence(scores) - float(base), more

                    harm, error = known(f"{name}: {choice.text} {choice.scope}", measure)
                    result[name].append((float(harm), float(error)))
            states = [staged.run(position, state, given) for state in states]
        return result

    def _found(self, name: str, state: State | None) -> "_Found":
        """Return a layer's plain inputs, those that it finds, its feedback, and the weights that suit them best."""
        layer, plain = self.subject.layers[name], self.inputs(name)
        if plain is None or state is None:
            return _Found(plain, plain, self.feedback(name), None)
        found = self._look(self.subject.first[name], state)
        if found is None:
            return _Found(plain, plain, self.feedback(name), None)
        return _Found(plain, found, layer.feedback(found), layer.wanted(plain, found))

    def _replaced(
        self, name: str, choice: Choice, trial: Trial | None, given: Mapping[str, Floats], lazy: "_Lazy"
    ) -> tuple[dict[str, Floats], float]:
        """Return weights and biases with one layer under another choice, and the increase of its output error."""
        stage = self.subject.staged.stages[self.subject.first[name]]
        layer, found = self.subject.layers[name], lazy.value
        result = layer.round(choice, found.feedback, found.wanted)
        assert result is not None, "coarser codes than those of a curve fit"
        replaced = {**given, name: layer.array_of(result.rows)}
        if stage.bias and found.plain is not None and found.found is not None:
            replaced[stage.bias] = self.subject.plain[stage.bias] + layer.shift(result.rows, found.plain, found.found)
        before = trial.rounded[name].rows if trial and name in trial.rounded else layer.rows
        errors = [layer.error(rows, found.found, found.wanted) for rows in (result.rows, before)]
        return replaced, errors[0] - errors[1]

    @staticmethod
    def _round(layer: Layer, choice: Choice, plain: Inputs | None, found: Inputs | None) -> Rounded | None:
        wanted = layer.wanted(plain, found) if plain is not None and found is not None else None
        return layer.round(choice, layer.feedback(found), wanted)

    def _columns(self, position: int) -> Columns | None:
        return self.subject.layers[self.subject.staged.stages[position].weights[0]].columns

    def _look(self, position: int, state: State) -> Inputs | None:
        """Return a layer's inputs; None where they are no columns, or their products exceed float32."""
        stage, columns = self.subject.staged.stages[position], self._columns(position)
        if columns is None:
            return None
        rng = np.random.default_rng([self._seed, position])
        found = Inputs.of(columns.sample(state[stage.entry], rng))
        return found if found.is_finite else None


@dataclass(frozen=True, eq=False)
class _Found:
    plain: Inputs | None
    found: Inputs | None
    feedback: Feedback
    wanted: NDArray[np.float64] | None


class _Lazy:
    """Result of `_found`, made when it is asked for: all of a layer's measurements may be known already."""

    def __init__(self, make: Callable[[str, State | None], _Found], name: str, state: State | None) -> None:
        self._make = lambda: make(name, state)
        self._value: _Found | None = None

    @property
    def value(self) -> _Found:
        if self._value is None:
            self._value = self._make()
        return self._value


#: Returns a measurement by name: one that is known already, or the one that the function makes.
Known = Callable[[str, Callable[[], object]], Any]
