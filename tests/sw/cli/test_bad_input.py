"""Bad input: one line on standard error that names the fault, exit status 2 (1 for a failed check), nothing written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.digits import MODEL, TEST_SET
from dnnzip.format import WEIGHT_HEADER
from dnnzip.link.golden import GoldenLink

DNNZIP = Path(sys.executable).with_name("dnnzip")


@pytest.fixture
def fault(dnnzip, tmp_path):
    """Run a command that has to fail: one line, the status, no output, no file left; returns the line."""

    def run(*arguments, status=2):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        got, out, err = dnnzip(*arguments)
        assert got == status, err
        assert out == ""
        assert err.startswith("dnnzip: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after == before
        return err.removeprefix("dnnzip: ").rstrip("\n")

    return run


def network(weights=None, nodes=None):
    """A MatMul whose weight ``w`` is given."""
    w = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32) if weights is None else weights
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture
def compressed(small, dnnzip, tmp_path):
    path = tmp_path / "small.dnz.onnx"
    assert dnnzip("compress", small, "-o", path, "--max-error", "2%", "--codec", "ans", "--quiet") == (0, "", "")
    return path


def compress(model, tmp_path, *options):
    return ("compress", model, "-o", tmp_path / "out.dnz.onnx", *(options or ("--max-error", "2%")))


# --- model files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["compress", "decompress", "info", "verify", "evaluate", "simulate", "image", "quantize", "run"]
)
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "noise", "truncated", "folder", "no rights"])
def test_what_is_no_model(fault, tmp_path, command, kind):
    path = tmp_path / "bad.onnx"
    whole = network().SerializeToString()
    if kind == "folder":
        path.mkdir()
    elif kind == "no rights":
        if os.getuid() == 0:
            pytest.skip("root reads everything")
        path.write_bytes(whole)
        path.chmod(0)
    elif kind != "missing":
        noise = bytes(range(255, 0, -1)) * 4
        content = {"empty": b"", "text": b"hello, this is a text\n", "noise": noise, "truncated": whole[:-30]}
        path.write_bytes(content[kind])
    arguments = {
        "compress": compress(path, tmp_path),
        "decompress": ("decompress", path, "-o", tmp_path / "out.onnx"),
        "info": ("info", path),
        "verify": ("verify", path, path),
        "evaluate": ("evaluate", path, "--data", TEST_SET),
        "simulate": ("simulate", path, "--link", "golden", "-o", tmp_path / "out.onnx"),
        "image": ("image", path, "-o", tmp_path),
        "quantize": ("quantize", path, "--data", TEST_SET, "-o", tmp_path / "out.onnx"),
        "run": ("run", path, "--data", TEST_SET, "--link", "golden"),
    }
    line = fault(*arguments[command])
    expected = {
        "missing": "cannot be read (No such file or directory); name an ONNX file",
        "empty": "is empty; name an ONNX file",
        "folder": "cannot be read (Is a directory); name an ONNX file",
    }
    assert line == f"{path}: {expected.get(kind, 'is not an ONNX model, or is truncated; name a whole ONNX file')}"


@pytest.mark.parametrize("length", range(0, 900, 37))
def test_a_model_that_is_cut_anywhere(fault, tmp_path, length):
    path = tmp_path / "cut.onnx"
    whole = network().SerializeToString()
    path.write_bytes(whole[: min(length, len(whole) - 1)])
    assert fault(*compress(path, tmp_path)).startswith(f"{path}: is ")


def test_a_model_without_weights(fault, tmp_path):
    path = tmp_path / "none.onnx"
    onnx.save(network(nodes=[helper.make_node("Add", ["x", "x"], ["y"])]), path)
    assert fault(*compress(path, tmp_path)).startswith(f"{path}: has no weights to compress; ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(fault, tmp_path, value):
    weights = np.ones((20, 10), np.float32)
    weights[3, 4] = value
    path = tmp_path / "nan.onnx"
    onnx.save(network(weights), path)
    line = fault(*compress(path, tmp_path))
    assert "'w'" in line
    assert "NaN" in line or "infinite" in line or "finite" in line


def test_a_plain_model_where_a_compressed_one_is_asked_for(fault, small, tmp_path):
    for arguments in (
        ("decompress", small, "-o", tmp_path / "o.onnx"),
        ("info", small),
        ("verify", small, small),
        ("simulate", small, "--link", "golden"),
    ):
        assert fault(*arguments) == f"{small}: is not a compressed model; make one with 'dnnzip compress'"


def test_a_compressed_model_is_not_compressed_again(fault, compressed, tmp_path):
    assert str(compressed) in fault(*compress(compressed, tmp_path))


# --- bounds and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bound",
    ["0", "0%", "-1%", "-0.5", "nan", "inf", "nan%", "2 percent", "", "%", "1/3", "101%", "1e400", "0x10", "-1lsb"],
)
def test_a_bound_that_is_none(fault, small, tmp_path, bound):
    line = fault(*compress(small, tmp_path, "--max-error=" + bound))
    assert line.startswith(f"--max-error {bound!r}: ")
    assert ";" in line


@pytest.mark.parametrize("bound", ["1e9", "100"])
def test_a_bound_over_the_range(fault, small, tmp_path, bound):
    line = fault(*compress(small, tmp_path, "--max-error", bound))
    assert line.startswith(f"--max-error {bound!r}: ")
    assert "range" in line


def test_a_bound_that_does_not_suit_the_type(fault, small, tmp_path):
    assert "lsb is for integer weights" in fault(*compress(small, tmp_path, "--max-error", "1lsb"))


@pytest.mark.parametrize("option", ["--layers", "--exclude"])
def test_a_glob_that_matches_nothing(fault, small, tmp_path, option):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", option, "convx*"))
    assert option in line
    assert "'convx*'" in line
    assert "w" in line


def test_nothing_left_to_compress(fault, small, tmp_path):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--exclude", "*"))
    assert line == "--layers and --exclude: leave no weight to compress; select at least one"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compres",), ("No such command 'compres'", "compress", "dnnzip --help")),
        (("info",), ("Missing argument 'FILE'", "dnnzip info --help")),
        (("info", "a", "b"), ("unexpected extra argument", "dnnzip info --help")),
        (("info", "a", "--jsn", "-"), ("No such option", "--json")),
        (("info", "a", "--json"), ("--json", "requires an argument")),
        (("compress", "a.onnx"), ("Missing option", "-o")),
        (("compress", "a.onnx", "-o", "b"), ("Missing option '--max-error'",)),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--codec", "zip"), ("'zip'", "auto", "ans", "raw")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--states", "500"), ("'500'", "256", "512", "1024")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--virtual-lanes", "3"), ("'3'", "16")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--groups", "0"), ("--groups", "1<=x<=64")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--groups", "two"), ("--groups", "'two'")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--jobs", "0"), ("--jobs", "x>=1")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--error-scope", "row"), ("'row'", "tensor", "channel")),
        (("evaluate", "a"), ("--data and --images: are both missing", "--images DIR")),
        (("evaluate", "a", "--data", "b", "--images", "c"), ("--data and --images: exclude each other",)),
        (("evaluate", "a", "--data", "b", "--samples", "0"), ("--samples", "x>=1")),
    ],
)
def test_wrong_usage(fault, arguments, words):
    line = fault(*arguments)
    for word in words:
        assert word in line


def test_no_command_shows_the_help(dnnzip):
    status, out, err = dnnzip()
    assert (status, out) == (2, "")
    assert err.startswith("Usage: dnnzip ")


def test_an_unknown_link(fault, compressed):
    line = fault("simulate", compressed, "--link", "telepathy")
    assert line.startswith("--link: no link is named 'telepathy'; one of ")
    assert "golden" in line
    assert "sim" in line


# --- table sets -------------------------------------------------------------------------------------------------------


def test_a_table_set_file_that_is_none(fault, small, tmp_path):
    tables = tmp_path / "tables.bin"
    for content, reason in ((b"", "truncated"), (b"text, and no table set", "bad magic"), (b"\xd7\x0a" * 9, "version")):
        tables.write_bytes(content)
        line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tables))
        assert line == f"{tables}: is no table set ({reason}); name a file that 'compress --tables' wrote"


def test_a_table_set_of_another_size(fault, dnnzip, small, tmp_path):
    tables = tmp_path / "tables.bin"
    assert dnnzip(*compress(small, tmp_path, "--max-error", "2%", "--codec", "ans", "--tables", tables))[0] == 0
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tables, "--states", "256"))
    assert line == f"{tables}: has 512 states; use it with --states 512"


def test_a_table_set_in_a_folder_that_is_not_there_leaves_no_model(fault, small, tmp_path):
    tables = tmp_path / "nowhere" / "tables.bin"
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--codec", "ans", "--tables", tables))
    assert line.startswith(f"{tables}: cannot be written")


def test_a_table_set_that_is_a_folder(fault, small, tmp_path):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tmp_path))
    assert line.startswith(f"{tmp_path}: cannot be read (Is a directory)")


# --- data sets --------------------------------------------------------------------------------------------------------


def data(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


X = np.zeros((4, 20), np.float32)
Y = np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "has no array y"),
        ({"y": Y}, "has no array x"),
        ({"a": X}, "has no array x and no array y"),
        ({"x": X, "y": Y[:3]}, "has 4 samples in x and 3 in y"),
        ({"x": X[:0], "y": Y[:0]}, "has 0 samples"),
        ({"x": X, "y": Y.astype(np.float32)}, "y is float32"),
        ({"x": X, "y": np.zeros((4, 2), np.int64)}, "y is int64 (4, 2)"),
        ({"x": X, "y": Y - 1}, "y holds the class -1"),
        ({"x": X, "y": Y + 10}, "y holds the class 10; the network has 10 classes"),
        ({"x": X.astype(np.float64), "y": Y}, "x is float64; "),
        ({"x": X.astype(str), "y": Y}, "x is <U"),
        ({"x": X[:, :19], "y": Y}, "samples of x have the shape (19,); "),
        ({"x": X.reshape(4, 4, 5), "y": Y}, "samples of x have the shape (4, 5); "),
        ({"x": np.array([{}] * 4), "y": Y}, "is no .npz file of numbers"),
    ],
)
def test_a_data_set_that_cannot_be_used(fault, small, tmp_path, arrays, words):
    path = data(tmp_path, **arrays)
    line = fault("evaluate", small, "--data", path)
    assert line.startswith(f"{path}: ")
    assert words in line


def test_a_data_set_file_that_is_none(fault, small, tmp_path):
    path = tmp_path / "set.npz"
    assert fault("evaluate", small, "--data", path).startswith(f"{path}: cannot be read (No such file or directory); ")
    for content in (b"", b"text", data(tmp_path, x=X, y=Y).read_bytes()[:-60]):
        path.write_bytes(content)
        assert fault("evaluate", small, "--data", path).startswith(f"{path}: is no .npz file")
    np.save(tmp_path / "set.npy", X)
    assert "is no .npz file" in fault("evaluate", small, "--data", tmp_path / "set.npy")
    assert fault("evaluate", small, "--data", tmp_path).startswith(f"{tmp_path}: cannot be read (Is a directory)")


def test_more_samples_than_there_are(fault, small, tmp_path):
    line = fault("evaluate", small, "--data", data(tmp_path, x=X, y=Y), "--samples", "5")
    assert line.startswith("--samples 5: ")
    assert "has 4 samples; give 1 to 4" in line


# --- outputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["no folder", "folder", "file as folder", "read only"])
def test_an_output_that_cannot_be_written(fault, small, compressed, tmp_path, kind):
    targets = {
        "no folder": tmp_path / "nowhere" / "out.onnx",
        "folder": tmp_path / "taken",
        "file as folder": small / "out.onnx",
        "read only": tmp_path / "locked" / "out.onnx",
    }
    (tmp_path / "taken").mkdir()
    if kind == "read only":
        if os.getuid() == 0:
            pytest.skip("root writes everywhere")
        (tmp_path / "locked").mkdir(mode=0o500)
    target = targets[kind]
    for arguments in (
        ("compress", small, "-o", target, "--max-error", "2%"),
        ("decompress", compressed, "-o", target),
        ("simulate", compressed, "--link", "golden", "--quiet", "-o", target),
        ("info", compressed, "--quiet", "--json", target),
    ):
        line = fault(*arguments)
        assert line.startswith(f"{target}: ")
        assert "name a file" in line


def test_an_output_is_refused_before_any_work(fault, small, compressed, tmp_path, monkeypatch):
    def work(*_):
        raise AssertionError("the output should have been looked at first")

    monkeypatch.setattr("dnnzip.onnx.files.open_model", work)
    monkeypatch.setattr("dnnzip.onnx.container.open_model", work)
    monkeypatch.setattr("dnnzip.onnx.container.load_model", work)
    monkeypatch.setattr("dnnzip.evaluation.accuracy.evaluate", work)
    nowhere = tmp_path / "nowhere" / "out"
    for place in ("/dev/null/facts.json", "/dev/none/facts.json"):
        assert fault("info", compressed, "--json", place).startswith(f"{place}: cannot be written (No")
    for arguments in (
        ("compress", small, "--max-error", "2%", "-o", nowhere),
        ("compress", small, "--max-error", "2%", "-o", tmp_path / "o", "--json", nowhere),
        ("compress", small, "--max-error", "2%", "-o", tmp_path / "o", "--tables", nowhere),
        ("decompress", compressed, "-o", nowhere),
        ("info", compressed, "--json", nowhere),
        ("verify", small, compressed, "--json", nowhere),
        ("evaluate", small, "--data", TEST_SET, "--json", nowhere),
        ("simulate", compressed, "-o", nowhere),
    ):
        assert fault(*arguments).startswith(f"{nowhere}: cannot be written (No such file or directory); ")


def test_a_name_that_is_too_long(fault, small, compressed):
    name = "x" * 5000
    for command in (
        ("bitstream", "--board", "icebreaker", "-o", name),
        ("report", name),
        ("image", compressed, "-o", name),
        ("rtl", "-o", name),
        ("explore", small, "--data", TEST_SET, "--max-error", "1%", "-o", name),
        ("evaluate", small, "--images", name),
        ("info", name),
        ("info", compressed, "--json", name),
    ):
        assert fault(*command) == f"{name}: cannot be opened (File name too long); give a shorter name"


def test_a_full_device(fault, compressed):
    assert fault("decompress", compressed, "-o", "/dev/full") == (
        "/dev/full: cannot be written (No space left on device); make room there"
    )


def test_a_check_that_fails_leaves_the_output_that_was_there(dnnzip, compressed, tmp_path):
    target = tmp_path / "old.onnx"
    target.write_text("old")
    damage(compressed, compressed, lambda stream: stream[:-1] + bytes([stream[-1] ^ 1]))
    assert dnnzip("decompress", compressed, "-o", target)[0] == 2
    assert target.read_text() == "old"


# --- damaged and newer compressed models ------------------------------------------------------------------------------


def damage(source, target, change, which="stream"):
    """Change the bytes of a compressed model's first stream, or of its table set."""
    model = onnx.load(source)
    node = next(node for node in model.graph.node if node.domain == "dnnzip")
    name = node.input[0 if which == "stream" else 1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    content = change(tensor.raw_data)
    tensor.CopyFrom(numpy_helper.from_array(np.frombuffer(content, np.uint8), name))
    onnx.save(model, target)


READERS = {
    "decompress": lambda path, folder: ("decompress", path, "-o", folder / "out.onnx"),
    "verify": lambda path, folder: ("verify", folder / "small.onnx", path),
    "evaluate": lambda path, _: ("evaluate", path, "--data", TEST_SET),
    "simulate": lambda path, folder: ("simulate", path, "--link", "golden", "-o", folder / "out.onnx"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda stream: stream[:-1] + bytes([stream[-1] ^ 1]), id="crc"),
        pytest.param(lambda stream: stream[:30] + bytes([stream[30] ^ 8]) + stream[31:], id="payload"),
        pytest.param(lambda stream: stream[:-2], id="cut"),
        pytest.param(lambda stream: stream + b"\0\0", id="longer"),
        pytest.param(lambda stream: stream[:9] + bytes([stream[9] ^ 1]) + stream[10:], id="header"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no stream at all, but text", id="text"),
    ],
)
def test_a_damaged_stream(fault, compressed, tmp_path, reader, change):
    damage(compressed, compressed, change)
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: layer 'w': ")
    assert "damaged" in line
    assert line.endswith("; compress the model again")


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_table_set(fault, compressed, tmp_path, reader):
    damage(compressed, compressed, lambda tables: tables[:9] + bytes([tables[9] ^ 1]) + tables[10:], "tables")
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: ")
    assert "damaged" in line


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("which", ["stream", "tables"])
def test_a_newer_format(fault, compressed, tmp_path, reader, which):
    damage(compressed, compressed, lambda data: data[:1] + bytes([data[1] & ~7 | 2]) + data[2:], which)
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: layer 'w': ")
    assert "newer format version" in line
    assert "update dnnzip" in line


def test_a_newer_format_with_another_header(fault, compressed):
    damage(compressed, compressed, lambda data: data[:1] + bytes([data[1] & ~7 | 2]) + bytes(len(data) - 2))
    assert "newer format version" in fault("info", compressed)


def test_a_model_that_declares_the_operators_and_has_none_is_a_plain_one(fault, dnnzip, small, tmp_path):
    model = onnx.load(small)
    model.opset_import.append(helper.make_opsetid("dnnzip", 1))
    onnx.save(model, small)
    for arguments in (("info", small), ("decompress", small, "-o", tmp_path / "o"), ("simulate", small)):
        assert fault(*arguments) == f"{small}: is not a compressed model; make one with 'dnnzip compress'"
    assert dnnzip(*compress(small, tmp_path))[::2] == (0, "")
    assert dnnzip("verify", small, tmp_path / "out.dnz.onnx")[::2] == (0, "")


def test_a_channel_that_no_stream_can_hold(fault, tmp_path):
    path = tmp_path / "long.onnx"
    onnx.save(network(np.ones(((1 << 20) + 1, 2), np.float32)), path)
    assert fault(*compress(path, tmp_path)) == (
        f"{path}: has no weights to compress; An output channel must have at most 1048576 weights."
    )
    assert WEIGHT_HEADER["length"].limit == 1048576


def test_a_newer_operator(fault, compressed):
    model = onnx.load(compressed)
    next(entry for entry in model.opset_import if entry.domain == "dnnzip").version = 3
    onnx.save(model, compressed)
    line = fault("info", compressed)
    assert line == f"{compressed}: is of version 3 of the dnnzip operators, and 2 is known; update dnnzip to read it"


def test_info_of_a_model_whose_payload_is_damaged_still_answers(dnnzip, compressed):
    """It reads headers alone: what it shows is what the file says of itself."""
    damage(compressed, compressed, lambda stream: stream[:30] + bytes([stream[30] ^ 8]) + stream[31:])
    assert dnnzip("info", compressed)[0] == 0


# --- checks that fail -------------------------------------------------------------------------------------------------


def test_verify_fails_on_a_weight_beyond_its_bound(dnnzip, small, compressed):
    model = onnx.load(small)
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    # A small weight moves by a tenth of the range, which stays as it is.
    weights[np.unravel_index(np.abs(weights).argmin(), weights.shape)] += np.float32(0.1 * np.ptp(weights))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    onnx.save(model, small)
    status, out, err = dnnzip("verify", small, compressed)
    assert status == 1
    assert err.startswith("dnnzip: layer 'w': an error of ")
    assert " is over the bound of " in err
    assert err.count("\n") == 1
    assert "BROKEN" in out
    status, out, _ = dnnzip("verify", small, compressed, "--json", "-")
    assert status == 1
    assert '"ok": false' in out


def test_verify_names_a_layer_that_the_original_does_not_have(fault, small, compressed):
    model = onnx.load(small)
    model.graph.initializer[0].name = "v"
    model.graph.node[0].input[1] = "v"
    onnx.save(model, small)
    line = fault("verify", small, compressed)
    assert line == f"{small}: has no weight 'w' of shape [20, 10]; name the model it was made from"


def test_simulate_fails_on_a_code_that_differs(dnnzip, compressed, tmp_path, monkeypatch):
    class Flipped(GoldenLink):
        def decode(self, tables, streams):
            results = super().decode(tables, streams)
            results[0].codes[0, 3] ^= 1
            return results

    monkeypatch.setattr("dnnzip.link.open_link", lambda _: Flipped())
    target = tmp_path / "decoded.onnx"
    status, out, err = dnnzip("simulate", compressed, "-o", target)
    assert status == 1
    assert err == "dnnzip: layer 'w': 1 weights differ from the software decoder's\n"
    assert "w " in out
    assert not target.exists()
    status, out, _ = dnnzip("simulate", compressed, "--json", "-")
    assert status == 1
    assert '"mismatches": 1' in out


def test_simulate_fails_where_a_stream_does_not_end_well(dnnzip, compressed, monkeypatch):
    from dataclasses import replace

    from dnnzip.format import Verdict

    class Broken(GoldenLink):
        def decode(self, tables, streams):
            return [replace(item, verdict=Verdict.BAD_CRC, codes=None) for item in super().decode(tables, streams)]

    monkeypatch.setattr("dnnzip.link.open_link", lambda _: Broken())
    status, _, err = dnnzip("simulate", compressed)
    assert status == 1
    assert err == "dnnzip: layer 'w': the link ended with 'bad crc'\n"


# --- as processes -----------------------------------------------------------------------------------------------------


def test_a_process_ends_with_the_status_and_one_line(tmp_path):
    done = subprocess.run(
        [DNNZIP, "compress", MODEL, "-o", tmp_path / "o.onnx", "--max-error", "200%"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dnnzip: --max-error '200%': is over 100 %; give at most 100%\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_output(tmp_path):
    """The interrupt comes while the model is on its way through a pipe, when everything is imported and under way."""
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [DNNZIP, "compress", pipe, "-o", tmp_path / "out.dnz.onnx", "--max-error", "2%"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, a process inherits that it ignores interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
        pipe.open("wb") as file,
    ):
        file.write(MODEL.read_bytes()[:1000])
        file.flush()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "dnnzip: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_interrupt_in_the_middle_of_writing_leaves_no_output(dnnzip, small, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    status, out, err = dnnzip(*compress(small, tmp_path))
    assert (status, out, err.strip()) == (130, "", "dnnzip: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]
