"""Bounds as users write them: units, pairs for integer and float weights, and no loss."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.encoding import encoding_of
from dnnzip.errors import InputError
from dnnzip.onnx.weights import suits_unit
from dnnzip.quantize.bound import Bound, BoundPair, Unit, parse_bounds
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.tolerance import check_bound
from dnnzip.quantize.weights import ArrayWeights
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import verify


def weight_of(array, name="w"):
    return ArrayWeights(name, array, Layout(array.shape, 0))


def mixed_model():
    """Return a network with float32, float16 and int8 weights."""
    random = np.random.default_rng(5)
    arrays = {
        "single": random.normal(size=(20, 20)).astype(np.float32),
        "half": random.normal(size=(20, 20)).astype(np.float16),
        "integers": random.integers(-100, 100, (20, 20)).astype(np.int8),
        "scale": np.array(0.01, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "single"], ["a"]),
        helper.make_node("DequantizeLinear", ["integers", "scale"], ["w"]),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("MatMul", ["h", "half"], ["c"]),
    ]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 20]) for name in "xb"}
    values |= {name: helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, 20]) for name in "hc"}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "mixed", [values["x"], values["h"]], [values["b"], values["c"]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def made(text, model=None, **options):
    options = CompressionOptions(parse_bounds(text), **options)
    model = model or mixed_model()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    done = compress(copy, options)
    assert verify(model, done.compressed).ok
    return done


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0", "0", Unit.LOSSLESS),
        (" 0.0 ", "0", Unit.LOSSLESS),
        ("1%rel", "1/100", Unit.RELATIVE),
        ("3%rms", "3/100", Unit.RMS),
        (" 2.5 %RMS ", "1/40", Unit.RMS),
        ("100%rms", "1", Unit.RMS),
    ],
)
def test_units_are_read_exactly(text, value, unit):
    bound = Bound.parse(text)
    assert (str(bound.value), bound.unit, bound.text) == (value, unit, text.strip())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-0", "is not above zero"),
        ("0%rms", "is not above zero"),
        ("-1%rel", "is not above zero"),
        ("101%rms", "is over 100 %"),
        ("rms", "is not an error bound"),
        ("3rms", "is not an error bound"),
        ("1%,", "has no bound before or behind a comma"),
        (",", "has no bound before or behind a comma"),
    ],
)
def test_faults_name_the_option_and_the_part(text, message):
    with pytest.raises(InputError, match=rf"^--first '.*': {message}; give "):
        parse_bounds(text, "--first")


@pytest.mark.parametrize(
    ("text", "integers", "floats"),
    [
        ("1lsb,1%", "1lsb", "1%"),
        ("1% , 1lsb", "1lsb", "1%"),
        ("0lsb,3%rms", "0lsb", "3%rms"),
        ("1%,0.003", "1%", "0.003"),
        ("0,1%rel", "0lsb", "1%rel"),
        ("0,1lsb", "1lsb", "0"),
        ("2%rms,0.5", "2%rms", "0.5"),
    ],
)
def test_two_bounds_are_for_integers_and_for_floats(text, integers, floats):
    pair = parse_bounds(text)
    assert isinstance(pair, BoundPair)
    assert (pair.of(True).text, pair.of(False).text) == (integers, floats)


@pytest.mark.parametrize("text", ["1%,2%", "1lsb,2lsb", "0.1,0.2", "0,1%", "1%rel,0.1", "3%,3%rms", "0,0"])
def test_two_bounds_for_weights_of_one_kind_are_refused(text):
    with pytest.raises(InputError, match=rf"^max_error '{text}': gives weights of the same kind two bounds; give one"):
        parse_bounds(text)


def test_three_bounds_are_refused():
    with pytest.raises(InputError, match=r"^max_error '1lsb,1%,0\.1': is 3 bounds; give one bound for integer weights"):
        encoding_of("1lsb,1%,0.1", "tensor", CodecOptions())


def test_each_kind_of_weight_keeps_the_bound_of_its_own():
    done = made("2lsb,1%")
    specs = {layer.name: layer.grid.spec for layer in done.compressed.layers}
    assert specs == {"single": "1%", "half": "1%", "integers": "2lsb"}
    assert not done.left_out
    assert {layer.name: layer.bound for layer in done.compressed.layers}["integers"] == 2


@pytest.mark.parametrize(("text", "left"), [("1lsb", {"single", "half"}), ("0.01", {"integers"})])
def test_a_bound_that_does_not_apply_leaves_weights_out(text, left):
    done = made(text)
    assert {item.name for item in done.left_out if item.rule == suits_unit.sentence} == left


@pytest.mark.parametrize("codec", ["auto", "raw", "line"])
def test_zero_loses_nothing_of_any_type(codec):
    done = made("0", codec=CodecOptions(codec))
    assert {layer.name: layer.max_error for layer in done.compressed.layers} == dict.fromkeys(
        ("single", "half", "integers"), 0.0
    )
    assert {layer.name: layer.bound for layer in done.compressed.layers}["single"] == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_zero_keeps_every_bit(dtype):
    array = np.random.default_rng(1).normal(size=(4, 9)).astype(dtype)
    array[1, 2] = -0.0
    for result in (quantise(weight_of(array), Bound.parse("0")), quantise_lines(weight_of(array), Bound.parse("0"))):
        restored = result.grid.restore(result.codes, Layout(array.shape, 0))
        assert restored.tobytes() == array.tobytes()


def test_a_part_over_every_range_of_its_kind_is_refused():
    weights = [weight_of(np.array([[0, 9]], np.int8)), weight_of(np.array([[0, 1]], np.float32))]
    check_bound(weights, parse_bounds("9lsb,0.5"))
    with pytest.raises(InputError, match=r"^max_error '9lsb,1\.5': is over the range .* largest range is 1, and 1\.5%"):
        check_bound(weights, parse_bounds("9lsb,1.5"))
    with pytest.raises(InputError, match=r"^max_error '10lsb,0\.5': is over the range .* largest range is 9 lsb$"):
        check_bound(weights, parse_bounds("10lsb,0.5"))
