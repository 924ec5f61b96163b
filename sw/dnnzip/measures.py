"""Measures of whole networks: verified, tuned, run for their accuracy, and estimated on an accelerator.

Apart from `dnnzip.api`, so that whoever only compresses does not load onnxruntime and the accelerator model.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import onnx
from numpy.typing import ArrayLike

from dnnzip.accelerator import Accelerator, Timing, load_accelerator
from dnnzip.api import CompressedNetwork, Model, opened
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.named_tensors import CompressedTensors, open_tensors
from dnnzip.onnx.given_sizes import GivenSizes
from dnnzip.onnx.opening import open_compressed, read_compressed
from dnnzip.tuning.drop import parse_drop
from dnnzip.tuning.journal import Journal
from dnnzip.tuning.options import TuningOptions, accelerator_for
from dnnzip.tuning.outcome import Outcome
from dnnzip.tuning.prices import Objective
from dnnzip.tuning.tuner import Tuner
from dnnzip.usecases import verify as verification
from dnnzip.usecases.estimate import Comparison, EstimationOptions, compare, describe, read_network
from dnnzip.usecases.verify import Verification
from dnnzip.weight_files.files import kind_of

__all__ = ["estimate", "evaluate", "tune", "verify"]


def verify(
    model: Model | Mapping[str, ArrayLike], compressed: Model | CompressedNetwork | CompressedTensors
) -> Verification:
    """Check a compressed network, or compressed tensors, against the original, as ``dnnzip verify`` does.

    Parameters
    ----------
    model
        The plain model, or the path of its file; of tensors the arrays by name, or the path of the weight file.
    compressed
        The compressed one, or the path of its file.

    Returns
    -------
    Verification
        Its ``ok`` is True if every weight is within its bound and the network around the weights as it was.

    Raises
    ------
    InputError
        A model cannot be read, or the second is not a compressed form of the first.
    """
    if isinstance(model, str | os.PathLike) and kind_of(Path(model)) is not None:
        model = open_tensors(model)
    if isinstance(model, Mapping):
        return _opened_tensors(compressed).verify(model)
    if isinstance(compressed, CompressedTensors):
        raise InputError("model", "is a network, and the other is compressed tensors", "give the tensors they were")
    network, where = opened(model)
    if isinstance(compressed, CompressedNetwork):
        compressed = compressed.model
    if isinstance(compressed, onnx.ModelProto):
        return verification.verify(network, open_compressed(compressed, "compressed"), where)
    return verification.verify(network, read_compressed(Path(compressed)), where)


def _opened_tensors(compressed: Model | CompressedNetwork | CompressedTensors) -> CompressedTensors:
    """Return compressed tensors, opened where a path is given."""
    if isinstance(compressed, str | os.PathLike):
        found = open_tensors(compressed)
        if not isinstance(found, CompressedTensors):
            raise InputError(str(compressed), "is not a compressed weight file", "make one with compress_tensors")
        return found
    if not isinstance(compressed, CompressedTensors):
        raise InputError("compressed", "is a network, and the original is tensors", "give compressed tensors")
    return compressed


def estimate(
    model: Model,
    accelerator: Accelerator | str | os.PathLike[str],
    *,
    bits: float | None = None,
    ratio: float | None = None,
    timing: Literal["serial", "overlap"] = "serial",
    batch: int = 1,
    weight_bits: Literal[8, 16, 32] | None = None,
    shape: Mapping[str, Sequence[int]] | None = None,
    seq_len: int | None = None,
) -> Comparison:
    """Estimate latency and energy on an accelerator, as ``dnnzip estimate`` does.

    Parameters
    ----------
    model
        A compressed model, or a plain one together with ``bits`` or ``ratio``; or the path of its file.
    accelerator
        A preset's name, the path of a configuration, or one that is loaded.
    bits
        Bits of every compressed weight, instead of those of the model's streams.
    ratio
        The ratio of plain to compressed size of every weight, instead.
    timing
        A layer takes the sum of its parts, or the longest of them.
    batch
        Samples that share the weights.
    weight_bits
        Of weights that are not compressed; by default the accelerator's.
    shape
        Sizes of inputs, or one of a symbolic dimension, by name. Without those of every open dimension but the batch's,
        the traffic of weights alone is estimated.
    seq_len
        Size of every dimension of a sequence.

    Raises
    ------
    InputError
        A file cannot be read, an option is out of its range, or the size of compressed weights is not known.
    """
    options = EstimationOptions(Timing(timing), batch, weight_bits, bits, ratio)
    given = GivenSizes({name: tuple(sizes) for name, sizes in (shape or {}).items()}, seq_len)
    loaded = accelerator if isinstance(accelerator, Accelerator) else load_accelerator(os.fspath(accelerator))
    if isinstance(model, onnx.ModelProto):
        network, where = opened(model)
        return compare(describe(network, where, where, given), loaded, options, where)
    return compare(read_network(os.fspath(model), given), loaded, options, os.fspath(model))


def tune(
    model: str | os.PathLike[str],
    data: Dataset | str | os.PathLike[str],
    max_drop: str,
    *,
    objective: Literal["bytes", "latency", "energy"] = "bytes",
    accelerator: Accelerator | str | os.PathLike[str] | None = None,
    seed: int = 0,
    output: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Choose a bound for every layer, as ``dnnzip tune`` does; the search keeps no journal.

    Parameters
    ----------
    model
        The path of the plain model.
    data
        Labelled samples, or the path of their ``.npz`` file.
    max_drop
        Drop in top-1 accuracy that is allowed, in points: ``"1%"``.
    objective
        What is to become small.
    accelerator
        Whose latency or energy; by default ``edge-lpddr4``.
    seed
        Of all that is random.
    output
        Name of the output that holds the scores; by default the only one of such a type and shape.
    progress
        Called with a text for each piece of work that is done.

    Returns
    -------
    Outcome
        The compressed model, ``compressed.model``, with what it was measured to lose.

    Raises
    ------
    InputError
        A file cannot be read, the samples do not suit the network or are too few, or an option is out of its range.
    """
    chosen = Objective(objective)
    loaded = accelerator_for(chosen, accelerator)
    options = TuningOptions(parse_drop(max_drop), chosen, loaded, seed, output=output)
    dataset = data if isinstance(data, Dataset) else load_dataset(os.fspath(data))
    tuner = Tuner(os.fspath(model), dataset, options)
    return tuner.tune(Journal(None, tuner.settings(), resume=False), progress or (lambda _: None))
