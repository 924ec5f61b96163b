"""Refusals of networks that cannot run on the array: one line that names the operator, before anything starts."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.array.layers import LONGEST_SUM, find_layers
from dnnzip.errors import InputError
from graphs import body


def conv(nets, **options):
    return nets.qdq("Conv", (2, 4, 6, 6), (7, 4, 3, 3), **options).model


def product(nets, **options):
    return nets.qdq("MatMul", (2, 6), (6, 3), per_channel=False, **options).model


def initializer(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def replace(model, name, value):
    initializer(model, name).CopyFrom(numpy_helper.from_array(np.asarray(value), name))
    return model


def node_of(model, op):
    return next(node for node in model.graph.node if node.op_type == op)


def without(model, op, source):
    """Take a node out; who read its result reads ``source``."""
    gone = node_of(model, op)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == gone.output[0]:
                node.input[index] = source
    model.graph.node.remove(gone)
    return model


def float_weights(nets):
    model = conv(nets)
    model.graph.node.remove(next(node for node in model.graph.node if node.output[0] == "wf"))
    initializer(model, "w").CopyFrom(numpy_helper.from_array(np.ones((7, 4, 3, 3), np.float32), "w"))
    node_of(model, "Conv").input[1] = "w"
    return model


def float_input(nets):
    model = conv(nets)
    model.graph.node.remove(next(node for node in model.graph.node if node.output[0] == "xf"))
    node_of(model, "Conv").input[0] = "x"
    return model


def computed_weights(nets):
    model = conv(nets)
    node = next(node for node in model.graph.node if node.output[0] == "wf")
    node.input[0] = "wi"
    model.graph.node.insert(0, helper.make_node("Identity", ["w"], ["wi"]))
    return model


def computed_scale(nets):
    model = conv(nets)
    next(node for node in model.graph.node if node.output[0] == "xf").input[1] = "xsi"
    model.graph.node.insert(0, helper.make_node("Identity", ["xs"], ["xsi"]))
    return model


def left_constant(nets):
    model = product(nets)
    node = node_of(model, "MatMul")
    node.input[:] = ["wf", "xf"]
    return model


def nothing(nets):
    model = product(nets)
    node = node_of(model, "MatMul")
    node.input[1] = "xf"
    return model


def other_axis(nets):
    model = conv(nets)
    node = next(node for node in model.graph.node if node.output[0] == "wf")
    node.attribute[0].i = 1
    return model


def three_dimensions(nets):
    model = product(nets)
    return replace(model, "w", np.ones((2, 6, 3), np.int8))


def transposed(nets):
    model = conv(nets, bias=None)
    node_of(model, "Conv").op_type = "ConvTranspose"
    return model


def inner(nets):
    model = conv(nets)
    branch = body([helper.make_node("MatMul", ["xf", "xf"], ["inner"])], "inner")
    model.graph.node.append(helper.make_node("If", ["never"], ["branch"], then_branch=branch, else_branch=branch))
    return model


def long_channel(nets):
    model = product(nets)
    return replace(model, "w", np.ones((LONGEST_SUM + 1, 1), np.int8))


def groups(nets):
    model = conv(nets)
    node_of(model, "Conv").attribute.append(helper.make_attribute("group", 2))
    return model


def kernel(nets):
    model = conv(nets)
    node_of(model, "Conv").attribute.append(helper.make_attribute("kernel_shape", [3, 2]))
    return model


def computed_bias(nets):
    model = conv(nets)
    node_of(model, "Conv").input[2] = "bi"
    model.graph.node.insert(1, helper.make_node("Identity", ["bf"], ["bi"]))
    return model


def integer_conv(nets, name, value):
    return replace(nets.integer("QLinearConv", (2, 4, 8, 7), (6, 4, 3, 3), bias=True).model, name, value)


REFUSALS = {
    "float weights": (float_weights, "its weights are float; quantise the model first with 'dnnzip quantize'"),
    "float input": (float_input, "its input is float; quantise the model first with 'dnnzip quantize'"),
    "computed weights": (computed_weights, "has computed weights; they must be constants of the network"),
    "computed scale": (computed_scale, "the scale of its input is computed; it must be a constant; quantise the model"),
    "left constant": (left_constant, "has its constant on the left; the array takes weights on the right"),
    "other axis": (other_axis, "has weights with scales along axis 1; their output channels lie along axis 0"),
    "three dimensions": (three_dimensions, "has weights of the shape (2, 6, 3); the array takes a matrix"),
    "transposed": (transposed, "does not run on the array; only Conv, Gemm, MatMul, QLinearConv, "),
    "inner": (inner, "is inside an If, Loop or Scan; layers of the array must be outside"),
    "long channel": (long_channel, "has channels of 65794 weights, whose sums could leave 32 bits; at most 65793"),
    "groups": (groups, "has 2 groups; they must divide its 7 channels"),
    "kernel": (kernel, "has a kernel_shape that is not that of its weights; give the same"),
    "computed bias": (computed_bias, "has a computed bias; it must be a constant of the network"),
    "int16 weights": (
        lambda nets: replace(replace(conv(nets), "w", np.ones((7, 4, 3, 3), np.int16)), "wz", np.zeros(7, np.int16)),
        "its weights are int16; the array takes int8 and uint8",
    ),
    "int16 input": (
        lambda nets: replace(conv(nets), "xz", np.int16(0)),
        "its input is int16; the array takes int8 and uint8",
    ),
    "wide weights": (
        lambda nets: replace(conv(nets), "wz", np.full(7, 100, np.int8)),
        "around their zero point; they must fit 8 bits, -128 to 127",
    ),
    "two scales": (
        lambda nets: replace(conv(nets), "xs", np.ones(4, np.float32)),
        "has activations of several scales or zero points; give them one each",
    ),
    "scales of weights": (
        lambda nets: integer_conv(nets, "ws", np.ones(5, np.float32)),
        "has 5 scales of weights; give one, or one for each output channel",
    ),
    "zero points of weights": (
        lambda nets: integer_conv(nets, "wz", np.zeros(5, np.int8)),
        "has 5 zero points of weights; give one, or one for each output channel",
    ),
    "scales of the result": (
        lambda nets: integer_conv(nets, "ys", np.ones(6, np.float32)),
        "has a result of several scales or zero points; give it one each",
    ),
    "float bias of QLinearConv": (
        lambda nets: integer_conv(nets, "b", np.ones(6, np.float32)),
        "has a bias that is no constant of int32; give one of 6 values",
    ),
}

OPERATOR = {
    "three dimensions": "MatMul",
    "left constant": "MatMul",
    "long channel": "MatMul",
    "transposed": "ConvTranspose",
    "inner": "MatMul",
    "scales of weights": "QLinearConv",
    "zero points of weights": "QLinearConv",
    "scales of the result": "QLinearConv",
    "float bias of QLinearConv": "QLinearConv",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(nets, name):
    make, message = REFUSALS[name]
    model = make(nets)
    with pytest.raises(InputError) as caught:
        find_layers(model, "net.onnx")
    operator = OPERATOR.get(name, "Conv")
    assert re.match(rf"net\.onnx: {operator} '(sum|y|inner)': ", str(caught.value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_layers(nets):
    with pytest.raises(InputError, match=r"^net: has no layer for the array; it needs one of Conv, Gemm, "):
        find_layers(nothing(nets), "net")


def test_the_longest_channel_cannot_overflow():
    assert LONGEST_SUM == 65793
    assert LONGEST_SUM * 128 * 255 < 2**31 <= (LONGEST_SUM + 1) * 128 * 255


def test_a_product_of_two_computed_matrices_runs_beside_the_array(nets):
    model = product(nets, quantised=False)
    model.graph.node.append(helper.make_node("Transpose", ["y"], ["yt"], perm=[1, 0]))
    model.graph.node.append(helper.make_node("MatMul", ["y", "yt"], ["z"]))
    model.graph.output[0].name = "z"
    network = nets.Network(model, nets.qdq("MatMul", (2, 6), (6, 3), per_channel=False).x)
    onnx.checker.check_model(model)
    found, run = nets.on_array(network, keep=("z",))
    assert len(run.layers) == 1
    np.testing.assert_allclose(found, nets.reference(model, network.x), rtol=1e-5)


def test_an_input_that_turns_out_not_to_be_of_8_bits(nets):
    network = nets.qdq("Conv", (2, 4, 6, 6), (7, 4, 3, 3))
    compiled = nets.compile_network(network.model, nets.small, "net")
    for x, message in (
        (network.x.astype(np.int16), "its input is int16; the array takes int8 and uint8"),
        (network.x[:, :3], "has 27 values for a channel; its weights have 36"),
        (network.x[..., 0], "has 0 values for a channel; its weights have 36"),
    ):
        with pytest.raises(InputError, match=f"^net: Conv 'sum': .*{re.escape(message)}$"):
            nets.run_network(compiled, nets.golden(nets.small), x)


def test_several_inputs(nets):
    model = conv(nets)
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    with pytest.raises(InputError, match=r"^net: has 2 inputs; give a network with one input$"):
        nets.compile_network(model, nets.small, "net")


def test_weights_that_two_layers_read_differently(nets):
    model = conv(nets)
    other = helper.make_node("DequantizeLinear", ["w", "ws", "wz2"], ["wf2"], axis=0)
    model.graph.initializer.append(numpy_helper.from_array(np.full(7, 1, np.int8), "wz2"))
    replace(model, "w", np.ones((7, 4, 3, 3), np.int8))
    model.graph.node.insert(0, other)
    second = helper.make_node("Conv", ["xf", "wf2"], ["sum2"])
    model.graph.node.insert(len(model.graph.node) - 1, second)
    with pytest.raises(
        InputError, match=r"^net: Conv 'sum2': reads the weights 'w' in another way than a layer before"
    ):
        nets.compile_network(model, nets.small, "net")
