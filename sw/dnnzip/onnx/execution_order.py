"""The order in which a network needs its weights, whatever the order of its nodes in the file."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

import onnx

from dnnzip.onnx.graph import bodies, outer_reads


def sorted_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return a graph's nodes in an order in which each comes after those that it reads from.

    Of the nodes that are ready, the first in the file comes first: a file that is sorted keeps its order. Nodes on a
    cycle, and those behind them, come last, in the order of the file.
    """
    nodes = list(graph.node)
    producers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    followers: dict[int, list[int]] = defaultdict(list)
    missing = [0] * len(nodes)
    for number, node in enumerate(nodes):
        sources = {producers[name] for name in _reads(node) if name in producers}
        missing[number] = len(sources)
        for source in sources:
            followers[source].append(number)
    ready = [number for number, count in enumerate(missing) if count == 0]
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for follower in followers[number]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, follower)
    order += [number for number, count in enumerate(missing) if count > 0]
    return [nodes[number] for number in order]


def execution_order(model: onnx.ModelProto, weights: Sequence[str]) -> list[str]:
    """Return the names of weights in the order in which the network's nodes first use them with activations.

    A node that only prepares a constant, such as a DequantizeLinear at the top of the file, does not use its weight;
    the node behind it does, which also reads an activation.

    Parameters
    ----------
    model
        The network, plain or compressed.
    weights
        Names of values in its top graph. Those that no node uses with an activation come last, in the order given.
    """
    held: dict[str, list[str]] = {name: [name] for name in weights}
    activations = {value.name for value in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
    order: dict[str, None] = {}
    for node in sorted_nodes(model.graph):
        reads = _reads(node)
        of_node = dict.fromkeys(weight for name in reads for weight in held.get(name, ()))
        if any(name in activations for name in reads):
            order.update(of_node)
            activations.update(name for name in node.output if name)
        elif of_node:
            held.update((name, list(of_node)) for name in node.output if name)
    return list(dict.fromkeys([*order, *weights]))


def _reads(node: onnx.NodeProto) -> list[str]:
    """Return the names that a node reads, those of its bodies included."""
    inner = (name for body in bodies(node) for name in sorted(outer_reads(body)))
    return [name for name in (*node.input, *inner) if name]
