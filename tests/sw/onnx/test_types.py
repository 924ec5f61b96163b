"""Weights of every type, and codes that share bytes, through a network and back."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dnnzip.errors import InputError
from dnnzip.onnx import files
from dnnzip.onnx.compressed import DOMAIN
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import open_model, save_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.reference_op import Decompress
from dnnzip.onnx.rules import ELEMENT_TYPES, stored_array
from dnnzip.onnx.tensor_bytes import bytes_of, packed, unpacked
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.system.spool import open_spool
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import verify

INTEGERS = {number: item for number, item in ELEMENT_TYPES.items() if item.is_integer}
FLOATS = {number: item for number, item in ELEMENT_TYPES.items() if not item.is_integer}
ROWS, COLUMNS, BLOCK = 32, 12, 16


def network(nodes, initializers, *, rows=ROWS, columns=COLUMNS):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 25), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=13)


def float_network(number, rows=ROWS):
    rng = np.random.default_rng(number)
    values = (0.2 * rng.normal(size=(rows, COLUMNS))).astype(FLOATS[number].dtype)
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "wide"], ["y"]),
    ]
    return network(nodes, [numpy_helper.from_array(values, "w")], rows=rows)


def integer_network(number, form="tensor", rows=ROWS):
    """A DequantizeLinear with a scale, and zero points of the form, in front of a MatMul."""
    element, rng = INTEGERS[number], np.random.default_rng(number)
    middle, spread = (element.lowest + element.largest + 1) / 2, (element.largest - element.lowest) / 6
    values = np.rint(middle + spread * rng.normal(size=(rows, COLUMNS))).clip(element.lowest, element.largest)
    # Both ends, whose difference is the largest that a code has.
    values[0, :2] = element.lowest, element.largest
    shape = {"tensor": (), "channels": (COLUMNS,)}.get(form, (rows // BLOCK, COLUMNS))
    more = {"tensor": {}, "channels": {"axis": 1}}.get(form, {"axis": 0, "block_size": BLOCK})
    points = np.full(shape, middle)
    if form in ("channels", "points"):
        points = (middle + rng.integers(-1, 2, shape)).clip(element.lowest, element.largest)
    initializers = [
        numpy_helper.from_array(values.astype(np.int32).astype(element.dtype), "w"),
        numpy_helper.from_array(rng.uniform(0.01, 0.02, shape).astype(np.float32), "s"),
        numpy_helper.from_array(np.asarray(points).astype(np.int32).astype(element.dtype), "z"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"][: 2 if form == "no_point" else 3], ["f"], **more),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    return network(nodes, initializers[: 2 if form == "no_point" else 3], rows=rows)


def value_of(model, name):
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def there_and_back(model, bound, scope=Scope.TENSOR):
    """Return the compressed and the plain network; both compute the same, and `verify` has no difference."""
    compressed = compress(model, CompressionOptions(Bound.parse(bound), scope), "m").compressed
    verification = verify(model, compressed, "m")
    assert verification.ok, verification
    plain = decompressed(compressed)
    onnx.checker.check_model(plain)
    return compressed, plain


def outputs(model):
    x = np.random.default_rng(1).normal(size=(1, ROWS)).astype(np.float32)
    return ReferenceEvaluator(model, new_ops=[Decompress]).run(None, {"x": x})[0]


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("number", FLOATS, ids=lambda number: FLOATS[number].name)
def test_float_weights_of_every_type_keep_their_bound_in_it(number, scope):
    model = float_network(number)
    compressed, plain = there_and_back(model, "2%", scope)
    old, new = value_of(model, "w"), value_of(plain, "w")
    assert new.dtype == old.dtype
    error = np.abs(new.astype(np.float64) - old.astype(np.float64)).max()
    assert 0 < error == compressed.layers[0].max_error <= compressed.layers[0].bound
    np.testing.assert_array_equal(outputs(compressed.model), outputs(plain))


@pytest.mark.parametrize("number", FLOATS, ids=lambda number: FLOATS[number].name)
def test_float_weights_of_every_type_are_kept_where_no_step_suits(number):
    model = float_network(number)
    _, plain = there_and_back(model, "0.0000001%")
    np.testing.assert_array_equal(value_of(plain, "w").view(np.uint8), value_of(model, "w").view(np.uint8))


@pytest.mark.parametrize("form", ["tensor", "no_point", "channels", "blocks", "points"])
@pytest.mark.parametrize("number", INTEGERS, ids=lambda number: INTEGERS[number].name)
def test_integer_weights_of_every_type_in_blocks_and_without(number, form):
    model, element = integer_network(number, form), INTEGERS[number]
    old = value_of(model, "w")
    compressed, plain = there_and_back(model, "0lsb")
    assert value_of(plain, "w").dtype == old.dtype
    np.testing.assert_array_equal(value_of(plain, "w"), old)
    np.testing.assert_array_equal(outputs(compressed.model), outputs(plain))
    compressed, plain = there_and_back(model, "1lsb")
    new, (layer,) = value_of(plain, "w"), compressed.layers
    # Where blocks have zero points of their own, no scale can hold the divisor.
    assert layer.divisor == (1 if form == "points" else 3)
    if form == "points":
        assert np.abs(new.astype(np.int32) - old.astype(np.int32)).max() == 1
    else:
        assert new.dtype == element.signed.dtype
        np.testing.assert_allclose(value_of(plain, plain.graph.node[0].input[1]), 3 * value_of(model, "s"), rtol=1e-6)
    np.testing.assert_array_equal(outputs(compressed.model), outputs(plain))


def test_zero_points_that_are_one_in_all_blocks_are_those_of_the_channels():
    (weight,), _ = find_weights(integer_network(TensorProto.UINT4, "blocks"))
    assert (int(weight.zero_point), weight.zero_point_name, weight.has_own_scale) == (8, "", True)


@pytest.mark.parametrize("number", [TensorProto.INT16, TensorProto.UINT16])
def test_errors_of_16_bit_weights_are_counted_beyond_255(number):
    compressed, _ = there_and_back(integer_network(number, "points"), "1000lsb")
    assert 255 < compressed.layers[0].max_error <= 1000
    compressed, _ = there_and_back(integer_network(number, "points"), "60000lsb")
    assert compressed.layers[0].bound == 32767


@pytest.mark.parametrize(
    ("number", "version"), [(TensorProto.FLOAT, 2), (TensorProto.BFLOAT16, 3), (TensorProto.DOUBLE, 3)]
)
def test_types_that_an_older_reader_lacks_raise_the_version(number, version):
    compressed, _ = there_and_back(float_network(number), "1%")
    assert [entry.version for entry in compressed.model.opset_import if entry.domain == DOMAIN] == [version]


@pytest.mark.parametrize("number", [TensorProto.BFLOAT16, TensorProto.INT4, TensorProto.UINT2, TensorProto.UINT16])
def test_types_in_files(number, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALLEST_PLACED", 10)
    # An odd number of weights: the last byte is not full.
    rows = ROWS + 1
    model = integer_network(number, "channels", rows) if number in INTEGERS else float_network(number, rows)
    if number in INTEGERS:
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(value_of(model, "w")[:, :11].copy(), "w"))
        model.graph.initializer[1].CopyFrom(numpy_helper.from_array(value_of(model, "s")[:11].copy(), "s"))
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(value_of(model, "z")[:11].copy(), "z"))
    path, target = tmp_path / "m.onnx", tmp_path / "out.onnx"
    expected = value_of(model, "w")
    onnx.save_model(model, path, save_as_external_data=True, location="m.bin", size_threshold=0)
    opened = open_model(path)
    tensor = next(tensor for tensor in opened.graph.initializer if tensor.name == "w")
    np.testing.assert_array_equal(stored_array(tensor), expected)
    bound = "0lsb" if number in INTEGERS else "0.0000001%"
    compressed = compress(opened, CompressionOptions(Bound.parse(bound)), "m").compressed
    with open_spool(target) as spool:
        save_model(decompressed(compressed, spool), target)
    np.testing.assert_array_equal(value_of(onnx.load(target), "w"), expected)


def bytes_network(dims, operator="MatMulNBits", index=1, **attributes):
    """An operator that reads a uint8 array of random bytes."""
    content = np.random.default_rng(4).integers(0, 256, dims).astype(np.uint8)
    inputs = ["b", "x"] if index == 0 else ["x", *([""] * (index - 1)), "b"]
    nodes = [helper.make_node(operator, inputs, ["y"], domain="com.microsoft", **attributes)]
    return network(nodes, [numpy_helper.from_array(content, "b")]), content


PACKED = {
    "nbits_2": (2, (12, 2, 4), {"bits": 2, "K": 32, "N": 12, "block_size": 16}, "MatMulNBits", 1, (12, 2, 16), 12),
    "nbits_4": (4, (12, 2, 8), {"K": 32, "N": 12, "block_size": 16}, "MatMulNBits", 1, (12, 2, 16), 12),
    "gathered": (4, (20, 16), {"bits": 4, "block_size": 32}, "GatherBlockQuantized", 0, (20, 32), 20),
    "experts": (4, (3, 10, 8), {}, "QMoE", 5, (3, 10, 16), 30),
    "experts_2": (2, (3, 10, 8), {"expert_weight_bits": 2}, "QMoE", 2, (3, 10, 32), 30),
}


@pytest.mark.parametrize("case", PACKED)
def test_codes_that_share_bytes_are_compressed_one_by_one(case):
    bits, dims, attributes, operator, index, shape, channels = PACKED[case]
    model, content = bytes_network(dims, operator, index, **attributes)
    (weight,), left_out = find_weights(model)
    assert not left_out
    assert (weight.element.name, weight.shape, weight.layout.channels) == (f"uint{bits}", shape, channels)
    assert weight.stored_bytes == content.nbytes
    # The first code is in the lowest bits.
    assert int(weight.array.flat[0]) == content.flat[0] % (1 << bits)
    compressed, plain = there_and_back(model, "0lsb")
    np.testing.assert_array_equal(value_of(plain, "b"), content)
    (node,) = (node for node in compressed.model.graph.node if node.domain == DOMAIN)
    assert {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}["bits"] == bits
    assert [entry.version for entry in compressed.model.opset_import if entry.domain == DOMAIN] == [3]
    # Random codes have nothing to give; what a stream adds stays small.
    assert compressed.layers[0].stream_bytes <= 2 * content.nbytes + 40
    compressed, plain = there_and_back(model, "1lsb")
    new, old = (unpacked(values, bits, weight.weights) for values in (value_of(plain, "b"), content))
    assert np.abs(new.astype(int) - old.astype(int)).max() == compressed.layers[0].max_error == 1
    # The node alone makes the array that its network reads.
    only = onnx.ModelProto()
    only.CopyFrom(compressed.model)
    del only.graph.node[1:]
    only.graph.output[0].CopyFrom(helper.make_tensor_value_info("b", TensorProto.UINT8, dims))
    np.testing.assert_array_equal(outputs(only), value_of(plain, "b"))


def test_codes_of_8_bits_are_bytes_around_their_middle():
    model, content = bytes_network((12, 2, 16), bits=8, K=32, N=12, block_size=16)
    (weight,), _ = find_weights(model)
    assert (weight.element.name, weight.shape, int(weight.zero_point)) == ("uint8", (12, 2, 16), 128)
    np.testing.assert_array_equal(value_of(there_and_back(model, "0lsb")[1], "b"), content)


def test_bytes_that_operators_take_apart_in_two_ways_stay_bytes():
    model, content = bytes_network((12, 2, 8), bits=4, K=32, N=12, block_size=16)
    other = helper.make_node("MatMulNBits", ["x", "b"], ["v"], domain="com.microsoft", bits=2)
    model.graph.node.append(other)
    (weight,), _ = find_weights(model)
    assert (weight.element.name, weight.shape) == ("uint8", (12, 2, 8))
    np.testing.assert_array_equal(value_of(there_and_back(model, "0lsb")[1], "b"), content)


@pytest.mark.parametrize(("name", "value"), [("bits", 3), ("bits", -4), ("element_type", TensorProto.INT8)])
def test_packed_codes_that_no_array_has_are_refused(name, value):
    compressed, _ = there_and_back(bytes_network((12, 2, 8), bits=4, K=32, N=12, block_size=16)[0], "0lsb")
    node = next(node for node in compressed.model.graph.node if node.domain == DOMAIN)
    next(entry for entry in node.attribute if entry.name == name).i = value
    with pytest.raises(
        InputError, match=r"^m: layer 'b': is damaged: codes of -?\d bits in an array of type \d are not"
    ):
        open_compressed(compressed.model, "m")


@pytest.mark.parametrize(("dtype", "bits"), [(ml_dtypes.uint4, 4), (ml_dtypes.int4, 4), (ml_dtypes.int2, 2)])
@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_packing_is_that_of_onnx(dtype, bits, count):
    values = np.random.default_rng(count).integers(0, 1 << bits, count).astype(np.uint8).view(dtype)
    tensor = numpy_helper.from_array(values, "w")
    content = packed(values.view(np.uint8), bits)
    assert content.tobytes() == tensor.raw_data
    assert content.size == bytes_of(tensor)
    np.testing.assert_array_equal(unpacked(content, bits, count).view(dtype), values)
