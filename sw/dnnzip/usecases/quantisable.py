"""A network in the form that onnxruntime's quantiser takes, which takes less than onnxruntime runs.

Opset 13 or above, constants in dense initializers, no local functions, a bias to each layer; the results stay the same.
"""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import checker, inliner, numpy_helper, shape_inference, version_converter

from dnnzip.errors import InputError
from dnnzip.evaluation.runtime import first_line
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.graph import (
    GraphIndex,
    all_names,
    fresh_name,
    is_standard,
    lift_constants,
    operand,
    separate_initializers,
    subgraphs,
)
from dnnzip.onnx.operators import OnArray, operator_of, weight_names
from dnnzip.onnx.rules import stored_array

#: DequantizeLinear has a scale for each channel from this opset on.
SMALLEST_OPSET = 13

#: Errors of the converter for a network that it cannot convert.
CONVERTER_ERRORS = (
    version_converter.ConvertError,
    shape_inference.InferenceError,
    checker.ValidationError,
    RuntimeError,
    ValueError,
)


def quantisable(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return a network with the same results that onnxruntime's quantiser takes.

    Sparse constants become dense, and inputs with a value by default constants. Local functions are written out where
    they are called. A bias that several nodes read gets a copy for each.

    Parameters
    ----------
    model
        A network that onnxruntime runs; left as it is.
    where
        The file, for messages.

    Raises
    ------
    InputError
        The network cannot be converted to opset 13, or has weights that are not finite.
    """
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    _name_standard_domain(fresh)
    fresh = _without_functions(fresh, where)
    _lift_sparse(fresh, where)
    lift_constants(fresh)
    _remove_default_inputs(fresh)
    fresh = _converted(fresh, where)
    _check_finite(fresh, where)
    _separate_biases(fresh)
    return fresh


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model is written for."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _name_standard_domain(model: onnx.ModelProto) -> None:
    """Write the standard domain in its short form everywhere, since tools look operators up by it."""
    version = opset_of(model)
    for position in reversed(range(len(model.opset_import))):
        if model.opset_import[position].domain in ("", "ai.onnx"):
            del model.opset_import[position]
    model.opset_import.insert(0, onnx.helper.make_opsetid("", version))
    for graph in (model.graph, *subgraphs(model.graph.node)):
        for node in graph.node:
            if is_standard(node):
                node.domain = ""


def _without_functions(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model, True)
    except CONVERTER_ERRORS as error:
        raise InputError(where, f"its local functions cannot be written out ({first_line(error)})") from None


def _lift_sparse(model: onnx.ModelProto, where: str) -> None:
    """Turn sparse initializers and Constant nodes of the top graph into dense initializers of the same names."""
    graph = model.graph
    for sparse in graph.sparse_initializer:
        graph.initializer.append(_dense(sparse, sparse.values.name, where))
    del graph.sparse_initializer[:]
    for position in reversed(range(len(graph.node))):
        node = graph.node[position]
        if node.op_type == "Constant" and is_standard(node) and node.attribute[0].HasField("sparse_tensor"):
            graph.initializer.append(_dense(node.attribute[0].sparse_tensor, node.output[0], where))
            del graph.node[position]


def _dense(sparse: onnx.SparseTensorProto, name: str, where: str) -> onnx.TensorProto:
    shape = tuple(sparse.dims)
    values, indices = stored_array(sparse.values), stored_array(sparse.indices)
    with memory_for(f"{where}: {name!r}", f"{math.prod(shape)} values", math.prod(shape) * values.itemsize):
        dense: NDArray[np.generic] = np.zeros(shape, values.dtype)
    # Either a position in the flattened array for each value, or one position for each dimension.
    places = (indices,) if indices.ndim == 1 else tuple(indices.T)
    (dense.reshape(-1) if indices.ndim == 1 else dense)[places] = values
    return numpy_helper.from_array(dense, name)


def _remove_default_inputs(model: onnx.ModelProto) -> None:
    """Make constants of initializers that are inputs too: needed before version 4, a value by default from there on."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for position in reversed(range(len(model.graph.input))):
        if model.graph.input[position].name in constants:
            del model.graph.input[position]
    separate_initializers(model)


def _converted(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return the model at the smallest opset that serves, or as it is where its own is not below."""
    version = opset_of(model)
    if version >= SMALLEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, SMALLEST_OPSET)
    except CONVERTER_ERRORS as error:
        wrong = f"is of opset {version} and cannot be converted to {SMALLEST_OPSET} ({first_line(error)})"
        raise InputError(where, wrong, f"export it with opset {SMALLEST_OPSET} or above") from None


def _check_finite(model: onnx.ModelProto, where: str) -> None:
    index = GraphIndex(model)
    for node in model.graph.node:
        operator = operator_of(node)
        is_quantised = operator is not None and operator.on_array is OnArray.RUNS
        for weight in map(index.initializers.get, weight_names(node) if is_quantised else ()):
            if weight is not None and not np.isfinite(stored_array(weight)).all():
                raise InputError(f"{where}: layer {weight.name!r}", "has NaN or infinite weights", "mend it")


def _separate_biases(model: onnx.ModelProto) -> None:
    """Give each layer a bias of its own, and to Gemm one value for each channel in whatever shape it broadcast it."""
    index, taken = GraphIndex(model), all_names(model)
    for node in model.graph.node:
        operator = operator_of(node)
        position = None if operator is None else operator.bias
        bias = None if position is None else index.initializers.get(operand(node, position))
        if position is None or bias is None:
            continue
        channels = _gemm_channels(node, index)
        shape = [] if channels is None else [channels]
        is_broadcast = shape and list(bias.dims) != shape and math.prod(bias.dims) in (1, channels)
        if is_broadcast or not index.is_only_read_by(bias.name, node):
            values = stored_array(bias)
            if is_broadcast:
                values = np.broadcast_to(values.reshape(-1), shape).copy()
            name = fresh_name(bias.name, taken)
            model.graph.initializer.append(numpy_helper.from_array(values, name))
            node.input[position] = name


def _gemm_channels(node: onnx.NodeProto, index: GraphIndex) -> int | None:
    """Return the output channels of a Gemm with a constant weight, None of anything else."""
    operator = operator_of(node)
    if operator is None or not operator.transposes:
        return None
    weight = index.initializers.get(operand(node, operator.weights[0].index))
    if weight is None or len(weight.dims) != 2:
        return None
    return operator.weights[0].layout(node, tuple(weight.dims)).channels
