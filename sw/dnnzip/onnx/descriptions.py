"""Descriptions of weights in a network, kept in the compressed file and restored with the weights.

A weight's documentation and metadata stand at its stream meanwhile. Its entry in ``value_info`` stays; one that the
network has not is made. If the weight is an input as well, with its values as the default, the entry is that of the
input, and the node says where among the inputs it stood, and the version of the file where that is below 4.
"""

from collections.abc import Iterable
from typing import Any

import onnx
from onnx import helper

from dnnzip.onnx.graph import SEPARATE_INITIALIZERS, attribute, operand, remove_where

#: Attributes of a Decompress node.
OWN_VALUE_INFO, INPUT_POSITION, IR_VERSION = "own_value_info", "input_position", "ir_version"


def keep_description(
    model: onnx.ModelProto, weight: onnx.TensorProto, stream: onnx.TensorProto, element_type: int
) -> dict[str, Any]:
    """Move what a model says of a weight to its stream and to ``value_info``.

    Parameters
    ----------
    model
        The network, its inputs as they were.
    element_type
        The type that the weight has from now on.

    Returns
    -------
    Attributes of the weight's node, by which `restore_descriptions` undoes this.
    """
    copy_words(weight, stream)
    names = [value.name for value in model.graph.value_info]
    inputs = [value.name for value in model.graph.input]
    attributes = {}
    if weight.name in names:
        attributes[OWN_VALUE_INFO] = 1
        value = model.graph.value_info[names.index(weight.name)]
    else:
        value = model.graph.value_info.add()
        value.CopyFrom(helper.make_tensor_value_info(weight.name, element_type, weight.dims))
    if weight.name in inputs:
        attributes[INPUT_POSITION] = inputs.index(weight.name)
        value.CopyFrom(model.graph.input[attributes[INPUT_POSITION]])
        if model.ir_version < SEPARATE_INITIALIZERS:
            attributes[IR_VERSION] = model.ir_version
    value.type.tensor_type.elem_type = element_type
    return attributes


def restore_descriptions(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], streams: dict[str, onnx.TensorProto]
) -> None:
    """Undo `keep_description` in a plain network, by the Decompress nodes that it had.

    ``streams`` are the initializers of their streams, by name.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    values = {value.name: value for value in model.graph.value_info}
    inputs = []
    foreign = set()
    for node in nodes:
        name = node.output[0]
        copy_words(streams[operand(node, 0)], tensors[name])
        position = attribute(node, INPUT_POSITION, -1)
        if position >= 0 and name in values:
            inputs.append((position, name, values[name]))
        if not attribute(node, OWN_VALUE_INFO, 0):
            foreign.add(name)
    taken = {value.name for value in model.graph.input}
    for position, name, value in sorted(inputs, key=lambda entry: entry[:2]):
        # A changed file may name an input that is there.
        if name not in taken:
            model.graph.input.insert(min(position, len(model.graph.input)), value)
    remove_where(model.graph.value_info, lambda value: value.name in foreign)
    _restore_version(model, nodes)


def overridable(model: onnx.ModelProto) -> list[str]:
    """Return the compressed weights of a model that are inputs with a default value in the network."""
    return [
        node.output[0]
        for node in model.graph.node
        if attribute(node, INPUT_POSITION, -1) >= 0 and not attribute(node, IR_VERSION, 0)
    ]


def copy_words(source: onnx.TensorProto, target: onnx.TensorProto) -> None:
    """Copy documentation and metadata of a tensor."""
    if source.HasField("doc_string"):
        target.doc_string = source.doc_string
    target.metadata_props.extend(source.metadata_props)


def _restore_version(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Return to a version below 4, of which streams are not, where every initializer is an input again."""
    version = max((attribute(node, IR_VERSION, 0) for node in nodes), default=0)
    inputs = {value.name for value in model.graph.input}
    is_raised = 0 < version < SEPARATE_INITIALIZERS == model.ir_version
    if is_raised and all(tensor.name in inputs for tensor in model.graph.initializer):
        model.ir_version = version
