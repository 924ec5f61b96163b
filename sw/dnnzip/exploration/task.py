"""The tasks of an exploration: the plain network once, then one for each encoding; pure functions of what they get.

An encoding costs seconds, for its accuracy is measured. Its estimates on all accelerators, placements and timings cost
next to nothing compared with that, so that they are no tasks of their own.
"""

import glob
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.accelerator import Accelerator, Estimate, LayerEstimate, Timing, reductions
from dnnzip.codec import CodecOptions
from dnnzip.encoding import encoding_of
from dnnzip.errors import InputError, field_name
from dnnzip.exploration.facts import LayerFacts, NetworkFacts
from dnnzip.exploration.schemas import ENERGY_PARTS, NOT_COMPRESSED, PLAIN, TUNED
from dnnzip.exploration.workload import OpenWorkload, load_files
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.rules import stored_array
from dnnzip.onnx.tensor_bytes import unpacked
from dnnzip.onnx.weights import LeftOut, Weight
from dnnzip.quantize.bound import Bound
from dnnzip.quantize.weights import shifted_weights
from dnnzip.usecases import chain
from dnnzip.usecases.compress import options_of
from dnnzip.usecases.estimate import with_streams
from dnnzip.usecases.summary import Summary, bits_per_weight, summarise

HASH_DIGITS = 16
"""Hexadecimal digits of a point's hash: two of a million points are equal in one exploration of forty million."""

PART = 1 << 20
"""Weights in float64 at once."""


@dataclass(frozen=True)
class Encoding:
    """Layers that are compressed, and the bound, scope and codec."""

    # Label of the layers, and the names of their weights; no names for the compressed model as it was given.
    label: str
    names: tuple[str, ...]
    # The bound as the user gave it, over which weights a percentage is taken, how the streams are coded.
    max_error: str
    scope: str
    codec: str
    # Digests of model and data, and the output that the user names: the other things that the accuracy depends on.
    measured: tuple[str, ...]

    @property
    def hash(self) -> str:
        """The encoding's hash: the same for the same layers, bound, scope, codec, model and samples, in every run."""
        bound = Bound.parse(self.max_error)
        return _hash([*self.measured, sorted(self.names), str(bound.value), str(bound.unit), self.scope, self.codec])

    @property
    def title(self) -> str:
        """Label, bound, scope and codec in one line, for messages."""
        return f"layers {self.label}, max error {self.max_error}, scope {self.scope}, codec {self.codec}"


@dataclass(frozen=True)
class TunedEncoding(Encoding):
    """A compressed model as it was given."""

    @property
    def hash(self) -> str:
        """The hash of its digest, which is one of ``measured``."""
        return _hash([*self.measured, TUNED])

    @property
    def title(self) -> str:
        """Name in messages."""
        return "the tuned model"


@dataclass(frozen=True)
class Spent:
    """Time of a task."""

    seconds: float  # from its begin to its end
    cpu_seconds: float  # of its process meanwhile: also of other tasks, where a worker has several at once


@dataclass(frozen=True, eq=False)
class TaskResult:
    """Result of an encoding."""

    encoding: str  # its hash
    # Rows of `schemas.POINT_SCHEMA` and `schemas.LAYER_SCHEMA`.
    points: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    spent: Spent  # its time


