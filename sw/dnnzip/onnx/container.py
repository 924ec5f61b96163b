"""The compressed model: an ONNX file in which `Decompress` nodes of the domain ``dnnzip`` stand for the weights.

A node's inputs are ``stream`` (uint8 [n]), ``tables`` (uint8 [m], one initializer that all nodes share), ``step``
(float32, scalar or [channels]; left out where the stream holds the original bytes), ``zero_point`` (the network's own;
left out where it is zero or the weights are float) and ``step_index`` (uint8 [channels]; with it, ``step`` and the
attribute ``steps_per_octave`` are those of a grid, `dnnzip.quantize.step_grid`). Its output has the name, type and
shape of the weight:

- float weights: ``float32(code) * step``, rounded to the element type;
- int8 and uint8 weights with step 1: ``(code + zero_point) mod 256``, the original;
- int8 weights with a step 2 e + 1 above 1: the code itself; the network's scales hold the step already.

A file comes from anywhere: each count is checked before memory is taken for it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec import decode_tensor, stream_count
from dnnzip.errors import InputError
from dnnzip.format import MAX_WEIGHTS_PER_BIT, Verdict, VerdictError
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.biases import remove_declaration
from dnnzip.onnx.descriptions import SEPARATE_INITIALIZERS, copy_words, keep_description, restore_descriptions
from dnnzip.onnx.files import copy_field, load_model, open_model
from dnnzip.onnx.graph import all_names, fresh_name, operand
from dnnzip.onnx.lazy_tensors import Place, Spool, place_of, set_place
from dnnzip.onnx.rescale import fold_divisor
from dnnzip.onnx.rules import ELEMENT_TYPES, stored_array
from dnnzip.onnx.soundness import MOST_DIMENSIONS
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Scope, Unit
from dnnzip.quantize.grid import GridResult, array_of_items, restored_rows, unwrapped_array
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.step_grid import StepGrid

#: Domain and version of the operator; a change of its meaning raises the version. Version 1 has no ``step_index``.
DOMAIN = "dnnzip"
OPERATOR = "Decompress"
VERSION = 2

#: Places of a node's inputs, and the fewest and the most that it has.
STREAM, TABLES, STEP, ZERO_POINT, STEP_INDEX = range(5)
FEWEST_INPUTS, MOST_INPUTS = TABLES + 1, STEP_INDEX + 1
SIDE_INPUTS = (STEP, ZERO_POINT, STEP_INDEX)

#: Bytes of a decoded code, and of a 16-bit item.
CODE_BYTES = 2

#: Largest magnitude of a decoded code.
LARGEST_MAGNITUDE = 1 << 15

#: More bits than a weight has in any type.
WIDEST_BITS = 64

UPDATE = "update dnnzip to read it"


@dataclass(frozen=True, eq=False)
class CompressedLayer:
    """One `Decompress` node.

    Parameters
    ----------
    name
        The weight's name.
    layout
        Shape, output channels and groups; its kernel is in the stream.
    element_type
        Type of the decoded weight, a number of ``onnx.TensorProto``.
    stored
        One or several weight streams, one after the other; or the place where they are.
    step
        float32, scalar or [channels]; None where the stream holds the original bytes.
    step_grid
        How the file holds the steps of channels; None where it holds them as they are.
    zero_point
        Of integer weights with step 1, in their type; None where it is zero.
    bound, max_error
        Largest error tolerated in any channel, and largest error made; in `unit`.
    unit
        ABSOLUTE or LSB.
    spec, scope
        The bound as the user gave it, and over which weights a percentage is taken.
    codec
        Codec of the stream.
    position
        Where the weight stood among the network's initializers.
    step_loss
        Bits for each weight that steps on the grid cost, against the largest that keep the bound.
    """

    name: str
    layout: Layout
    element_type: int
    stored: bytes | Place
    step: NDArray[np.float32] | None
    step_grid: StepGrid | None
    zero_point: NDArray[np.generic] | None
    bound: float
    max_error: float
    unit: Unit
    spec: str
    scope: Scope
    codec: str
    position: int
    step_loss: float = 0.0

    @property
    def stream(self) -> bytes:
        """The weight streams, one after the other; read anew at each call where they are in a file."""
        return self.stored.read() if isinstance(self.stored, Place) else self.stored

    @property
    def stream_bytes(self) -> int:
        """Size of the streams."""
        return self.stored.length if isinstance(self.stored, Place) else len(self.stored)

    @property
    def side_bytes(self) -> int:
        """Bytes that a decoder needs beside the streams: steps and zero points."""
        return side_bytes(self.step, self.step_grid, self.zero_point)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the decoded weight."""
        return ELEMENT_TYPES[self.element_type]

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.layout.shape)

    @property
    def divisor(self) -> int:
        """2 e + 1 for integer weights, 1 otherwise."""
        return int(self.step) if self.unit is Unit.LSB and self.step is not None else 1

    @property
    def items(self) -> int:
        """What the stream's declared counts must add up to: weights, or the 16-bit items of the original bytes."""
        return self.weights if self.step is not None else self.weights * self.dtype.itemsize // 2


