"""How often a network is right, measured with onnxruntime on the CPU."""

import tempfile
from collections.abc import Iterator
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
    with _session(proto, where) as session:
        return _score(_scores(session, dataset, where), dataset)


@contextmanager
def _session(model: onnx.ModelProto, where: str) -> Iterator[onnxruntime.InferenceSession]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
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
            raise InputError(where, f"does not run in onnxruntime ({_line(error)})") from None
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
    parts = []
    for start in range(0, len(dataset.x), batch):
        x = dataset.x[start : start + batch]
        count = len(x)
        if fixed and count < fixed:
            # A network of a fixed batch takes no smaller one: the last is filled up and the rest of its answer dropped.
            x = np.concatenate([x, np.repeat(x[-1:], fixed - count, axis=0)])
        try:
            (scores,) = session.run([output], {wanted.name: x})
        except RUNTIME_ERRORS as error:
            raise InputError(where, f"does not run on {dataset.where} ({_line(error)})") from None
        if not isinstance(scores, np.ndarray) or scores.ndim < 1 or len(scores) != len(x) or scores.size < len(x):
            raise InputError(where, "does not give one list of scores for each sample", "give a classifier")
        parts.append(scores.reshape(len(x), -1)[:count])
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


def _score(scores: NDArray[np.generic], dataset: Dataset) -> Accuracy:
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


def _line(error: BaseException) -> str:
    """Return the first line of onnxruntime's message, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
