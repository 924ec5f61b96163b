"""The trained networks of the zoo, each with samples to choose a bound by and samples to measure the choice on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip_bench import catalogue
from dnnzip_bench.catalogue import Entry, evenly

ENTRIES = tuple(entry for entry in catalogue.ENTRIES if entry.data)
"""Networks with an evaluation set."""


@dataclass(frozen=True)
class Right:
    """Accuracy of a network: shares of right classes, from 0 to 1."""

    seen: float  # among the samples that a choice looks at
    unseen: float  # among all others

    def drop(self, before: "Right") -> "Drop":
        """Return the drop against the plain network."""
        return Drop(100 * (before.seen - self.seen), 100 * (before.unseen - self.unseen))


@dataclass(frozen=True)
class Drop:
    """Accuracy that was lost, in points; below 0 where it became better."""

    seen: float | None  # on samples that a choice looked at; None where that is not known
    unseen: float  # on others


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network with its samples."""

    entry: Entry
    path: Path
    model: onnx.ModelProto
    weights: tuple[Weight, ...]
    # Its samples: those at even places are for choices, those at odd places for what is reported. None where the
    # network has no evaluation set.
    data: Dataset | None

    @property
    def name(self) -> str:
        """Name in tables."""
        return self.entry.model

    @cached_property
    def count(self) -> int:
        """Weights of all tensors."""
        return sum(weight.weights for weight in self.weights)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the network and its samples."""
        assert self.data is not None, "only networks with samples are measured"
        digest = hashlib.sha256(self.path.read_bytes())
        digest.update(np.ascontiguousarray(self.data.x).tobytes())
        digest.update(self.data.y.tobytes())
        return digest.hexdigest()

    def right(self, model: onnx.ModelProto) -> Right:
        """Run a model on all samples."""
        assert self.data is not None, "only networks with samples are measured"
        hits: NDArray[np.bool_] = evaluate(model, self.data).predictions == self.data.y
        return Right(float(np.mean(hits[::2])), float(np.mean(hits[1::2])))


def load_trained(entry: Entry, zoo: Path) -> TrainedNetwork:
    """Read a network and its samples.

    Raises
    ------
    InputError
        A file is not there, or suits nothing.
    """
    path = zoo / f"{entry.model}.onnx"
    model = load_model(path)
    weights, _ = find_weights(model)
    data = evenly(load_dataset(zoo / f"{entry.data}.npz"), entry.samples) if entry.data else None
    return TrainedNetwork(entry, path, model, tuple(weights), data)
