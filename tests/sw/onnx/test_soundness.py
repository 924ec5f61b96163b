"""Facts that a model states twice: two readers would take them differently, so that no reader of ours takes them."""

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from dnnzip.api import compress_model, decompress_model
from dnnzip.errors import InputError
from dnnzip.onnx import files
from dnnzip.onnx.files import load_model, model_files, open_model
from dnnzip.onnx.skeleton import GRAPH_FIELD, RAW_DATA_FIELD, tag, without_arrays


@pytest.fixture
def model(networks):
    return networks.float_network("Conv2D").model


def gemm(model):
    node = helper.make_node("Gemm", ["a", "b"], ["c"], transB=1)
    model.graph.node.append(node)
    return model.graph.node[-1]


def attribute_twice(model):
    gemm(model).attribute.append(helper.make_attribute("transB", 0))


def attribute_twice_inside(model):
    inner = helper.make_graph([helper.make_node("Gemm", ["a", "b"], ["c"], transB=1)], "inner", [], [])
    inner.node[0].attribute.append(helper.make_attribute("transB", 0))
    model.graph.node.append(helper.make_node("If", ["q"], ["r"], then_branch=inner, else_branch=inner))


def attribute_twice_in_a_function(model):
    node = helper.make_node("Gemm", ["a", "b"], ["c"], transB=1)
    node.attribute.append(helper.make_attribute("transB", 0))
    model.functions.append(helper.make_function("mine", "F", ["a", "b"], ["c"], [node], model.opset_import))


def two_values(model):
    gemm(model).attribute[0].f = 1.0


def value_of_another_type(model):
    gemm(model).attribute[0].type = AttributeProto.FLOAT


def two_opsets(model):
    model.opset_import.append(helper.make_opsetid("", 9))


def two_names_of_the_standard(model):
    model.opset_import.append(helper.make_opsetid("ai.onnx", 9))


def two_opsets_of_a_function(model):
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("", 9)]
    node = helper.make_node("Relu", ["a"], ["c"])
    model.functions.append(helper.make_function("mine", "F", ["a"], ["c"], [node], opsets))


def two_functions(model):
    for operator in ("Relu", "Neg"):
        node = helper.make_node(operator, ["a"], ["c"])
        model.functions.append(helper.make_function("mine", "F", ["a"], ["c"], [node], model.opset_import))


def two_shapes(model):
    for shape in ([1], [2], [2]):
        model.graph.value_info.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, shape))


def raw_and_float(model):
    model.graph.initializer[0].float_data.append(1.0)


def raw_and_external(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="m.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (attribute_twice, "node 'c' has two attributes 'transB'"),
        (attribute_twice_inside, "node 'c' has two attributes 'transB'"),
        (attribute_twice_in_a_function, "node 'c' has two attributes 'transB'"),
        (two_values, "attribute 'transB' has two values"),
        (value_of_another_type, "attribute 'transB' has another type than its value"),
        (two_opsets, "has two operator sets of the domain 'ai.onnx'"),
        (two_names_of_the_standard, "has two operator sets of the domain 'ai.onnx'"),
        (two_opsets_of_a_function, "has two operator sets of the domain 'ai.onnx'"),
        (two_functions, "has two functions 'mine:F:'"),
        (two_shapes, "value 'v' has two types or shapes"),
        (raw_and_float, "tensor 'w' holds its values twice"),
        (raw_and_external, "tensor 'w' holds its values twice"),
    ],
)
def test_what_is_there_twice(model, tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(files, "SMALLEST_PLACED", 0)
    change(model)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for read in (load_model, open_model, model_files):
        with pytest.raises(InputError, match=rf"m\.onnx: {message}; "):
            read(path)
    for use in (lambda: compress_model(model, max_error="2%"), lambda: decompress_model(model)):
        with pytest.raises(InputError, match=rf"^model: {message}; "):
            use()


def test_what_writers_may_leave_out(model, tmp_path):
    """Zeros need not be written, and before the second version of the format attributes had no type."""
    node = gemm(model)
    node.attribute[0].ClearField("i")
    node.attribute.append(AttributeProto(name="alpha", f=0.5))
    # The same said again is no contradiction, and exporters do.
    model.graph.value_info.extend([helper.make_tensor_value_info("v", TensorProto.FLOAT, [1])] * 2)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert load_model(path).SerializeToString() == open_model(path).SerializeToString()


def field(number, content):
    return tag(number, len(content)) + content


def test_a_field_that_is_there_twice_is_left_to_the_parser(networks, tmp_path, monkeypatch):
    """Parsers join two messages of one field, and take the last of two lists of bytes."""
    monkeypatch.setattr(files, "SMALLEST_PLACED", 100)
    model = networks.float_network("MatMul").model
    path = tmp_path / "m.onnx"
    whole = model.SerializeToString()
    more = onnx.GraphProto(initializer=[numpy_helper.from_array(np.ones((30, 30), np.float32), "more")])
    path.write_bytes(whole + field(GRAPH_FIELD, more.SerializeToString()))
    assert without_arrays(path, 100) is None
    loaded, opened = load_model(path), open_model(path)
    assert [tensor.name for tensor in loaded.graph.initializer] == ["w", "more"]
    assert loaded.SerializeToString() == opened.SerializeToString()
    # Two lists of bytes in one tensor.
    tensor = more.initializer[0].SerializeToString() + field(RAW_DATA_FIELD, bytes(3600))
    path.write_bytes(whole + field(GRAPH_FIELD, field(5, tensor)))
    assert not numpy_helper.to_array(load_model(path).graph.initializer[1]).any()
    assert load_model(path).SerializeToString() == open_model(path).SerializeToString()


@pytest.mark.parametrize("tail", [b"\xba\x80\x00\x00", b"\xba\x80\x80\x80\x80\x00\x00", b"\x3a\x80\x00", b"\x3b\x3c"])
def test_bytes_that_no_writer_makes_are_left_to_the_parser(model, tmp_path, tail):
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString() + tail)
    assert without_arrays(path, 100) is None
