"""The trained networks in the folder ``DNNZIP_ZOO``: their names, their samples, and accuracy measured elsewhere."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnzip.evaluation.dataset import Dataset


@dataclass(frozen=True)
class Entry:
    """A trained network of float weights."""

    model: str  # file name without its suffix
    data: str = ""  # name of the evaluation set; empty where there is none
    samples: int | None = None  # number of samples that suffice; all where None
    # Top-1 in percent at each bound of `dnnzip_bench.zoo`, measured elsewhere with plain rounding to the same grid.
    known: tuple[float, ...] = ()


ENTRIES = (
    Entry("lenet5_mnist", "mnist", known=(99.26, 99.30, 99.17, 98.96)),
    Entry("lenet_caffe_mnist", "mnist"),
    Entry("resnet8_cifar10", "cifar10_jpeg2000", known=(72.7, 72.6, 40.2, 19.0)),
    Entry("resnet56_cifar10", "cifar10_jpeg2000", 1000, known=(79.2, 78.5, 77.4, 69.6)),
    Entry("dscnn_kws", "kws01", known=(90.9, 91.5, 89.7, 45.0)),
    Entry("mobilenet_v1_025_imagenet", "imagenet_sample400", known=(0.8, 0.3, 0.3, 0.0)),
    Entry("squeezenet_v1.1_imagenet"),
)

INTEGER_NETWORKS = ("resnet8_cifar10_int8", "dscnn_kws_int8")
"""Networks whose weights are int8."""


def zoo_folder() -> Path:
    """Return the folder of the trained networks: ``DNNZIP_ZOO``, or ``../shared/zoo`` next to the checkout."""
    return Path(os.environ.get("DNNZIP_ZOO", "../shared/zoo"))


def zoo_models() -> list[Path]:
    """Return the files of all trained networks."""
    return [zoo_folder() / f"{name}.onnx" for name in (*(entry.model for entry in ENTRIES), *INTEGER_NETWORKS)]


def evenly(data: Dataset, samples: int | None) -> Dataset:
    """Return this number of samples, evenly from a set that may be sorted by class; all of them for None."""
    whole = len(data.x)
    places = np.linspace(0, whole - 1, min(samples or whole, whole)).round().astype(int)
    return Dataset(data.x[places], data.y[places], data.where)
