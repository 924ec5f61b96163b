"""The order in which a network needs its weights, whatever the order of its nodes in the file."""

from collections.abc import Sequence

import onnx

from dnnzip.onnx.graph import reads_of
from dnnzip.onnx.node_order import sorted_nodes


def execution_order(model: onnx.ModelProto, weights: Sequence[str]) -> list[str]:
    """Return the names of weights in the order in which the network's nodes first use them with activations.

    A node that only prepares a constant, such as a DequantizeLinear at the top of the file, does not use its weight;
    the node behind it does, which also reads an activation.

    Parameters
    ----------
    weights
        Names of values in its top graph. Those that no node uses with an activation come last, in the order given.
    """
    held: dict[str, list[str]] = {name: [name] for name in weights}
    activations = {value.name for value in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
    order: dict[str, None] = {}
    for node in sorted_nodes(model.graph):
        reads = reads_of(node)
        of_node = dict.fromkeys(weight for name in reads for weight in held.get(name, ()))
        if any(name in activations for name in reads):
            order.update(of_node)
            activations.update(name for name in node.output if name)
        elif of_node:
            held.update((name, list(of_node)) for name in node.output if name)
    return list(dict.fromkeys([*order, *weights]))
