"""Tuning: searches on calibration samples, confirmation on others, and the compressed model with its biases."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from dnnzip.encoding import encode_quantised
from dnnzip.errors import InputError, field_name
from dnnzip.evaluation.accuracy import score, score_output
from dnnzip.evaluation.dataset import Dataset
from dnnzip.onnx.biases import corrected, declare
from dnnzip.onnx.compressed import CompressedModel, is_compressed
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.files import load_model
from dnnzip.onnx.graph import operand
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.operators import operator_of
from dnnzip.onnx.weights import LeftOut, Weight, find_weights
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.tuning.calibration import Calibration, Subject, Trial
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.folds import Fold, split
from dnnzip.tuning.journal import Journal, Measuring
from dnnzip.tuning.options import TuningOptions
from dnnzip.tuning.outcome import Asked, Confirmation, Outcome, Uniform
from dnnzip.tuning.prices import Objective, prices
from dnnzip.tuning.search import Search, steps_of
from dnnzip.tuning.sensitivity import bootstrap_interval
from dnnzip.tuning.uniform import SingleBounds, uniform_steps
from dnnzip.usecases.estimate import read_network, require_sizes
from dnnzip.usecases.provenance import provenance
from dnnzip.usecases.summary import summarise

#: Share of the allowed drop that the search aims at: unseen samples lose more than those it chose with. The fewer
#: samples judge, the less is known of how much, and the best of many trials is the one that they flatter most; with
#: the second number of samples the aim is divided by the root of two.
MARGIN = 0.6
CAUTION = 500

#: Fewest samples: three quarters of them choose, one quarter confirms.
LEAST_SAMPLES = 40

#: Why a weight stays as it is.
NOT_TUNED = (
    "It must be float32 and read, as it is stored, by convolutions and matrix products alone: tuning moves no others."
)
NO_GAIN = "Tuning must find a bound for it that is worth its harm."


def _is_tunable(weight: Weight) -> bool:
    """Return True if all that a weight does is to multiply what operators with a sum for each output read."""
    is_right = all(_is_right_side(reader.node, weight) for reader in weight.readers)
    return weight.element is FLOAT32 and weight.is_direct and is_right


def _is_right_side(node: onnx.NodeProto, weight: Weight) -> bool:
    operator = operator_of(node)
    if operator is None or operator.reach is None:
        return False
    return operand(node, operator.weights[0].index) == weight.name


class Tuner:
    """The tuning of one network.

    Parameters
    ----------
    path
        The model file, plain.
    data
        Labelled samples.
    options
        Allowed drop, objective and the other options.

    Raises
    ------
    InputError
        The model cannot be read, is compressed or has no float32 weights, or the samples do not suit it or are too few.
    """

    def __init__(self, path: str | Path, data: Dataset, options: TuningOptions) -> None:
        self._where = str(path)
        self._model = load_model(path)
        self._data = data
        self._options = options
        if is_compressed(self._model):
            raise InputError(self._where, "is compressed already", "give the plain model")
        if len(data.x) < LEAST_SAMPLES:
            raise InputError(
                data.where, f"has {len(data.x)} samples", f"give {LEAST_SAMPLES} or more, hundreds for a drop of 1%"
            )
        weights, left_out = find_weights(self._model)
        self._weights: list[Weight] = [weight for weight in weights if _is_tunable(weight)]
        others = [weight.left_out(NOT_TUNED) for weight in weights if not _is_tunable(weight)]
        self._left_out: list[LeftOut] = [*left_out, *others]
        if not self._weights:
            raise InputError(self._where, "has no float32 weights to tune", "tune the network before it is quantised")
        self._output = score_output(self._model, data, self._where, options.output)
        with threadpool_limits(1, "blas"):
            self._subject = Subject(self._model, self._weights, self._where, self._output)
        names = list(self._subject.layers)
        network = None
        if options.objective is not Objective.BYTES:
            network = require_sizes(read_network(path), self._where)
        self._prices = prices(options.objective, names, network, options.accelerator)
        self._split = split(len(data.x), options.seed)

    @property
    def steps(self) -> int:
        """About how many pieces of work there are, for a progress bar."""
        searches = len(self._split.folds) + self._split.is_cross_fitted
        return searches * steps_of(len(self._subject.layers)) + (uniform_steps() if self._options.compare else 0)

    def settings(self) -> dict[str, Any]:
        """Return the settings that the measurements of a search depend on."""
        options = self._options
        return {
            "model": hashlib.sha256(self._model.SerializeToString(deterministic=True)).hexdigest(),
            "data": hashlib.sha256(self._data.x.tobytes() + self._data.y.tobytes()).hexdigest(),
            "max_drop": options.max_drop,
            "objective": str(options.objective),
            "accelerator": options.accelerator.name if options.accelerator else "",
            "seed": options.seed,
            "output": self._output,
        }

    def tune(self, journal: Journal, step: Callable[[str], None]) -> Outcome:
        """Tune the network.

        Parameters
        ----------
        journal
            Takes the measurements, and may know some from before.
        step
            Called with a text after each piece of work.

        Raises
        ------
        InputError
            The plain network's scores are not finite, or no layer can be compressed; the journal's file is removed.
        """
        try:
            # Matrices are small: threads would wait for each other longer than they work. And sums stay the same.
            with threadpool_limits(1, "blas"):
                return self._tuned(Measuring(journal.measured, step))
        except InputError as error:
            # The same search would end so again, and its journal would block one with other options. A disk
            # that is full ends no search.
            if error.where in (self._where, self._data.where) or error.is_of_field:
                journal.remove()
            raise

    def _tuned(self, measuring: Measuring) -> Outcome:
        right = np.array(measuring.measured("plain", self._plain_answers), np.bool_)
        folds = self._split.folds
        after = np.concatenate([self._confirm(fold, number, measuring) for number, fold in enumerate(folds)])
        before = right[np.concatenate([fold.unseen for fold in folds])]
        interval = bootstrap_interval(before, after, self._options.seed)
        confirmation = Confirmation(len(before), float(before.mean()), float(after.mean()), *interval, len(folds))
        name = "all" if self._split.is_cross_fitted else "fold 0"
        calibration = self._calibration(self._split.final)
        trial = self._search(calibration, measuring.under(f"{name}: "))
        single, kindest = None, None
        if self._options.compare:
            bounds = SingleBounds(self._model, self._subject, self._data, right, measuring)
            single = self._single(calibration, name, bounds)
            kindest = bounds.kindest(self._options.max_drop)
        compressed, left_out = self._compressed(trial)
        asked = Asked(self._where, self._data.where, self._options, provenance())
        summary = summarise(compressed, left_out)
        return Outcome(asked, compressed, summary, dict(trial.choices), confirmation, single, kindest)

    def _confirm(self, fold: Fold, number: int, measuring: Measuring) -> NDArray[np.bool_]:
        """Search on one part of the samples; returns whether the answers to the fold's unseen samples are right."""

        def measure() -> list[bool]:
            trial = self._search(self._calibration(fold.chosen_with), measuring.under(f"fold {number}: "))
            unseen = Dataset(self._data.x[fold.unseen], self._data.y[fold.unseen], self._data.where)
            return self._answers(unseen, self._subject.scores(unseen.x, trial.given))

        return np.array(measuring.measured(f"unseen {number}", measure), np.bool_)

    def _calibration(self, samples: NDArray[np.int64]) -> Calibration:
        return Calibration(self._subject, self._data.x[samples], self._data.y[samples], self._options.seed)

    def _search(self, calibration: Calibration, measuring: Measuring) -> Trial:
        def choose() -> dict[str, list[Any]]:
            found = self._searcher(calibration, measuring).run(self._aim(calibration))
            return {layer: [choice.text, str(choice.scope)] for layer, choice in found.items()}

        chosen = measuring.measured("choices", choose)
        return calibration.trial({layer: Choice(text, Scope(scope)) for layer, (text, scope) in chosen.items()})

    def _searcher(self, calibration: Calibration, measuring: Measuring) -> Search:
        return Search(calibration, self._prices, measuring, self._options.seed)

    def _aim(self, calibration: Calibration) -> float:
        judged = len(calibration.judged)
        return self._options.max_drop * MARGIN * math.sqrt(judged / (judged + CAUTION))

    def _answers(self, data: Dataset, scores: NDArray[np.float32]) -> list[bool]:
        return [bool(value) for value in score(scores, data).predictions == data.y]

    def _plain_answers(self) -> list[bool]:
        """Return True if the plain network's answers are right."""
        scores = self._subject.scores(self._data.x, {})
        if not np.isfinite(scores).all():
            wrong = f"gives scores on {self._data.where} that are infinite or no number"
            raise InputError(self._where, wrong, "tune one whose scores are numbers")
        return self._answers(self._data, scores)

    def _single(self, calibration: Calibration, name: str, bounds: SingleBounds) -> Uniform:
        """Find the best single bound by the measure of the search, whose measurements the journal knows."""

        def choose() -> list[list[str]]:
            silent = replace(bounds.measuring, step=lambda _: None)
            search = self._searcher(calibration, silent.under(f"{name}: "))
            aim = self._aim(calibration)
            search.run(aim)
            return [[choice.text, str(choice.scope)] for choice in search.single_bound(aim)]

        chosen = bounds.measuring.counted("single bound", choose)
        return bounds.best_of([Choice(text, Scope(scope), nearest=True) for text, scope in chosen])

    def _compressed(self, trial: Trial) -> tuple[CompressedModel, list[LeftOut]]:
        """Encode the network of a trial."""
        layers = self._subject.layers
        positions = {tensor.name: place for place, tensor in enumerate(self._model.graph.initializer)}
        names = sorted(trial.rounded, key=positions.__getitem__)
        if not names:
            raise InputError(field_name("max_drop"), "leaves no layer that could be compressed", "allow a larger drop")
        weights = [layers[name].weight for name in names]
        results = [layers[name].grid(trial.choices[name], trial.rounded[name]) for name in names]
        tables, encoded = encode_quantised(weights, results)
        biases = {
            output: trial.given[name] for output, name in self._subject.biased.biases.items() if name in trial.given
        }
        biased = corrected(self._model, self._weights, biases)
        fresh = compressed_model(biased.model, weights, encoded, tables)
        declare(fresh, {output: name for output, name in biased.biases.items() if output in biases})
        left_out = [*self._left_out, *(w.left_out(NO_GAIN) for w in self._weights if w.name not in trial.rounded)]
        return open_compressed(fresh, self._where), left_out
