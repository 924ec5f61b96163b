"""How often a network is right, measured with onnxruntime on the CPU."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from dnnzip.errors import InputError
from dnnzip.model.container import decompressed, is_compressed, open_compressed
from dnnzip.model.dataset import Dataset, load_dataset
from dnnzip.model.files import LARGEST_MESSAGE, load_model, save_model

#: Samples at once where the network takes any number; more gain nothing and take memory.
BATCH = 50

#: From this many classes up, top-5 is worth reporting.
TOP5_CLASSES = 100

#: onnxruntime's severity of messages: only fatal ones, since its errors arrive as exceptions.
QUIET = 4

#: What onnxruntime raises for a model or an input that it cannot run.
RUNTIME_ERRORS = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How often a network was right.

    Parameters
    ----------
    samples
        Number of samples.
    top1
        Share of them whose class has the highest score, the first of equal ones counting.
    top5
        Share whose class is among the five highest; None below 100 classes.
    predictions
        int64 [samples], the class with the highest score.
    """

    samples: int
    top1: float
    top5: float | None
    predictions: NDArray[np.int64]


def evaluate(model: str | Path | onnx.ModelProto, data: str | Path | Dataset, samples: int | None = None) -> Accuracy:
    """Measure the accuracy of a network.

    Parameters
    ----------
    model
        A plain or compressed model, or its file; a compressed one is decoded in memory first.
    data
        Labelled samples or their ``.npz`` file; `x` is given to the network as it is.
    samples
        Take only that many, from the first; None takes all.

    Raises
    ------
    InputError
        The model or the data cannot be read or do not suit each other.
    """
    where = "model" if isinstance(model, onnx.ModelProto) else str(model)
    proto = model if isinstance(model, onnx.ModelProto) else load_model(model)
    dataset = data if isinstance(data, Dataset) else load_dataset(data, samples)
    if isinstance(data, Dataset) and samples is not None:
        dataset = Dataset(data.x[:samples], data.y[:samples], data.where)
    if is_compressed(proto):
        proto = decompressed(open_compressed(proto, where))
    return score(scores_of(proto, dataset, where), dataset)


def scores_of(model: onnx.ModelProto, dataset: Dataset, where: str, threads: int | None = None) -> NDArray[np.generic]:
    """Run a plain network on all samples: [samples, classes] of its first output.

    Parameters
    ----------
    model
        The network.
    dataset
        The samples.
    where
        The model file, for messages.
    threads
        Threads of onnxruntime; None for one on each core.

    Raises
    ------
    InputError
        See `evaluate`.
    """
    with _session(model, where, threads) as session:
        return _scores(session, dataset, where)


def session_options(threads: int | None = None) -> onnxruntime.SessionOptions:
    """Return how onnxruntime runs networks here: with all of its optimisations, silent, with so many threads."""
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.log_severity_level = QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return options


@contextmanager
def _session(model: onnx.ModelProto, where: str, threads: int | None) -> Iterator[onnxruntime.InferenceSession]:
    options = session_options(threads)
    with tempfile.TemporaryDirectory(prefix="dnnzip") as folder:
        # A message of more than 2 GB does not exist: such a model takes the way over files.
        is_large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_MESSAGE // 2
        source: str | bytes = str(Path(folder) / "model.onnx")
        if is_large:
            save_model(model, str(source))
        else:
            source = model.SerializeToString()
        try:
            session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            raise InputError(where, f"does not run in onnxruntime ({first_line(error)})") from None
        yield session


def _scores(session: onnxruntime.InferenceSession, dataset: Dataset, where: str) -> NDArray[np.generic]:
    """Run the network on all samples: [samples, classes] of its first output."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(where, f"has {len(inputs)} inputs", "give a network with one input")
    wanted = inputs[0]
    _check_samples(wanted, dataset, where)
    fixed = wanted.shape[0] if wanted.shape and isinstance(wanted.shape[0], int) else None
    batch = fixed or min(BATCH, len(dataset.x))
    output = session.get_outputs()[0].name
    given = []
    for x in batches_of(dataset.x, batch, fixed is not None):
        try:
            given += session.run([output], {wanted.name: x})
        except RUNTIME_ERRORS as error:
            raise InputError(where, f"does not run on {dataset.where} ({first_line(error)})") from None
    return joined_scores(given, batch, len(dataset.x), where)


def batches_of(x: NDArray[np.generic], batch: int, fixed: bool) -> Iterator[NDArray[np.generic]]:
    """Visit samples in batches; where only whole batches are taken, the last is filled up with its last sample."""
    for start in range(0, len(x), batch):
        part = x[start : start + batch]
        missing = batch - len(part) if fixed else 0
        yield np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part


def joined_scores(given: Sequence[object], batch: int, samples: int, where: str) -> NDArray[np.generic]:
    """Return [samples, classes] from what a network gave for each batch; what fills the last one up is dropped.

    Raises
    ------
    InputError
        They are no lists of scores, one for each sample.
    """
    parts = []
    for start, scores in zip(range(0, samples, batch), given, strict=True):
        count = min(batch, samples - start)
        sizes = (count, batch)
        if not isinstance(scores, np.ndarray) or scores.ndim < 1 or len(scores) not in sizes or scores.size < count:
            raise InputError(where, "does not give one list of scores for each sample", "give a classifier")
        parts.append(scores.reshape(len(scores), -1)[:count])
    return np.concatenate(parts)


def _check_samples(wanted: onnxruntime.NodeArg, dataset: Dataset, where: str) -> None:
    """Compare the samples' type and shape with what the network takes."""
    x = dataset.x
    kind = {
        "tensor(float)": np.float32,
        "tensor(float16)": np.float16,
        "tensor(double)": np.float64,
        "tensor(bool)": np.bool_,
    }.get(wanted.type) or getattr(np, wanted.type.removeprefix("tensor(").removesuffix(")"), None)
    if kind is None or x.dtype != kind:
        raise InputError(
            dataset.where, f"x is {x.dtype}", f"{where} takes {wanted.type.removeprefix('tensor(').removesuffix(')')}"
        )
    shape = [d if isinstance(d, int) else None for d in wanted.shape]
    if len(shape) != x.ndim or any(d is not None and d != n for d, n in zip(shape[1:], x.shape[1:], strict=True)):
        text = ", ".join("any" if d is None else str(d) for d in shape[1:])
        raise InputError(dataset.where, f"samples of x have the shape {x.shape[1:]}", f"{where} takes ({text})")


def score(scores: NDArray[np.generic], dataset: Dataset) -> Accuracy:
    """Return how often scores [samples, classes] are right.

    Raises
    ------
    InputError
        The data set has a class that the network does not have.
    """
    classes = scores.shape[1]
    y = dataset.y
    if int(y.max()) >= classes:
        raise InputError(
            dataset.where, f"y holds the class {int(y.max())}", f"the network has {classes} classes, from 0"
        )
    predictions = np.argmax(scores, axis=1).astype(np.int64)
    top5 = None
    if classes >= TOP5_CLASSES:
        # Scores strictly above the right class's, and equal ones before it, come first.
        values = scores.astype(np.float64)
        own = values[np.arange(len(y)), y][:, None]
        before = np.arange(classes)[None, :] < y[:, None]
        rank = np.sum((values > own) | ((values == own) & before), axis=1)
        top5 = float(np.mean((rank < 5) & ~np.isnan(own[:, 0])))
    return Accuracy(len(y), float(np.mean(predictions == y)), top5, predictions)


def first_line(error: BaseException) -> str:
    """Return the first line of onnxruntime's message, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
