"""The compressed model of a network: its streams and steps as initializers, and a node for each weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.encoding import Encoded
from dnnzip.onnx.biases import remove_declaration
from dnnzip.onnx.compressed import DOMAIN, OPERATOR, STEP, STEP_INDEX, STREAM, ZERO_POINT, divisor_of, version_of
from dnnzip.onnx.descriptions import keep_description
from dnnzip.onnx.graph import (
    all_names,
    fresh_name,
    remove_initializers,
    remove_where,
    replace_nodes,
    separate_initializers,
)
from dnnzip.onnx.lazy_tensors import set_place
from dnnzip.onnx.removal import copy_without_values
from dnnzip.onnx.rescale import fold_divisor
from dnnzip.onnx.rules import number_of
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.grid import FloatGrid, IntegerGrid, Lossless, MappedGrid
from dnnzip.system.spool import Place


def compressed_model(
    model: onnx.ModelProto,
    weights: Sequence[Weight],
    encoded: Sequence[Encoded[bytes | Place]],
    tables: bytes,
) -> onnx.ModelProto:
    """Make the compressed model, which shares nothing with `model` but files where arrays or streams are in such.

    Parameters
    ----------
    weights
        The compressed weights. Integer ones with a divisor above 1 and a scale of their own have passed
        `rescale.fold_obstacle`.
    encoded
        Each of them, encoded; its stream may be in a file.
    """
    positions = {tensor.name: i for i, tensor in enumerate(model.graph.initializer)}
    divisors = {
        weight.name: divisor_of(item.grid) if weight.has_own_scale else 1
        for weight, item in zip(weights, encoded, strict=True)
    }
    fresh = folded_skeleton(model, divisors)
    taken = all_names(fresh)
    tables_name = fresh_name("dnnzip.tables", taken)
    fresh.graph.initializer.append(_byte_tensor(tables_name, tables))
    nodes = []
    for weight, item in zip(weights, encoded, strict=True):
        inputs = _add_inputs(fresh, weight, item, tables_name, taken)
        nodes.append(_node(fresh, weight, item, inputs, positions[weight.name]))
        nodes[-1].name = fresh_name(f"{weight.name}.decompress", taken)
    remove_initializers(fresh, divisors)
    # Every node reads initializers only, so in front of all others they are sorted.
    replace_nodes(fresh.graph, [*nodes, *fresh.graph.node])
    fresh.opset_import.append(helper.make_opsetid(DOMAIN, version_of(nodes)))
    separate_initializers(fresh)
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
    fresh = copy_without_values(model, set(divisors))
    weights = {weight.name: weight for weight in find_weights(fresh)[0]}
    for name, divisor in divisors.items():
        if divisor > 1:
            fold_divisor(fresh, weights[name], divisor)
    signed = {name: number_of(weights[name].element.signed) for name, divisor in divisors.items() if divisor > 1}
    for tensor in fresh.graph.initializer:
        tensor.data_type = signed.get(tensor.name, tensor.data_type)
    for value in (*fresh.graph.input, *fresh.graph.value_info):
        if value.name in signed:
            value.type.tensor_type.elem_type = signed[value.name]
    remove_declaration(fresh)
    remove_where(fresh.opset_import, lambda entry: entry.domain == DOMAIN)
    # What is folded is no input.
    if not {tensor.name for tensor in fresh.graph.initializer} <= {value.name for value in fresh.graph.input}:
        separate_initializers(fresh)
    return fresh


def _add_inputs(
    model: onnx.ModelProto, weight: Weight, item: Encoded[Any], tables_name: str, taken: set[str]
) -> list[str]:
    """Add a layer's stream and steps to the model, and return the inputs of its node."""
    inputs = [fresh_name(f"{weight.name}.stream", taken), tables_name]
    initializers = model.graph.initializer
    initializers.append(_byte_tensor(inputs[STREAM], item.stream))
    grid = item.grid
    if isinstance(grid, Lossless | MappedGrid):
        return inputs
    inputs.append(fresh_name(f"{weight.name}.step", taken))
    if isinstance(grid, IntegerGrid):
        initializers.append(numpy_helper.from_array(np.array(grid.divisor, np.float32), inputs[STEP]))
        point = _zero_point(grid, weight)
        if point is None:
            return inputs
        if weight.zero_point_name:
            return [*inputs, weight.zero_point_name]
        inputs.append(fresh_name(f"{weight.name}.zero_point", taken))
        # Beside packed codes it is of the type of the bytes.
        point = point.astype(np.uint8) if weight.packed_bits else point
        initializers.append(numpy_helper.from_array(point, inputs[ZERO_POINT]))
        return inputs
    steps = grid.step if grid.step_grid is None else grid.step_grid.values
    initializers.append(numpy_helper.from_array(np.asarray(steps, np.float32), inputs[STEP]))
    if grid.step_grid is not None:
        inputs += ["", fresh_name(f"{weight.name}.step_index", taken)]
        initializers.append(numpy_helper.from_array(grid.step_grid.index, inputs[STEP_INDEX]))
    return inputs


def _zero_point(grid: IntegerGrid, weight: Weight) -> NDArray[np.generic] | None:
    """Return the zero point that a decoder needs; None where it is zero or, with the divisor, in the network."""
    return grid.used_zero_point if grid.divisor == 1 or not weight.has_own_scale else None


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
    if isinstance(grid, MappedGrid):
        more = {"float_map": grid.base}
        if grid.mantissa_bits is not None:
            more["mantissa_bits"] = grid.mantissa_bits
    is_divided = divisor_of(grid) > 1
    if is_divided and not weight.has_own_scale:
        more = {"folded": 0}
    element_type = weight.tensor.data_type
    if is_divided and weight.has_own_scale:
        element_type = number_of(grid.element.signed)
    if weight.packed_bits:
        more["bits"] = weight.packed_bits
    stream_tensor = next(tensor for tensor in reversed(model.graph.initializer) if tensor.name == inputs[STREAM])
    return helper.make_node(
        OPERATOR,
        inputs,
        [weight.name],
        domain=DOMAIN,
        shape=list(weight.tensor.dims),
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


def _double(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float64), name)


def _byte_tensor(name: str, content: bytes | Place) -> onnx.TensorProto:
    if isinstance(content, Place):
        tensor = onnx.TensorProto(name=name, data_type=TensorProto.UINT8, dims=[content.length])
        set_place(tensor, content)
        return tensor
    return onnx.TensorProto(name=name, data_type=TensorProto.UINT8, dims=[len(content)], raw_data=content)
