import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.errors import InputError
from dnnzip.format import MAX_LENGTH
from dnnzip.onnx import rescale, rules
from dnnzip.onnx.rescale import FOLD_RULES, fold_obstacle
from dnnzip.onnx.rules import RULES
from dnnzip.onnx.weights import find_weights, select_weights


def add_initializer(model, name, value):
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def add_output(model, name, element_type=TensorProto.FLOAT):
    model.graph.output.append(helper.make_tensor_value_info(name, element_type, None))


def reason(model, name="w"):
    weights, left_out = find_weights(model)
    assert name not in {weight.name for weight in weights}
    (found,) = [tensor for tensor in left_out if tensor.name == name]
    return found


LAYOUTS = {
    "Conv1D": (6, 12, (1, 3)),
    "Conv2D": (6, 24, (3, 2)),
    "Conv3D": (4, 24, (6, 2)),
    "Depthwise": (6, 9, (3, 3)),
    "ConvTranspose": (6, 12, (3, 2)),
    "Gemm": (5, 8, (1, 1)),
    "GemmTransposed": (5, 8, (1, 1)),
    "MatMul": (5, 8, (1, 1)),
    "MatMulBatched": (5, 16, (1, 1)),
}


@pytest.mark.parametrize("operator", LAYOUTS)
def test_channels_and_kernel_of_every_operator(networks, operator):
    for network in (networks.float_network(operator), networks.qdq_network(operator)):
        (weight,), left_out = find_weights(network.model)
        layout = weight.layout
        assert (layout.channels, layout.length, layout.kernel) == LAYOUTS[operator]
        assert not left_out


def test_zero_points_are_found_where_they_sit(networks):
    for model in (
        networks.qdq_network("Conv2D", per_channel=True).model,
        networks.qlinear_network("QLinearConv", per_channel=True).model,
        networks.qlinear_network("QLinearMatMul").model,
        networks.integer_network("MatMulInteger").model,
    ):
        (weight,), _ = find_weights(model)
        stored = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "w_zero")
        np.testing.assert_array_equal(weight.zero_point, stored)
        assert weight.zero_point_name == "w_zero"


def test_constant_nodes_are_initializers(networks):
    model = networks.float_network("MatMul").model
    tensor = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    (weight,), _ = find_weights(model)
    np.testing.assert_array_equal(weight.array, numpy_helper.to_array(tensor))
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    onnx.checker.check_model(model, full_check=True)


def test_biases_and_scales_are_no_weights(networks):
    for model in (networks.qdq_network("Conv2D", bias=True).model, networks.qlinear_network("QLinearConv").model):
        weights, left_out = find_weights(model)
        assert [weight.name for weight in weights] == ["w"]
        assert not left_out


# Each makes a network in which one rule leaves `w` out.
def not_a_weight(networks):
    model = networks.float_network("MatMul").model
    model.graph.node[0].op_type = "Add"
    return model


def stored_sparse(networks):
    model = networks.float_network("MatMul").model
    values = numpy_helper.to_array(model.graph.initializer.pop()).reshape(-1)
    places = np.flatnonzero(values > 0)
    tensors = numpy_helper.from_array(values[places], "w"), numpy_helper.from_array(places, "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(*tensors, (8, 5)))
    return model


def in_a_function_of_another_opset(networks):
    model = networks.float_network("MatMul").model
    tensor = model.graph.initializer.pop()
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("MatMul", ["a", "w"], ["c"])]
    model.functions.append(helper.make_function("local", "Product", ["a"], ["c"], nodes, [helper.make_opsetid("", 9)]))
    model.graph.node[0].CopyFrom(helper.make_node("Product", ["x"], ["y"], domain="local"))
    return model


def an_output(networks):
    model = networks.float_network("MatMul").model
    add_output(model, "w")
    return model


def of_complex_numbers(networks):
    model = networks.float_network("MatMul").model
    values = numpy_helper.to_array(model.graph.initializer[0]).astype(np.complex128)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    return model


def a_scalar(networks):
    model = networks.float_network("MatMul").model
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((), np.float32), "w"))
    return model


def empty(networks):
    model = networks.float_network("MatMul").model
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((8, 0), np.float32), "w"))
    return model


def of_a_long_channel(networks):
    model = networks.float_network("MatMul").model
    tensor = numpy_helper.from_array(np.ones((MAX_LENGTH + 1, 2), np.float16), "w")
    model.graph.initializer[0].CopyFrom(tensor)
    return model


def with_computed_scale(networks):
    model = networks.qdq_network("MatMul").model
    model.graph.node.insert(0, helper.make_node("Abs", ["w_scale"], ["scale"]))
    model.graph.node[1].input[1] = "scale"
    return model


