"""Whole networks: compressed within an error bound and back, verified, tuned, measured and estimated.

The names here, and those of `dnnzip.tensor` for arrays, are those of ``dnnzip`` itself, which loads these modules when
one of them is first used.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import onnx

from dnnzip.accelerator import Accelerator, Timing, load_accelerator
from dnnzip.codec import CodecOptions
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.format import AUTO
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import check_given, load_model, save_model
from dnnzip.onnx.opening import open_compressed, read_compressed
from dnnzip.onnx.weights import LeftOut
from dnnzip.presentation.tables import sizes_table
from dnnzip.tensor import ErrorScope, encoding_of, log2_states
from dnnzip.tuning.drop import parse_drop
from dnnzip.tuning.journal import Journal
from dnnzip.tuning.outcome import Outcome
from dnnzip.tuning.prices import DEFAULT_ACCELERATOR, Objective
from dnnzip.tuning.tuner import Tuner, TuningOptions
from dnnzip.usecases import compress as compression
from dnnzip.usecases import verify as verification
from dnnzip.usecases.estimate import Comparison, EstimationOptions, compare, describe, read_network
from dnnzip.usecases.summary import Summary, summarise
from dnnzip.usecases.table_file import read_table_set
from dnnzip.usecases.verify import Verification

__all__ = ["CompressedNetwork", "compress_model", "decompress_model", "estimate", "evaluate", "tune", "verify"]

Model = onnx.ModelProto | str | os.PathLike[str]


class CompressedNetwork:
    """A whole network, compressed; `compress_model` makes it."""

    def __init__(self, compressed: CompressedModel, left_out: Sequence[LeftOut]) -> None:
        self._compressed = compressed
        self._summary = summarise(compressed, left_out)

    @property
    def model(self) -> onnx.ModelProto:
        """The compressed model: an ONNX model with ``Decompress`` nodes of the domain ``dnnzip``."""
        return self._compressed.model

    @property
    def layers(self) -> tuple[CompressedLayer, ...]:
        """The compressed weights: ``name``, ``shape``, ``codec``, ``max_error``, ``bound`` and so on."""
        return self._compressed.layers

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The tensors that stay as they are, each with the ``rule`` that leaves it out."""
        return self._summary.left_out

    @property
    def sizes(self) -> Summary:
        """The totals as numbers; ``sizes.as_json()`` is the JSON of ``dnnzip compress``."""
        return self._summary

    @property
    def bits_per_weight(self) -> float:
        """Bits for each compressed weight: streams with headers and checksums, table set, steps and zero points."""
        return self._summary.bits_per_weight

    @property
    def ratio(self) -> float:
        """Ratio of 32 bits for each compressed weight to the bits that it takes."""
        return self._summary.ratio_fp32

    def summary(self) -> str:
        """Return sizes and errors, layer by layer, as a table in Markdown."""
        return sizes_table(self._summary).markdown()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the compressed model whole or not at all.

        Raises
        ------
        InputError
            The path cannot be written.
        """
        save_model(self.model, Path(path))

    def decompress(self) -> onnx.ModelProto:
        """Return the plain network with the decoded weights, for any runtime."""
        return decompressed(self._compressed)

    def __repr__(self) -> str:
        return (
            f"<dnnzip.CompressedNetwork {len(self.layers)} layers, {self._summary.weights:,} weights, "
            f"{self.bits_per_weight:.3f} bits/weight, ratio {self.ratio:.2f}, {len(self.left_out)} left out>"
        )


def compress_model(
    model: Model,
    max_error: str | float,
    *,
    error_scope: ErrorScope = "tensor",
    codec: str = AUTO,
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
    tables: str | os.PathLike[str] | None = None,
    states: Literal[256, 512, 1024] = 512,
    virtual_lanes: int | None = None,
    groups: int = 1,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> CompressedNetwork:
    """Compress the weights of a network within an error bound; what ``dnnzip compress`` does.

    Parameters
    ----------
    model
        An ONNX model, which is left as it is, or the path of its file.
    max_error, error_scope, codec, states, virtual_lanes, groups, jobs
        As in `dnnzip.tensor.compress`.
    layers, exclude
        Globs on the names of the weights to compress and not to compress.
    tables
        The file of a table set to code with, in the place of one trained on this network.
    progress
        Called with each weight's name as it is encoded.

    Raises
    ------
    InputError
        The file cannot be read, the network has no weights that can be compressed, a glob matches nothing, or an option
        does not suit.
    TypeError
        ``max_error`` is neither text nor a number.
    """
    bits = log2_states(states)
    known = None if tables is None else read_table_set(os.fspath(tables), bits)
    encoding = encoding_of(max_error, error_scope, CodecOptions(codec, bits, virtual_lanes, groups, known, jobs))
    options = compression.CompressionOptions(
        encoding.bound, encoding.scope, tuple(layers), tuple(exclude), encoding.codec
    )
    network, where = _opened(model)
    done = compression.compress(network, options, where, progress)
    return CompressedNetwork(done.compressed, done.left_out)


def decompress_model(model: Model) -> onnx.ModelProto:
    """Return the plain network of a compressed one, as ``dnnzip decompress`` does.

    Parameters
    ----------
    model
        A compressed model, or the path of its file.

    Raises
    ------
    InputError
        It cannot be read, is not compressed, of a newer version, or damaged.
    """
    if isinstance(model, onnx.ModelProto):
        check_given(model, "model")
        return decompressed(open_compressed(model, "model"))
    return decompressed(read_compressed(Path(model)))


def verify(model: Model, compressed: Model | CompressedNetwork) -> Verification:
    """Check a compressed network against its original, as ``dnnzip verify`` does.

    Parameters
    ----------
    model
        The plain model, or the path of its file.
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
    network, where = _opened(model)
    if isinstance(compressed, CompressedNetwork):
        compressed = compressed.model
    if isinstance(compressed, onnx.ModelProto):
        return verification.verify(network, open_compressed(compressed, "compressed"), where)
    return verification.verify(network, read_compressed(Path(compressed)), where)


