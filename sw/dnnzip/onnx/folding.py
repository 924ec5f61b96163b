"""Folding of small constants that exporters compute inside the graph, such as pads and target shapes.

Shape inference follows only some operators through values; the rest of such a chain is computed here by onnx' reference
implementation.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dnnzip.onnx.graph import is_standard, operand, replace_nodes, separate_initializers
from dnnzip.onnx.lazy_tensors import place_of

#: Operators that only move or make values.
MOVING = frozenset(
    ("Cast", "Concat", "ConstantOfShape", "Flatten", "Gather", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
)

#: Values of the largest tensor that is worked out: shapes and pads have a few.
LARGEST = 256


def fold_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int | None, ...]]) -> bool:
    """Replace nodes that compute small integer constants by initializers, in place; return True if any was.

    ``shapes`` are the known ones of its values; None for a dimension that is not.
    """
    known = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type in (TensorProto.INT64, TensorProto.INT32)
        and math.prod(tensor.dims) <= LARGEST
        and place_of(tensor) is None
        and tensor.data_location != TensorProto.EXTERNAL
    }
    kept, folded = [], []
    for node in model.graph.node:
        values = _values(model, node, known, shapes)
        if values is None:
            kept.append(node)
            continue
        known[node.output[0]] = values
        if node.op_type == "Constant":
            # Inference reads these by itself, and follows further from them than from initializers.
            kept.append(node)
            continue
        folded.append(numpy_helper.from_array(values, node.output[0]))
    if not folded:
        return False
    replace_nodes(model.graph, kept)
    model.graph.initializer.extend(folded)
    separate_initializers(model)
    return True


def _values(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    known: Mapping[str, NDArray[np.generic]],
    shapes: Mapping[str, tuple[int | None, ...]],
) -> NDArray[np.generic] | None:
    """Return the result of a node where that is a small integer constant."""
    if not is_standard(node) or len(node.output) != 1:
        return None
    if node.op_type == "Constant":
        tensor = next((entry.t for entry in node.attribute if entry.name == "value"), None)
        is_small = tensor is not None and math.prod(tensor.dims) <= LARGEST
        if tensor is None or not is_small or tensor.data_type not in (TensorProto.INT64, TensorProto.INT32):
            return None
        return numpy_helper.to_array(tensor)
    if node.op_type == "Shape" and not node.attribute:
        shape = shapes.get(operand(node, 0), (None,))
        return None if None in shape else np.array(shape, np.int64)
    inputs = [name for name in node.input if name]
    if node.op_type not in MOVING or not inputs or not all(name in known for name in inputs):
        return None
    if node.op_type == "ConstantOfShape" and not _makes_few_integers(node, known[inputs[0]]):
        return None
    # Imported here: most networks have nothing to fold.
    from onnx.reference import ReferenceEvaluator

    graph = onnx.helper.make_graph(
        [node],
        "fold",
        [onnx.helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in inputs],
        [onnx.helper.make_tensor_value_info(node.output[0], TensorProto.INT64, None)],
    )
    whole = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    try:
        (result,) = ReferenceEvaluator(whole).run(None, {name: known[name] for name in inputs})
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        # A broken node keeps its place: inference says what is wrong with it.
        return None
    values = np.asarray(result)
    return values if values.dtype.kind in "iu" and values.size <= LARGEST else None


def _makes_few_integers(node: onnx.NodeProto, shape: NDArray[np.generic]) -> bool:
    value = next((entry.t for entry in node.attribute if entry.name == "value"), None)
    return (
        value is not None
        and value.data_type in (TensorProto.INT64, TensorProto.INT32)
        and math.prod(int(d) for d in shape.reshape(-1)) <= LARGEST
    )
