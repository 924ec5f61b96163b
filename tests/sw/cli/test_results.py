"""Output, files and status of every command when all is well."""

import json

import numpy as np
import onnx
import pytest
from command_models import streams_of
from onnx import numpy_helper

from dnnzip.digits import MODEL, TEST_SET
from dnnzip.format import Codec, WeightStream


def test_compress_counts_every_byte_of_the_file(digits):
    path, result = digits
    tables, streams, sides = streams_of(path)
    totals = result["totals"]
    assert set(totals) >= {
        "weights",
        "stream_bytes",
        "bits_per_weight",
        "ratio_fp32",
        "left_out_weights",
        "left_out_bytes",
    }
    assert totals["stream_bytes"] == len(tables) + sum(map(len, streams.values()))
    assert totals["weights"] == sum(layer["weights"] for layer in result["layers"]) == 61_470
    assert totals["side_bytes"] == sum(sides.values()) > 0
    size = totals["stream_bytes"] + totals["side_bytes"]
    assert totals["bits_per_weight"] == pytest.approx(8 * size / totals["weights"])
    assert totals["ratio_fp32"] == pytest.approx(32 / totals["bits_per_weight"])
    assert (totals["left_out_weights"], totals["left_out_bytes"]) == (0, 0)
    assert path.stat().st_size < MODEL.stat().st_size / 8


def test_compress_tells_of_every_layer(digits):
    path, result = digits
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(MODEL).graph.initializer}
    _, streams, sides = streams_of(path)
    assert [layer["name"] for layer in result["layers"]] == [name for name in weights if name in streams]
    for layer in result["layers"]:
        weight = weights[layer["name"]]
        assert set(layer) >= {"name", "shape", "weights", "codec", "bits_per_weight", "max_error", "bound"}
        assert (layer["shape"], layer["weights"]) == (list(weight.shape), weight.size)
        assert layer["side_bytes"] == sides[layer["name"]]
        size = len(streams[layer["name"]]) + sides[layer["name"]]
        assert layer["bits_per_weight"] == pytest.approx(8 * size / weight.size)
        spread = float(weight.max()) - float(weight.min())
        assert layer["bound"] == pytest.approx(0.02 * spread, rel=1e-12)
        assert 0.5 * layer["bound"] < layer["max_error"] <= layer["bound"]
        assert layer["codec"] == "ans"
        assert {part.header.codec for part in WeightStream.split(streams[layer["name"]])} == {Codec.ANS}


def test_info_gives_what_compress_gave(digits, good):
    path, result = digits
    out = good("info", path, "--json", "-")
    # The losses are known only with the original weights at hand.
    assert json.loads(out) | {"lossy": []} == result


def test_the_table_shows_the_layers_and_the_totals(digits, good):
    path, result = digits
    out = good("info", path)
    for layer in result["layers"]:
        assert f" {layer['name']} " in out
    assert "61,470" in out
    assert "bits/weight" in out
    assert "\x1b" not in out


def test_quiet_prints_nothing(digits, good, tmp_path):
    path, result = digits
    assert good("info", path, "--quiet") == ""
    assert good("info", path, "--quiet", "--json", tmp_path / "i.json") == ""
    assert json.loads((tmp_path / "i.json").read_text()) == result
    assert json.loads(good("info", path, "--quiet", "--json", "-")) == result


def test_decompress_gives_a_plain_network_within_the_bound(digits, good, tmp_path):
    path, result = digits
    out = good("decompress", path, "-o", tmp_path / "plain.onnx", "--json", "-")
    assert json.loads(out) == result
    plain = onnx.load(tmp_path / "plain.onnx")
    onnx.checker.check_model(plain, full_check=True)
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(MODEL).graph.initializer}
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    assert list(before) == list(after)
    compressed = {layer["name"]: layer for layer in result["layers"]}
    for name, weight in before.items():
        if name not in compressed:
            assert np.array_equal(after[name], weight)
            continue
        error = np.abs(after[name].astype(np.float64) - weight.astype(np.float64)).max()
        assert error == compressed[name]["max_error"] <= compressed[name]["bound"]


def test_verify(digits, good):
    path, result = digits
    checks = json.loads(good("verify", MODEL, path, "--json", "-"))
    assert checks["ok"] is True
    for check, layer in zip(checks["layers"], result["layers"], strict=True):
        assert check["ok"] is True
        for key in ("name", "weights", "max_error", "bound"):
            assert check[key] == layer[key]
    assert good("verify", MODEL, path).count(" ok") == len(result["layers"])


def test_evaluate_takes_plain_and_compressed_models(digits, good):
    path, _ = digits
    plain = json.loads(good("evaluate", MODEL, "--data", TEST_SET, "--json", "-"))
    after = json.loads(good("evaluate", path, "--data", TEST_SET, "--json", "-"))
    assert set(plain) == set(after) == {"samples", "top1"}
    assert plain["samples"] == after["samples"] == 450
    assert plain["top1"] >= 0.98
    assert after["top1"] >= 0.97
    few = json.loads(good("evaluate", path, "--data", TEST_SET, "--samples", "7", "--json", "-"))
    assert few["samples"] == 7
    assert "7 samples" in good("evaluate", path, "--data", TEST_SET, "--samples", "7")


def test_simulate_on_the_golden_link(digits, good, tmp_path):
    path, result = digits
    out = good("simulate", path, "--link", "golden", "-o", tmp_path / "decoded.onnx", "--json", "-")
    run = json.loads(out)
    assert set(run) >= {"weights", "mismatches", "cycles", "weights_per_cycle", "weights_per_second"}
    assert (run["weights"], run["mismatches"], run["cycles"]) == (61_470, 0, 0)
    assert run["weights_per_second"] > 0
    assert [layer["name"] for layer in run["layers"]] == [layer["name"] for layer in result["layers"]]
    good("decompress", path, "-o", tmp_path / "plain.onnx")
    assert (tmp_path / "decoded.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()
    assert "61,470" in good("simulate", path, "--link", "golden")
