"""Scales and zero points: with them, codes become the values that the plain network computes with."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.onnx.decompression import decode_layer, decompressed
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.scaling import layer_scalings
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.grid import Lossless


def opened(networks, network, bound, scope=Scope.TENSOR):
    model, _ = networks.compress(network.model, bound, scope)
    return open_compressed(model, "small")


def parts(scaling):
    return scaling.scale, scaling.zero_point


def compared(compressed):
    """Return the layer's weights and values by its scaling, and those of the plain network, [channels, length]."""
    (layer,) = compressed.layers
    scaling = layer_scalings(compressed)[layer.name]
    codes = decode_layer(compressed, layer).astype(np.int64)
    scale, point = (np.broadcast_to(values, layer.layout.channels)[:, None] for values in parts(scaling))
    plain = decompressed(compressed)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    wanted = arrays[layer.name]
    if not layer.grid.element.is_integer:
        return (scale * codes.astype(np.float32)).astype(layer.grid.element.dtype), layer.layout.to_channels(wanted)
    weights = ((codes + point) % 256).astype(np.uint8).view(layer.grid.element.dtype)
    assert np.array_equal(weights, layer.layout.to_channels(wanted))
    nodes = [node for node in plain.graph.node if layer.name in node.input]
    first = list(nodes[0].input).index(layer.name)
    axis = layer.layout.axis
    scales, points = (arrays[name] for name in nodes[0].input[first + 1 : first + 3])
    scales, points = (
        values.reshape([-1 if number == axis else 1 for number in range(wanted.ndim)]) for values in (scales, points)
    )
    values = scales * (wanted.astype(np.float32) - points.astype(np.float32))
    return scale * (weights.astype(np.float32) - point.astype(np.float32)), layer.layout.to_channels(values)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", ["Conv2D", "ConvTranspose", "MatMul"])
def test_float_weights(networks, operator, dtype, scope):
    got, wanted = compared(opened(networks, networks.float_network(operator, dtype), "10%", scope))
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("bound", ["0lsb", "2lsb"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("operator", ["Conv2D", "ConvTranspose", "MatMul", "QLinearConv"])
def test_integer_weights_have_the_networks_scale(networks, operator, dtype, per_channel, bound):
    make = networks.qlinear_network if operator.startswith("QLinear") else networks.qdq_network
    got, wanted = compared(opened(networks, make(operator, dtype, per_channel), bound))
    assert np.array_equal(got, wanted)


def test_integer_weights_that_keep_their_own_step(networks):
    network = networks.qdq_network("MatMul")
    for entry in network.model.graph.node:
        if entry.op_type == "DequantizeLinear" and entry.input[0] == "w":
            # Its scale is read elsewhere as well, by a sum that must stay as it is.
            network.model.graph.node.append(helper.make_node("Identity", ["w"], ["w_again"]))
            break
    network.model.graph.output.append(helper.make_tensor_value_info("w_again", TensorProto.INT8, None))
    compressed = opened(networks, network, "3lsb")
    (layer,) = compressed.layers
    (scaling,) = layer_scalings(compressed).values()
    assert (layer.is_folded, scaling.step, layer.grid.divisor) == (False, 7, 7)
    codes = decode_layer(compressed, layer).astype(np.int64)
    weights = (scaling.zero_point.reshape(-1, 1) + 7 * codes).clip(-128, 127)
    plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in decompressed(compressed).graph.initializer}
    assert np.array_equal(weights, layer.layout.to_channels(plain["w"]))


def test_a_stream_of_original_bytes_has_no_scale(networks):
    compressed = opened(networks, networks.float_network("MatMul"), "0.0000001%")
    assert isinstance(compressed.layers[0].grid, Lossless)
    (scaling,) = layer_scalings(compressed).values()
    assert (scaling.scale.size, scaling.zero_point.tolist()) == (0, [0])


@pytest.mark.parametrize(("scaled", "scale"), [("no", []), ("constant", [0.01]), ("computed", [0.01])])
def test_the_scale_behind_an_integer_operator(networks, scaled, scale):
    compressed = opened(networks, networks.integer_network("MatMulInteger", scaled=scaled), "0lsb")
    (scaling,) = layer_scalings(compressed).values()
    assert scaling.scale.tolist() == np.float32(scale).tolist()
    assert scaling.zero_point.tolist() == [9]


def test_readers_that_disagree_leave_no_scale(networks):
    network = networks.qdq_network("MatMul")
    graph = network.model.graph
    other = numpy_helper.from_array(np.float32(3.0), "other_scale")
    graph.initializer.append(other)
    nodes = list(graph.node)
    for node in nodes:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.output[0] += "_other"
        for place, name in enumerate(copy.input):
            if name in ("w_float", "w_scale"):
                copy.input[place] = {"w_float": "w_float_other", "w_scale": "other_scale"}[name]
    graph.output.add().CopyFrom(graph.output[0])
    graph.output[1].name = "y_other"
    (scaling,) = layer_scalings(opened(networks, network, "0lsb")).values()
    assert scaling.scale.size == 0


def test_some_channels_have_their_own(networks):
    compressed = opened(networks, networks.qdq_network("Conv2D", per_channel=True), "0lsb")
    (scaling,) = layer_scalings(compressed).values()
    part = scaling.of_channels(2, 3)
    assert [values.tolist() for values in parts(part)] == [values[2:5].tolist() for values in parts(scaling)]
    (one,) = layer_scalings(opened(networks, networks.qdq_network("Conv2D"), "0lsb")).values()
    assert [values.size for values in parts(one.of_channels(2, 3))] == [1, 1]