@dataclass(frozen=True, eq=False)
class CompressedModel:
    """A compressed model file, checked and not yet decoded.

    Parameters
    ----------
    model
        The file's content.
    layers
        Its compressed weights, in the order of the network's initializers.
    tables
        The table set that all streams share.
    where
        The file, for messages.
    """

    model: onnx.ModelProto
    layers: tuple[CompressedLayer, ...]
    tables: bytes
    where: str


def side_bytes(
    step: NDArray[np.float32] | None, step_grid: StepGrid | None, zero_point: NDArray[np.generic] | None
) -> int:
    """Return the bytes of a node's inputs apart from streams and tables, which are None where it has none."""
    steps = step_grid.side_bytes if step_grid is not None else 0 if step is None else step.nbytes
    return steps + (0 if zero_point is None else zero_point.nbytes)


def is_compressed(model: onnx.ModelProto) -> bool:
    """Return True if a model holds compressed weights."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def compressed_model(
    model: onnx.ModelProto,
    results: Sequence[GridResult],
    streams: Sequence[bytes | Place],
    codecs: Sequence[str],
    tables: bytes,
) -> onnx.ModelProto:
    """Make the compressed model.

    Parameters
    ----------
    model
        The network in which the weights were found; left as it is.
    results
        The compressed weights. Integer ones with a divisor above 1 have passed `rescale.fold_obstacle`.
    streams, codecs
        For each of them, the encoded stream, or where it is in a file, and the name of its codec.
    tables
        The table set.

    Returns
    -------
    A new model that shares nothing with `model`, except files where arrays or streams are in such.
    """
    positions = {tensor.name: i for i, tensor in enumerate(model.graph.initializer)}
    divisors = {result.weight.name: result.divisor for result in results}
    fresh = folded_skeleton(model, divisors)
    taken = all_names(fresh)
    tables_name = fresh_name("dnnzip.tables", taken)
    fresh.graph.initializer.append(_byte_tensor(tables_name, tables))
    nodes = []
    for result, stream, codec in zip(results, streams, codecs, strict=True):
        position = positions[result.weight.name]
        nodes.append(_add_layer(fresh, result, stream, codec, tables_name, position, taken))
    _remove(fresh.graph.initializer, set(divisors))
    _remove(fresh.graph.input, set(divisors))
    # Every node reads initializers only, so in front of all others they are sorted.
    others = onnx.GraphProto()
    others.node.extend(fresh.graph.node)
    del fresh.graph.node[:]
    fresh.graph.node.extend(nodes)
    fresh.graph.node.extend(others.node)
    fresh.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))
    # Before version 4 every initializer had to be an input as well, and the streams are none.
    fresh.ir_version = max(fresh.ir_version, SEPARATE_INITIALIZERS)
    return fresh


def folded_skeleton(model: onnx.ModelProto, divisors: Mapping[str, int]) -> onnx.ModelProto:
    """Return a network as it is after compression and decompression, its compressed weights without their values.

    Parameters
    ----------
    model
        The network, its constants lifted (`find_weights`); left as it is.
    divisors
        Name of each weight that is compressed to its 2 e + 1, or 1, in the order of the network's initializers. Those
        above 1 have passed `rescale.fold_obstacle`.
    """
    fresh = _without_arrays(model, set(divisors))
    weights = {weight.name: weight for weight in find_weights(fresh)[0]}
    for name, divisor in divisors.items():
        if divisor > 1:
            fold_divisor(fresh, weights[name], divisor)
    for tensor in fresh.graph.initializer:
        if divisors.get(tensor.name, 1) > 1:
            tensor.data_type = TensorProto.INT8
    for value in (*fresh.graph.input, *fresh.graph.value_info):
        if divisors.get(value.name, 1) > 1:
            value.type.tensor_type.elem_type = TensorProto.INT8
    remove_declaration(fresh)
    _remove_operators(fresh)
    # What is folded is no input.
    if not {tensor.name for tensor in fresh.graph.initializer} <= {value.name for value in fresh.graph.input}:
        fresh.ir_version = max(fresh.ir_version, SEPARATE_INITIALIZERS)
    return fresh


def decoded_skeleton(compressed: CompressedModel) -> onnx.ModelProto:
    """Return the plain network of a compressed model, but for its weights: they are initializers without values."""
    return _plain(
        compressed, lambda layer: TensorProto(name=layer.name, data_type=layer.element_type, dims=layer.shape)
    )


def read_compressed(path: str | Path) -> CompressedModel:
    """Read a compressed model file; see `open_compressed`."""
    return open_compressed(load_model(path), str(path))


def open_compressed_file(path: str | Path) -> CompressedModel:
    """Read a compressed model file, but leave large streams and arrays in it until they are needed.

    Raises
    ------
    InputError
        See `open_compressed`.
    """
    return open_compressed(open_model(path), str(path))


def open_compressed(model: onnx.ModelProto, where: str) -> CompressedModel:
    """Check a compressed model and list its layers, without decoding them but where a step could make weights infinite.

    Parameters
    ----------
    model
        The file's content.
    where
        The file, for messages.

    Raises
    ------
    InputError
        It is not compressed, of a newer version, or damaged: then the message names the layer; see also `restore`.
    """
    version = max((entry.version for entry in model.opset_import if entry.domain == DOMAIN), default=0)
    if not is_compressed(model):
        raise InputError(where, "is not a compressed model", "make one with 'dnnzip compress'")
    if version > VERSION:
        raise InputError(where, f"is of version {version} of the {DOMAIN} operators, and {VERSION} is known", UPDATE)
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    layers = []
    tables_names = set()
    for node in model.graph.node:
        if node.domain != DOMAIN:
            continue
        layer_where = f"{where}: layer {node.output[0] if node.output else node.name!r}"
        is_one = node.op_type == OPERATOR and len(node.output) == 1
        if version < 1 or not is_one or not FEWEST_INPUTS <= len(node.input) <= MOST_INPUTS:
            raise InputError(layer_where, "is damaged: it is no Decompress node", "compress the model again")
        layers.append(layer_of_node(node, layer_where, lambda name: initializers.get(name)))
        tables_names.add(operand(node, 1))
    if len(layers) != len({layer.name for layer in layers}):
        raise InputError(where, "is damaged: two layers have one name", "compress the model again")
    if len(tables_names) > 1:
        raise InputError(where, "is damaged: its layers use different table sets", "compress the model again")
    tables = b"".join(_bytes_of(initializers.get(name), f"{where}: table set {name!r}") for name in tables_names)
    layers.sort(key=lambda layer: layer.position)
    compressed = CompressedModel(model, tuple(layers), tables, where)
    for layer in layers:
        if _may_overflow(layer):
            restore(layer, decode_layer(compressed, layer), where)
    return compressed


def _may_overflow(layer: CompressedLayer) -> bool:
    """Return True if there are codes whose product with the layer's step is not finite."""
    if layer.step is None or layer.unit is not Unit.ABSOLUTE:
        return False
    largest = np.finfo(np.float16 if layer.dtype == np.float16 else np.float32).max
    return float(layer.step.max()) * LARGEST_MAGNITUDE > float(largest)


