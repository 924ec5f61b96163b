"""The compressed model: an ONNX file in which `Decompress` nodes of the domain ``dnnzip`` replace the weights.

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.encoding import UPDATE, Encoded, Reading, check_counts, decode_codes, restore_weights
from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.biases import remove_declaration
from dnnzip.onnx.descriptions import SEPARATE_INITIALIZERS, copy_words, keep_description, restore_descriptions
from dnnzip.onnx.files import copy_field, load_model, open_model
from dnnzip.onnx.graph import all_names, fresh_name, operand
from dnnzip.onnx.lazy_tensors import Place, Spool, place_of, set_place
from dnnzip.onnx.rescale import fold_divisor
from dnnzip.onnx.rules import ELEMENT_TYPES, stored_array
from dnnzip.onnx.soundness import MOST_DIMENSIONS
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.bound import Scope, Unit
from dnnzip.quantize.element_type import ElementType, type_names
from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid, Lossless
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


@dataclass(frozen=True, eq=False)
class CompressedLayer:
    """One `Decompress` node.

    Parameters
    ----------
    name
        The weight's name.
    layout
        Shape, output channels and groups; its kernel is in the stream.
    stored
        One or several weight streams, one after the other; or the place where they are.
    grid
        The grid of its codes, with the error tolerated in any channel and the largest one made. Integer weights with a
        divisor above 1 decode to their codes.
    codec
        Codec of the stream.
    position
        Where the weight stood among the network's initializers.
    """

    name: str
    layout: Layout
    stored: bytes | Place
    grid: Grid
    codec: str
    position: int

    @property
    def stream(self) -> bytes:
        """The weight streams, one after the other; read anew at each call where they are in a file."""
        return self.stored.read() if isinstance(self.stored, Place) else self.stored

    @property
    def stream_bytes(self) -> int:
        """Size of the streams."""
        return self.stored.length if isinstance(self.stored, Place) else len(self.stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return self.layout.shape

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.layout.shape)

    @property
    def bound(self) -> float:
        """Largest error tolerated in any channel, in the grid's unit."""
        return self.grid.max_bound

    @property
    def max_error(self) -> float:
        """Largest error made, in the grid's unit."""
        return self.grid.max_error

    @property
    def step_loss(self) -> float:
        """Bits for each weight that steps on a grid cost, against the largest that keep the bound."""
        return self.grid.step_loss if isinstance(self.grid, FloatGrid) else 0.0

    @property
    def divisor(self) -> int:
        """2 e + 1 for integer weights, 1 otherwise."""
        return divisor_of(self.grid)

    @property
    def items(self) -> int:
        """Sum of the counts that the stream declares: weights, or the 16-bit items of the original bytes."""
        return math.prod(self.grid.code_shape(self.layout))


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


