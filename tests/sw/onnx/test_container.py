"""Content of compressed models, and the plain networks that come back from them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dnnzip.encoding import Encoded
from dnnzip.evaluation.runtime import open_session
from dnnzip.onnx.compressed import is_compressed
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.decompression import decode_layer, decompressed, restore, to_plain
from dnnzip.onnx.files import save_model
from dnnzip.onnx.opening import open_compressed, read_compressed
from dnnzip.onnx.reference_op import Decompress
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.quantize.grid import IntegerGrid, Lossless
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.tolerance import largest_errors

OPERATORS = ("Conv1D", "Conv2D", "Depthwise", "ConvTranspose", "Gemm", "GemmTransposed", "MatMul")
MORE_OPERATORS = ("Conv3D", "MatMulBatched")


def initializer(model, name):
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


def run(model, x):
    return open_session(model.SerializeToString(), "model").run(None, {"x": x})[0]


def check_file(compressed):
    onnx.checker.check_model(compressed, full_check=True)
    onnx.shape_inference.infer_shapes(compressed, check_type=True, strict_mode=True, data_prop=True)


def there_and_back(networks, network, *options):
    """Return the plain network that comes back, and its weight's result on the grid; both files are sound."""
    compressed, (result,) = networks.compress(network.model, *options)
    check_file(compressed)
    plain = decompressed(open_compressed(compressed, "m"))
    onnx.checker.check_model(plain, full_check=True)
    check_reference_runtime(compressed, plain, network.x)
    return plain, result


def check_reference_runtime(compressed, plain, x):
    """The compressed model as it is and the plain one compute the same, bit for bit."""
    if any(node.op_type == "ConvTranspose" for node in plain.graph.node):
        # onnx.reference has no groups there (it fails on the plain model, too): run the Decompress node alone.
        only = onnx.ModelProto()
        only.CopyFrom(compressed)
        del only.graph.node[1:]
        only.graph.output[0].CopyFrom(only.graph.value_info[-1])
        (weight,) = ReferenceEvaluator(only, new_ops=[Decompress]).run(None, {"x": x})
        np.testing.assert_array_equal(weight, initializer(plain, "w"))
        return
    (own,) = ReferenceEvaluator(compressed, new_ops=[Decompress]).run(None, {"x": x})
    (expected,) = ReferenceEvaluator(plain).run(None, {"x": x})
    np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("operator", [*OPERATORS, *MORE_OPERATORS])
def test_float_weights_come_back_within_the_bound(networks, operator, dtype, scope):
    network = networks.float_network(operator, dtype)
    plain, result = there_and_back(networks, network, "2%", scope)
    restored = initializer(plain, "w")
    assert restored.dtype == dtype
    assert restored.shape == initializer(network.model, "w").shape
    errors = largest_errors(result.weight, restored, 1, scope)
    assert np.all(errors <= result.grid.bound)
    np.testing.assert_array_equal(errors, result.grid.error)
    assert errors.max() > 0


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_dequantised_weights_are_lossless_at_0lsb(networks, operator, dtype, per_channel):
    network = networks.qdq_network(operator, dtype, per_channel)
    plain, _ = there_and_back(networks, network, "0lsb")
    assert [t.name for t in plain.graph.initializer] == [t.name for t in network.model.graph.initializer]
    for tensor in network.model.graph.initializer:
        original = numpy_helper.to_array(tensor)
        assert initializer(plain, tensor.name).dtype == original.dtype
        np.testing.assert_array_equal(initializer(plain, tensor.name), original)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_dequantised_weights_keep_e_lsb_and_their_scale_takes_the_divisor(networks, operator, dtype, per_channel):
    network = networks.qdq_network(operator, dtype, per_channel)
    plain, result = there_and_back(networks, network, "2lsb")
    q = initializer(plain, "w")
    assert q.dtype == np.int8
    error = largest_errors(result.weight, q, 5, Scope.TENSOR)
    assert 0 < error <= 2
    assert error == result.grid.max_error
    scales = [t for t in plain.graph.initializer if t.name.startswith("w_scale")]
    assert [t.name for t in scales] == ["w_scale.times5"]
    np.testing.assert_array_equal(
        numpy_helper.to_array(scales[0]), initializer(network.model, "w_scale") * np.float32(5)
    )
    # Real values move by at most two steps of the original scale each.
    before, after = run(network.model, network.x), run(plain, network.x)
    terms = q.size // result.weight.layout.channels
    assert np.abs(after - before).max() <= 1.001 * terms * np.abs(network.x).max() * 2 * 0.02


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("operator", "bias"), [("QLinearConv", False), ("QLinearConv", True), ("QLinearMatMul", False)]
)
@pytest.mark.parametrize("bound", ["0lsb", "1lsb"])
def test_quantised_operators(networks, operator, dtype, per_channel, bias, bound):
    network = networks.qlinear_network(operator, dtype, per_channel, bias=bias)
    plain, result = there_and_back(networks, network, bound)
    assert (
        largest_errors(result.weight, initializer(plain, "w"), result.grid.divisor, Scope.TENSOR)
        == result.grid.max_error
    )
    assert result.grid.max_error == int(bound[0])
    before, after = run(network.model, network.x).astype(int), run(plain, network.x).astype(int)
    if bound == "0lsb":
        np.testing.assert_array_equal(after, before)
    else:
        # 36 weights at most, off by one step of 0.02 times 0.05 x 135 in 0.5 of the output, and one of rounding.
        assert np.abs(after - before).max() <= 36 * 0.02 * 0.05 * 135 / 0.5 + 1
        assert np.abs(after - before).max() > 0


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("operator", ["ConvInteger", "MatMulInteger"])
@pytest.mark.parametrize("scaled", ["constant", "dynamic"])
@pytest.mark.parametrize("bound", ["0lsb", "1lsb"])
def test_integer_operators_are_scaled_behind(networks, operator, dtype, scaled, bound):
    network = networks.integer_network(operator, dtype, scaled)
    plain, result = there_and_back(networks, network, bound)
    assert largest_errors(result.weight, initializer(plain, "w"), result.grid.divisor, Scope.TENSOR) == int(bound[0])
    evaluate = ReferenceEvaluator if operator == "ConvInteger" else None
    before, after = (
        evaluate(m).run(None, {"x": network.x})[0] if evaluate else run(m, network.x) for m in (network.model, plain)
    )
    allowed = 0 if bound == "0lsb" else 36 * 135 * 0.01 * 1.5 * 1.001
    assert np.abs(after - before).max() <= allowed


