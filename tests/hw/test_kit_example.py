"""The kit's example in C: it decodes layers of an image and multiplies with their scaled weights, as NumPy does."""

import subprocess
from importlib.resources import files

import numpy as np
import onnx
import pytest
from c_decoder import CHECKED, OPTIONS, SOURCES, can_be_checked, compiler
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import graphs
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import read_compressed
from dnnzip_hw.kit.c_header import c_header


def quantised(rng, dtype, axis_points):
    """Return the nodes and constants of an integer layer with scales for each channel, and with one each."""
    info = np.iinfo(dtype)
    points = rng.integers(info.min, info.max, 12, endpoint=True).astype(dtype) if axis_points else dtype(info.min + 9)
    constants = {
        "w": rng.integers(info.min, info.max, (30, 12), endpoint=True).astype(dtype),
        "s": rng.uniform(0.01, 2, 12).astype(np.float32) if axis_points else np.float32(0.3),
        "z": points,
    }
    dequantise = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], axis=1)
    return [dequantise, helper.make_node("MatMul", ["x", "d"], ["y"])], constants


def floats(rng):
    return [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": rng.normal(size=(30, 12)).astype(np.float32)}


def kept_steps(rng):
    """Return a layer whose integer weights keep their own step, as its scale is used twice."""
    nodes, constants = quantised(rng, np.int8, axis_points=False)
    constants["z"] = np.int8(0)
    nodes[0] = helper.make_node("Cast", ["w"], ["c"], to=TensorProto.FLOAT)
    return [nodes[0], helper.make_node("Mul", ["c", "s"], ["d"]), nodes[1]], constants


CASES = {
    "float": (floats, "2%", "tensor"),
    "float, each channel": (floats, "2%", "channel"),
    "int8": (lambda rng: quantised(rng, np.int8, axis_points=False), "0lsb", "tensor"),
    "uint8, each channel": (lambda rng: quantised(rng, np.uint8, axis_points=True), "0lsb", "tensor"),
    "own steps": (kept_steps, "3lsb", "tensor"),
    "uint8, folded steps": (lambda rng: quantised(rng, np.uint8, axis_points=True), "3lsb", "tensor"),
}


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """Return a folder with the decoder as the example needs it, compiled with checks where the compiler has them."""
    folder = tmp_path_factory.mktemp("kit")
    checks = CHECKED if can_be_checked(folder) else ()
    (folder / "dnnzip_format.h").write_text(c_header())
    (folder / "options").write_text(" ".join(checks))
    source = str(SOURCES / "dnnzip.c")
    command = [compiler(), *OPTIONS, *checks, "-c", "-I", folder, source, "-o", folder / "dnnzip.o"]
    subprocess.run(command, check=True)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_a_vector_is_multiplied_with_decoded_and_scaled_weights(name, kit, tmp_path, good):
    make, bound, scope = CASES[name]
    nodes, constants = make(np.random.default_rng(11))
    onnx.save(graphs.model(nodes, {"x": [1, 30]}, {"y": [1, 12]}, constants, opset=19), tmp_path / "m.onnx")
    path, image = tmp_path / "m.dnz.onnx", tmp_path / "image"
    options = ("--max-error", bound, "--error-scope", scope, "--groups", 3, "--quiet")
    good("compress", tmp_path / "m.onnx", "-o", path, *options)
    good("image", path, "-o", image, "--prefix", "net", "--quiet")
    compressed = read_compressed(path)
    (layer,) = compressed.layers
    assert layer.is_folded == ("own steps" not in name)
    vector = np.random.default_rng(3).normal(size=30)
    (wanted,) = ReferenceEvaluator(decompressed(compressed)).run(None, {"x": vector.astype(np.float32)[None]})
    if name == "own steps":
        # Its scale is a Mul's and not its own: sums are in steps.
        wanted = wanted / float(constants["s"])
    sums = multiplied(kit, tmp_path, image, vector)
    np.testing.assert_allclose(sums, wanted[0], atol=1e-5 * np.abs(wanted).max())


def multiplied(kit, folder, image, vector):
    """Compile the example with an image's header, and return what it prints for a vector."""
    source = files("dnnzip_hw.kit") / "files" / "example" / "multiply.c"
    command = [compiler(), *OPTIONS, *(kit / "options").read_text().split(), "-I", image, "-I", kit, "-I", str(SOURCES)]
    subprocess.run([*command, str(source), kit / "dnnzip.o", "-o", folder / "multiply"], check=True)
    numbers = [repr(float(number)) for number in vector]
    command = [folder / "multiply", image / "weights.bin", "0", *numbers]
    return [float(line) for line in subprocess.run(command, capture_output=True, check=True).stdout.split()]
