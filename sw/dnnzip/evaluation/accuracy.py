"""Accuracy of a network, measured with onnxruntime on the CPU."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.evaluation.runtime import (
    RUNTIME_ERRORS,
    CompressedSession,
    Session,
    first_line,
    open_session,
    session_options,
)
from dnnzip.evaluation.scores import OPTION, Output, choose_output
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.domain import is_compressed, is_compressed_file
from dnnzip.onnx.files import LARGEST_MESSAGE, check_given, load_model, open_model, save_model
from dnnzip.onnx.graph import is_standard
from dnnzip.system.temporary import temporary_folder

#: Samples at once where the network takes any number; more gain nothing and take memory.
BATCH = 50

#: From this many classes up, top-5 is worth reporting.
TOP5_CLASSES = 100

#: Numbers of samples that show which dimension of an output is that of the samples.
TRIED = (2, 3)

#: Types of tensors by their names in NumPy.
NUMBERS = (
    *("bool", "float16", "float32", "float64"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)

#: The prediction for a sample whose scores hold a NaN.
NO_CLASS = -1


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Accuracy of a network on a data set."""

    samples: int  # number of samples
    top1: float  # share of them whose class has the highest score, the first of equal ones counting
    top5: float | None  # share whose class is among the five highest; None below 100 classes
    # int64 [samples], the class with the highest score; -1, which is never right, where a score is NaN.
    predictions: NDArray[np.int64]


def evaluate(
    model: str | Path | onnx.ModelProto,
    data: str | Path | Dataset,
    samples: int | None = None,
    output: str | None = None,
) -> Accuracy:
    """Measure the accuracy of a network.

    Parameters
    ----------
    model
        A plain or compressed model, or its file.
    data
        Labelled samples or their ``.npz`` file; `x` is given to the network as it is.
    samples
        Take only that many, from the first; None takes all.
    output
        Name of the output that holds the scores; None takes the only one of such a type and shape.

    Raises
    ------
    InputError
        The model or the data cannot be read or do not suit each other, or it is not clear where the scores are.
    """
    where = "model" if isinstance(model, onnx.ModelProto) else str(model)
    if isinstance(model, onnx.ModelProto):
        check_given(model, where)
    if not isinstance(data, Dataset):
        data = load_dataset(data, samples)
    elif samples is not None:
        data = data.first(samples)
    if not isinstance(model, onnx.ModelProto) and is_compressed_file(Path(model)):
        session = open_session(where, where, session_options(), CompressedSession)
        return score(_Network(session, data, where).scores(open_model(model), output), data)
    proto = model if isinstance(model, onnx.ModelProto) else load_model(model)
    return score(scores_of(proto, data, where, output=output), data)


def scores_of(
    model: onnx.ModelProto, dataset: Dataset, where: str, threads: int | None = None, output: str | None = None
) -> NDArray[np.generic]:
    """Run a network on all samples: [samples, classes] of the output that holds the scores.

    Parameters
    ----------
    model
        A plain or compressed network.
    dataset
        The samples.
    where
        The model file, for messages.
    threads
        Threads of onnxruntime; None for one on each core.
    output
        Name of the output; None takes the only one of such a type and shape.

    Raises
    ------
    InputError
        See `evaluate`.
    """
    with _opened(model, dataset, where, threads) as network:
        return network.scores(model, output)


def score_output(
    model: onnx.ModelProto, dataset: Dataset, where: str, asked: str | None = None, option: str = OPTION
) -> str:
    """Return the name of the output that holds a network's scores.

    Parameters
    ----------
    model
        A plain or compressed network.
    dataset
        Samples that it takes.
    where
        The model file, for messages.
    asked
        The output that the user names; None takes the only one of such a type and shape.
    option
        The option that names an output, for messages.

    Raises
    ------
    InputError
        See `evaluate`.
    """
    with _opened(model, dataset, where) as network:
        return choose_output(network.outputs(_sorted_values(model)), asked, where, option)


def outputs_of(model: onnx.ModelProto, dataset: Dataset, where: str) -> dict[str, NDArray[np.generic]]:
    """Run a plain network on its first batch of samples: every output that is a tensor, by name.

    Raises
    ------
    InputError
        The network does not run on the samples.
    """
    with _opened(model, dataset, where) as network:
        found = network.run(network.tensors, next(network.batches()))
        return {name: np.asarray(values) for name, values in zip(network.tensors, found, strict=True)}