def is_compressed(model: onnx.ModelProto) -> bool:
    """Return True if a model holds compressed weights."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def compressed_model(
    model: onnx.ModelProto,
    weights: Sequence[Weight],
    encoded: Sequence[Encoded[bytes | Place]],
    tables: bytes,
) -> onnx.ModelProto:
    """Make the compressed model.

    Parameters
    ----------
    model
        The network in which the weights were found; left as it is.
    weights
        The compressed weights. Integer ones with a divisor above 1 have passed `rescale.fold_obstacle`.
    encoded
        Each of them, encoded; its stream may be in a file.
    tables
        The table set.

    Returns
    -------
    A new model that shares nothing with `model`, except files where arrays or streams are in such.
    """
    positions = {tensor.name: i for i, tensor in enumerate(model.graph.initializer)}
    divisors = {weight.name: divisor_of(item.grid) for weight, item in zip(weights, encoded, strict=True)}
    fresh = folded_skeleton(model, divisors)
    taken = all_names(fresh)
    tables_name = fresh_name("dnnzip.tables", taken)
    fresh.graph.initializer.append(_byte_tensor(tables_name, tables))
    nodes = []
    for weight, item in zip(weights, encoded, strict=True):
        inputs = _add_inputs(fresh, weight, item, tables_name, taken)
        nodes.append(_node(fresh, weight, item, inputs, positions[weight.name]))
        nodes[-1].name = fresh_name(f"{weight.name}.decompress", taken)
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
    return _plain(compressed, _tensor_of)


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
        if isinstance(layer.grid, FloatGrid) and layer.grid.may_overflow:
            restore(layer, decode_layer(compressed, layer), where)
    return compressed


def decode_layer(compressed: CompressedModel, layer: CompressedLayer) -> NDArray[np.generic]:
    """Decode a layer's stream with the software codec.

    Returns
    -------
    int16 [channels, length] codes, or int16 [1, items] where the stream holds the original bytes.

    Raises
    ------
    InputError
        The stream is damaged, of a newer version, or represents more values than there is memory for.
    """
    return decode_codes(layer.stream, compressed.tables, layer.items, _reading(compressed.where, layer))


def restore(layer: CompressedLayer, decoded: NDArray[np.generic], where: str = "") -> NDArray[np.generic]:
    """Return the weights that decoded codes or items represent, in their own type and shape.

    Parameters
    ----------
    layer
        The layer.
    decoded
        Values of its stream, decoded: int16 [channels, length] codes, or int16 [1, items] original bytes.
    where
        The file, for messages.

    Raises
    ------
    InputError
        The number or kind of values does not suit the layer, they represent infinite weights or NaN, or there is no
        memory for the weights.
    """
    grid = layer.grid
    if isinstance(grid, IntegerGrid) and grid.divisor > 1:
        # The network's scales hold the divisor, and a zero point is zero.
        grid = replace(grid, divisor=1, zero_point=None)
    return restore_weights(decoded, grid, layer.layout, _reading(where, layer))


def _reading(where: str, layer: CompressedLayer) -> Reading:
    return Reading(": ".join(part for part in (where, f"layer {layer.name!r}") if part))


def _tensor_of(layer: CompressedLayer) -> onnx.TensorProto:
    """Return the initializer of a layer, without values."""
    return onnx.TensorProto(name=layer.name, data_type=_number_of(layer.grid.element), dims=layer.shape)


def _number_of(element: ElementType) -> int:
    """Return the number of an element type in ONNX."""
    return next(number for number, known in ELEMENT_TYPES.items() if known is element)


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
        tensor = _tensor_of(layer)
        little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
        set_place(tensor, spool.add(little.reshape(-1).view(np.uint8).data))
        return tensor

    if spool is not None:
        return _plain(compressed, tensor_of)
    size = sum(layer.weights * layer.grid.element.bytes for layer in compressed.layers)
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


def _add_inputs(
    model: onnx.ModelProto, weight: Weight, item: Encoded[Any], tables_name: str, taken: set[str]
) -> list[str]:
    """Add a layer's stream and steps to the model, and return the inputs of its node."""
    inputs = [fresh_name(f"{weight.name}.stream", taken), tables_name]
    initializers = model.graph.initializer
    initializers.append(_byte_tensor(inputs[STREAM], item.stream))
    grid = item.grid
    if isinstance(grid, Lossless):
        return inputs
    inputs.append(fresh_name(f"{weight.name}.step", taken))
    if isinstance(grid, IntegerGrid):
        initializers.append(numpy_helper.from_array(np.array(grid.divisor, np.float32), inputs[STEP]))
        return inputs if grid.used_zero_point is None else [*inputs, weight.zero_point_name]
    steps = grid.step if grid.step_grid is None else grid.step_grid.values
    initializers.append(numpy_helper.from_array(np.asarray(steps, np.float32), inputs[STEP]))
    if grid.step_grid is not None:
        inputs += ["", fresh_name(f"{weight.name}.step_index", taken)]
        initializers.append(numpy_helper.from_array(grid.step_grid.index, inputs[STEP_INDEX]))
    return inputs


def _node(
    model: onnx.ModelProto, weight: Weight, item: Encoded[Any], inputs: list[str], position: int
) -> onnx.NodeProto:
    """Return the node of a layer, whose inputs are in the model."""
    grid = item.grid
    more: dict[str, Any] = {}
    if isinstance(grid, FloatGrid) and grid.step_grid is not None:
        more = {
            "steps_per_octave": grid.step_grid.per_octave,
            "step_loss": _double("step_loss", grid.step_loss),
        }
    element_type = TensorProto.INT8 if divisor_of(grid) > 1 else _number_of(grid.element)
    stream_tensor = next(tensor for tensor in reversed(model.graph.initializer) if tensor.name == inputs[STREAM])
    return helper.make_node(
        OPERATOR,
        inputs,
        [weight.name],
        domain=DOMAIN,
        shape=list(weight.shape),
        element_type=element_type,
        axis=weight.layout.axis,
        group=weight.layout.group,
        # Attributes have no float64 of their own, and a bound must not be rounded.
        bound=_double("bound", grid.max_bound),
        max_error=_double("max_error", grid.max_error),
        unit=str(grid.unit),
        spec=grid.spec,
        scope=str(grid.scope),
        codec=item.codec,
        position=position,
        **more,
        **keep_description(model, weight.tensor, stream_tensor, element_type),
    )


def divisor_of(grid: Grid) -> int:
    """Return the 2 e + 1 of integer weights, 1 of others."""
    return grid.divisor if isinstance(grid, IntegerGrid) else 1


def _double(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float64), name)


def _double_of(tensor: onnx.TensorProto) -> float:
    return float(numpy_helper.to_array(tensor))


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


