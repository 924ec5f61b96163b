"""Output, files and status of every command when all is well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip import __version__
from dnnzip.cli import main as cli
from dnnzip.cli.catalogue import COMMANDS
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.format import Codec, TableSet, WeightStream
from dnnzip.onnx.rules import sentence
from dnnzip.onnx.weights import suits_unit

DNNZIP = Path(sys.executable).with_name("dnnzip")


@pytest.fixture
def good(dnnzip):
    """Run a command that has to succeed without a word on standard error; returns standard output."""

    def run(*arguments):
        status, out, err = dnnzip(*arguments)
        assert (status, err) == (0, "")
        return out

    return run


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The digits network at 2 %, and the JSON of its compression."""
    folder = tmp_path_factory.mktemp("digits")
    arguments = ["compress", MODEL, "-o", folder / "m.dnz.onnx", "--max-error", "2%", "--json", folder / "c.json"]
    subprocess.run([DNNZIP, *map(str, arguments), "--quiet"], check=True)
    return folder / "m.dnz.onnx", json.loads((folder / "c.json").read_text())


def streams_of(path):
    """Return the table set, each layer's stream and the bytes of its steps, from the file's own initializers."""
    model = onnx.load(path)
    arrays = {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.domain == "dnnzip"]
    streams = {node.output[0]: arrays[node.input[0]] for node in nodes}
    sides = {node.output[0]: sum(len(arrays[name]) for name in node.input[2:] if name) for node in nodes}
    return arrays[nodes[0].input[1]], streams, sides


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


def depthwise(channels, taps, dtype, rng):
    """Return a network of one depthwise convolution, its weights from a normal distribution."""
    weights = rng.normal(size=(channels, 1, taps, taps)).astype(dtype)
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(weights.dtype), [1, channels, 8, 8])
        for name in "xy"
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=channels, pads=[taps // 2] * 4)
    graph = helper.make_graph([node], "depthwise", values[:1], values[1:], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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


def test_info_gives_what_compress_gave(digits, good):
    path, result = digits
    out = good("info", path, "--json", "-")
    assert json.loads(out) == result


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
    assert "left out: conv1.weight (150 weights): " in good("info", tmp_path / "m.onnx")


def test_compress_and_info_agree_on_what_is_left_out(good, tmp_path):
    out = good("compress", MODEL, "-o", tmp_path / "m.onnx", "--max-error", "5%", "--layers", "conv*", "--json", "-")
    assert json.loads(good("info", tmp_path / "m.onnx", "--json", "-")) == json.loads(out)


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
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [y], tensors)), tmp_path / "mixed.onnx")
    out = good("compress", tmp_path / "mixed.onnx", "-o", tmp_path / "m.onnx", "--max-error", bound, "--json", "-")
    result = json.loads(out)
    assert [layer["name"] for layer in result["layers"]] == [kept]
    assert [(item["name"], item["rule"]) for item in result["left_out"]] == [(other, sentence(suits_unit))]
    assert result["totals"]["left_out_weights"] == constants[other].size
    assert json.loads(good("info", tmp_path / "m.onnx", "--json", "-")) == result
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
        good("compress", MODEL, "-o", tmp_path / name, "--max-error", "2%", "--jobs", jobs)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes() == digits[0].read_bytes()


def integer_model(path, dtype=np.int8):
    rng = np.random.default_rng(0)
    tensors = {
        "w": rng.integers(-90, 90, (24, 16)).astype(dtype),
        "scale": np.float32(0.01),
        "zero": np.zeros((), dtype),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wf"]),
        helper.make_node("MatMul", ["x", "wf"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "integers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 16])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9), path)


@pytest.mark.parametrize("bound", ["0lsb", "1lsb", "2lsb", "2%"])
def test_integer_weights(good, tmp_path, bound):
    integer_model(tmp_path / "m.onnx")
    result = json.loads(
        good("compress", tmp_path / "m.onnx", "-o", tmp_path / "c.onnx", "--max-error", bound, "--json", "-")
    )
    (layer,) = result["layers"]
    assert layer["unit"] == "lsb"
    assert layer["max_error"] <= layer["bound"] == {"0lsb": 0, "1lsb": 1, "2lsb": 2, "2%": 3}[bound]
    good("verify", tmp_path / "m.onnx", tmp_path / "c.onnx")
    good("simulate", tmp_path / "c.onnx", "--link", "golden", "--quiet")


def test_an_output_that_is_there_is_replaced_and_keeps_its_mode(good, tmp_path):
    target = tmp_path / "m.onnx"
    target.write_text("old")
    target.chmod(0o640)
    good("compress", MODEL, "-o", target, "--max-error", "5%", "--layers", "conv1*")
    assert target.stat().st_mode & 0o777 == 0o640
    good("info", target)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("target", ["/dev/stdout", "pipe"])
def test_an_output_that_is_no_regular_file_is_written_through(digits, tmp_path, target):
    path, _ = digits
    expected = tmp_path / "plain.onnx"
    subprocess.run([DNNZIP, "decompress", path, "-o", expected, "--quiet"], check=True)
    if target == "pipe":
        target = tmp_path / "fifo"
        os.mkfifo(target)
        with subprocess.Popen([DNNZIP, "decompress", path, "-o", target]) as process:
            content = target.read_bytes()
        assert (process.returncode, target.is_fifo()) == (0, True)
    else:
        done = subprocess.run([DNNZIP, "decompress", path, "-o", target, "--quiet"], capture_output=True, check=True)
        assert done.stderr == b""
        content = done.stdout
    assert content == expected.read_bytes()


def test_standard_output_that_goes_to_a_file_keeps_what_stood_in_it(digits, tmp_path):
    path, _ = digits
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        subprocess.run([DNNZIP, "info", path, "--json", "-"], stdout=file, check=True)
    assert log.read_bytes().startswith(b"before\n{")


def test_json_to_a_device(digits, good):
    assert good("info", digits[0], "--json", "/dev/null", "--quiet") == ""


def test_a_reader_that_leaves_early_makes_no_noise(digits):
    command = f"'{DNNZIP}' info '{digits[0]}' --json - | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_help_and_version(good):
    assert good("--version") == f"dnnzip, version {__version__}\n"
    out = good("--help")
    for command in ("compress", "decompress", "info", "verify", "evaluate", "simulate"):
        assert f"\n  {command} " in out
        # A summary in the list of commands is a whole sentence, and every option has a help text.
        assert f"Usage: dnnzip {command} " in good(command, "--help")
    assert "..." not in out.partition("Commands:")[2]


def test_every_option_has_a_help_text():
    for name in COMMANDS:
        command = cli.cli.get_command(None, name)
        assert command.help
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or parameter.help, (command.name, parameter.name)


def test_the_installed_program_runs_in_any_folder(digits, tmp_path):
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [DNNZIP, "evaluate", digits[0], "--data", TEST_SET, "--samples", "20"],
        cwd=tmp_path / "here",
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(20 samples)" in done.stdout
    assert done.stderr == ""
    assert list((tmp_path / "here").iterdir()) == []


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