class _Network:
    """A network, and samples that it takes.

    Members
    -------
    batch
        Samples that it gets at once.
    tensors
        Names of its outputs that are tensors.
    """

    def __init__(self, session: Session, dataset: Dataset, where: str) -> None:
        self._session, self._dataset, self._where = session, dataset, where
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise InputError(where, f"has {len(inputs)} inputs", "give a network with one input")
        _check_samples(inputs[0].type, inputs[0].shape, dataset, where)
        self._input = inputs[0].name
        fixed = _sizes(inputs[0].shape)[0] if inputs[0].shape else None
        self._is_fixed = fixed is not None
        self.batch = fixed or min(BATCH, len(dataset.x))
        self.tensors = [output.name for output in session.get_outputs() if _dtype(output.type) is not None]

    def batches(self) -> Iterator[NDArray[np.generic]]:
        """Visit all samples in batches."""
        return batches_of(self._dataset.x, self.batch, self._is_fixed, self._where)

    def run(self, names: list[str], x: NDArray[np.generic]) -> list[object]:
        """Return some outputs for a batch."""
        # Of an empty list, onnxruntime makes all outputs.
        if not names:
            return []
        try:
            found: list[object] = self._session.run(names, {self._input: x})
        except RUNTIME_ERRORS as error:
            raise InputError(self._where, f"does not run on {self._dataset.where} ({first_line(error)})") from None
        return found

    def scores(self, model: onnx.ModelProto, asked: str | None) -> NDArray[np.generic]:
        """Return [samples, classes] of the output that holds the scores of all samples; see `scores_of`."""
        chosen = choose_output(self.outputs(_sorted_values(model)), asked, self._where)
        given = [found for x in self.batches() for found in self.run([chosen], x)]
        return joined_scores(given, self.batch, len(self._dataset.x), self._where)

    def outputs(self, by_size: set[str]) -> list[Output]:
        """Return all outputs, with their shapes for a few samples; the values of some are known to be sorted."""
        x = self._dataset.x
        tried = (self.batch,) if self._is_fixed else (1,) if len(x) == 1 else TRIED
        shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in self.tensors}
        for samples in tried:
            found = self.run(self.tensors, next(batches_of(x[:samples], samples, True, self._where)))
            for name, values in zip(self.tensors, found, strict=True):
                shapes[name].append(np.shape(np.asarray(values)))
        outputs = []
        for output in self._session.get_outputs():
            kind = _bare(output.type) if output.name in shapes else output.type
            sizes = tuple(shapes.get(output.name, ()))
            outputs.append(Output(output.name, kind, tried, sizes, output.name in by_size))
        return outputs


@contextmanager
def _opened(model: onnx.ModelProto, dataset: Dataset, where: str, threads: int | None = None) -> Iterator[_Network]:
    with temporary_folder() as folder:
        # A message of more than 2 GB does not exist: such a model takes the way over files.
        is_large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_MESSAGE // 2
        source: str | bytes = str(folder / "model.onnx")
        if is_large:
            save_model(model, str(source))
        else:
            source = model.SerializeToString()
        opens = CompressedSession if is_compressed(model) else Session
        yield _Network(open_session(source, where, session_options(threads), opens), dataset, where)


def _sorted_values(model: onnx.ModelProto) -> set[str]:
    """Return names of values that TopK has sorted, also as another type."""
    found: set[str] = set()
    for node in model.graph.node:
        if is_standard(node) and (
            node.op_type == "TopK" or (node.op_type in ("Cast", "Identity") and found & set(node.input))
        ):
            found |= set(node.output)
    return found


def batches_of(x: NDArray[np.generic], batch: int, fixed: bool, where: str) -> Iterator[NDArray[np.generic]]:
    """Visit samples in batches; where only whole batches are taken, the last is filled up with its last sample.

    Raises
    ------
    InputError
        A batch that the model ``where`` asks for does not fit the memory.
    """
    for start in range(0, len(x), batch):
        part = x[start : start + batch]
        missing = batch - len(part) if fixed else 0
        if missing:
            with memory_for(where, f"its batch of {batch} samples", batch * part[:1].nbytes):
                part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        yield part


def joined_scores(given: Sequence[object], batch: int, samples: int, where: str) -> NDArray[np.generic]:
    """Return [samples, classes] from a network's results for each batch; what fills the last one up is dropped.

    Parameters
    ----------
    given
        The results of the batches, in order; each should be an array [samples of the batch, classes].
    batch
        Samples of a batch.
    samples
        Samples of all batches, without those that fill up the last one.
    where
        The model file, for messages.

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
    if len({part.shape[1] for part in parts}) > 1:
        raise InputError(where, "gives another number of scores for each batch", "give a classifier")
    return np.concatenate(parts)


def _dtype(kind: str) -> np.dtype[np.generic] | None:
    """Return the NumPy type of a tensor's type as onnxruntime writes it; None of what NumPy does not have."""
    name = _bare(kind) if kind.startswith("tensor(") else ""
    known = {"float": "float32", "double": "float64"}.get(name, name)
    return np.dtype(known) if known in NUMBERS else None


def _bare(kind: str) -> str:
    return kind.removeprefix("tensor(").removesuffix(")")


def _check_samples(kind: str, wanted: Sequence[object], dataset: Dataset, where: str) -> None:
    """Compare the samples' type and shape with what the network takes."""
    x = dataset.x
    if x.dtype != _dtype(kind):
        raise InputError(dataset.where, f"x is {x.dtype}", f"{where} takes {_bare(kind)}")
    shape = _sizes(wanted)
    if len(shape) != x.ndim or any(d is not None and d != n for d, n in zip(shape[1:], x.shape[1:], strict=True)):
        text = ", ".join("any" if d is None else str(d) for d in shape[1:])
        raise InputError(dataset.where, f"samples of x have the shape {x.shape[1:]}", f"{where} takes ({text})")


def _sizes(shape: Sequence[object]) -> list[int | None]:
    """Return the sizes of a shape as onnxruntime has it; None for an open one, also where the model says -1 or 0."""
    return [size if isinstance(size, int) and size > 0 else None for size in shape]


def score(scores: NDArray[np.generic], dataset: Dataset) -> Accuracy:
    """Return the accuracy of scores [samples, classes].

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
    # The largest of numbers with a NaN among them is the NaN, and no class.
    predictions = np.where(np.isnan(scores).any(axis=1), NO_CLASS, np.argmax(scores, axis=1)).astype(np.int64)
    top5 = None
    if classes >= TOP5_CLASSES:
        # Scores strictly above the right class's, and equal ones before it, come first.
        values = scores.astype(np.float64)
        own = values[np.arange(len(y)), y][:, None]
        before = np.arange(classes)[None, :] < y[:, None]
        rank = np.sum((values > own) | ((values == own) & before), axis=1)
        top5 = float(np.mean((rank < 5) & ~np.isnan(own[:, 0])))
    return Accuracy(len(y), float(np.mean(predictions == y)), top5, predictions)
