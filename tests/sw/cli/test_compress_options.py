"""Options of compress, and how they reach the streams and the totals."""

import json

import numpy as np
import onnx
import pytest
from command_models import streams_of
from onnx import helper, numpy_helper

import graphs
from dnnzip.digits import MODEL
from dnnzip.format import Codec, TableSet, WeightStream
from dnnzip.onnx.weights import suits_unit


def depthwise(channels, taps, dtype, rng):
    """Return a network of one depthwise convolution, its weights from a normal distribution."""
    weights = rng.normal(size=(channels, 1, taps, taps)).astype(dtype)
    x, y = ([(name, [1, channels, 8, 8], dtype)] for name in "xy")
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=channels, pads=[taps // 2] * 4)
    return graphs.model([node], x, y, {"w": weights}, opset=17, ir_version=8)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("taps", [1, 3])
@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("bound", ["0.01%", "2%"])
def test_the_bits_are_those_by_which_the_file_shrinks(tmp_path, good, dtype, taps, scope, bound):
    channels = 20_000
    onnx.save(depthwise(channels, taps, dtype, np.random.default_rng(3)), tmp_path / "m.onnx")
    command = ("compress", tmp_path / "m.onnx", "-o", tmp_path / "c.onnx", "--max-error", bound)
    totals = json.loads(good(*command, "--error-scope", scope, "--json", "-"))["totals"]
    counted = totals["bits_per_weight"] * totals["weights"] / 8
    size = (tmp_path / "c.onnx").stat().st_size
    # Node, names and shapes take some hundreds of bytes; nothing else may be left out of the count.
    assert 0 <= size - counted < 1000, (size, counted)
    assert size <= (tmp_path / "m.onnx").stat().st_size + 1000


def test_options_reach_the_streams(good, tmp_path):
    arguments = ("--max-error", "2%", "--states", "256", "--virtual-lanes", "2", "--groups", "3", "--jobs", "2")
    good("compress", MODEL, "-o", tmp_path / "m.onnx", *arguments, "--layers", "fc*", "--exclude", "fc3*")
    tables, streams, _ = streams_of(tmp_path / "m.onnx")
    assert TableSet.from_bytes(tables).log2_states == 8
    assert list(streams) == ["fc1.weight", "fc2.weight"]
    for stream in streams.values():
        headers = [part.header for part in WeightStream.split(stream)]
        assert [header.lanes for header in headers] == [2, 2, 2]
    info = json.loads(good("info", tmp_path / "m.onnx", "--json", "-"))
    assert {item["name"] for item in info["left_out"]} == {"conv1.weight", "conv2.weight", "fc3.weight"}
    assert info["totals"]["left_out_weights"] == 150 + 2400 + 840
    assert info["totals"]["left_out_bytes"] == 4 * (150 + 2400 + 840)
    assert "left out: conv1.weight (150 weights, 600 bytes): " in good("info", tmp_path / "m.onnx")


def test_compress_and_info_agree_on_what_is_left_out(good, tmp_path):
    out = good("compress", MODEL, "-o", tmp_path / "m.onnx", "--max-error", "5%", "--layers", "conv*", "--json", "-")
    made = json.loads(out)
    # The losses are known only with the original weights at hand.
    assert made.pop("lossy") == []
    assert json.loads(good("info", tmp_path / "m.onnx", "--json", "-")) == made


@pytest.mark.parametrize(("bound", "kept", "other"), [("1lsb", "q", "w"), ("0.01", "w", "q")])
def test_a_bound_for_one_type_leaves_the_other_out(good, tmp_path, bound, kept, other):
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(8, 4)).astype(np.float32),
        "q": rng.integers(-99, 99, (16, 8)).astype(np.int8),
        "s": np.float32(0.1),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["f"]),
        helper.make_node("MatMul", ["x", "f"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    onnx.save(graphs.model(nodes, {"x": None}, {"y": None}, constants), tmp_path / "mixed.onnx")
    out = good("compress", tmp_path / "mixed.onnx", "-o", tmp_path / "m.onnx", "--max-error", bound, "--json", "-")
    result = json.loads(out)
    assert [layer["name"] for layer in result["layers"]] == [kept]
    assert [(item["name"], item["rule"]) for item in result["left_out"]] == [(other, suits_unit.sentence)]
    assert result["totals"]["left_out_weights"] == constants[other].size
    assert json.loads(good("info", tmp_path / "m.onnx", "--json", "-")) | {"lossy": []} == result
    good("verify", tmp_path / "mixed.onnx", tmp_path / "m.onnx")


@pytest.mark.parametrize("scope", ["tensor", "channel"])
def test_raw_keeps_every_bit(good, tmp_path, scope):
    options = ("--max-error", "2%", "--error-scope", scope, "--codec", "raw")
    result = json.loads(good("compress", MODEL, "-o", tmp_path / "m.onnx", *options, "--json", "-"))
    assert {layer["codec"] for layer in result["layers"]} == {"raw"}
    assert {layer["max_error"] for layer in result["layers"]} == {0}
    good("decompress", tmp_path / "m.onnx", "-o", tmp_path / "plain.onnx")
    before, after = onnx.load(MODEL), onnx.load(tmp_path / "plain.onnx")
    for one, other in zip(before.graph.initializer, after.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_a_channel_scope_and_an_absolute_bound(good, tmp_path):
    options = ("--max-error", "2%", "--error-scope", "channel")
    narrow = json.loads(good("compress", MODEL, "-o", tmp_path / "c.onnx", *options, "--json", "-"))
    good("verify", MODEL, tmp_path / "c.onnx")
    absolute = json.loads(good("compress", MODEL, "-o", tmp_path / "a.onnx", "--max-error", "0.003", "--json", "-"))
    good("verify", MODEL, tmp_path / "a.onnx")
    assert {layer["bound"] for layer in absolute["layers"]} == {0.003}
    assert narrow["totals"]["bits_per_weight"] > 2


def test_a_table_set_in_a_file_serves_the_next_network(good, tmp_path):
    tables = tmp_path / "set.bin"
    good("compress", MODEL, "-o", tmp_path / "a.onnx", "--max-error", "2%", "--tables", tables)
    assert tables.read_bytes() == streams_of(tmp_path / "a.onnx")[0]
    before = tables.read_bytes()
    good("compress", MODEL, "-o", tmp_path / "b.onnx", "--max-error", "3%", "--tables", tables)
    assert tables.read_bytes() == before == streams_of(tmp_path / "b.onnx")[0]
    good("verify", MODEL, tmp_path / "b.onnx")


def test_the_same_command_gives_the_same_file(digits, good, tmp_path):
    for name, jobs in (("a.onnx", 1), ("b.onnx", 3)):
        options = ("--max-error", "2%", "--error-scope", "tensor", "--jobs", jobs)
        good("compress", MODEL, "-o", tmp_path / name, *options)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes() == digits[0].read_bytes()


@pytest.mark.parametrize("bound", ["0lsb", "1lsb", "2lsb", "2%"])
def test_integer_weights(good, tmp_path, bound):
    w = np.random.default_rng(0).integers(-90, 90, (24, 16)).astype(np.int8)
    arrays = {"w": w, "scale": np.float32(0.01), "zero": np.int8(0)}
    onnx.save(graphs.dequantised_product(arrays), tmp_path / "m.onnx")
    result = json.loads(
        good("compress", tmp_path / "m.onnx", "-o", tmp_path / "c.onnx", "--max-error", bound, "--json", "-")
    )
    (layer,) = result["layers"]
    assert layer["unit"] == "lsb"
    assert (
        layer["max_error"] <= layer["bound"] == {"0lsb": 0, "1lsb": 1, "2lsb": 2, "2%": 2}[bound]
    )  # 2 % of the smallest range of a channel
    good("verify", tmp_path / "m.onnx", tmp_path / "c.onnx")
    good("simulate", tmp_path / "c.onnx", "--link", "golden", "--quiet")


def test_compress_with_lines(good, tmp_path):
    path = tmp_path / "m.dnz.onnx"
    result = json.loads(good("compress", MODEL, "-o", path, "--max-error", "5%", "--codec", "line", "--json", "-"))
    assert {layer["codec"] for layer in result["layers"]} == {"line"}
    assert result["totals"]["table_bytes"] == 0
    assert all(0 < layer["max_error"] <= layer["bound"] for layer in result["layers"])
    tables, streams, _ = streams_of(path)
    assert tables == b""
    assert {WeightStream.from_bytes(stream).header.codec for stream in streams.values()} == {Codec.LINE}
    checks = json.loads(good("verify", MODEL, path, "--json", "-"))
    assert all(check["ok"] for check in checks["layers"])
