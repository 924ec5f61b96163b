"""Ways to store a network's weights: each returns the bits of every tensor and the network that is left of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.encoding import encode_quantised
from dnnzip.onnx.compressed import CompressedModel
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.grid import Quantised
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip_bench.coders.zero_runs import packed_bytes
from dnnzip_bench.monotonic_runs import quantise_runs
from dnnzip_bench.storage.rounding import Clipping, round_weights
from dnnzip_bench.storage.trained import TrainedNetwork

SCALE_BITS = 32
"""Of a scale."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A network as a method stores it."""

    # Of each tensor, everything counted: codes, scales, headers, checksums and its share of the table set.
    bits: Mapping[str, float]
    model: onnx.ModelProto


@dataclass(frozen=True, eq=False)
class Method:
    """A way to store weights, with its setting."""

    name: str  # what tables call it
    setting: str  # its bound, tolerance or clipping; empty where there is none
    store: Callable[[TrainedNetwork], Stored]

    @property
    def key(self) -> str:
        """Identity of the method and its setting."""
        return f"{self.name} {self.setting}".strip()


ANS, LINE, TUNED = "ans, one bound", "line", "ans, tuned"
PER_TENSOR, PER_CHANNEL, INT4 = "int8 per tensor", "int8 per channel", "int4 per channel"
RUNS_PER_TENSOR, RUNS_PER_CHANNEL = f"{PER_TENSOR}, zero runs", f"{PER_CHANNEL}, zero runs"


def ans(bound: str, scope: Scope) -> Method:
    """Return this project's codec with one bound for all tensors, such as ``2%`` of each one's range."""

    def store(network: TrainedNetwork) -> Stored:
        options = CompressionOptions(Bound.parse(bound), scope, codec=CodecOptions("ans"))
        return stored(compress(network.model, options, network.name).compressed)

    return Method(ANS, f"{bound} per {scope.value}", store)


def line(tolerance: float) -> Method:
    """Return the paper family's monotonic runs at a tolerance, a share of each tensor's range."""

    def store(network: TrainedNetwork) -> Stored:
        return stored(compressed(network, [quantise_runs(weight, tolerance) for weight in network.weights], "line"))

    return Method(LINE, f"delta {100 * tolerance:g}%", store)


def compressed(network: TrainedNetwork, results: Sequence[Quantised], codec: str) -> CompressedModel:
    """Return a network with these results for its weights, as a codec stores them."""
    tables, encoded = encode_quantised(network.weights, results, CodecOptions(codec))
    return open_compressed(compressed_model(network.model, network.weights, encoded, tables), network.name)


def stored(model: CompressedModel) -> Stored:
    """Return the bits of a compressed model and what it decodes to.

    The table set is spread over the tensors as their weights are: as if it came again with each inference.
    """
    count = sum(layer.weights for layer in model.layers)
    shared = 8 * len(model.tables) / count
    bits = {
        layer.name: 8 * (layer.stream_bytes + layer.grid.side_bytes) + shared * layer.weights for layer in model.layers
    }
    return Stored(bits, decompressed(model))


def rounded(name: str, bits: int, scope: Scope, clipping: Clipping = Clipping.RANGE, zero_runs: bool = False) -> Method:
    """Return codes of a fixed number of bits each, or runs of zeros and codes."""

    def store(network: TrainedNetwork) -> Stored:
        sizes: dict[str, float] = {}
        arrays: dict[str, NDArray[np.float32]] = {}
        for weight in network.weights:
            rows = weight.layout.to_channels(weight.array).astype(np.float32)
            result = round_weights(rows, bits, scope, clipping)
            codes = 8.0 * len(packed_bytes(result.codes)) if zero_runs else float(bits * result.codes.size)
            sizes[weight.name] = codes + SCALE_BITS * result.scales.size
            arrays[weight.name] = np.asarray(weight.layout.from_channels(result.weights), np.float32)
        return Stored(sizes, with_weights(network.model, arrays))

    return Method(name, clipping.value if bits < 8 else "", store)


def with_weights(model: onnx.ModelProto, arrays: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Return a copy of a network with other weights, by the names of the initializers; each keeps its type."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    missing = set(arrays)
    for tensor in changed.graph.initializer:
        if tensor.name in arrays:
            kind = numpy_helper.to_array(tensor).dtype
            tensor.CopyFrom(numpy_helper.from_array(arrays[tensor.name].astype(kind), tensor.name))
            missing.discard(tensor.name)
    assert not missing, f"no initializers: {sorted(missing)}"
    return changed


FIXED: Sequence[Method] = (
    rounded(PER_TENSOR, 8, Scope.TENSOR),
    rounded(PER_CHANNEL, 8, Scope.CHANNEL),
    rounded(RUNS_PER_TENSOR, 8, Scope.TENSOR, zero_runs=True),
    rounded(RUNS_PER_CHANNEL, 8, Scope.CHANNEL, zero_runs=True),
)
"""Methods without a choice."""

INT4_METHODS: Sequence[Method] = tuple(rounded(INT4, 4, Scope.CHANNEL, clipping) for clipping in Clipping)

PERCENT = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25)
ANS_LADDERS: Sequence[Sequence[Method]] = tuple(
    tuple(ans(f"{percent:g}%", scope) for percent in PERCENT) for scope in Scope
)
"""Bounds from the smallest up, for each scope."""

TOLERANCES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
LINE_LADDER: Sequence[Method] = tuple(line(tolerance) for tolerance in TOLERANCES)
