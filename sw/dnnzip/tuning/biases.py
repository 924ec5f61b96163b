"""A bias for every operator that reads a weight, so that a mean shift of its output can be put right.

Convolutions and Gemm take one as their last input; a matrix product gets an addition behind it. A bias that ends at
zero where the network had none is left out again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dnnzip.model.graph import GraphIndex, all_names, fresh_name, operand
from dnnzip.model.rules import stored_array
from dnnzip.model.weights import Weight

#: Operators whose third input is a bias of one value for each output channel.
THIRD_INPUT = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True, eq=False)
class BiasedModel:
    """A network in which operators that read a weight have a bias of their own.

    Parameters
    ----------
    model
        The network; a copy.
    biases
        Name of a node's first output in the original to the name of its bias, an initializer that nothing else reads.
        Nodes whose bias cannot be made (it is computed, or of another shape) are missing.
    added
        The biases that the original did not have: zero.
    """

    model: onnx.ModelProto
    biases: dict[str, str]
    added: frozenset[str]

    def values(self) -> dict[str, NDArray[np.float32]]:
        """Return the biases: float32 [channels] by name."""
        names = set(self.biases.values())
        return {
            tensor.name: stored_array(tensor).astype(np.float32)
            for tensor in self.model.graph.initializer
            if tensor.name in names
        }


def with_biases(model: onnx.ModelProto, weights: Sequence[Weight]) -> BiasedModel:
    """Give the operators that read a float32 weight a bias of their own.

    Parameters
    ----------
    model
        The network; left as it is. Its constants are initializers (`find_weights`).
    weights
        Weights of the network.

    Returns
    -------
    A copy that computes the same.
    """
    channels = {
        reader.node.output[0]: weight.layout.channels
        for weight in weights
        for reader in weight.readers
        if weight.dtype == np.float32
    }
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    taken = all_names(fresh)
    index = GraphIndex(fresh)
    biases: dict[str, str] = {}
    added: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in fresh.graph.node:
        nodes.append(node)
        output = node.output[0] if node.output else ""
        if output not in channels:
            continue
        name = fresh_name(f"{output}.bias", taken)
        values = np.zeros(channels[output], np.float32)
        if node.op_type in THIRD_INPUT:
            old = operand(node, 2)
            if old:
                stored = index.initializers.get(old)
                found = None if stored is None else stored_array(stored)
                if found is None or found.dtype != np.float32 or found.size not in (1, values.size):
                    continue
                values = np.broadcast_to(found.reshape(-1), values.shape).copy()
                if index.is_only_read_by(old, node) and found.shape == values.shape:
                    biases[output] = old
                    continue
            else:
                added.add(name)
            del node.input[2:]
            node.input.append(name)
        elif node.op_type == "MatMul":
            inner = fresh_name(f"{output}.product", taken)
            node.output[0] = inner
            nodes.append(onnx.helper.make_node("Add", [inner, name], [output], name=fresh_name(f"{output}.add", taken)))
            added.add(name)
        else:
            continue
        biases[output] = name
        fresh.graph.initializer.append(numpy_helper.from_array(values, name))
    kept = onnx.GraphProto()
    kept.node.extend(nodes)
    del fresh.graph.node[:]
    fresh.graph.node.extend(kept.node)
    _keep_used_initializers(fresh)
    # Before version 4 every initializer had to be an input as well, and the new ones are none.
    fresh.ir_version = max(fresh.ir_version, 4)
    return BiasedModel(fresh, biases, frozenset(added))


def corrected(
    model: onnx.ModelProto, weights: Sequence[Weight], biases: Mapping[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """Return a network with the given biases.

    Parameters
    ----------
    model
        The network; left as it is.
    weights
        Weights of it.
    biases
        Output name of a node, as in `BiasedModel.biases`, to its bias, float32 [channels]. Others stay.

    Returns
    -------
    A copy. An operator without a bias gets one only where it is not zero.
    """
    wanted = {output for output, values in biases.items() if np.any(values)}
    biased = with_biases(model, weights)
    had = {output for output, name in biased.biases.items() if name not in biased.added}
    changed = [weight for weight in weights if any(r.node.output[0] in wanted | had for r in weight.readers)]
    biased = with_biases(model, changed)
    for tensor in biased.model.graph.initializer:
        for output, name in biased.biases.items():
            if name == tensor.name and output in biases:
                values = biases[output].reshape(tuple(tensor.dims))
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
    return biased.model


def _keep_used_initializers(model: onnx.ModelProto) -> None:
    """Drop initializers that nothing reads any more, such as a shared bias that became several."""
    index = GraphIndex(model)
    for position in reversed(range(len(model.graph.initializer))):
        name = model.graph.initializer[position].name
        if not index.readers(name) and name not in index.outputs and name not in index.inner_reads:
            del model.graph.initializer[position]
