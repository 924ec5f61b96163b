"""Documentation, metadata and types of weights come back with them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.descriptions import overridable
from dnnzip.onnx.opening import open_compressed


def round_trip(networks, model, bound="2%"):
    compressed, _ = networks.compress(model, bound)
    onnx.checker.check_model(compressed, full_check=True)
    return compressed, decompressed(open_compressed(compressed, "m"))


def without_values(model):
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    for tensor in fresh.graph.initializer:
        if tensor.name in ("w", "v"):
            tensor.ClearField("raw_data")
    return fresh


def two_weights(networks, *, ir_version=8, inputs=()):
    model = networks.float_network("MatMul").model
    model.ir_version = ir_version
    second = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(second, "v"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(5, np.float32), "b"))
    model.graph.node[0].output[0] = "h"
    model.graph.node.append(helper.make_node("Gemm", ["h", "v", "b"], ["y"]))
    shapes = {"w": (8, 5), "v": (5, 5), "b": (5,)}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in inputs]
    model.graph.input.extend(values)
    return model


def test_every_part_of_a_model_comes_back(networks):
    model = two_weights(networks)
    model.doc_string = model.graph.doc_string = "words"
    for described in (model, model.graph, model.graph.node[0], *model.graph.initializer, model.graph.input[0]):
        described.doc_string = "words"
        described.metadata_props.add(key="k", value="v")
    for name, shape in (("h", (3, 5)), ("v", (5, 5))):
        model.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape, "of it"))
    note = model.graph.quantization_annotation.add(tensor_name="w")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="b")
    sparse = numpy_helper.from_array(np.ones(2, np.float32), "s"), numpy_helper.from_array(np.array([1, 3]), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(*sparse, (2, 4)))
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(helper.make_function("local", "F", ["a"], ["b"], nodes, [model.opset_import[0]]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    training = model.training_info.add()
    training.update_binding.add(key="u", value="w")
    _, plain = round_trip(networks, model)
    assert without_values(plain) == without_values(model)


def test_a_constant_node_hands_on_what_it_says(networks):
    model = networks.float_network("MatMul").model
    node = helper.make_node("Constant", [], ["w"], value=model.graph.initializer.pop(), doc_string="words")
    node.metadata_props.add(key="k", value="v")
    model.graph.node.insert(0, node)
    _, plain = round_trip(networks, model)
    (tensor,) = plain.graph.initializer
    assert (tensor.doc_string, [prop.value for prop in tensor.metadata_props]) == ("words", ["v"])


@pytest.mark.parametrize("inputs", [("w", "b", "v"), ("v", "w"), ("b",)])
def test_inputs_with_a_default_are_inputs_again(networks, inputs):
    model = two_weights(networks, inputs=inputs)
    compressed, plain = round_trip(networks, model)
    assert [value.name for value in compressed.graph.input] == ["x", *(name for name in inputs if name == "b")]
    assert sorted(overridable(compressed)) == sorted(set(inputs) - {"b"})
    assert without_values(plain) == without_values(model)


@pytest.mark.parametrize("inputs", [("w", "v", "b"), ("b", "v", "w")])
def test_an_old_file_is_one_again(networks, inputs):
    model = two_weights(networks, ir_version=3, inputs=inputs)
    compressed, plain = round_trip(networks, model)
    assert compressed.ir_version == 4
    assert overridable(compressed) == []
    assert without_values(plain) == without_values(model)


def test_an_integer_weight_is_described_in_the_type_that_it_gets(networks):
    model = networks.qdq_network("MatMul", "uint8").model
    model.graph.value_info.append(helper.make_tensor_value_info("w", TensorProto.UINT8, (8, 5), "words"))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.UINT8, (8, 5)))
    _, plain = round_trip(networks, model, "1lsb")
    assert [value.type.tensor_type.elem_type for value in plain.graph.input[1:]] == [TensorProto.INT8]
    onnx.checker.check_model(plain, full_check=True)


def test_attributes_of_a_changed_file_do_no_harm(networks):
    model = two_weights(networks, inputs=("w", "v"))
    compressed, _ = networks.compress(model)
    for node in compressed.graph.node[:2]:
        (position,) = (entry for entry in node.attribute if entry.name == "input_position")
        position.i = 1 << 40
        node.attribute.append(helper.make_attribute("ir_version", -5))
    compressed.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (8, 5)))
    plain = decompressed(open_compressed(compressed, "m"))
    assert [value.name for value in plain.graph.input] == ["x", "w", "v"]
    assert plain.ir_version == compressed.ir_version