def measure_plain(opened: OpenWorkload) -> NetworkFacts:
    """Measure the plain network and describe its layers.

    Raises
    ------
    InputError
        The network does not run, or does not suit the samples.
    """
    accuracy = opened.accuracy_of(opened.model)
    shapes = {layer.name: layer for layer in opened.network.layers}

    def facts_of(weight: Weight | LeftOut, bits: int, reason: str | None = None) -> LayerFacts:
        shape = shapes.get(weight.name)
        return LayerFacts(
            name=weight.name,
            operator=shape.operator if shape else None,
            shape=weight.shape,
            weights=weight.weights,
            macs=shape.macs if shape else None,
            bits=bits,
            compressible=reason is None,
            reason=reason,
        )

    facts = [facts_of(weight, weight.element.bits) for weight in opened.weights]
    facts += [
        facts_of(item, 8 * item.bytes // max(item.weights, 1), item.rule) for item in opened.left_out if item.is_weight
    ]
    return NetworkFacts(
        name=opened.network.name,
        top1=accuracy.top1,
        samples=accuracy.samples,
        weights=sum(layer.weights for layer in facts),
        bytes=opened.plain_bytes,
        layers=tuple(facts),
    )


def run_encoding(opened: OpenWorkload, encoding: Encoding, top1_plain: float) -> TaskResult:
    """Compress, measure the accuracy, estimate on every accelerator.

    Parameters
    ----------
    opened
        The data that all tasks share.
    encoding
        Layers, bound, scope and codec.
    top1_plain
        Accuracy of the plain network, for the rows.

    Raises
    ------
    InputError
        The bound does not suit the weights, or the network does not run.
    CheckFailedError
        A decoded weight breaks its bound.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    compressed, plain, summary = _through_chain(opened, encoding)
    accuracy = opened.accuracy_of(plain)
    network = with_streams(opened.network, compressed)
    errors = {layer.name: mean_squared_error(layer, weight, plain) for layer, weight in _pairs(compressed, opened)}
    common = _sizes(opened, encoding, summary) | {
        "samples": accuracy.samples,
        "top1": accuracy.top1,
        "top1_plain": top1_plain,
    }
    records = _layer_records(opened, encoding, compressed, errors)
    points: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for number, accelerator in enumerate(opened.workload.accelerators):
        for timing in opened.workload.timings:
            before = opened.plain[number, timing]
            after = opened.estimate(number, timing, network)
            place = _place(accelerator, timing)
            saved = reductions(before, after)
            points.append(
                common
                | place
                | {"point": _hash([encoding.hash, *place.values(), accelerator.model_dump_json(), _load(opened)])}
                | figures(after, after.clock_hz)
                | figures(before, before.clock_hz, PLAIN)
                | {name: saved[name] for name in ("latency_reduction", "energy_reduction")}
            )
            layers += [
                record | place | figures(new, after.clock_hz) | figures(old, before.clock_hz, PLAIN)
                for record, new, old in zip(records, after.layers, before.layers, strict=True)
            ]
    spent = Spent(time.perf_counter() - start, time.process_time() - cpu_start)
    return TaskResult(encoding.hash, points, layers, spent)


def figures(estimate: Estimate | LayerEstimate, clock_hz: float, prefix: str = "") -> dict[str, float]:
    """Return the columns `schemas.FIGURES` of an estimate.

    Parameters
    ----------
    estimate
        Of a network or a layer.
    clock_hz
        Clock of the accelerator, in Hz.
    prefix
        Put before the name of each column.
    """
    energy = estimate.energy.as_json()
    values = {
        "latency_cycles": estimate.latency,
        "latency_s": estimate.latency / clock_hz,
        "energy_J": estimate.energy.total,
        **{f"energy_{part}_J": energy[part] for part in ENERGY_PARTS},
    }
    return {f"{prefix}{name}": float(value) for name, value in values.items()}


def mean_squared_error(layer: CompressedLayer, weight: Weight, plain: onnx.ModelProto) -> float:
    """Return the mean of (w - w')^2 over a layer's weights, or for integer weights of ((w - z) - (2 e + 1) q)^2.

    Parameters
    ----------
    layer, weight
        The compressed layer and its original.
    plain
        The decompressed model, with the layer's restored weights.
    """
    tensor = next(tensor for tensor in plain.graph.initializer if tensor.name == layer.name)
    found = stored_array(tensor).reshape(-1)
    if layer.packed_bits:
        found = unpacked(found.view(np.uint8), layer.packed_bits, layer.weights)
    wanted: NDArray[np.generic] = (shifted_weights(weight) if layer.divisor > 1 else weight.array).reshape(-1)
    total = 0.0
    for start in range(0, wanted.size, PART):
        part = slice(start, start + PART)
        difference = wanted[part].astype(np.float64) - layer.divisor * found[part].astype(np.float64)
        total += float(difference @ difference)
    return total / wanted.size


def _through_chain(opened: OpenWorkload, encoding: Encoding) -> tuple[CompressedModel, onnx.ModelProto, Summary]:
    """Return the compressed network, the plain one that is decoded from it, and its sizes."""
    if isinstance(encoding, TunedEncoding):
        assert opened.workload.tuned is not None
        files, where = opened.workload.tuned
        given = open_compressed(load_files(files), where)
        _check_origin(given, opened, where)
        return given, decompressed(given), summarise(given)
    asked = encoding_of(encoding.max_error, encoding.scope, CodecOptions(encoding.codec))
    # Names, not patterns: brackets and asterisks in them are ordinary characters.
    options = options_of(asked, [glob.escape(name) for name in encoding.names])
    result = chain.run(chain.Job(opened.model, options, opened.where))
    return result.compression.compressed, result.decoded, result.summary


def _check_origin(given: CompressedModel, opened: OpenWorkload, where: str) -> None:
    """Refuse a compressed model that was not made from this network."""
    shapes = {weight.name: weight.shape for weight in opened.weights}
    for layer in given.layers:
        if shapes.get(layer.name) != layer.shape:
            raise InputError(
                f"{field_name('tuned')} {where}",
                f"has a layer {layer.name!r} of shape {list(layer.shape)}, which {opened.where} has not",
                "give one that was made from this model",
            )


def _pairs(compressed: CompressedModel, opened: OpenWorkload) -> Iterator[tuple[CompressedLayer, Weight]]:
    weights = {weight.name: weight for weight in opened.weights}
    return ((layer, weights[layer.name]) for layer in compressed.layers)


def _sizes(opened: OpenWorkload, encoding: Encoding, summary: Summary) -> dict[str, Any]:
    totals = summary.as_json()["totals"]
    size = summary.bytes + totals["left_out_bytes"]
    is_given = isinstance(encoding, TunedEncoding)
    return {
        "encoding": encoding.hash,
        "layers": encoding.label,
        "max_error": encoding.max_error,
        "bound_order": None if is_given else float(Bound.parse(encoding.max_error).value),
        "scope": encoding.scope,
        "codec": encoding.codec,
        "bits_per_weight": 8 * size / (totals["weights"] + totals["left_out_weights"]),
        "stream_bytes": totals["stream_bytes"],
        "side_bytes": totals["side_bytes"],
        "left_out_bytes": totals["left_out_bytes"],
        "ratio": opened.plain_bytes / size,
    }


def _layer_records(
    opened: OpenWorkload, encoding: Encoding, compressed: CompressedModel, errors: dict[str, float]
) -> list[dict[str, Any]]:
    """Return the columns of each layer that takes time that are the same on all accelerators."""
    streams = {layer.name: layer for layer in compressed.layers}
    widths = {weight.name: float(weight.element.bits) for weight in opened.weights}
    widths |= {item.name: 8 * item.bytes / item.weights for item in opened.left_out if item.weights}
    records = []
    for layer in opened.network.layers:
        stream = streams.get(layer.name)
        records.append(
            {
                "encoding": encoding.hash,
                "layer": layer.name,
                "weights": layer.weights,
                "codec": stream.codec if stream else NOT_COMPRESSED,
                "bits_per_weight": bits_per_weight(stream) if stream else widths.get(layer.name),
                "bound": stream.bound if stream else None,
                "largest_error": stream.max_error if stream else None,
                "mse": errors[layer.name] if stream else None,
                "unit": stream.grid.unit.value if stream else None,
            }
        )
    return records


def _place(accelerator: Accelerator, timing: Timing) -> dict[str, str]:
    return {
        "accelerator": accelerator.name,
        "placement": accelerator.decompressor.placement.value,
        "timing": timing.value,
    }


def _load(opened: OpenWorkload) -> str:
    return f"{opened.workload.batch} {opened.workload.weight_bits}"


def _hash(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:HASH_DIGITS]