def decode_layer(compressed: CompressedModel, layer: CompressedLayer) -> NDArray[np.generic]:
    """Decode a layer's stream with the software codec.

    Returns
    -------
    int16 [channels, length] codes, or int16 [1, items] where the stream holds the original bytes.

    Raises
    ------
    InputError
        The stream is damaged, of a newer version, or stands for more values than there is memory for.
    """
    where = f"{compressed.where}: layer {layer.name!r}"
    try:
        with memory_for(where, f"{layer.items} values", layer.items * CODE_BYTES + layer.stream_bytes):
            return decode_tensor(layer.stream, compressed.tables)
    except VerdictError as error:
        raise _stream_error(where, error) from None


def restore(layer: CompressedLayer, decoded: NDArray[np.generic], where: str = "") -> NDArray[np.generic]:
    """Return the weights that decoded codes or items stand for, in their own type and shape.

    Parameters
    ----------
    layer
        The layer.
    decoded
        What its stream decodes to: int16 [channels, length] codes, or int16 [1, items] original bytes.
    where
        The file, for messages.

    Raises
    ------
    InputError
        The number or kind of values does not suit the layer, they stand for infinite weights or NaN, or there is no
        memory for the weights.
    """
    layout = layer.layout
    is_codes = layer.step is not None
    # Items arrive as one channel of int16: the codec does not interpret them.
    wanted = (layout.channels, layout.length) if is_codes else (1, layer.items)
    where = ": ".join(part for part in (where, f"layer {layer.name!r}") if part)
    if decoded.shape != wanted or decoded.dtype != np.int16:
        raise InputError(
            where,
            f"is damaged: its stream holds {decoded.dtype} {decoded.shape} and not the {wanted} that the layer needs",
            "compress the model again",
        )
    with memory_for(where, f"{layer.weights} weights", layer.weights * (CODE_BYTES + layer.dtype.itemsize)):
        weights = _restored(layer, np.ascontiguousarray(decoded, np.int16))
    # The extremes are not finite where any weight is not, and need no array to tell.
    if layer.unit is Unit.ABSOLUTE and not (np.isfinite(weights.min()) and np.isfinite(weights.max())):
        raise InputError(where, "decodes to weights that are infinite or no number", "compress the model again")
    return weights


