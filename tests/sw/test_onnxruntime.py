"""Sessions of compressed models, and the reference operator: both compute what the decompressed network computes."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph

import dnnzip.onnxruntime
import graphs
from dnnzip.errors import InputError
from dnnzip.onnx import plain_stream
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import save_model
from dnnzip.onnx.opening import read_compressed
from dnnzip.onnx.reference_op import Decompress
from dnnzip.onnx.writer_process import WriterError
from dnnzip.onnxruntime import InferenceSession
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress

RNG = np.random.default_rng(4)
W = RNG.normal(size=(8, 6)).astype(np.float32)
X = RNG.normal(size=(3, 8)).astype(np.float32)
CODES = RNG.integers(-90, 90, (8, 6))


def node(operator, inputs, output, **more):
    return helper.make_node(operator, inputs, [output], **more)


def matmul(weight, *before, **constants):
    return graphs.model(
        [*before, node("MatMul", ["x", weight], "y")], {"x": None}, {"y": None}, constants.items(), opset=21
    )


def dequantized(dtype):
    scale = {"s": np.float32(0.1), "z": np.zeros((), dtype)}
    return matmul("v", node("DequantizeLinear", ["w", "s", "z"], "v"), w=CODES.astype(dtype), **scale)


def in_branches():
    body = graphs.body([node("MatMul", ["x", "w"], "b")], "b", [("w", W)], "b")
    branches = node("If", ["yes"], "y", then_branch=body, else_branch=body)
    return graphs.model([branches], {"x": None}, {"y": None}, [("yes", np.array(True))], opset=21)


def lstm():
    nodes = [node("Unsqueeze", ["x", "a"], "u"), node("LSTM", ["u", "w", "r"], "y", hidden_size=4)]
    weights = {name: RNG.normal(size=(1, 16, size)).astype(np.float32) for name, size in (("w", 8), ("r", 4))}
    return graphs.model(nodes, {"x": None}, {"y": None}, [*weights.items(), ("a", np.array([0]))], opset=21)


KINDS = {
    "float32": lambda: matmul("w", w=W),
    "float16, folded by the optimiser": lambda: matmul(
        "v", node("Cast", ["w"], "v", to=TensorProto.FLOAT), w=W.astype(np.float16)
    ),
    "int8": lambda: dequantized(np.int8),
    "uint8": lambda: dequantized(np.uint8),
    "a constant shape": lambda: matmul("v", node("Reshape", ["w", "s"], "v"), w=W.reshape(-1), s=np.array([8, 6])),
    "branches": in_branches,
    "LSTM": lstm,
}
BOUNDS = {"int8": "1lsb", "uint8": "1lsb"}


def made(kind):
    return compress(KINDS[kind](), CompressionOptions(Bound.parse(BOUNDS.get(kind, "1%")))).compressed


def saved(tmp_path, kind="float32"):
    compressed = made(kind)
    path = tmp_path / "m.dnz.onnx"
    save_model(compressed.model, path)
    return path, onnxruntime.InferenceSession(decompressed(compressed).SerializeToString()).run(None, {"x": X})[0]


def test_a_session_computes_what_the_decompressed_network_does(tmp_path):
    path, wanted = saved(tmp_path)
    np.testing.assert_array_equal(InferenceSession(path).run(None, {"x": X})[0], wanted)
    assert [item.name for item in tmp_path.iterdir()] == ["m.dnz.onnx"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_is_the_decompressed_network(kind):
    compressed, file = made(kind), io.BytesIO()
    assert plain_stream.write_plain(compressed, file, 2)
    assert file.getvalue() == decompressed(compressed).SerializeToString(deterministic=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_operator_computes_what_the_decompressed_network_does(kind):
    compressed = made(kind)
    (found,) = ReferenceEvaluator(compressed.model, new_ops=[Decompress]).run(None, {"x": X})
    np.testing.assert_array_equal(found, ReferenceEvaluator(decompressed(compressed)).run(None, {"x": X})[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_beyond_a_message_is_handed_over_array_by_array(tmp_path, kind, monkeypatch):
    path, wanted = saved(tmp_path, kind)
    monkeypatch.setattr(dnnzip.onnxruntime, "PlainWriter", TooLarge)
    options = onnxruntime.SessionOptions()
    for given in (options, options, None):  # options may serve again
        np.testing.assert_array_equal(InferenceSession(path, given).run(None, {"x": X})[0], wanted)


class TooLarge:
    """A process that has written nothing, since the network is too large."""

    path = os.devnull

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def is_too_large(self):
        return True


def test_the_process_says_that_a_network_is_beyond_a_message(tmp_path, monkeypatch):
    path, wanted = saved(tmp_path)
    limited(
        monkeypatch,
        "import sys, dnnzip.onnx.plain_stream as s; s.LARGEST_MESSAGE = 1; sys.exit(s.main(*sys.argv[1:]))",
    )
    np.testing.assert_array_equal(InferenceSession(path).run(None, {"x": X})[0], wanted)


def limited(monkeypatch, script):
    """Let a script take the place of the process that writes."""
    started = subprocess.Popen

    def start(command, **more):
        return started([command[0], "-c", script, *command[3:]], **more)

    monkeypatch.setattr(subprocess, "Popen", start)


def test_bytes_and_a_second_provider_list(tmp_path):
    path, wanted = saved(tmp_path)
    session = InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    session.set_providers(["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], wanted)


def test_a_plain_model_opens_as_in_onnxruntime(tmp_path, monkeypatch):
    """External data is found beside it, and no process is started."""
    monkeypatch.setattr(subprocess, "Popen", None)
    model = matmul("w", w=W)
    whole = model.SerializeToString()
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    (found,) = InferenceSession(tmp_path / "m.onnx").run(None, {"x": X})
    np.testing.assert_array_equal(found, InferenceSession(whole).run(None, {"x": X})[0])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    InferenceSession(tmp_path / "m.onnx", options)
    np.testing.assert_array_equal(InferenceSession(tmp_path / "m.ort").run(None, {"x": X})[0], found)


def test_external_data_of_a_compressed_model(tmp_path):
    path, wanted = saved(tmp_path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.bin", size_threshold=0)
    np.testing.assert_array_equal(InferenceSession(path).run(None, {"x": X})[0], wanted)


def cut(content):
    return content[: len(content) // 2]


def changed(content):
    model = onnx.ModelProto.FromString(content)
    (made,) = [node for node in model.graph.node if node.domain == "dnnzip"]
    (stream,) = [tensor for tensor in model.graph.initializer if tensor.name == made.input[0]]
    array = numpy_helper.to_array(stream).copy()
    array[-1] ^= 1
    stream.CopyFrom(numpy_helper.from_array(array, stream.name))
    return model.SerializeToString()


def newer(content):
    model = onnx.ModelProto.FromString(content)
    next(entry for entry in model.opset_import if entry.domain == "dnnzip").version = 99
    return model.SerializeToString()


@pytest.mark.parametrize("damage", [cut, changed, newer, lambda _: b""])
def test_a_damaged_file_has_the_line_of_decompress(tmp_path, capfd, damage):
    path, _ = saved(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as wanted:
        decompressed(read_compressed(path))
    with pytest.raises(InputError) as found:
        InferenceSession(path)
    assert str(found.value) == str(wanted.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        InferenceSession(tmp_path / "none.onnx")


def test_a_network_that_does_not_run_is_onnxruntimes_error():
    model = made("float32").model
    model.graph.node[-1].op_type = "Nonsense"
    with pytest.raises(InvalidGraph, match="Nonsense"):
        InferenceSession(model.SerializeToString())


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ("import os; os.kill(os.getpid(), 9)", InputError, "was ended by signal 9"),
        ("1 / 0", WriterError, "ZeroDivisionError"),
    ],
)
def test_a_process_that_fails_is_named(tmp_path, monkeypatch, script, error, text):
    path, _ = saved(tmp_path)
    limited(monkeypatch, script)
    with pytest.raises(error, match=text):
        InferenceSession(path)


def test_weights_come_in_order_and_few_at_once(monkeypatch):
    """Threads decode ahead, but no more weights than the limit."""
    names = [f"w{i}" for i in range(9)]
    sums = [node("MatMul", [f"y{i}", name], f"y{i + 1}") for i, name in enumerate(names)]
    network = graphs.model(sums, {"y0": None}, {"y9": None}, [(name, W[:, :6] @ W.T) for name in names], opset=21)
    compressed = compress(network, CompressionOptions(Bound.parse("1%"))).compressed
    monkeypatch.setattr(plain_stream, "AHEAD_WEIGHTS", 130)
    begun = []
    decode = plain_stream.decode_layer
    monkeypatch.setattr(plain_stream, "decode_layer", lambda *layer: begun.append(1) or decode(*layer))
    for i, (name, _) in enumerate(plain_stream.decoded_layers(compressed, 4)):
        assert name == names[i]
        assert len(begun) <= i + 3


def test_the_module_needs_no_codec_in_the_process_of_the_session():
    """Neither does ``import dnnzip`` load it, nor does its name hide onnxruntime."""
    script = (
        "import json, sys, dnnzip; before = sorted(sys.modules); import dnnzip.onnxruntime, onnxruntime\n"
        "print(json.dumps([before, sorted(sys.modules), onnxruntime.__name__]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=environment)
    before, after, name = json.loads(done.stdout)
    assert not {"onnx", "onnxruntime", "dnnzip.onnxruntime"} & set(before)
    assert not {"numba", "dnnzip.codec", "dnnzip.quantize"} & set(after)
    assert name == "onnxruntime"
