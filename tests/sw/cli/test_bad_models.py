"""Models that cannot be used: one line on standard error that names the fault, exit status 2, nothing written."""

import os

import numpy as np
import onnx
import pytest
from command_models import compress, network
from onnx import helper

from dnnzip.digits import TEST_SET
from dnnzip.format import WEIGHT_HEADER


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
        ("image", small, "-o", tmp_path / "image"),
    ):
        assert fault(*arguments) == f"{small}: is not a compressed model; make one with 'dnnzip compress'"


def test_a_compressed_model_is_not_compressed_again(fault, compressed, tmp_path):
    assert str(compressed) in fault(*compress(compressed, tmp_path))


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