@dataclass(frozen=True, eq=False)
class _Declared:
    """A node's attributes and its constant inputs, as the file declares them.

    Parameters
    ----------
    values
        The attributes.
    layout
        Shape, output channels and groups.
    step, zero_point, step_index
        The inputs; None where the node has none.
    """

    values: Mapping[str, Any]
    layout: Layout
    step: NDArray[np.generic] | None
    zero_point: NDArray[np.generic] | None
    step_index: NDArray[np.generic] | None

    @property
    def element(self) -> ElementType | None:
        """The element type; None where it is not known."""
        return ELEMENT_TYPES.get(int(self.values["element_type"]))

    def fault(self) -> str | None:
        """Say what is wrong with shape and type, or None."""
        layout, element = self.layout, self.element
        if element is None:
            return f"its element type {self.values['element_type']} is not {type_names()}"
        if len(layout.shape) < 2 or any(d < 1 for d in layout.shape):
            return f"its shape {layout.shape} has no weights or under two dimensions"
        if len(layout.shape) > MOST_DIMENSIONS:
            return f"its shape has {len(layout.shape)} dimensions, and {MOST_DIMENSIONS} are the most"
        if not 0 <= layout.axis < len(layout.shape) or layout.group < 1 or layout.shape[0] % layout.group:
            return f"axis {layout.axis} and group {layout.group} do not suit the shape {layout.shape}"
        if layout.group > 1 and layout.axis == 0:
            return "a group needs a channel axis other than 0"
        unit = Unit(self.values["unit"].decode())
        if element.is_integer != (unit is Unit.LSB):
            return f"its unit {unit} does not suit its type"
        if element.is_integer and self.step_index is not None:
            return "its step has indices, and its weights are integers"
        if not element.is_integer and self.zero_point is not None:
            return "its zero point does not suit it"
        return None

    def grid(self) -> Grid:
        """Return the grid; there is no `fault`."""
        assert self.element is not None, "checked before"
        values = self.values
        facts = (
            self.element,
            np.array(_double_of(values["bound"])),
            np.array(_double_of(values["max_error"])),
            values["spec"].decode(),
            Scope(values["scope"].decode()),
        )
        if self.step is None:
            return Lossless(*facts)
        step = self.step.astype(np.float32, casting="equiv")
        if self.element.is_integer:
            is_whole = step.shape == () and bool(np.isfinite(step)) and float(step).is_integer()
            return IntegerGrid(*facts, int(step) if is_whole else 0, self.zero_point)
        if self.step_index is None:
            return FloatGrid(*facts, step)
        steps = StepGrid(int(values["steps_per_octave"]), step, self.step_index.astype(np.uint8, casting="equiv"))
        return FloatGrid(*facts, steps.steps(), steps, _double_of(values["step_loss"]))


def layer_of_node(
    node: onnx.NodeProto, where: str, lookup: Callable[[str], onnx.TensorProto | None]
) -> CompressedLayer:
    """Read a node into its record, fields and counts checked."""
    reading = Reading(where)
    try:
        values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        tensors = (lookup(name) if name else None for name in (operand(node, place) for place in SIDE_INPUTS))
        declared = _Declared(
            values,
            Layout(tuple(int(d) for d in values["shape"]), int(values["axis"]), int(values["group"])),
            *(None if tensor is None else stored_array(tensor) for tensor in tensors),
        )
        fault = _missing(node, lookup) or declared.fault()
        if fault:
            raise reading.damaged(fault)
        layer = CompressedLayer(
            name=str(node.output[0]),
            layout=declared.layout,
            stored=_stored_bytes(lookup(operand(node, 0)), where),
            grid=declared.grid(),
            codec=values["codec"].decode(),
            position=max(int(values["position"]), 0),
        )
        fault = layer.grid.errors_fault() or layer.grid.fault(layer.layout)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise reading.damaged(f"an attribute or input is missing or wrong ({reason})") from None
    if fault:
        raise reading.damaged(fault)
    with memory_for(where, f"a stream of {layer.stream_bytes} bytes", layer.stream_bytes):
        check_counts(layer.stream, layer.grid, layer.layout, reading)
    return layer


def _missing(node: onnx.NodeProto, lookup: Callable[[str], onnx.TensorProto | None]) -> str | None:
    """Say that an input of a node is no constant, or None."""
    given = [operand(node, place) for place in SIDE_INPUTS]
    if any(name and lookup(name) is None for name in given) or (given[-1] and not given[0]):
        return "its step or zero point is no constant of the model"
    return None


def _remove_operators(model: onnx.ModelProto) -> None:
    """Remove the declaration of the operators of dnnzip."""
    for i in reversed(range(len(model.opset_import))):
        if model.opset_import[i].domain == DOMAIN:
            del model.opset_import[i]


def _remove(field: "Sequence[onnx.TensorProto | onnx.ValueInfoProto]", names: set[str]) -> None:
    """Remove the entries of these names from a repeated field."""
    for position in reversed(range(len(field))):
        if field[position].name in names:
            del field[position]  # type: ignore[attr-defined]  # a repeated field deletes, which Sequence does not know
