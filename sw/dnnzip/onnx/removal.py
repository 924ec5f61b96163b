"""A model without some of its parts: the values of initializers, entries by name, dnnzip's operators."""

from collections.abc import Sequence

import onnx

from dnnzip.onnx.compressed import DOMAIN
from dnnzip.onnx.descriptions import copy_words
from dnnzip.onnx.files import copy_field


def copy_without_values(model: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """Copy a model so that the named initializers hold no values: they are never in memory twice."""
    fresh = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        copy_field(fresh, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            copy_field(fresh.graph, field.name, value)
            continue
        for tensor in value:
            if tensor.name in names:
                copy_words(
                    tensor, fresh.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
                )
            else:
                fresh.graph.initializer.append(tensor)
    return fresh


def remove_operators(model: onnx.ModelProto) -> None:
    """Remove the declaration of the operators of dnnzip."""
    for i in reversed(range(len(model.opset_import))):
        if model.opset_import[i].domain == DOMAIN:
            del model.opset_import[i]


def remove_named(field: "Sequence[onnx.TensorProto | onnx.ValueInfoProto]", names: set[str]) -> None:
    """Remove the entries of these names from a repeated field."""
    for position in reversed(range(len(field))):
        if field[position].name in names:
            del field[position]  # type: ignore[attr-defined]  # a repeated field deletes, which Sequence does not know
