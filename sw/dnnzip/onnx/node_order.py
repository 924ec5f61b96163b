"""Order of a graph's nodes: none waits for itself, and where that is asked for, each stands behind what it reads."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.graph import reads_of, subgraphs


def check_circles(model: onnx.ModelProto, where: str) -> None:
    """Raise an `InputError` where nodes wait for each other's results: whoever follows them would never end.

    Nodes are those of the graph, of a body or of a local function, which must not call itself either. Each name of the
    model has one giver (`dnnzip.onnx.names`).
    """
    functions = [function.node for function in model.functions]
    for nodes in (model.graph.node, *functions):
        for own in (nodes, *(body.node for body in subgraphs(nodes))):
            stuck = _in_order(_sources(own))[1]
            if stuck:
                name = own[stuck[0]].name or own[stuck[0]].output[0]
                raise InputError(where, f"node {name!r} waits for its own result", "export the network again")
    function = _recursive(model.functions)
    if function is not None:
        raise InputError(where, f"local function {function.name!r} calls itself", "export the network again")


def check_sorted(model: onnx.ModelProto, where: str) -> None:
    """Raise an `InputError` where a graph has a node in front of one that it reads from."""
    later = {name for node in model.graph.node for name in node.output if name}
    for node in model.graph.node:
        if later & set(reads_of(node)):
            name = node.name or node.output[0]
            raise InputError(where, f"node {name!r} stands in front of one that it reads from", "export it in order")
        later -= set(node.output)


def sorted_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return a graph's nodes in an order in which each comes after those that it reads from.

    Of the nodes that are ready, the first in the file comes first: a file that is sorted keeps its order. Nodes on a
    cycle, and those behind them, come last, in the order of the file.
    """
    order, stuck = _in_order(_sources(graph.node))
    return [graph.node[place] for place in (*order, *stuck)]


def _sources(nodes: Sequence[onnx.NodeProto]) -> list[set[int]]:
    """Return for each node the places of those that it reads from."""
    producers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    return [{producers[name] for name in reads_of(node) if name in producers} for node in nodes]


def _recursive(functions: Sequence[onnx.FunctionProto]) -> onnx.FunctionProto | None:
    """Return a function that calls itself, by way of others or not, or None."""
    places = {(item.domain, item.name, item.overload): place for place, item in enumerate(functions)}
    called = []
    for item in functions:
        nodes = [*item.node, *(node for body in subgraphs(item.node) for node in body.node)]
        keys = [(node.domain, node.op_type, node.overload) for node in nodes]
        called.append({places[key] for key in keys if key in places})
    stuck = _in_order(called)[1]
    return functions[stuck[0]] if stuck else None


def _in_order(sources: Sequence[set[int]]) -> tuple[list[int], list[int]]:
    """Return things, each with those that it waits for, in an order that serves all, and those that wait for ever."""
    followers: dict[int, list[int]] = defaultdict(list)
    for place, others in enumerate(sources):
        for other in others:
            followers[other].append(place)
    missing = [len(others) for others in sources]
    ready = [place for place, count in enumerate(missing) if not count]
    order = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for follower in followers[place]:
            missing[follower] -= 1
            if not missing[follower]:
                heapq.heappush(ready, follower)
    return order, [place for place, count in enumerate(missing) if count]
