"""Metric of every network with data at the default bound, or at others: the table that the default was chosen by.

``DNNZIP_ZOO`` names the folder of small classifiers, ``DNNZIP_ZOO2`` that of networks of other kinds, and
``DNNZIP_FETCHED`` that of the large ones; a network whose file is not there is passed over.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import onnx

from dnnzip.api import compress_model
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset
from dnnzip.evaluation.images import load_images
from dnnzip.evaluation.runtime import Session, open_session, session_options
from dnnzip.onnx.files import load_model, save_model
from dnnzip.presentation.tables import TextTable
from dnnzip.system.temporary import temporary_folder
from dnnzip_bench import metrics
from dnnzip_bench.catalogue import zoo_folder
from dnnzip_bench.command import Listed, json_option, run, show, told, write_json

#: Largest loss that a default bound may make: a share of the metric, and of one in dB its difference.
LARGEST_LOSS, LARGEST_DECIBELS = 0.01, 0.1

THREADS = 2


def second_folder() -> Path:
    """Return the folder of networks of other kinds."""
    return Path(os.environ.get("DNNZIP_ZOO2", "../shared/zoo2"))


def fetched_folder() -> Path:
    """Return the folder of large networks, which is that of other kinds where none is named."""
    return Path(os.environ.get("DNNZIP_FETCHED", str(second_folder())))


@dataclass(frozen=True)
class Subject:
    """Networks that are measured together."""

    models: tuple[Path, ...]
    data: Path  # an .npz file, or a folder of labelled images
    metric: str  # heading, one of `METRICS` or ``top1``
    is_rising: bool = True  # True if more is better

    @property
    def name(self) -> str:
        """Names of the networks and of the data."""
        return f"{' + '.join(path.stem for path in self.models)}, {self.data.stem}"

    @property
    def is_there(self) -> bool:
        """Return True if networks and data can be read."""
        return all(path.exists() for path in (*self.models, self.data))

    def loss(self, before: float, after: float) -> float:
        """Return the loss: a share of the metric, or of one in dB the difference, in units of the largest allowed."""
        worse = before - after if self.is_rising else after - before
        return worse / LARGEST_DECIBELS if self.metric == DECIBELS else worse / before / LARGEST_LOSS


@dataclass(frozen=True)
class Row:
    """A network at a bound."""

    name: str
    metric: str
    bound: str
    scope: str
    before: float
    after: float
    loss: float  # see `Subject.loss`; at most 1 keeps the promise
    bits_per_weight: float
    weights: int
    large_losses: int  # layers that `compress` names


TOP1, DECIBELS = "top1", "SI-SDR dB"
METRICS: dict[str, Callable[[Sequence[Session], metrics.Arrays], float]] = {
    "perplexity": metrics.perplexity,
    "Spearman x 100": metrics.rank_correlation,
    "frame accuracy": metrics.frame_accuracy,
    DECIBELS: metrics.signal_to_distortion,
}
DETECTION = "AP50"

SMALL = {
    "lenet5_mnist": ("mnist",),
    "lenet_caffe_mnist": ("mnist",),
    "resnet8_cifar10": ("cifar10_ic01", "cifar10_jpeg2000"),
    "resnet56_cifar10": ("cifar10_ic01", "cifar10_jpeg2000"),
    "dscnn_kws": ("kws01",),
    "dscnn_kws_int8": ("kws01",),
    "mobilenet_v1_025_imagenet": ("imagenet_sample400",),
    "resnet8_cifar10_int8": ("cifar10_ic01", "cifar10_jpeg2000"),
}

LANGUAGE_MODELS = ("smollm2_135m_fp32", "smollm2_135m_fp16", "smollm2_135m_q41", "smollm2_135m_nbits")


def subjects() -> list[Subject]:
    """Return the networks with data, the quick ones first."""
    one, two, large = zoo_folder(), second_folder(), fetched_folder()
    images = two / "imagenet1000"
    found = [Subject((one / f"{name}.onnx",), one / f"{data}.npz", TOP1) for name in SMALL for data in SMALL[name]]
    found += [
        Subject((two / "aidreams260k.onnx",), two / "aidreams_self.npz", "perplexity", is_rising=False),
        Subject((two / "silero_vad_16k_sequence.onnx",), two / "silero_vad_seq.npz", "frame accuracy"),
        Subject((two / "yolox_nano.onnx",), two / "yolox_images.npz", DETECTION),
        Subject((two / "vit_cifar10.onnx",), one / "cifar10_jpeg2000.npz", TOP1),
        Subject((one / "mobilenet_v1_025_imagenet.onnx",), images, TOP1),
        Subject((two / "efficientnet_lite0_imagenet.onnx",), images, TOP1),
        Subject((two / "dtln_model_1.onnx", two / "dtln_model_2.onnx"), two / "dtln_frames.npz", DECIBELS),
        Subject((large / "minilm_l6_v2.onnx",), two / "stsb_dev.npz", "Spearman x 100"),
    ]
    words = two / "wikitext2_smollm2.npz"
    found += [Subject((large / f"{name}.onnx",), words, "perplexity", is_rising=False) for name in LANGUAGE_MODELS]
    return [subject for subject in found if subject.is_there]


def measured(subject: Subject, bounds: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """Measure networks as they are and at each bound and scope."""
    data = _data(subject)
    plain = [load_model(path) for path in subject.models]
    before = _measure(subject, plain, data, plain)
    for bound, scope in bounds:
        made = [compress_model(model, bound, error_scope=scope) for model in plain]  # type: ignore[arg-type]
        after = _measure(subject, [network.decompress() for network in made], data, plain)
        weights = sum(network.sizes.weights for network in made)
        bits = 8 * sum(network.sizes.bytes for network in made) / weights
        named = sum(len(network.sizes.large_losses) for network in made)
        loss = subject.loss(before, after)
        yield Row(subject.name, subject.metric, bound, scope, before, after, loss, bits, weights, named)


def _data(subject: Subject) -> Dataset | metrics.Arrays:
    if subject.data.is_dir():
        return load_images(subject.data, subject.models[0])
    with np.load(subject.data) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    return Dataset(content["x"], content["y"], str(subject.data)) if subject.metric == TOP1 else content


def _measure(
    subject: Subject,
    models: Sequence[onnx.ModelProto],
    data: Dataset | metrics.Arrays,
    plain: Sequence[onnx.ModelProto],
) -> float:
    """Return the metric of networks; `plain` are the uncompressed ones."""
    if isinstance(data, Dataset):
        return evaluate(models[0], data).top1
    sessions = [_session(model) for model in models]
    if subject.metric == DETECTION:
        return metrics.average_precision_against(_session(plain[0]))(sessions, data)
    return METRICS[subject.metric](sessions, data)


def _session(model: onnx.ModelProto) -> Session:
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        save_model(model, path)
        return open_session(str(path), "model", session_options(THREADS))


def table(rows: Sequence[Row]) -> TextTable:
    """Return the table of all networks at all bounds."""
    header = ("network, data", "metric", "bound", "before", "after", "of the allowed loss", "bits/weight", "named")
    cells = (
        (
            row.name,
            row.metric,
            row.bound if row.bound.endswith("rms") else f"{row.bound} {row.scope}",
            f"{row.before:.4f}",
            f"{row.after:.4f}",
            f"{row.loss:.2f}",
            f"{row.bits_per_weight:.3f}",
            str(row.large_losses),
        )
        for row in rows
    )
    return TextTable(header, tuple(cells), names=3)


@click.command()
@click.option("--bounds", type=Listed(str), default=("1%rms",), help="Bounds; 1%tensor and 1%channel name the scope.")
@click.option("--networks", default="", help="Only those with this text in their names.")
@json_option
def defaults(bounds: tuple[str, ...], networks: str, json_file: Path | None) -> None:
    """Measure the networks in $DNNZIP_ZOO, $DNNZIP_ZOO2 and $DNNZIP_FETCHED before and after compression."""
    asked = [
        (bound.removesuffix("tensor"), "tensor")
        if bound.endswith("tensor")
        else (bound.removesuffix("channel"), "channel")
        for bound in bounds
    ]
    rows = []
    for subject in subjects():
        if networks in subject.name:
            for row in measured(subject, asked):
                told(f"{row}")
                rows.append(row)
    show(table(rows), f"largest loss: {max((row.loss for row in rows), default=0):.2f} of the allowed one")
    write_json(json_file, [row.__dict__ for row in rows])


if __name__ == "__main__":
    run(defaults)
