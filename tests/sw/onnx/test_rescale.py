"""Folding a divisor into scales of any type and magnitude: exact to their rounding, or the layer is left out."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphs
from dnnzip.errors import InputError
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.rescale import fold_obstacle, has_scale_that_fits
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import require, verify

SEED = 11
FITS = has_scale_that_fits.sentence
#: Type to its number of significant bits and its limits.
TYPES = {
    TensorProto.FLOAT: (24, 2.0**-149, float(np.finfo(np.float32).max)),
    TensorProto.FLOAT16: (11, 2.0**-24, 65504.0),
    TensorProto.BFLOAT16: (8, 2.0**-133, 3.3895313892515355e38),
}


def tensor(name, values, data_type):
    values = np.asarray(values, np.float64)
    return helper.make_tensor(name, data_type, values.shape, values.reshape(-1))


def dequantised(scale, scale_type=TensorProto.FLOAT, weight=None, bias=None, **attributes):
    """Return a Gemm whose weight [6, 4] and bias [4] are read through DequantizeLinear."""
    rng = np.random.default_rng(SEED)
    w = rng.integers(-128, 128, (6, 4)).astype(np.int8) if weight is None else np.asarray(weight, np.int8)
    result = attributes.get("output_dtype", scale_type)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["w_float"], axis=1, **attributes),
        helper.make_node("Gemm", ["x", "w_float"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(w, "w"), tensor("s", scale, scale_type)]
    if bias is not None:
        values, bias_scale = bias
        nodes.insert(0, helper.make_node("DequantizeLinear", ["b", "b_scale"], ["b_float"], axis=0))
        nodes[-1].input.append("b_float")
        tensors += [numpy_helper.from_array(np.asarray(values, np.int32), "b"), tensor("b_scale", bias_scale, result)]
    made = graphs.model(nodes, [("x", [2, 6], result)], [("y", [2, 4], result)], opset=23, ir_version=10)
    made.graph.initializer.extend(tensors)
    return made


def obstacle(model, divisor=5):
    (weight,), _ = find_weights(model)
    found = fold_obstacle(model, weight, divisor)
    return found and found.sentence


def values_of(model, name):
    (found,) = [t for t in model.graph.initializer if t.name == name or t.name.startswith(f"{name}.")]
    return numpy_helper.to_array(found).astype(np.float64)


@pytest.mark.parametrize("data_type", TYPES)
def test_a_folded_scale_is_right_or_its_layer_is_left_out(data_type):
    bits, smallest, largest = TYPES[data_type]
    rng = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    kept = left_out = 0
    for exponent in np.linspace(np.log2(smallest), np.log2(largest), 60):
        divisor = 2 * int(rng.integers(1, 100)) + 1
        model = dequantised(2.0**exponent, data_type)
        scale = values_of(model, "s")
        before = np.float64(scale) * find_weights(model)[0][0].array.astype(np.float64)
        options = CompressionOptions(Bound.parse(f"{divisor // 2}lsb"))
        if obstacle(model, divisor) is not None:
            left_out += 1
            with pytest.raises(InputError, match=r"stay finite there, as must every value that they scale\.$"):
                compress(model, options)
            continue
        kept += 1
        made = compress(model, options)
        require(verify(model, made.compressed))
        plain = decompressed(made.compressed)
        folded, codes = values_of(plain, "s"), values_of(plain, "w")
        assert abs(folded - scale * divisor) <= scale * divisor * 2.0**-bits
        # What was a number in the scale's type still is.
        after = np.abs(codes * folded)
        assert after[np.abs(before) <= largest].max(initial=0) <= largest
    assert kept > 20
    assert left_out > 0


@pytest.mark.parametrize(
    ("scale", "data_type", "expected"),
    [
        (3e4, TensorProto.FLOAT16, FITS),
        (1e4, TensorProto.FLOAT16, None),
        # 100 x 655 is a number, and 20 x 3276 is none.
        (655.0, TensorProto.FLOAT16, FITS),
        (6e-8, TensorProto.FLOAT16, None),
        (1e38, TensorProto.FLOAT, FITS),
        ([0.01, 0.02, 1.5e38, 0.01], TensorProto.FLOAT, FITS),
        (1e-45, TensorProto.FLOAT, None),
        (1e38, TensorProto.BFLOAT16, FITS),
        (0.01, TensorProto.BFLOAT16, None),
        (0.0, TensorProto.FLOAT, None),
        (np.inf, TensorProto.FLOAT, FITS),
        (np.nan, TensorProto.FLOAT16, FITS),
    ],
)
def test_scales_that_fit(scale, data_type, expected):
    assert obstacle(dequantised(scale, data_type)) == expected


def test_a_result_of_another_type_than_the_scale_counts():
    assert obstacle(dequantised(1e3, output_dtype=TensorProto.FLOAT)) is None
    assert obstacle(dequantised(660.0, output_dtype=TensorProto.FLOAT16)) == FITS


def test_a_scale_of_powers_of_two_alone_cannot_be_folded_into():
    assert obstacle(dequantised(1.0, TensorProto.FLOAT8E8M0)) == FITS


def test_scales_of_blocks():
    def blocks(largest):
        model = dequantised(0.01)
        del model.graph.node[0].attribute[:]
        model.graph.node[0].attribute.extend([helper.make_attribute("axis", 0), helper.make_attribute("block_size", 3)])
        scales = np.full((2, 4), 0.01)
        scales[1, 2] = largest
        model.graph.initializer[1].CopyFrom(tensor("s", scales, TensorProto.FLOAT))
        return model

    assert obstacle(blocks(0.5)) is None
    assert obstacle(blocks(2e38)) == FITS


@pytest.mark.parametrize(
    ("values", "scale", "data_type", "expected"),
    [
        ([1, 2, 3, 4], 0.01, TensorProto.FLOAT, None),
        ([1, 2, 3, 4], 1e38, TensorProto.FLOAT, FITS),
        ([1, 0, 0, 0], 2e4, TensorProto.FLOAT16, FITS),
        # 16376 x 4 is the largest number, and becomes 3275 x 20.
        ([16376, 0, 0, 0], 4.0, TensorProto.FLOAT16, None),
        ([-16374, 0, 0, 0], 4.0, TensorProto.FLOAT16, None),
        ([2**31 - 1, 0, 0, 0], 1e30, TensorProto.FLOAT, FITS),
    ],
)
def test_scales_of_biases(values, scale, data_type, expected):
    model = dequantised(0.01, data_type, bias=(values, scale))
    before = np.array(values, np.float64) * values_of(model, "b_scale")
    assert obstacle(model) == expected
    if expected is None:
        plain = decompressed(compress(model, CompressionOptions(Bound.parse("2lsb"))).compressed)
        after = values_of(plain, "b") * values_of(plain, "b_scale")
        # Off by half of the new step, and the rounding of its scale.
        assert np.all(np.abs(after - before) <= 2.5 * scale + np.abs(before) * 2.0**-11)
        assert np.abs(after).max() <= TYPES[data_type][2]


@pytest.mark.parametrize("scaled", ["constant", "dynamic"])
def test_factors_behind_integer_operators(networks, scaled):
    model = networks.integer_network("MatMulInteger", scaled=scaled).model
    assert obstacle(model) is None
    (factor,) = [t for t in model.graph.initializer if t.name == "scale"]
    factor.CopyFrom(numpy_helper.from_array(np.array(-1e38, np.float32), "scale"))
    assert obstacle(model) == FITS


@pytest.mark.parametrize("operator", ["QLinearConv", "QLinearMatMul"])
def test_scales_of_integer_operators(networks, operator):
    model = networks.qlinear_network(operator, per_channel=True).model
    assert obstacle(model) is None
    (scale,) = [t for t in model.graph.initializer if t.name == "w_scale"]
    values = numpy_helper.to_array(scale).copy()
    values[1] = 1e38
    scale.CopyFrom(numpy_helper.from_array(values, "w_scale"))
    assert obstacle(model) == FITS


def test_only_the_layer_whose_scale_does_not_fit_is_left_out(networks):
    model = networks.qdq_network("Gemm").model
    other = onnx.ModelProto()
    other.CopyFrom(dequantised(3e38))
    for node in other.graph.node:
        node.input[:] = [name if name == "x" else f"other.{name}" for name in node.input]
        node.output[:] = [f"other.{name}" for name in node.output]
    for entry in other.graph.initializer:
        entry.name = f"other.{entry.name}"
    model.graph.node.extend(other.graph.node)
    model.graph.initializer.extend(other.graph.initializer)
    made = compress(model, CompressionOptions(Bound.parse("1lsb")))
    assert [layer.name for layer in made.compressed.layers] == ["w"]
    assert [(item.name, item.rule) for item in made.left_out] == [("other.w", FITS)]
    # Without loss nothing is folded.
    assert len(compress(model, CompressionOptions(Bound.parse("0lsb"))).compressed.layers) == 2
    require(verify(model, made.compressed))


def test_a_share_below_one_step_needs_no_scale(networks):
    model = networks.integer_network("MatMulInteger", scaled="no").model
    made = compress(model, CompressionOptions(Bound.parse("0.1%")))
    assert [layer.divisor for layer in made.compressed.layers] == [1]
