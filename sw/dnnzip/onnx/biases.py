"""A bias for every operator that reads a weight, so that a mean shift of its output can be put right.

Convolutions and Gemm take one as their last input; a matrix product gets an addition behind it. A bias that ends at
zero where the network had none is left out again.

A compressed model declares the biases that are not its original's, in its ``metadata_props`` under `DECLARATION`: a
JSON object of node output to the name of its bias.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx.graph import (
    GraphIndex,
    all_names,
    fresh_name,
    operand,
    remove_unread,
    remove_where,
    replace_nodes,
    separate_initializers,
)
from dnnzip.onnx.operators import Reach, operator_of
from dnnzip.onnx.rules import stored_array
from dnnzip.onnx.weights import Weight
from dnnzip.quantize.element_type import FLOAT32

#: Key of the declaration.
DECLARATION = "dnnzip.biases"


@dataclass(frozen=True, eq=False)
class BiasedModel:
    """A network in which operators that read a weight have a bias of their own."""

    model: onnx.ModelProto  # the network; a copy
    # Name of a node's first output in the original to the name of its bias, an initializer that nothing else reads.
    # Nodes whose bias cannot be made (it is computed, or of another shape) are missing.
    biases: dict[str, str]
    added: frozenset[str]  # the biases that the original did not have: zero

    def values(self) -> dict[str, NDArray[np.float32]]:
        """Return the biases: float32 [channels] by name."""
        names = set(self.biases.values())
        return {
            tensor.name: stored_array(tensor).astype(np.float32)
            for tensor in self.model.graph.initializer
            if tensor.name in names
        }


def with_biases(model: onnx.ModelProto, weights: Sequence[Weight]) -> BiasedModel:
    """Return a copy that computes the same, in which operators that read a float32 weight have a bias of their own.

    The network's constants are initializers (`find_weights`).
    """
    channels = _channels(weights)
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
        operator = operator_of(node)
        if output not in channels or operator is None or operator.is_integer:
            continue
        name = fresh_name(f"{output}.bias", taken)
        values = np.zeros(channels[output], np.float32)
        if operator.bias is not None:
            old = operand(node, operator.bias)
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
            del node.input[operator.bias :]
            node.input.append(name)
        elif operator.reach is Reach.ROW:
            inner = fresh_name(f"{output}.product", taken)
            node.output[0] = inner
            nodes.append(onnx.helper.make_node("Add", [inner, name], [output], name=fresh_name(f"{output}.add", taken)))
            added.add(name)
        else:
            continue
        biases[output] = name
        fresh.graph.initializer.append(numpy_helper.from_array(values, name))
    replace_nodes(fresh.graph, nodes)
    # A shared bias may have become several.
    remove_unread(fresh, [tensor.name for tensor in fresh.graph.initializer])
    separate_initializers(fresh)
    return BiasedModel(fresh, biases, frozenset(added))


def corrected(
    model: onnx.ModelProto, weights: Sequence[Weight], biases: Mapping[str, NDArray[np.float32]]
) -> BiasedModel:
    """Return a copy of a network with the given biases; an operator without one gets it only where it is not zero.

    Parameters
    ----------
    biases
        Output name of a node, as in `BiasedModel.biases`, to its bias, float32 [channels]. Others stay.
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
    return biased


def declare(model: onnx.ModelProto, biases: Mapping[str, str]) -> None:
    """Declare changed biases in a compressed model: names of nodes' outputs to names of initializers."""
    remove_declaration(model)
    model.metadata_props.add(key=DECLARATION, value=json.dumps(biases, sort_keys=True))


def remove_declaration(model: onnx.ModelProto) -> None:
    """Remove what a model declares: it is about the original of one compressed model."""
    remove_where(model.metadata_props, lambda entry: entry.key == DECLARATION)


def declared(model: onnx.ModelProto, where: str) -> dict[str, str] | None:
    """Return the changed biases that a compressed model declares, as `declare` takes them; None where it does not.

    Raises
    ------
    InputError
        The declaration is damaged, or there are two.
    """
    found = [str(entry.value) for entry in model.metadata_props if entry.key == DECLARATION]
    if not found:
        return None
    try:
        (text,) = found
        biases = json.loads(text)
    except (ValueError, RecursionError):
        biases = None
    if not isinstance(biases, dict) or not all(isinstance(name, str) for name in biases.values()):
        raise InputError(where, f"is damaged: its metadata {DECLARATION!r} is not what tuning writes", "tune it again")
    return biases


def declared_values(
    model: onnx.ModelProto, biases: Mapping[str, str], weights: Sequence[Weight]
) -> dict[str, NDArray[np.float32]]:
    """Return the declared biases as `corrected` takes them, finite, without those that are none.

    ``weights`` are those of the original network.
    """
    channels = _channels(weights)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    values = {}
    for output, name in biases.items():
        tensor = tensors.get(name)
        if output not in channels or tensor is None or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        bias = stored_array(tensor).astype(np.float32)
        if bias.size == channels[output] and np.isfinite(bias).all():
            values[output] = bias.reshape(-1)
    return values


def _channels(weights: Sequence[Weight]) -> dict[str, int]:
    """Return the operators that read a float32 weight, by their first output, with its output channels."""
    return {
        reader.node.output[0]: weight.layout.channels
        for weight in weights
        for reader in weight.readers
        if weight.element is FLOAT32
    }
