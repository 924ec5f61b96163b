"""Whole networks: compressed within an error bound and back.

The names here, and those of `dnnzip.tensor` for arrays, are those of ``dnnzip`` itself, which loads these modules when
one of them is first used.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import onnx

from dnnzip.codec import CodecOptions
from dnnzip.encoding import encoding_of, log2_states
from dnnzip.errors import InputError
from dnnzip.format import AUTO
from dnnzip.html_table import html_table
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import check_given, load_model, save_model
from dnnzip.onnx.opening import open_compressed, read_compressed
from dnnzip.onnx.weights import LeftOut
from dnnzip.presentation.tables import sizes_table
from dnnzip.quantize.bound import DEFAULT_BOUND, DEFAULT_SCOPE
from dnnzip.quantize.energy import Loss
from dnnzip.tensor import ErrorScope
from dnnzip.usecases import compress as compression
from dnnzip.usecases.summary import Summary, summarise
from dnnzip.weight_files.files import kind_of

__all__ = ["CompressedNetwork", "compress_model", "decompress_model"]

Model = onnx.ModelProto | str | os.PathLike[str]


class CompressedNetwork:
    """A whole network, compressed; `compress_model` makes it."""

    def __init__(self, compressed: CompressedModel, left_out: Sequence[LeftOut], losses: Mapping[str, Loss]) -> None:
        self._compressed = compressed
        self._summary = summarise(compressed, left_out, losses)

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
    def large_losses(self) -> Mapping[str, Loss]:
        """The layers that lose whole channels, or more than a tenth of their energy, to the bound; by name."""
        return self._summary.large_losses

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

    def _repr_html_(self) -> str:
        table = sizes_table(self._summary)
        return html_table(table.header, [*table.rows, table.total], f"{self!r}")

    def __repr__(self) -> str:
        return (
            f"<dnnzip.CompressedNetwork {len(self.layers)} layers, {self._summary.weights:,} weights, "
            f"{self.bits_per_weight:.3f} bits/weight, ratio {self.ratio:.2f}, {len(self.left_out)} left out>"
        )


def compress_model(
    model: Model,
    max_error: str | float = DEFAULT_BOUND,
    *,
    error_scope: ErrorScope = DEFAULT_SCOPE,
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
    coding = CodecOptions(codec, log2_states(states), virtual_lanes, groups, jobs=jobs)
    options = compression.options_of(encoding_of(max_error, error_scope, coding), layers, exclude, tables)
    network, where = opened(model)
    done = compression.compress(network, options, where, progress)
    return CompressedNetwork(done.compressed, done.left_out, done.losses)


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


def opened(model: Model) -> tuple[onnx.ModelProto, str]:
    """Return a model and its name for messages; a given one is copied, as its Constant nodes become initializers."""
    if isinstance(model, onnx.ModelProto):
        check_given(model, "model")
        network = onnx.ModelProto()
        network.CopyFrom(model)
        return network, "model"
    if kind_of(Path(model)) is not None:
        raise InputError(str(model), "is a file of weights, and no network", "use dnnzip.compress_tensors")
    return load_model(Path(model)), str(model)
