"""A network compiled for an array, and the network run on it: layers over a link, the rest in onnxruntime.

onnxruntime runs every piece with `dnnzip.evaluation.accuracy.session_options`: all optimisations, as for the whole
network that the result is compared with.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.array.image import BUS_BITS, NetworkImage, PlacedLayer, network_image
from dnnzip.array.job import ArrayFigures, ArrayLink
from dnnzip.array.layers import ArrayLayer, find_layers
from dnnzip.array.onnx_kernels import LayerKernel
from dnnzip.array.program import LayerProgram
from dnnzip.array.reference import layer_sums
from dnnzip.array.segments import Piece, Value, cut, run_segment
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import BATCH, batches_of, joined_scores
from dnnzip.format import WORD_BITS
from dnnzip.format.array import ArrayShape
from dnnzip.onnx.compressed import is_compressed
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.graph import fixed_size, lift_constants
from dnnzip.onnx.node_order import check_sorted
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.partition import Segment

JOB_BYTES = 1 << 30
"""Activations and sums of one job; a layer with more has several."""


@dataclass(frozen=True, eq=False)
class CompiledLayer:
    """A layer with its place in the image and its program."""

    layer: ArrayLayer
    placed: PlacedLayer
    program: LayerProgram


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network ready to run on an array."""

    model: onnx.ModelProto  # the plain network, decoded where it was compressed
    where: str
    shape: ArrayShape
    pieces: tuple[Piece, ...]  # its layers on the array and what lies between them, in order
    layers: dict[str, CompiledLayer]  # the layers, by the name of the tensor that each writes
    image: NetworkImage
    output: str

    @property
    def input(self) -> str:
        """Name of its input."""
        return str(_inputs(self.model)[0].name)

    @property
    def layers_with_idle_rows(self) -> tuple[str, ...]:
        """Names of compressed layers for which streams of more virtual lanes would use more rows at once.

        A stream has at most as many virtual lanes as the largest power of two among its channels.
        """
        idle = []
        for own in self.layers.values():
            per_group = -(-own.layer.channels // self.shape.groups)
            most = min(self.shape.rows_per_group, 1 << per_group.bit_length() - 1)
            fewest = min(part.virtual_lanes for part in own.placed.parts)
            if own.placed.compressed and (fewest < most and len(own.placed.parts) <= self.shape.groups):
                idle.append(own.layer.name)
        return tuple(idle)

    @property
    def fixed_batch(self) -> int | None:
        """Samples that it takes at once; None where it takes any number."""
        dimensions = _inputs(self.model)[0].type.tensor_type.shape.dim
        return fixed_size(dimensions[0]) if dimensions else None


@dataclass(frozen=True)
class LayerRun:
    """Result and figures of a layer."""

    # Name of its weights, and type and name of its operator.
    name: str
    operator: str
    vectors: int  # vectors of activations, for each group of a convolution
    macs: int  # multiplications that its sums need
    sums: int  # number of its sums
    # Sums that differ from those in plain NumPy arithmetic and from onnxruntime's kernel; 0 where not compared.
    norm_mismatches: int
    kernel_mismatches: int
    weight_bytes: int  # bytes of its weights in the image, without padding
    compressed: bool  # whether these are compressed
    figures: ArrayFigures  # clock cycles and memory traffic of the array

    @property
    def mismatches(self) -> int:
        """Sums that differ from either."""
        return max(self.norm_mismatches, self.kernel_mismatches)


@dataclass(frozen=True, eq=False)
class NetworkRun:
    """Scores and layers of a network's run."""

    scores: Value  # [samples, classes] of the output that is wanted
    layers: tuple[LayerRun, ...]  # its layers on the array, in the order in which they ran
    # Name to the values of each batch, of the tensors that were asked for.
    kept: dict[str, list[Value]] = field(default_factory=dict)


def compile_network(
    model: onnx.ModelProto, shape: ArrayShape, where: str, bus_bits: int | None = None, output: str | None = None
) -> CompiledNetwork:
    """Compile a network for an array.

    Parameters
    ----------
    model
        A plain or compressed network of 8 bits; left as it is.
    bus_bits
        Width in bits of the words on which streams in the image start; by default 64, or 16 for each lane group
        where that is more. Such an image serves narrower buses as well.
    output
        Name of the output that is wanted; None takes the first.

    Raises
    ------
    InputError
        An operator cannot run on the array, or the network has several inputs, or is damaged.
    """
    streams: dict[str, bytes] = {}
    tables = b""
    if is_compressed(model):
        compressed = open_compressed(model, where)
        streams = {layer.name: layer.stream for layer in compressed.layers}
        tables = compressed.tables
        plain = decompressed(compressed)
    else:
        plain = onnx.ModelProto()
        plain.CopyFrom(model)
    lift_constants(plain)
    check_sorted(plain, where)
    inputs = _inputs(plain)
    if len(inputs) != 1:
        raise InputError(where, f"has {len(inputs)} inputs", "give a network with one input")
    layers = find_layers(plain, where)
    weights: dict[str, NDArray[np.int8]] = {}
    for layer in layers:
        if layer.name in weights and not np.array_equal(weights[layer.name], layer.weights):
            raise InputError(
                f"{where}: {layer.operator}",
                f"reads the weights {layer.name!r} in another way than a layer before it",
                "give it weights of its own",
            )
        weights[layer.name] = layer.weights
    image = network_image(weights, streams, tables, shape, where, bus_bits or max(BUS_BITS, WORD_BITS * shape.groups))
    wanted = output or str(plain.graph.output[0].name)
    pieces = cut(plain, layers, wanted)
    compiled = {piece.target: _compiled(piece, image, shape) for piece in pieces if isinstance(piece, ArrayLayer)}
    return CompiledNetwork(plain, where, shape, tuple(pieces), compiled, image, wanted)


def _compiled(layer: ArrayLayer, image: NetworkImage, shape: ArrayShape) -> CompiledLayer:
    placed = image.layers[layer.name]
    tables = image.tables if placed.compressed else None
    return CompiledLayer(layer, placed, LayerProgram(shape, placed, layer.geometry.groups, tables))


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the network's inputs that are no constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def run_network(
    compiled: CompiledNetwork,
    link: ArrayLink,
    x: NDArray[np.generic],
    *,
    check: bool = True,
    batch: int = BATCH,
    keep: Collection[str] = (),
    step: Callable[[str], None] | None = None,
) -> NetworkRun:
    """Run a network: each layer of the array as one job for all samples (see ``JOB_BYTES``), the rest batch by batch.

    Parameters
    ----------
    link
        Executes the jobs; its shape is that of ``compiled``.
    x
        The samples, in the type and shape that the network takes.
    check
        Compare every sum with the norm and with onnxruntime's kernel.
    batch
        Samples at once in onnxruntime, where the network takes any number.
    keep
        Names of tensors whose values are wanted.
    step
        Called with a name when a piece of the network is done.

    Raises
    ------
    InputError
        A piece does not run in onnxruntime, a layer's input is not of 8 bits, or the link fails.
    """
    size = compiled.fixed_batch or min(batch, len(x))
    batches: list[dict[str, Value]] = [
        {compiled.input: part} for part in batches_of(x, size, compiled.fixed_batch is not None, compiled.where)
    ]
    last_use = {name: number for number, piece in enumerate(compiled.pieces) for name in piece.reads}
    last_use |= dict.fromkeys((compiled.output, *keep), len(compiled.pieces))
    layers = []
    for number, piece in enumerate(compiled.pieces):
        if isinstance(piece, Segment):
            found = list(run_segment(compiled.model, piece, batches, compiled.where))
            what = "onnxruntime"
        else:
            run, values = _run_layer(compiled, compiled.layers[piece.target], link, batches, check)
            layers.append(run)
            found = [{piece.target: value} for value in values]
            what = piece.name
        for values_of_batch, new in zip(batches, found, strict=True):
            values_of_batch.update(new)
            for name in [name for name in values_of_batch if last_use.get(name, -1) <= number]:
                del values_of_batch[name]
        if step is not None:
            step(what)
    scores = joined_scores([values[compiled.output] for values in batches], size, len(x), compiled.where)
    kept = {name: [values[name] for values in batches] for name in keep}
    return NetworkRun(scores, tuple(layers), kept)


