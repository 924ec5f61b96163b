"""Check that each name of a graph has one value: where it has two, readers understand different models."""

from collections.abc import Iterator, Sequence

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.graph import subgraphs

#: Kinds of things that define a name's value.
INPUT, INITIALIZER, OUTPUT = "an input", "an initializer", "a node's output"

RIGHT = "give each a name of its own"


def check_names(model: onnx.ModelProto, where: str) -> None:
    """Raise an `InputError` where a graph, a body or a local function gives one name to two values.

    A body may use the name of an outer value for one of its own, and an initializer that of an input, whose default it
    then is.
    """
    for place, givers in _scopes(model):
        seen: dict[str, str] = {}
        for name, giver in givers:
            if name and name in seen and (seen[name], giver) != (INPUT, INITIALIZER):
                both = f"{seen[name]} and {giver if giver != seen[name] else 'another one'}"
                raise InputError(where, f"{place}has {both} of the name {name!r}", RIGHT)
            seen[name] = giver


def _scopes(model: onnx.ModelProto) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    """Visit each graph, body and local function: its place, and its names, each with what defines it."""
    yield "", _of_graph(model.graph)
    for graph in subgraphs(model.graph.node):
        yield f"body {graph.name!r} ", _of_graph(graph)
    for function in model.functions:
        place = f"local function {function.name!r} "
        yield place, _of_function(function)
        for graph in subgraphs(function.node):
            yield f"{place}body {graph.name!r} ", _of_graph(graph)


def _of_graph(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    yield from ((value.name, INPUT) for value in graph.input)
    yield from ((tensor.name, INITIALIZER) for tensor in graph.initializer)
    yield from ((sparse.values.name, INITIALIZER) for sparse in graph.sparse_initializer)
    yield from _of_nodes(graph.node)


def _of_function(function: onnx.FunctionProto) -> Iterator[tuple[str, str]]:
    yield from ((name, INPUT) for name in function.input)
    yield from _of_nodes(function.node)


def _of_nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[tuple[str, str]]:
    yield from ((name, OUTPUT) for node in nodes for name in node.output)
