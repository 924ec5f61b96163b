"""Compressed model files, read and checked: a file comes from anywhere.

Each count is checked before memory is taken for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.encoding import UPDATE, Reading, check_counts
from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.compressed import (
    DOMAIN,
    FEWEST_INPUTS,
    MOST_INPUTS,
    OPERATOR,
    SIDE_INPUTS,
    VERSION,
    CompressedLayer,
    CompressedModel,
    is_compressed,
)
from dnnzip.onnx.decompression import decode_layer, restore
from dnnzip.onnx.files import load_model, open_model
from dnnzip.onnx.graph import operand
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.rules import ELEMENT_TYPES, PACKED_TYPES, stored_array, unpacked_shape
from dnnzip.onnx.soundness import MOST_DIMENSIONS
from dnnzip.quantize.bound import Scope, Unit
from dnnzip.quantize.element_type import ElementType, type_names
from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid, Lossless, MappedGrid
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.step_grid import StepGrid
from dnnzip.system.spool import Place


def read_compressed(path: str | Path) -> CompressedModel:
    """Read a compressed model file; see `open_compressed`."""
    return open_compressed(load_model(path), str(path))


def open_compressed_file(path: str | Path) -> CompressedModel:
    """Read a compressed model file, large streams and arrays left in it until needed; see `open_compressed`."""
    return open_compressed(open_model(path), str(path))


def open_compressed(model: onnx.ModelProto, where: str) -> CompressedModel:
    """Check a compressed model and list its layers, without decoding them but where a step could make weights infinite.

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


def _double_of(tensor: onnx.TensorProto) -> float:
    return float(numpy_helper.to_array(tensor))


def _bytes_of(tensor: onnx.TensorProto | None, where: str) -> bytes:
    stored = _stored_bytes(tensor, where)
    if not isinstance(stored, Place):
        return stored
    with memory_for(where, f"{stored.length} bytes", stored.length):
        return stored.read()


def _stored_bytes(tensor: onnx.TensorProto | None, where: str) -> bytes | Place:
    """Return the bytes of a list, or their place."""
    if tensor is None or tensor.data_type != TensorProto.UINT8 or len(tensor.dims) != 1:
        raise InputError(where, "is damaged: it is no constant list of bytes", "compress the model again")
    place = place_of(tensor)
    if place is not None and place.length == tensor.dims[0]:
        return place
    return stored_array(tensor).tobytes()


@dataclass(frozen=True, eq=False)
class _Declared:
    """A node's attributes and its constant inputs, as the file declares them."""

    values: Mapping[str, Any]  # the attributes
    layout: Layout  # shape, output channels and groups
    # The inputs; None where the node has none.
    step: NDArray[np.generic] | None
    zero_point: NDArray[np.generic] | None
    step_index: NDArray[np.generic] | None

    @property
    def packed_bits(self) -> int:
        """Bits of weights that share bytes; 0 where they do not."""
        return packed_bits_of(self.values)

    @property
    def element(self) -> ElementType | None:
        """The element type; None where it is not known."""
        return PACKED_TYPES.get(self.packed_bits, ELEMENT_TYPES.get(int(self.values["element_type"])))

    def fault(self) -> str | None:
        """Return the fault of shape and type in words, or None."""
        layout, element = self.layout, self.element
        if "bits" in self.values and (not self.packed_bits or int(self.values["element_type"]) != TensorProto.UINT8):
            return (
                f"codes of {self.values['bits']} bits in an array of type {self.values['element_type']} are not known"
            )
        if element is None:
            return f"its element type {self.values['element_type']} is not {type_names()}"
        if not layout.shape or any(d < 1 for d in layout.shape):
            return f"its shape {layout.shape} has no weights"
        if len(layout.shape) > MOST_DIMENSIONS:
            return f"its shape has {len(layout.shape)} dimensions, and {MOST_DIMENSIONS} are the most"
        if not 0 <= layout.axis < len(layout.shape) or layout.group < 1 or layout.shape[0] % layout.group:
            return f"axis {layout.axis} and group {layout.group} do not suit the shape {layout.shape}"
        if layout.group > 1 and layout.axis == 0:
            return "a group needs a channel axis other than 0"
        return self._grid_fault(element)

    def _grid_fault(self, element: ElementType) -> str | None:
        """Return the fault in what the node says of its grid, for a type of weights."""
        unit = Unit(self.values["unit"].decode())
        if element.is_integer != (unit is Unit.LSB):
            return f"its unit {unit} does not suit its type"
        if (unit is Unit.RELATIVE) != ("mantissa_bits" in self.values):
            return f"its unit {unit} does not suit the bits of its mantissa"
        if "float_map" in self.values and (element.is_integer or self.step is not None):
            return "its map does not suit its type or its step"
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
        if "float_map" in values:
            kept = values.get("mantissa_bits")
            return MappedGrid(*facts, int(values["float_map"]), None if kept is None else int(kept))
        if self.step is None:
            return Lossless(*facts)
        step = self.step.astype(np.float32, casting="equiv")
        if self.element.is_integer:
            is_whole = step.shape == () and bool(np.isfinite(step)) and float(step).is_integer()
            point = self.zero_point
            if self.packed_bits and point is not None and point.dtype == np.uint8:
                point = point.astype(self.element.dtype)
            return IntegerGrid(*facts, int(step) if is_whole else 0, point)
        if self.step_index is None:
            return FloatGrid(*facts, step)
        steps = StepGrid(int(values["steps_per_octave"]), step, self.step_index.astype(np.uint8, casting="equiv"))
        return FloatGrid(*facts, steps.steps(), steps, _double_of(values["step_loss"]))


def packed_bits_of(values: Mapping[str, Any]) -> int:
    """Return the bits of weights that share bytes, by a node's attributes; 0 where they do not."""
    bits = int(values.get("bits", 0))
    return bits if bits in PACKED_TYPES else 0


def _layout_of(values: Mapping[str, Any]) -> Layout:
    shape = tuple(int(d) for d in values["shape"])
    bits = packed_bits_of(values)
    return Layout(unpacked_shape(shape, bits) if bits and shape else shape, int(values["axis"]), int(values["group"]))


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
            _layout_of(values),
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
            is_folded=bool(values.get("folded", 1)),
            packed_bits=declared.packed_bits,
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