def _run_layer(
    compiled: CompiledNetwork,
    own: CompiledLayer,
    link: ArrayLink,
    batches: Sequence[dict[str, Value]],
    check: bool,
) -> tuple[LayerRun, list[Value]]:
    """Run a layer on all batches, and return its results for each."""
    layer = own.layer
    inputs = [values[layer.source] for values in batches]
    _check_inputs(layer, inputs, compiled.where)
    vectors = [layer.geometry.vectors(x, layer.zero_point) for x in inputs]
    sums, figures = _execute(compiled, own, link, np.concatenate(vectors, axis=1))
    results, norm, kernel, start = [], 0, 0, 0
    checker = LayerKernel(layer) if check else None
    for x, part in zip(inputs, vectors, strict=True):
        of_batch = sums[start : start + part.shape[1]]
        start += part.shape[1]
        if checker is not None:
            shaped = layer.geometry.output(of_batch, x.shape)
            norm += int(np.count_nonzero(shaped != layer_sums(layer, x)))
            kernel += int(np.count_nonzero(shaped != checker.sums(x)))
        results.append(layer.geometry.output(layer.finish.finish(of_batch), x.shape))
    run = LayerRun(
        layer.name,
        layer.operator,
        len(sums),
        sums.size * layer.length,
        sums.size,
        norm,
        kernel,
        own.placed.bytes,
        own.placed.compressed,
        figures,
    )
    return run, results


def _execute(
    compiled: CompiledNetwork, own: CompiledLayer, link: ArrayLink, vectors: NDArray[np.generic]
) -> tuple[NDArray[np.int32], ArrayFigures]:
    """Return the sums of vectors [groups, vectors, length], int32 [vectors, channels], and the jobs' figures."""
    most = max(1, JOB_BYTES // own.program.bytes_per_vector)
    sums = [np.empty((0, own.layer.channels), np.int32)]
    figures = ArrayFigures()
    for start in range(0, vectors.shape[1], most):
        part = vectors[:, start : start + most]
        result = link.execute(own.program.job(compiled.image.content, part, own.layer.zero_point))
        sums.append(own.program.sums(result.sums, part.shape[1]))
        figures += result.figures
    return np.concatenate(sums), figures


def _check_inputs(layer: ArrayLayer, inputs: Sequence[Value], where: str) -> None:
    """Refuse activations whose type or number of channels does not suit a layer; the network contradicts itself."""
    for x in inputs:
        if x.dtype not in (np.int8, np.uint8):
            raise InputError(f"{where}: {layer.operator}", f"its input is {x.dtype}", "the array takes int8 and uint8")
        width = layer.geometry.width(x.shape)
        if width != layer.length:
            raise InputError(
                f"{where}: {layer.operator}",
                f"its input of the shape {x.shape} has {width} values for a channel",
                f"its weights have {layer.length}",
            )
