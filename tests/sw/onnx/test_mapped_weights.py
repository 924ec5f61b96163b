"""Compressed models whose weights are kept without loss, or within a share of each, by their mapped bits."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx import opening
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.grid import MappedGrid
from dnnzip.usecases.verify import verify

AGAIN = "compress the model again"


def network_of(dtype, shape=(24, 96)):
    """Return a network with one matrix product, whose weights are cast where the type is none of a product."""
    weights = (np.random.default_rng(3).normal(size=shape) * 0.05).astype(dtype)
    tensor = numpy_helper.from_array(weights, "w")
    nodes = [
        helper.make_node("Cast", ["w"], ["v"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])]
        for name, size in (("x", shape[0]), ("y", shape[1]))
    )
    graph = helper.make_graph(nodes, "g", inputs, outputs, [tensor])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), weights


def attributes(model):
    return {entry.name: helper.get_attribute_value(entry) for entry in model.graph.node[0].attribute}


def set_number(model, name, value):
    node = model.graph.node[0]
    kept = [entry for entry in node.attribute if entry.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, *([] if value is None else [helper.make_attribute(name, value)])])


@pytest.mark.parametrize("bound", ["0", "1%rel", "20%rel"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_weights_come_back_and_the_file_is_verified(networks, dtype, bound):
    model, weights = network_of(dtype)
    compressed, (result,) = networks.compress(model, bound)
    opened = open_compressed(compressed, "m")
    assert isinstance(opened.layers[0].grid, MappedGrid)
    checked = verify(model, opened)
    assert checked.ok, checked.lines()
    assert checked.layers[0].max_error == result.grid.max_error
    plain = decompressed(opened)
    if bound == "0":
        assert plain.graph.initializer[0].raw_data == model.graph.initializer[0].raw_data
    else:
        restored = numpy_helper.to_array(plain.graph.initializer[0])
        wide = weights.astype(np.float64)
        assert np.all(np.abs(restored.astype(np.float64) - wide) <= opened.layers[0].bound * np.abs(wide))


def test_a_wrong_relative_error_is_found(networks):
    model, _ = network_of(np.float32)
    compressed, _ = networks.compress(model, "1%rel")
    other = onnx.ModelProto()
    other.CopyFrom(model)
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[5, 5] *= 1.03
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    checked = verify(other, open_compressed(compressed, "m"))
    assert not checked.ok
    assert checked.layers[0].broken


def test_the_attributes_are_of_version_3_which_an_older_reader_names(networks, monkeypatch):
    model, _ = network_of(np.float32)
    for bound, kept in (("0", None), ("1%rel", 6)):
        compressed, (result,) = networks.compress(model, bound)
        found = attributes(compressed)
        assert (found["float_map"], found.get("mantissa_bits")) == (result.grid.base, kept)
        assert len(compressed.graph.node[0].input) == 2
        assert [entry.version for entry in compressed.opset_import if entry.domain == "dnnzip"] == [3]
    monkeypatch.setattr(opening, "VERSION", 2)
    with pytest.raises(InputError, match=r"^m: is of version 3 of the dnnzip operators, and 2 is known; update dnnzip"):
        open_compressed(compressed, "m")


@pytest.mark.parametrize(
    ("bound", "name", "value", "said"),
    [
        ("0", "float_map", 1 << 15, "the base 32768 of its map is not below 32768"),
        ("0", "float_map", -1, "the base -1 of its map is not below 32768"),
        ("0", "element_type", TensorProto.DOUBLE, "its map does not suit float64"),
        ("0", "mantissa_bits", 6, "its unit absolute does not suit the bits of its mantissa"),
        ("1%rel", "mantissa_bits", None, "its unit relative does not suit the bits of its mantissa"),
        ("1%rel", "mantissa_bits", 24, "its mantissa of 24 bits is none of 1 to 23"),
        ("1%rel", "mantissa_bits", 0, "its mantissa of 0 bits is none of 1 to 23"),
        ("1%rel", "mantissa_bits", 20, "the base 7040 of its map is not below 4096"),
        ("1%rel", "mantissa_bits", 15, "its stream declares 2304 values and its shape"),
    ],
)
def test_damaged_attributes_are_one_line(networks, bound, name, value, said):
    compressed, _ = networks.compress(network_of(np.float32)[0], bound)
    set_number(compressed, name, value)
    with pytest.raises(InputError, match=rf"^m: layer 'w': is damaged: {said}.*; {AGAIN}$"):
        open_compressed(compressed, "m")


def test_a_map_that_makes_infinities_is_one_line(networks):
    compressed, _ = networks.compress(network_of(np.float32)[0], "1%rel")
    set_number(compressed, "float_map", 243 << 6)
    with pytest.raises(InputError, match=r"decodes to weights that are infinite or no number"):
        decompressed(open_compressed(compressed, "m"))
