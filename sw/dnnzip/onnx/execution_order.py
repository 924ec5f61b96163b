"""The order in which a network needs its weights, whatever the order of its nodes in the file."""

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from dnnzip.onnx.graph import bodies, operand, reads_of
from dnnzip.onnx.node_order import sorted_nodes


def execution_order(model: onnx.ModelProto, weights: Sequence[str]) -> list[str]:
    """Return the names of weights in the order in which the network's nodes first use them with activations.

    A node that only prepares a constant, such as a DequantizeLinear at the top of the file, does not use its weight;
    the node behind it does, which also reads an activation. The bodies of If, Loop and Scan are gone through where
    their node stands, in the order of its attributes.

    Parameters
    ----------
    weights
        Names of values in its top graph. Those that no node uses with an activation come last, in the order given.
    """
    inputs = {value.name for value in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
    names = _Names(ChainMap({name: [name] for name in weights}), ChainMap(dict.fromkeys(inputs, True)))
    order: dict[str, None] = {}
    _visit(model.graph, names, order)
    return list(dict.fromkeys([*order, *weights]))


@dataclass
class _Names:
    """Names that a graph sees, its own and those of the graphs around it."""

    held: ChainMap[str, list[str]]  # the weights that a constant is made of
    activations: ChainMap[str, bool]  # True of a value that depends on an input of the network

    def child(self) -> "_Names":
        """Return the names of a body."""
        return _Names(self.held.new_child(), self.activations.new_child())

    def set(self, name: str, weights: list[str], is_activation: bool) -> None:
        """Set the meaning of a name of this graph."""
        self.held[name], self.activations[name] = weights, is_activation


def _visit(graph: onnx.GraphProto, names: _Names, order: dict[str, None]) -> None:
    """Add the weights of a graph's nodes to `order` as they are used."""
    for node in sorted_nodes(graph):
        inner = list(bodies(node))
        reads = reads_of(node)
        is_used = any(names.activations.get(name, False) for name in reads)
        for body in inner:
            _visit_body(node, body, names, order)
        used = list(dict.fromkeys(weight for name in reads for weight in names.held.get(name, ())))
        if is_used:
            # What a body reads was used where its own nodes did; what it did not use comes with the node.
            order.update(dict.fromkeys(used))
        # A node that reads none of this may make a weight itself, as Decompress does.
        for name in filter(None, node.output if is_used or used else ()):
            names.set(name, [] if is_used else used, is_used)


def _visit_body(node: onnx.NodeProto, body: onnx.GraphProto, names: _Names, order: dict[str, None]) -> None:
    inner = names.child()
    for tensor in body.initializer:
        inner.set(tensor.name, [], False)
    # Loop and Scan hand their inputs on by position; a turn's number and its condition are not constant either.
    for position, value in enumerate(body.input):
        given = operand(node, position)
        weights = names.held.get(given, [])
        inner.set(value.name, weights, not weights)
    _visit(body, inner, order)
