"""GGUF files: plain types as they are, quantised blocks by the library that made them, hostile headers in one line."""

import struct
import sys

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from dnnzip import compress_tensors, open_tensors
from dnnzip.errors import InputError, MissingToolError
from dnnzip.weight_files import gguf_file

QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
FLOATS = ("F32", "F16", "BF16", "F64")


def written(path, tensors, **more):
    """Write a GGUF file with the library, some texts and numbers in it."""
    writer = gguf.GGUFWriter(path, "llama", **more)
    writer.add_uint32("llama.block_count", 2)
    writer.add_string("note", "ü")
    writer.add_float32("scale", 0.5)
    writer.add_bool("flag", True)
    writer.add_array("tokens", ["a", "bc"])
    writer.add_array("ids", [1, 2, 3])
    for name, (array, kind) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(2).normal(size=(24, 256)).astype(np.float32)


@pytest.fixture
def file(weights, tmp_path):
    tensors = {name: (gguf.quants.quantize(weights, Type[name]), Type[name]) for name in (*QUANTISED, "BF16")}
    tensors |= {"F32": (weights, None), "F16": (weights.astype(np.float16), None)}
    tensors |= {"F64": (weights.astype(np.float64), None), "norm": (weights[0], None)}
    tensors["I8"] = (np.arange(48, dtype=np.int8).reshape(6, 8), None)
    return written(tmp_path / "m.gguf", tensors)


def test_every_type_is_read_as_its_library_does(file, weights):
    found = open_tensors(file)
    reader = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    assert found.keys() == reader.keys()
    for name in (*QUANTISED, *FLOATS):
        assert found[name].shape == weights.shape
        expected = reader[name].data
        if name in (*QUANTISED, "BF16"):
            expected = gguf.quants.dequantize(expected, reader[name].tensor_type)
        assert np.array_equal(found[name].decode().astype(np.float64), expected.astype(np.float64))
    assert found["F64"].dtype == np.float64
    assert found["BF16"].dtype.name == "bfloat16"
    assert np.array_equal(found["I8"][2], np.arange(16, 24))
    assert found.metadata == {
        "general.architecture": "llama",
        "llama.block_count": "2",
        "note": "ü",
        "scale": "0.5",
        "flag": "True",
    }


def test_a_file_is_compressed_and_quantised_types_are_told(file, weights, good, tmp_path):
    out = good("compress", file, "-o", tmp_path / "c.safetensors", "--max-error", "1%")
    assert "note: 5 tensors of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 are taken as the float32 values" in out
    good("verify", file, tmp_path / "c.safetensors")
    good("decompress", tmp_path / "c.safetensors", "-o", tmp_path / "b.safetensors")
    found = open_tensors(tmp_path / "b.safetensors")
    assert found.metadata["note"] == "ü"
    assert np.abs(found["F32"].decode() - weights).max() <= 0.01 * np.ptp(weights)
    assert np.array_equal(found["norm"].decode(), weights[0])


def test_a_file_without_its_ending_is_known_by_its_first_bytes(file, tmp_path, good):
    blob = file.rename(tmp_path / "sha256-abc")
    good("compress", blob, "-o", tmp_path / "c.safetensors", "--max-error", "1%")


def test_plain_types_need_no_library(file, weights, tmp_path, monkeypatch):
    plain = written(tmp_path / "plain.gguf", {"w": (weights, None)})
    gguf_file._gguf.cache_clear()
    monkeypatch.setitem(sys.modules, "gguf.quants", None)
    assert compress_tensors(plain, "1%")["w"].is_compressed
    with pytest.raises(MissingToolError, match=r"quantised tensors: gguf is not installed; pip install '\.\[gguf\]'"):
        open_tensors(file)


def test_the_other_byte_order_is_refused(weights, fault, tmp_path):
    path = written(tmp_path / "m.gguf", {"w": (weights, None)}, endianess=gguf.GGUFEndian.BIG)
    line = fault("info", path)
    assert "is a big-endian GGUF file; convert it with gguf-convert-endian" in line


def test_no_truncation_hangs_or_is_taken_for_a_file(file):
    whole = file.read_bytes()
    for size in (*range(0, 600, 7), len(whole) // 2, len(whole) - 17):
        file.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"damaged|truncated|GGUF"):
            open_tensors(file)


def header(*parts, version=3, tensors=0, fields=0):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)


def text(content):
    return struct.pack("<Q", len(content)) + content


def tensor(name=b"w", shape=(4, 4), kind=0, offset=0):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


ENDLESS = struct.pack("<IIQ", 9, 4, 1 << 60)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGML" + bytes(40), "first bytes are not GGUF"),
        (header(version=1), "is of version 1"),
        (header(version=99), "is of version 99"),
        (header(tensors=1 << 60), "says to have"),
        (header(fields=1 << 60), "says to have"),
        (header(text(b"k"), ENDLESS, fields=1), "truncated"),
        (header(text(b"k"), struct.pack("<IIQ", 9, 8, 1 << 60), fields=1), "truncated"),
        (
            header(text(b"k"), struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 9, fields=1),
            "arrays of the type",
        ),
        (header(text(b"k"), struct.pack("<I", 77), bytes(9), fields=1), "has the type 77"),
        (header(struct.pack("<Q", 1 << 62), bytes(20), fields=1), "truncated"),
        (header(*(text(b"k") + struct.pack("<IB", 0, 1),) * 2, fields=2), "there twice"),
        (header(text(b"general.alignment"), struct.pack("<II", 4, 3), fields=1), "alignment is 3"),
        (header(text(b"split.count"), struct.pack("<II", 4, 3), fields=1), "is one of 3 parts"),
        (header(tensor(), tensor(), bytes(200), tensors=2), "two tensors have one name"),
        (header(tensor(shape=(1,) * 9), tensors=1), "9 dimensions"),
        (header(tensor(shape=(1 << 40, 1 << 40)), tensors=1), "has the shape"),
        (header(tensor(shape=(1 << 20, 1 << 20)), tensors=1), "is truncated"),
        (header(tensor(kind=9999), tensors=1), "unknown type 9999"),
        (header(tensor(kind=4), tensors=1), "4"),
        (header(tensor(kind=2), bytes(200), tensors=1), "rows of 4 values, and blocks of 32"),
        (header(tensor(offset=1 << 50), bytes(200), tensors=1), "is truncated"),
        (header(tensor(name=b"\xff\xfe"), bytes(200), tensors=1), "damaged"),
        (header(tensor(shape=(256, 2), kind=15), bytes(2000), tensors=1), "cannot de-quantise"),
    ],
)
def test_a_hostile_header(content, message, fault, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    line = fault("compress", path, "-o", tmp_path / "o.safetensors", "--max-error", "1%")
    assert message in line
