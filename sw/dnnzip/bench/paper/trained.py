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


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Parameters
    ----------
    model, data
        File names without their suffixes.
    samples
        So many of them, evenly from the whole set; all where None.
    """

    model: str
    data: str
    samples: int | None = None


ENTRIES = (
    Entry("lenet5_mnist", "mnist"),
    Entry("lenet_caffe_mnist", "mnist"),
    Entry("resnet8_cifar10", "cifar10_jpeg2000"),
    Entry("resnet56_cifar10", "cifar10_jpeg2000", 1000),
    Entry("dscnn_kws", "kws01"),
    Entry("mobilenet_v1_025_imagenet", "imagenet_sample400"),
)
"""Those with an evaluation set."""


@dataclass(frozen=True)
class Right:
    """How often a network is right.

    Parameters
    ----------
    seen, unseen
        Shares of right classes, from 0 to 1, among the samples that a choice looks at, and among all others.
    """

    seen: float
    unseen: float

    def drop(self, before: "Right") -> "Drop":
        """Return what was lost against the network as it was."""
        return Drop(100 * (before.seen - self.seen), 100 * (before.unseen - self.unseen))


@dataclass(frozen=True)
class Drop:
    """Accuracy that was lost, in points; below 0 where it became better.

    Parameters
    ----------
    seen
        On samples that a choice looked at; None where that is not known.
    unseen
        On others.
    """

    seen: float | None
    unseen: float


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network with its samples.

    Parameters
    ----------
    entry
        Which one.
    path
        Its file.
    model
        Its content.
    weights
        Its float tensors.
    data
        Its samples: those at even places are for choices, those at odd places for what is reported.
    """

    entry: Entry
    path: Path
    model: onnx.ModelProto
    weights: tuple[Weight, ...]
    data: Dataset

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.entry.model

    @cached_property
    def count(self) -> int:
        """Weights of all tensors."""
        return sum(weight.weights for weight in self.weights)

    @cached_property
    def digest(self) -> str:
        """What tells it from another network or other samples."""
        digest = hashlib.sha256(self.path.read_bytes())
        digest.update(np.ascontiguousarray(self.data.x).tobytes())
        digest.update(self.data.y.tobytes())
        return digest.hexdigest()

    def right(self, model: onnx.ModelProto) -> Right:
        """Run a model on all samples.

        Raises
        ------
        InputError
            It does not run.
        """
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
    whole = load_dataset(zoo / f"{entry.data}.npz")
    places = np.linspace(0, len(whole.x) - 1, min(entry.samples or len(whole.x), len(whole.x))).round().astype(int)
    return TrainedNetwork(entry, path, model, tuple(weights), Dataset(whole.x[places], whole.y[places], whole.where))
