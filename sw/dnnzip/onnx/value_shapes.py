"""Shapes of a network's values, those in bodies included, as far as they can be inferred without reading weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from onnx import inliner

from dnnzip.errors import InputError
from dnnzip.onnx.folding import LARGEST, fold_shapes
from dnnzip.onnx.given_sizes import GivenSizes, OpenDimension, set_sizes
from dnnzip.onnx.graph import fixed_size, is_standard
from dnnzip.onnx.inference import infer_shapes
from dnnzip.onnx.standard_forms import standard_forms

#: Rounds of folding at most; each needs an inference.
MOST_ROUNDS = 64

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class GraphShapes:
    """Shapes of a graph's own values, None for a size that is not known, and those of the bodies in it."""

    values: Mapping[str, Shape]
    # Of each body by the first result of its node and the name of its attribute.
    bodies: Mapping[tuple[str, str], "GraphShapes"] = field(default_factory=dict)


@dataclass(frozen=True)
class InferredNetwork:
    """A network with its shapes."""

    model: onnx.ModelProto  # with local functions written out; its large weights have no values
    shapes: GraphShapes
    open: tuple[OpenDimension, ...]  # dimensions of inputs that are not known


def inferred_network(model: onnx.ModelProto, where: str, given: GivenSizes) -> InferredNetwork:
    """Infer the shapes of a network's values; the model is left as it is.

    Raises
    ------
    InputError
        Given sizes do not suit the network, or it contradicts itself.
    """
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    for tensor in slim.graph.initializer:
        if len(tensor.raw_data) > 8 * LARGEST:
            tensor.ClearField("raw_data")
    if slim.functions:
        slim.CopyFrom(inliner.inline_local_functions(slim))
    stays_open = tuple(set_sizes(slim, given))
    work = onnx.ModelProto()
    work.CopyFrom(slim)
    standard_forms(work)
    if given.shapes or given.sequence:
        _forget_declared(work, given)
    shapes = _once_inferred(work, where)
    rounds = 0
    # A chain that is folded may be what the next one waits for.
    while rounds < MOST_ROUNDS and fold_shapes(work, shapes.values):
        shapes = _once_inferred(work, where)
        rounds += 1
    return InferredNetwork(slim, shapes, stays_open)


def _forget_declared(model: onnx.ModelProto, given: GivenSizes) -> None:
    """Leave out the shapes of values that inference finds anew: they are those of other sizes than are given now."""
    found = {name for node in model.graph.node if is_standard(node) for name in node.output} - given.shapes.keys()
    for values in (model.graph.value_info, model.graph.output):
        for value in values:
            if value.name in found:
                value.type.tensor_type.ClearField("shape")


def _once_inferred(model: onnx.ModelProto, where: str) -> GraphShapes:
    try:
        return _graph_shapes(infer_shapes(model, where, follow_values=True).graph)
    except InputError:
        # Declared shapes of inner values and results may be those of another batch.
        declared = [value for values in (model.graph.value_info, model.graph.output) for value in values]
        if not any(value.type.tensor_type.HasField("shape") for value in declared):
            raise
        for value in declared:
            value.type.tensor_type.ClearField("shape")
        return _graph_shapes(infer_shapes(model, where, follow_values=True).graph)


def _graph_shapes(graph: onnx.GraphProto) -> GraphShapes:
    known: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    values = dict(known)
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape") and value.name not in known:
            values[value.name] = tuple(map(fixed_size, value.type.tensor_type.shape.dim))
    bodies = {
        (node.output[0], entry.name): _graph_shapes(entry.g)
        for node in graph.node
        if node.output
        for entry in node.attribute
        if entry.HasField("g")
    }
    return GraphShapes(values, bodies)
