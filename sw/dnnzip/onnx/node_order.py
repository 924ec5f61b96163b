"""Order of a graph's nodes: none waits for itself, and where that is asked for, each stands behind what it reads."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.graph import bodies, outer_reads, subgraphs


def check_circles(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model in which nodes wait for each other's results; whoever follows them would never end.

    Parameters
    ----------
    model
        The model, each name of which has one giver (`dnnzip.onnx.names`).

    Raises
    ------
    InputError
        Nodes of a graph, of a body or of a local function do, or a local function calls itself.
    """
    functions = [function.node for function in model.functions]
    for nodes in (model.graph.node, *functions):
        for own in (nodes, *(body.node for body in subgraphs(nodes))):
            stuck = _stuck(own)
            if stuck is not None:
                name = stuck.name or stuck.output[0]
                raise InputError(where, f"node {name!r} waits for its own result", "export the network again")
    function = _recursive(model.functions)
    if function is not None:
        raise InputError(where, f"local function {function.name!r} calls itself", "export the network again")


def check_sorted(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model whose graph has a node in front of one that it reads from.

    Raises
    ------
    InputError
        There is such a node.
    """
    later = {name for node in model.graph.node for name in node.output if name}
    for node in model.graph.node:
        if later & set(_reads(node)):
            name = node.name or node.output[0]
            raise InputError(where, f"node {name!r} stands in front of one that it reads from", "export it in order")
        later -= set(node.output)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for body in bodies(node):
        yield from outer_reads(body)


def _stuck(nodes: Sequence[onnx.NodeProto]) -> onnx.NodeProto | None:
    """Return a node that waits for a result that waits for its own, or None."""
    producers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    stuck = _waiting([{producers[name] for name in _reads(node) if name in producers} for node in nodes])
    return None if stuck is None else nodes[stuck]


def _recursive(functions: Sequence[onnx.FunctionProto]) -> onnx.FunctionProto | None:
    """Return a function that calls itself, by way of others or not, or None."""
    places = {(item.domain, item.name, item.overload): place for place, item in enumerate(functions)}
    called = []
    for item in functions:
        nodes = [*item.node, *(node for body in subgraphs(item.node) for node in body.node)]
        keys = [(node.domain, node.op_type, node.overload) for node in nodes]
        called.append({places[key] for key in keys if key in places})
    stuck = _waiting(called)
    return None if stuck is None else functions[stuck]


def _waiting(waits: Sequence[set[int]]) -> int | None:
    """Return the first of some things, each of which waits for others by their places, that waits for ever, or None."""
    waiting: dict[int, list[int]] = defaultdict(list)
    for place, others in enumerate(waits):
        for other in others:
            waiting[other].append(place)
    counts = [len(others) for others in waits]
    ready = [place for place, count in enumerate(counts) if not count]
    while ready:
        for place in waiting[ready.pop()]:
            counts[place] -= 1
            if not counts[place]:
                ready.append(place)
    return next((place for place, count in enumerate(counts) if count), None)