def _restored(layer: CompressedLayer, codes: NDArray[np.int16]) -> NDArray[np.generic]:
    """Do what `restore` does with values that suit the layer."""
    layout = layer.layout
    if layer.step is None:
        return array_of_items(codes.reshape(-1).view(np.uint16), layout, layer.dtype)
    if layer.unit is Unit.ABSOLUTE:
        return layout.from_channels(restored_rows(codes, layer.step, layer.dtype))
    if layer.divisor > 1:
        return layout.from_channels(codes.astype(np.int8))
    point = np.zeros((), layer.dtype) if layer.zero_point is None else layer.zero_point
    return unwrapped_array(codes, point, layout, layer.dtype)


def to_plain(compressed: CompressedModel, decoded: Mapping[str, NDArray[np.generic]]) -> onnx.ModelProto:
    """Put initializers in the place of `Decompress` nodes, under the same names: the plain network.

    Parameters
    ----------
    compressed
        The compressed model; left as it is.
    decoded
        Layer name to what its stream decodes to (`decode_layer`, or the same from another decoder).

    Raises
    ------
    InputError
        A layer's values do not suit it.
    """
    return _plain(
        compressed,
        lambda layer: numpy_helper.from_array(restore(layer, decoded[layer.name], compressed.where), layer.name),
    )


