"""Compressed files whose weights are not finite: one line from every command, and nothing is written."""

import numpy as np
import pytest
from onnx import numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.codec.raw.reference import encode as encode_raw
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import save_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress

TYPES = {"float32": np.float32, "float16": np.float16}
LINE = "dnnzip: c.onnx: layer 'w': decodes to weights that are infinite or no number; compress the model again\n"


def changed(model, name, array):
    """Set an initializer."""
    (tensor,) = [entry for entry in model.graph.initializer if entry.name == name]
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def with_step(networks, dtype, step):
    """Return a network and its compressed model with another step."""
    model = networks.float_network("Gemm", dtype).model
    compressed, _ = networks.compress(model, "0.1%")
    changed(compressed, "w.step", np.array(step, np.float32))
    return model, compressed


def of_bytes(networks):
    """Return a network and its compressed model whose original bytes hold what is no number."""
    model = networks.float_network("Gemm").model
    options = CompressionOptions(Bound.parse("1%"), codec=CodecOptions("raw"))
    compressed = compress(model, options).compressed.model
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights[1, 2], weights[3, 1] = np.nan, np.inf
    stream = encode_raw(weights.reshape(-1).view("<u2").tolist(), 1, 16)
    changed(compressed, "w.stream", np.frombuffer(stream, np.uint8))
    return model, compressed


DECODING = (
    "verify m.onnx c.onnx",
    "decompress c.onnx -o p.onnx",
    "simulate c.onnx --link golden -o d.onnx",
    "evaluate c.onnx --data set.npz",
    "run c.onnx --data set.npz --link golden",
)
OPENING = ("info c.onnx", "estimate c.onnx --accelerator ulx3s", "image c.onnx -o image")


def check(dnnzip, commands, model, compressed, dtype, folder):
    save_model(model, folder / "m.onnx")
    save_model(compressed, folder / "c.onnx")
    np.savez(folder / "set.npz", x=np.zeros((3, 8), TYPES[dtype]), y=np.zeros(3, np.int64))
    for command in commands:
        assert dnnzip(*command.split(), "--quiet") == (2, "", LINE)
    assert {path.name for path in folder.iterdir()} == {"m.onnx", "c.onnx", "set.npz"}


@pytest.mark.parametrize(("dtype", "step"), [("float32", 3e38), ("float32", 3e36), ("float16", 3e4), ("float16", 1e30)])
def test_a_step_that_makes_weights_infinite(networks, dnnzip, dtype, step, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(dnnzip, DECODING + OPENING, *with_step(networks, dtype, step), dtype, tmp_path)


def test_original_bytes_that_are_no_numbers(networks, dnnzip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(dnnzip, DECODING, *of_bytes(networks), "float32", tmp_path)


def test_a_large_step_of_small_codes_is_fine(networks):
    model = networks.float_network("Gemm").model
    weights = np.full((8, 5), np.float32(3e38))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    compressed, _ = networks.compress(model)
    plain = decompressed(open_compressed(compressed, "m"))
    np.testing.assert_array_equal(numpy_helper.to_array(plain.graph.initializer[0]), weights)