def estimate(
    model: Model,
    accelerator: Accelerator | str | os.PathLike[str],
    *,
    bits: float | None = None,
    ratio: float | None = None,
    timing: Literal["serial", "overlap"] = "serial",
    batch: int = 1,
    weight_bits: Literal[8, 16, 32] | None = None,
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

    Raises
    ------
    InputError
        A file cannot be read, an option is out of its range, or the size of compressed weights is not known.
    """
    options = EstimationOptions(Timing(timing), batch, weight_bits, bits, ratio)
    loaded = accelerator if isinstance(accelerator, Accelerator) else load_accelerator(os.fspath(accelerator))
    if isinstance(model, onnx.ModelProto):
        network, where = _opened(model)
        return compare(describe(network, where, where), loaded, options, where)
    return compare(read_network(os.fspath(model)), loaded, options, os.fspath(model))


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
    if chosen is Objective.BYTES:
        loaded = None
    elif isinstance(accelerator, Accelerator):
        loaded = accelerator
    else:
        loaded = load_accelerator(os.fspath(accelerator or DEFAULT_ACCELERATOR))
    options = TuningOptions(parse_drop(max_drop), chosen, loaded, seed, output=output)
    dataset = data if isinstance(data, Dataset) else load_dataset(os.fspath(data))
    tuner = Tuner(os.fspath(model), dataset, options)
    return tuner.tune(Journal(None, tuner.settings(), resume=False), progress or (lambda _: None))


def _opened(model: Model) -> tuple[onnx.ModelProto, str]:
    """Return a model and its name for messages; a given one is copied, as its Constant nodes become initializers."""
    if isinstance(model, onnx.ModelProto):
        check_given(model, "model")
        network = onnx.ModelProto()
        network.CopyFrom(model)
        return network, "model"
    return load_model(Path(model)), str(model)