def test_a_dequantised_bias_is_folded_with_its_weight(networks):
    network = networks.qdq_network("Conv2D", "int8", True, bias=True)
    compressed, _ = networks.compress(network.model, "1lsb")
    plain = decompressed(open_compressed(compressed, "m"))
    bias, scale = initializer(plain, "b.over3"), initializer(plain, "b_scale.times3")
    np.testing.assert_array_equal(bias, np.rint(initializer(network.model, "b") / 3))
    np.testing.assert_array_equal(scale, initializer(network.model, "b_scale") * np.float32(3))
    assert "b" not in {t.name for t in plain.graph.initializer}


def test_a_scale_that_others_share_is_copied(networks):
    network = networks.qdq_network("MatMul")
    node = network.model.graph.node.add()
    node.CopyFrom(helper.make_node("Mul", ["w_scale", "w_scale"], ["square"]))
    network.model.graph.output.append(helper.make_tensor_value_info("square", TensorProto.FLOAT, []))
    compressed, _ = networks.compress(network.model, "1lsb")
    plain = decompressed(open_compressed(compressed, "m"))
    assert initializer(plain, "w_scale") == initializer(network.model, "w_scale")
    assert initializer(plain, "w_scale.times3") == initializer(network.model, "w_scale") * np.float32(3)


def test_one_weight_behind_two_dequantisers_is_folded_into_both(networks):
    network = networks.qdq_network("MatMul")
    graph = network.model.graph
    graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "other_scale"))
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["w", "other_scale", "w_zero"], ["other"]))
    graph.node.append(helper.make_node("MatMul", ["x", "other"], ["z"]))
    graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 5]))
    compressed, _ = networks.compress(network.model, "1lsb")
    plain = decompressed(open_compressed(compressed, "m"))
    assert initializer(plain, "other_scale.times3") == np.float32(1.5)
    assert initializer(plain, "w_scale.times3") == initializer(network.model, "w_scale") * np.float32(3)
    onnx.checker.check_model(plain, full_check=True)


def test_a_weight_shared_by_two_layers_is_compressed_once(networks):
    network = networks.float_network("MatMul")
    network.model.graph.node.append(helper.make_node("MatMul", ["x", "w"], ["z"]))
    network.model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 5]))
    compressed, results = networks.compress(network.model)
    assert len(results) == 1
    check_file(compressed)