def on_another_axis(networks):
    model = networks.qdq_network("MatMul", per_channel=True).model
    for name, value in (("w_scale", np.ones(8, np.float32)), ("w_zero", np.arange(8, dtype=np.int8))):
        next(t for t in model.graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(value, name))
    model.graph.node[0].attribute[0].i = 0
    return model


def of_two_zero_points(networks):
    model = networks.qdq_network("MatMul").model
    add_initializer(model, "other_zero", np.int8(55))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["w", "w_scale", "other_zero"], ["other"]))
    model.graph.node.append(helper.make_node("MatMul", ["x", "other"], ["z"]))
    add_output(model, "z")
    return model


LEFT_OUT = {
    rules.is_read_as_weight: (not_a_weight,),
    rules.is_dense: (stored_sparse,),
    rules.is_outside_functions: (in_a_function_of_another_opset,),
    rules.is_no_output: (an_output,),
    rules.has_known_type: (of_complex_numbers,),
    rules.is_array: (a_scalar,),
    rules.has_weights: (empty,),
    rules.has_channels_that_fit: (of_a_long_channel,),
}


@pytest.mark.parametrize("build", [on_another_axis, of_two_zero_points])
def test_integers_without_a_zero_point_of_their_own_are_kept_in_their_own_steps(networks, build):
    (weight,), left_out = find_weights(build(networks))
    assert not left_out
    assert not weight.has_own_scale
    assert (weight.zero_point, weight.zero_point_name) == (0, "")


def test_every_rule_is_tested():
    assert set(LEFT_OUT) == set(RULES)


@pytest.mark.parametrize(
    ("rule", "build"), [(rule, build) for rule, builders in LEFT_OUT.items() for build in builders]
)
def test_a_weight_left_out_says_which_rule(networks, rule, build):
    found = reason(build(networks))
    assert found.rule == rule.sentence
    assert found.is_weight == (rule is not rules.is_read_as_weight)


def test_what_is_left_out_is_counted_as_stored(networks):
    found = reason(of_complex_numbers(networks))
    assert (found.weights, found.bytes) == (40, 640)


def test_sentences_are_single_lines_that_end_in_a_full_stop():
    for rule in (*RULES, *FOLD_RULES):
        text = rule.sentence
        assert text.endswith(".")
        assert "\n" not in text
        assert len(text) > 20


@pytest.mark.parametrize("operator", ["ConvInteger", "MatMulInteger"])
def test_without_a_scale_only_lossless_is_possible(networks, operator):
    for scaled, expected in (("no", rescale.has_scale_to_fold), ("constant", None), ("dynamic", None)):
        model = networks.integer_network(operator, scaled=scaled).model
        (weight,), _ = find_weights(model)
        assert fold_obstacle(model, weight, 3) == expected
    # A result that something else reads cannot be scaled for one of them alone.
    model = networks.integer_network(operator).model
    add_output(model, "sums", TensorProto.INT32)
    (weight,), _ = find_weights(model)
    assert fold_obstacle(model, weight, 3) == rescale.has_scale_to_fold


def test_a_bias_that_other_layers_read_cannot_be_folded(networks):
    model = networks.qdq_network("Conv2D", bias=True).model
    (weight,), _ = find_weights(model)
    assert fold_obstacle(model, weight, 3) is None
    model.graph.node.append(helper.make_node("Abs", ["b_float"], ["z"]))
    add_output(model, "z")
    assert fold_obstacle(model, weight, 3) == rescale.has_bias_to_fold


def test_globs_choose_by_name(networks):
    model = networks.float_network("MatMul").model
    model.graph.initializer[0].name = model.graph.node[0].input[1] = "block/fc[0].w"
    add_initializer(model, "block/second", np.ones((5, 5), np.float32))
    model.graph.node.append(helper.make_node("MatMul", ["y", "block/second"], ["z"]))
    add_output(model, "z")
    weights, left_out = find_weights(model)

    def chosen(**globs):
        kept, left = select_weights(weights, left_out, **globs)
        return [w.name for w in kept], [t.name for t in left]

    assert chosen() == (["block/fc[0].w", "block/second"], [])
    assert chosen(layers=["*second"]) == (["block/second"], ["block/fc[0].w"])
    assert chosen(layers=["block/fc[0].w"]) == (["block/fc[0].w"], ["block/second"])
    assert chosen(layers=["block/*"], exclude=["*/second"]) == (["block/fc[0].w"], ["block/second"])
    for option in ("layers", "exclude"):
        with pytest.raises(InputError, match=rf"^{option} 'fc\*': matches no weight; "):
            chosen(**{option: ["fc*"]})


def test_stored_bytes_that_do_not_match_the_shape_name_the_layer(networks):
    model = networks.float_network("MatMul").model
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    (weight,), _ = find_weights(model)
    with pytest.raises(InputError, match=r"^layer 'w': its stored bytes do not match its shape \(8, 5\)"):
        _ = weight.array