def _plain(compressed: CompressedModel, tensor_of: Callable[[CompressedLayer], onnx.TensorProto]) -> onnx.ModelProto:
    """Put the tensor of each layer in the place of its node."""
    own = [node for node in compressed.model.graph.node if node.domain == DOMAIN]
    kept = [node for node in compressed.model.graph.node if node.domain != DOMAIN]
    still_read = {name for node in kept for name in node.input}
    gone = {
        name
        for node in own
        for name in (operand(node, place) for place in (STREAM, TABLES, STEP, STEP_INDEX))
        if name and name not in still_read
    }
    plain = _without_arrays(compressed.model, gone)
    del plain.graph.node[:]
    plain.graph.node.extend(kept)
    # A zero point is the network's own, and stays.
    _remove(plain.graph.initializer, gone)
    remove_declaration(plain)
    tensors = list(plain.graph.initializer)
    for layer in compressed.layers:
        tensors.insert(layer.position, tensor_of(layer))
    ordered = onnx.GraphProto()
    ordered.initializer.extend(tensors)
    del plain.graph.initializer[:]
    plain.graph.initializer.extend(ordered.initializer)
    restore_descriptions(plain, own, {tensor.name: tensor for tensor in compressed.model.graph.initializer})
    _remove_operators(plain)
    return plain


def decompressed(compressed: CompressedModel, spool: Spool | None = None) -> onnx.ModelProto:
    """Return the plain network, decoded with the software codec; see `to_plain`.

    Parameters
    ----------
    compressed
        The compressed model; left as it is.
    spool
        Takes the weights, layer by layer, and must stay open as long as the result is used; without one they are kept
        in memory.

    Raises
    ------
    InputError
        See `decode_layer` and `restore`; or there is no memory for all weights.
    """

    def tensor_of(layer: CompressedLayer) -> onnx.TensorProto:
        values = restore(layer, decode_layer(compressed, layer), compressed.where)
        if spool is None:
            return numpy_helper.from_array(values, layer.name)
        tensor = onnx.TensorProto(name=layer.name, data_type=layer.element_type, dims=layer.shape)
        little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
        set_place(tensor, spool.add(little.reshape(-1).view(np.uint8).data))
        return tensor

    if spool is not None:
        return _plain(compressed, tensor_of)
    size = sum(layer.weights * layer.dtype.itemsize for layer in compressed.layers)
    with memory_for(compressed.where, "all of its weights", size):
        return _plain(compressed, tensor_of)


