"""Data that all tasks of an exploration share: network, samples, accelerators; as bytes that go to workers.

Workers may be on other hosts, so that no path means anything to them: they get the content of the files, once, and
know it by its digest.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip import __version__
from dnnzip.accelerator import Accelerator, Estimate, Network, Timing, estimator_of
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import Accuracy, score, scores_of
from dnnzip.evaluation.dataset import Dataset
from dnnzip.inputs.memory import memory_for
from dnnzip.inputs.reading import read_bounded
from dnnzip.onnx.compressed import is_compressed
from dnnzip.onnx.files import RIGHT, load_model, model_files
from dnnzip.onnx.weights import LeftOut, Weight, find_weights
from dnnzip.system.temporary import temporary_folder
from dnnzip.usecases.estimate import network_of, require_sizes

Files = tuple[tuple[str, bytes], ...]
"""Files of a model: a path from the model's folder, as the model names it, and the content; the model itself first."""


def read_files(path: str | Path) -> Files:
    """Read a model with the files next to it that hold its arrays.

    Raises
    ------
    InputError
        See `dnnzip.onnx.files.load_model`.
    """
    files = model_files(path)
    size = sum(file.stat().st_size for file in files.values())
    with memory_for(str(path), f"all of its files, {size} bytes", size):
        return tuple((name, read_bounded(file, size, RIGHT)) for name, file in files.items())


def digest_of(files: Files) -> str:
    """Return the SHA-256 of a model: its file's own where there is one file, else over names and digests of all."""
    digests = [hashlib.sha256(content).hexdigest() for _, content in files]
    if len(digests) == 1:
        return digests[0]
    named = [[name, digest] for (name, _), digest in zip(files, digests, strict=True)]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Workload:
    """Data that the tasks share, without a path."""

    # The network's files, and its name for messages.
    model: Files
    where: str
    # The samples, see `dnnzip.evaluation.dataset.Dataset`, and their file's name for messages.
    x: NDArray[np.generic]
    y: NDArray[np.int64]
    data_where: str
    accelerators: tuple[Accelerator, ...]  # in each placement that is asked for
    timings: tuple[Timing, ...]  # how the parts of a layer overlap
    # Samples at once, and bits of a plain weight; None for the accelerator's.
    batch: int
    weight_bits: int | None
    # Files of a compressed model that is a point by itself, and its name; None without one.
    tuned: tuple[Files, str] | None = None
    # Name of the output that holds the scores; None takes the only one of such a type and shape.
    output: str | None = None
    version: str = __version__  # of the dnnzip that made this

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        whole = hashlib.sha256()
        for part in self._parts():
            content = part if isinstance(part, bytes) else json.dumps(part).encode()
            whole.update(len(content).to_bytes(8, "little") + content)
        return whole.hexdigest()

    def _parts(self) -> list[Any]:
        settings = [accelerator.model_dump(mode="json") for accelerator in self.accelerators]
        parts: list[Any] = [self.where, self.data_where, settings, self.timings, self.batch, self.weight_bits]
        parts += [self.output, self.version]
        for files in (self.model, *([self.tuned[0]] if self.tuned else [])):
            parts += [value for file in files for value in file]
        for array in (self.x, self.y):
            parts += [str(array.dtype), array.shape, np.ascontiguousarray(array).tobytes()]
        return parts


def load_files(files: Files) -> onnx.ModelProto:
    """Return the model of such files, whole and in memory.

    Raises
    ------
    InputError
        See `dnnzip.onnx.files.load_model`; or a name leads out of the model's folder.
    """
    with temporary_folder() as folder:
        for name, content in files:
            path = folder / name
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or path == folder:
                raise InputError("workload", f"has a file {name!r}", "it must be inside the model's folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return load_model(folder / files[0][0])


class OpenWorkload:
    """A workload on a worker, with what its tasks need again and again.

    Parameters
    ----------
    workload
        The workload.

    Raises
    ------
    InputError
        The model cannot be read, or is compressed already; or this is another version of dnnzip.
    """

    def __init__(self, workload: Workload) -> None:
        if workload.version != __version__:
            raise InputError(
                "worker", f"has dnnzip {__version__} and not {workload.version}", "install the same version everywhere"
            )
        self.workload = workload
        self.where = workload.where
        self.model: onnx.ModelProto = load_files(workload.model)
        if is_compressed(self.model):
            raise InputError(self.where, "is compressed already", "give the plain model")
        self.weights: Sequence[Weight]
        self.left_out: Sequence[LeftOut]
        # Lifts Constant nodes in the model: from here on it stays as it is, for any number of threads.
        self.weights, self.left_out = find_weights(self.model)
        self.dataset = Dataset(workload.x, workload.y, workload.data_where)
        self.network: Network = require_sizes(network_of(self.model, Path(workload.where).name, self.where), self.where)
        self._estimators = [estimator_of(accelerator) for accelerator in workload.accelerators]
        self.plain: dict[tuple[int, Timing], Estimate] = {
            (number, timing): self.estimate(number, timing, self.network, compressed=False)
            for number in range(len(self._estimators))
            for timing in workload.timings
        }

    @property
    def plain_bytes(self) -> int:
        """Bytes of all weights as they are stored."""
        own = sum(weight.stored_bytes for weight in self.weights)
        return own + sum(item.bytes for item in self.left_out if item.is_weight)

    def accuracy_of(self, model: onnx.ModelProto) -> Accuracy:
        """Measure a plain network on the samples, with one thread: a worker has as many tasks as it has threads.

        Raises
        ------
        InputError
            See `dnnzip.evaluation.accuracy.evaluate`.
        """
        scores = scores_of(model, self.dataset, self.where, threads=1, output=self.workload.output)
        return score(scores, self.dataset)

    def estimate(self, number: int, timing: Timing, network: Network, *, compressed: bool = True) -> Estimate:
        """Estimate a network on the accelerator of a number."""
        return self._estimators[number].estimate(
            network, timing, self.workload.batch, self.workload.weight_bits, compressed=compressed
        )