def test_initializers_keep_their_order_and_leave_the_inputs(networks):
    network = networks.float_network("MatMul")
    model = network.model
    rng = np.random.default_rng(1)
    for name in ("second", "third"):
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=(5, 5)).astype(np.float32), name))
    model.graph.node[0].output[0] = "a"
    model.graph.node.append(helper.make_node("Gemm", ["a", "second"], ["b"]))
    model.graph.node.append(helper.make_node("Gemm", ["b", "third"], ["y"]))
    model.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [5, 5]))
    compressed, _ = networks.compress(model)
    check_file(compressed)
    assert [value.name for value in compressed.graph.input] == ["x"]
    plain = decompressed(open_compressed(compressed, "m"))
    assert [t.name for t in plain.graph.initializer] == ["w", "second", "third"]
    assert not is_compressed(plain)
    assert len(plain.opset_import) == 1


def test_an_old_model_that_lists_initializers_as_inputs(networks):
    network = networks.float_network("MatMul")
    network.model.ir_version = 3
    network.model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [8, 5]))
    compressed, _ = networks.compress(network.model)
    check_file(compressed)
    onnx.checker.check_model(decompressed(open_compressed(compressed, "m")), full_check=True)


def test_a_bound_too_fine_for_any_step_is_stored_losslessly(networks):
    for dtype in ("float32", "float16"):
        network = networks.float_network("MatMul", dtype)
        weights = initializer(network.model, "w").copy()
        weights[0, 0] = 1000
        network.model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
        plain, result = there_and_back(networks, network, "0.00001")
        assert isinstance(result.grid, Lossless)
        assert result.grid.max_error == 0
        np.testing.assert_array_equal(initializer(plain, "w"), weights)


def test_a_file_and_back(networks, tmp_path):
    network = networks.float_network("Conv2D")
    compressed, results = networks.compress(network.model)
    layer = open_compressed(compressed, "m").layers[0]
    tables = open_compressed(compressed, "m").tables
    path = tmp_path / "m.dnz.onnx"
    encoded = [Encoded(results[0].grid, layer.stream, layer.codec)]
    save_model(compressed_model(network.model, [results[0].weight], encoded, tables), path)
    again = read_compressed(path)
    record = again.layers[0]
    assert (record.name, record.shape, record.grid.element) == ("w", (6, 4, 3, 2), FLOAT32)
    assert (record.bound, record.max_error) == (results[0].grid.max_bound, results[0].grid.max_error)
    assert (record.grid.spec, record.grid.scope, record.codec) == ("2%", Scope.TENSOR, layer.codec)
    decoded = decode_layer(again, record)
    np.testing.assert_array_equal(decoded, results[0].codes)
    np.testing.assert_array_equal(
        initializer(to_plain(again, {"w": decoded}), "w"), restore(record, decoded, str(path))
    )


def test_names_that_collide_are_avoided(networks):
    network = networks.float_network("MatMul")
    for name in ("w.stream", "dnnzip.tables", "w.step"):
        network.model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), name))
    compressed, _ = networks.compress(network.model)
    check_file(compressed)
    plain = decompressed(open_compressed(compressed, "m"))
    assert [t.name for t in plain.graph.initializer] == ["w", "w.stream", "dnnzip.tables", "w.step"]


def test_the_model_itself_is_left_as_it_is(networks):
    network = networks.qdq_network("Conv2D", bias=True)
    before = network.model.SerializeToString(deterministic=True)
    networks.compress(network.model, "1lsb")
    assert network.model.SerializeToString(deterministic=True) == before


def test_quantise_is_what_the_file_holds(networks):
    network = networks.float_network("Gemm", "float16", seed=3)
    compressed, (result,) = networks.compress(network.model, "0.5%", Scope.CHANNEL)
    again = quantise(result.weight, Bound.parse(result.grid.spec), Scope.CHANNEL)
    (layer,) = open_compressed(compressed, "m").layers
    np.testing.assert_array_equal(again.grid.step, layer.grid.step)
    np.testing.assert_array_equal(again.grid.step_grid.index, initializer(compressed, "w.step_index"))
    assert layer.step_loss == again.grid.step_loss


def test_a_file_of_version_1_with_a_float32_for_each_channel_still_decodes():
    folder = Path(__file__).parents[2] / "vectors" / "container_v1"
    compressed = read_compressed(folder / "channel_steps.dnz.onnx")
    *floats, integers = (layer.grid for layer in compressed.layers)
    assert [grid.step.shape for grid in floats] == [(12,), (8,)]
    assert isinstance(integers, IntegerGrid)
    plain = decompressed(compressed)
    with np.load(folder / "channel_steps.npz") as expected:
        assert sorted(expected) == sorted(tensor.name for tensor in plain.graph.initializer)
        for name, values in expected.items():
            np.testing.assert_array_equal(initializer(plain, name), values)