def _without_arrays(model: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """Copy a model so that the named initializers hold no values: they are never in memory twice."""
    fresh = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        copy_field(fresh, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            copy_field(fresh.graph, field.name, value)
            continue
        for tensor in value:
            if tensor.name in names:
                copy_words(
                    tensor, fresh.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
                )
            else:
                fresh.graph.initializer.append(tensor)
    return fresh


def _add_layer(
    model: onnx.ModelProto,
    result: GridResult,
    stream: bytes | Place,
    codec: str,
    tables_name: str,
    position: int,
    taken: set[str],
) -> onnx.NodeProto:
    """Add a layer's stream, step and value_info to the model, and return its node."""
    weight, grid = result.weight, result.step_grid
    inputs = [fresh_name(f"{weight.name}.stream", taken), tables_name]
    model.graph.initializer.append(_byte_tensor(inputs[STREAM], stream))
    more: dict[str, Any] = {}
    if result.step is not None:
        inputs.append(fresh_name(f"{weight.name}.step", taken))
        step = np.asarray(result.step if grid is None else grid.values, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(step, inputs[STEP]))
        if used_zero_point(result) is not None:
            inputs.append(weight.zero_point_name)
    if grid is not None:
        inputs += ["", fresh_name(f"{weight.name}.step_index", taken)]
        model.graph.initializer.append(numpy_helper.from_array(grid.index, inputs[STEP_INDEX]))
        more = {"steps_per_octave": grid.per_octave, "step_loss": _double("step_loss", result.step_loss)}
    element_type = TensorProto.INT8 if result.divisor > 1 else weight.tensor.data_type
    stream_tensor = next(tensor for tensor in reversed(model.graph.initializer) if tensor.name == inputs[0])
    description: dict[str, Any] = {**keep_description(model, weight.tensor, stream_tensor, element_type)}
    return helper.make_node(
        OPERATOR,
        inputs,
        [weight.name],
        name=fresh_name(f"{weight.name}.decompress", taken),
        domain=DOMAIN,
        shape=list(weight.shape),
        element_type=element_type,
        axis=weight.layout.axis,
        group=weight.layout.group,
        # Attributes have no float64 of their own, and a bound must not be rounded.
        bound=_double("bound", result.max_bound),
        max_error=_double("max_error", result.max_error),
        unit=str(result.unit),
        spec=result.spec.text,
        scope=str(result.scope),
        codec=codec,
        position=position,
        **more,
        **description,
    )


def used_zero_point(result: GridResult) -> NDArray[np.generic] | None:
    """Return the zero point that a decoder of integer weights with step 1 needs; None where it is zero or not used."""
    point = result.weight.zero_point
    return point if result.divisor == 1 and point is not None and np.any(point) else None


def _double(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float64), name)


def _byte_tensor(name: str, content: bytes | Place) -> onnx.TensorProto:
    if isinstance(content, Place):
        tensor = onnx.TensorProto(name=name, data_type=TensorProto.UINT8, dims=[content.length])
        set_place(tensor, content)
        return tensor
    return onnx.TensorProto(name=name, data_type=TensorProto.UINT8, dims=[len(content)], raw_data=content)


def _bytes_of(tensor: onnx.TensorProto | None, where: str) -> bytes:
    stored = _stored_bytes(tensor, where)
    if not isinstance(stored, Place):
        return stored
    with memory_for(where, f"{stored.length} bytes", stored.length):
        return stored.read()


def _stored_bytes(tensor: onnx.TensorProto | None, where: str) -> bytes | Place:
    """Return what a list of bytes holds, or where it is."""
    if tensor is None or tensor.data_type != TensorProto.UINT8 or len(tensor.dims) != 1:
        raise InputError(where, "is damaged: it is no constant list of bytes", "compress the model again")
    place = place_of(tensor)
    if place is not None and place.length == tensor.dims[0]:
        return place
    return stored_array(tensor).tobytes()


def layer_of_node(
    node: onnx.NodeProto, where: str, lookup: Callable[[str], onnx.TensorProto | None]
) -> CompressedLayer:
    """Read a node into its record, fields and counts checked."""
    try:
        values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        layout = Layout(tuple(int(d) for d in values["shape"]), int(values["axis"]), int(values["group"]))
        step, point, index = (
            None if tensor is None else stored_array(tensor)
            for tensor in (lookup(name) if name else None for name in (operand(node, i) for i in SIDE_INPUTS))
        )
        grid = None
        if step is not None and index is not None:
            grid = StepGrid(
                int(values["steps_per_octave"]),
                step.astype(np.float32, casting="equiv"),
                index.astype(np.uint8, casting="equiv"),
            )
            step = grid.steps()
        layer = CompressedLayer(
            name=str(node.output[0]),
            layout=layout,
            element_type=int(values["element_type"]),
            stored=_stored_bytes(lookup(operand(node, 0)), where),
            step=None if step is None else step.astype(np.float32, casting="equiv"),
            step_grid=grid,
            zero_point=point,
            bound=float(numpy_helper.to_array(values["bound"])),
            max_error=float(numpy_helper.to_array(values["max_error"])),
            unit=Unit(values["unit"].decode()),
            spec=values["spec"].decode(),
            scope=Scope(values["scope"].decode()),
            codec=values["codec"].decode(),
            position=max(int(values["position"]), 0),
            step_loss=float(numpy_helper.to_array(values["step_loss"])) if grid is not None else 0.0,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            where, f"is damaged: an attribute or input is missing or wrong ({reason})", "compress the model again"
        ) from None
    fault = _missing(node, lookup) or _fault(layer)
    if fault:
        raise InputError(where, f"is damaged: {fault}", "compress the model again")
    _check_count(layer, where)
    return layer


def _missing(node: onnx.NodeProto, lookup: Callable[[str], onnx.TensorProto | None]) -> str | None:
    """Say that an input of a node is no constant, or None."""
    given = [operand(node, place) for place in SIDE_INPUTS]
    if any(name and lookup(name) is None for name in given) or (given[-1] and not given[0]):
        return "its step or zero point is no constant of the model"
    return None


def _fault(layer: CompressedLayer) -> str | None:
    """Say what is wrong with a layer's fields, or None."""
    layout, step, point = layer.layout, layer.step, layer.zero_point
    if not (0 <= layer.bound < math.inf and 0 <= layer.max_error < math.inf):
        return f"its bound {layer.bound} and error {layer.max_error} are not finite, from zero up"
    if layer.element_type not in ELEMENT_TYPES:
        return f"its element type {layer.element_type} is not float32, float16, int8 or uint8"
    if len(layout.shape) < 2 or any(d < 1 for d in layout.shape):
        return f"its shape {layout.shape} has no weights or under two dimensions"
    if len(layout.shape) > MOST_DIMENSIONS:
        return f"its shape has {len(layout.shape)} dimensions, and {MOST_DIMENSIONS} are the most"
    if not 0 <= layout.axis < len(layout.shape) or layout.group < 1 or layout.shape[0] % layout.group:
        return f"axis {layout.axis} and group {layout.group} do not suit the shape {layout.shape}"
    if layout.group > 1 and layout.axis == 0:
        return "a group needs a channel axis other than 0"
    is_integer = layer.dtype.kind in "iu"
    if is_integer != (layer.unit is Unit.LSB) or (is_integer and step is None):
        return f"its unit {layer.unit} does not suit its type"
    if step is not None and step.shape not in ((), (layout.channels,)):
        return f"its step has the shape {step.shape}"
    if layer.step_grid is not None and is_integer:
        return "its step has indices, and its weights are integers"
    if not abs(layer.step_loss) <= WIDEST_BITS:
        return "its step loss is not finite, or more bits than a weight has"
    if step is not None and not (np.all(np.isfinite(step)) and np.all(step > 0)):
        return "its step is not finite and above zero"
    if is_integer and step is not None and not (step.shape == () and 1 <= float(step) <= 511 and float(step) % 2 == 1):
        return "its step is not an odd number up to 511"
    if point is not None and (
        point.dtype != layer.dtype or (point.size != 1 and point.shape != (layout.shape[layout.axis],))
    ):
        return "its zero point does not suit it"
    return None


def _check_count(layer: CompressedLayer, where: str) -> None:
    try:
        with memory_for(where, f"a stream of {layer.stream_bytes} bytes", layer.stream_bytes):
            declared = stream_count(layer.stream)
    except VerdictError as error:
        raise _stream_error(where, error) from None
    if declared != layer.items:
        raise InputError(
            where,
            f"is damaged: its stream declares {declared} values and its shape {layer.shape} needs {layer.items}",
            "compress the model again",
        )
    if declared > MAX_WEIGHTS_PER_BIT * 8 * layer.stream_bytes:
        raise InputError(
            where,
            f"is damaged: {declared} values in {layer.stream_bytes} bytes are more than {MAX_WEIGHTS_PER_BIT} in a bit",
            "compress the model again",
        )


def _remove_operators(model: onnx.ModelProto) -> None:
    """Remove the declaration of the operators of dnnzip."""
    for i in reversed(range(len(model.opset_import))):
        if model.opset_import[i].domain == DOMAIN:
            del model.opset_import[i]


def _stream_error(where: str, error: VerdictError) -> InputError:
    """Make one line of a stream's verdict."""
    if error.verdict is Verdict.VERSION:
        return InputError(where, "has a stream of a newer format version", UPDATE)
    return InputError(where, f"has a damaged stream ({error})", "compress the model again")


def _remove(field: "Sequence[onnx.TensorProto | onnx.ValueInfoProto]", names: set[str]) -> None:
    """Remove the entries of these names from a repeated field."""
    for position in reversed(range(len(field))):
        if field[position].name in names:
            del field[position]  # type: ignore[attr-defined]  # a repeated field deletes, which Sequence does not know
