"""Weights that stand in Constant nodes, bodies and local functions, made initializers of the top graph.

A body reads the names around it, so that its weights can stand outside. A local function cannot: where it holds
weights or is handed some, all local functions are written out in the place of their calls (by onnx' own inliner). What
results computes the same.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import onnx
from onnx import inliner

from dnnzip.onnx.constants import Constant, Home, find_constants, is_matrix
from dnnzip.onnx.graph import (
    GraphIndex,
    all_names,
    bodies,
    fresh_name,
    lift_constants,
    remove_where,
    separate_initializers,
    subgraphs,
    tensor_of,
)


def lift_weights(model: onnx.ModelProto) -> None:
    """Make initializers of the top graph of all weights that a model stores elsewhere, in place.

    Constant nodes of the top graph become initializers whether they are weights or not. A name in a body that another
    graph has as well gets a number. What a local function holds stays there where onnx cannot write it out (it is of
    another opset).
    """
    lift_constants(model)
    if model.functions and _is_weight_in_function(model):
        model.CopyFrom(inliner.inline_local_functions(model))
        lift_constants(model)
    wanted = {
        constant.tensor.name
        for constant in find_constants(model)
        if constant.home is Home.BODY and _is_weight(constant)
    }
    if not wanted:
        return
    graphs = (model.graph, *subgraphs(model.graph.node))
    made = Counter(name for graph in graphs for name in _made_in(graph))
    taken = all_names(model)
    for node in model.graph.node:
        for body in bodies(node):
            _lift_body(model.graph, body, wanted, lambda name: name if made[name] == 1 else fresh_name(name, taken))
    separate_initializers(model)


def _is_weight(constant: Constant) -> bool:
    is_read = constant.is_weight or constant.is_source
    return is_read and not constant.is_sparse and not constant.is_formal and is_matrix(constant.tensor)


def _is_weight_in_function(model: onnx.ModelProto) -> bool:
    arguments = GraphIndex(model).arguments
    return any(
        _is_weight(constant) and (constant.home is Home.FUNCTION or constant.tensor.name in arguments)
        for constant in find_constants(model)
    )


def _made_in(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names that a graph itself makes."""
    yield from (tensor.name for tensor in graph.initializer)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    yield from (value.name for value in graph.input)
    yield from (name for node in graph.node for name in node.output)


def _lift_body(
    top: onnx.GraphProto, body: onnx.GraphProto, wanted: set[str], name_in_top: Callable[[str], str]
) -> None:
    """Move a body's dense constants of the wanted names to the top graph, those of inner bodies first."""
    for node in body.node:
        for inner in bodies(node):
            _lift_body(top, inner, wanted, name_in_top)
    # An input takes its default from an initializer, and an output must be made in the body.
    kept = {value.name for value in (*body.input, *body.output)}
    nodes = [tensor for tensor in map(tensor_of, body.node) if tensor is not None]
    constants = {tensor.name: tensor for tensor in (*body.initializer, *nodes)}
    names = {name: name_in_top(name) for name in constants if name in wanted and name not in kept}
    for name, fresh in names.items():
        top.initializer.add().CopyFrom(constants[name])
        top.initializer[-1].name = fresh
    remove_where(body.initializer, lambda tensor: tensor.name in names)
    remove_where(body.node, lambda node: node.op_type == "Constant" and node.output[0] in names)
    _rename({name: fresh for name, fresh in names.items() if name != fresh}, body)


def _rename(names: dict[str, str], body: onnx.GraphProto) -> None:
    """Let a body and those inside read other names from around it."""
    if not names:
        return
    for node in body.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        for inner in bodies(node):
            own = set(_made_in(inner))
            _rename({name: fresh for name, fresh in names.items() if name not in own}, inner)
