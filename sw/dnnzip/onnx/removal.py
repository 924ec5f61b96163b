"""A model without the values of some initializers."""

import onnx

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
