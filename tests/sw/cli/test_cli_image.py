"""The image command: what it writes is read back by its own table, and decodes to what the golden link decodes."""

import itertools
import json
import shutil
import subprocess
from dataclasses import asdict, fields

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import graphs
from dnnzip.codec import decode_tensor
from dnnzip.errors import InputError
from dnnzip.format import IMAGE_HEADER, ImageEntry, Verdict, WeightStream, read_image_table, table_bytes
from dnnzip.link.golden import GoldenLink
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import read_compressed
from dnnzip.quantize.grid import FloatGrid, Lossless
from dnnzip.usecases.image import plan_image

FILES = ["weights.bin", "weights.h", "weights.json"]
ODD_NAME = 'a "*/ \\ ?? ü'


def network():
    """Weights that are worth an ans stream, ones that are not, and one whose name is odd."""
    rng = np.random.default_rng(5)
    arrays = {
        "first": rng.normal(size=(20, 64)).astype(np.float32),
        "noise": rng.integers(0, 1 << 32, (4, 3), dtype=np.uint64).astype(np.float32),
        ODD_NAME: rng.normal(size=(30, 33)).astype(np.float32),
    }
    nodes = [helper.make_node("MatMul", [f"x{i}", name], [f"y{i}"]) for i, name in enumerate(arrays)]
    inputs = {f"x{i}": [1, len(array)] for i, array in enumerate(arrays.values())}
    return graphs.model(nodes, inputs, {f"y{i}": None for i in range(len(arrays))}, arrays)


@pytest.fixture
def mixed(good, tmp_path, request):
    """Return the compressed network; the parameter is further options of compress."""
    plain, path = tmp_path / "mixed.onnx", tmp_path / "mixed.dnz.onnx"
    onnx.save(network(), plain)
    options = getattr(request, "param", ())
    assert good("compress", plain, "-o", path, "--max-error", "0.5%", "--quiet", *options) == ""
    return path


@pytest.mark.parametrize("mixed", [(), ("--groups", "3"), ("--codec", "line"), ("--codec", "raw")], indirect=True)
@pytest.mark.parametrize("bus_bits", [16, 64, 512])
def test_streams_are_found_by_the_table_and_decode(good, mixed, tmp_path, bus_bits):
    good("image", mixed, "-o", tmp_path / "image", "--bus-bits", bus_bits, "--quiet")
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == FILES
    data = (tmp_path / "image" / "weights.bin").read_bytes()
    entries = read_image_table(data)
    compressed = read_compressed(mixed)
    streams = [part.data for layer in compressed.layers for part in WeightStream.split(layer.stream)]
    golden = GoldenLink().decode(compressed.tables, streams)

    found = [data[entry.offset : entry.offset + 2 * entry.words] for entry in entries]
    tables = b"".join(stream for stream, entry in zip(found, entries, strict=True) if entry.is_table_set)
    assert entries[0].is_table_set == bool(compressed.tables)
    own = [(entry, stream) for stream, entry in zip(found, entries, strict=True) if not entry.is_table_set]
    decoded = GoldenLink().decode(tables, [stream for _, stream in own])
    assert [result.verdict for result in decoded] == [Verdict.OK] * len(streams)
    for (entry, _), result, wanted in zip(own, decoded, golden, strict=True):
        assert np.array_equal(result.codes, wanted.codes)
        assert result.codes.shape == (entry.channels, entry.length)

    # Layers are in order, their parts too, and the channels of the parts follow each other.
    assert [entry.layer for entry, _ in own] == sorted(entry.layer for entry, _ in own)
    for number in range(len(compressed.layers)):
        parts = [entry for entry, _ in own if entry.layer == number]
        assert [entry.part for entry in parts] == list(range(len(parts)))
        starts = np.cumsum([0, *(entry.channels for entry in parts)])
        assert [entry.first_channel for entry in parts] == starts[:-1].tolist()

    # Everything else is padding of zeros, and streams lie on bus words without a gap.
    rest = bytearray(data[table_bytes(len(entries)) :])
    for entry in entries:
        start = entry.offset - table_bytes(len(entries))
        rest[start : start + 2 * entry.words] = bytes(2 * entry.words)
    assert not any(rest)
    for before, entry in itertools.pairwise(entries):
        assert entry.offset == before.offset + before.bus_words * bus_bits // 8
    assert len(data) == entries[-1].offset + entries[-1].bus_words * bus_bits // 8


@pytest.mark.parametrize("mixed", [("--groups", "3", "--error-scope", "channel")], indirect=True)
def test_codes_times_the_scales_are_the_weights(good, mixed, tmp_path):
    facts = json.loads(good("image", mixed, "-o", tmp_path, "--json", "-"))
    data = (tmp_path / "weights.bin").read_bytes()
    compressed = read_compressed(mixed)
    plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in decompressed(compressed).graph.initializer}
    found = {name: [] for name in plain}
    for stream in facts["streams"]:
        words = data[stream["offset"] : stream["offset"] + stream["bytes"]]
        codes = decode_tensor(words, compressed.tables)
        if stream["scale"] is None:  # the original bytes
            found[stream["name"]].append(codes.view("<f4"))
            continue
        found[stream["name"]].append(codes * np.reshape(np.array(stream["scale"], np.float32), (-1, 1)))
    assert sorted(len(parts) for parts in found.values()) == [1, 3, 3]
    for layer in compressed.layers:
        wanted = (
            layer.layout.to_channels(plain[layer.name]) if not isinstance(layer.grid, Lossless) else plain[layer.name]
        )
        assert np.array_equal(np.concatenate(found[layer.name]).reshape(wanted.shape), wanted)


def integer_network():
    """A layer with scales and zero points for each channel, and one that has one of each."""
    rng = np.random.default_rng(8)
    tensors = {
        "many": rng.integers(0, 256, (24, 40)).astype(np.uint8),
        "many_scale": rng.uniform(1e-3, 2, 40).astype(np.float32),
        "many_zero": rng.integers(0, 256, 40).astype(np.uint8),
        "one": rng.integers(-128, 128, (40, 8)).astype(np.int8),
        "one_scale": np.float32(1 / 3),
        "one_zero": np.int8(-7),
    }
    nodes = []
    for number, name in enumerate(("many", "one")):
        inputs = [name, f"{name}_scale", f"{name}_zero"]
        nodes += [
            helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], axis=1),
            helper.make_node("MatMul", [f"x{number}", f"{name}_float"], [f"x{number + 1}"]),
        ]
    return graphs.model(nodes, {"x0": [1, 24]}, {"x2": [1, 8]}, tensors)


SAY_ALL = """
#include <stdio.h>
#include "weights.h"

int main(void)
{
    for (unsigned i = 0; i < NET_STREAM_COUNT; i++) {
        const net_stream *s = &net_streams[i];
        printf("[{");
        MEMBERS
        printf("\\"\\": 0}, [");
        for (unsigned c = 0; c < s->scale_count; c++) printf("%s%.9g", c ? ", " : "", (double)s->scale[c]);
        printf("], [");
        for (unsigned c = 0; c < s->zero_point_count; c++) printf("%s%ld", c ? ", " : "", (long)s->zero_point[c]);
        printf("], ");
        if (s->layer == NET_NO_LAYER) { puts("null, null]"); continue; }
        printf("\\"%s\\", [", net_layers[s->layer].type);
        for (unsigned d = 0; d < net_layers[s->layer].dimensions; d++)
            printf("%s%lu", d ? ", " : "", (unsigned long)net_layers[s->layer].shape[d]);
        puts("]]");
    }
    return 0;
}
"""


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_the_header_finds_in_the_image_what_the_model_holds(good, tmp_path, kind):
    """A compiled program says what the header does; the rest comes from the image's bytes."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on PATH")
    model, bound = (network(), "0.5%") if kind == "float" else (integer_network(), "0lsb")
    onnx.save(model, tmp_path / "m.onnx")
    path = tmp_path / "m.dnz.onnx"
    options = ("--max-error", bound, "--groups", "3", "--error-scope", "channel", "--quiet")
    assert good("compress", tmp_path / "m.onnx", "-o", path, *options) == ""
    good("image", path, "-o", tmp_path, "--prefix", "net", "--bus-bits", "128")
    members = [field.name for field in fields(ImageEntry)]
    prints = "".join(f'printf("\\"{name}\\": %lu, ", (unsigned long)s->{name}); ' for name in members)
    (tmp_path / "say.c").write_text(SAY_ALL.replace("MEMBERS", prints))
    subprocess.run([compiler, "-std=c99", "-Wall", "-Werror", "say.c", "-o", "say"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "say"], capture_output=True, check=True, text=True).stdout.splitlines()
    data = (tmp_path / "weights.bin").read_bytes()
    rows = [json.loads(line) for line in said]
    entries = read_image_table(data)
    assert [row[0] for row in rows] == [asdict(entry) | {"": 0} for entry in entries]
    tables, found = b"", {}
    for entry, (_, scale, points, dtype, shape) in zip(entries, rows, strict=True):
        stream = data[entry.offset : entry.offset + 2 * entry.words]
        if dtype is None:
            tables = stream
            continue
        codes = decode_tensor(stream, tables)
        assert codes.shape == (entry.channels, entry.length)
        assert {len(scale), len(points)} <= {0, 1, entry.channels}
        if dtype == "float32":
            assert points == [0]
            part = codes * np.array(scale, np.float32)[:, None] if scale else codes.view("<f4")
        else:
            integers = (codes.astype(np.int64) + np.array(points)[:, None]).astype(np.uint8).view(dtype)
            part = np.array(scale)[:, None] * (integers.astype(np.float64) - np.array(points)[:, None])
        found.setdefault(entry.layer, (dtype, shape, []))[2].append(part)
    plain = decompressed(compressed := read_compressed(path))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    assert len(found) == len(compressed.layers)
    for layer, (dtype, shape, parts) in zip(compressed.layers, found.values(), strict=True):
        wanted = arrays[layer.name]
        assert (dtype, tuple(shape)) == (wanted.dtype.name, wanted.shape)
        if kind == "integer":
            scale, point = (arrays[f"{layer.name}_{end}"].astype(np.float64) for end in ("scale", "zero"))
            wanted = scale * (wanted.astype(np.float64) - point)
        if isinstance(layer.grid, FloatGrid) or kind == "integer":
            wanted = layer.layout.to_channels(wanted)
        assert np.allclose(np.concatenate(parts).reshape(wanted.shape), wanted, rtol=1e-7, atol=0)


def test_layers_come_in_the_order_of_execution(good, dnnzip, tmp_path):
    """The file's initializers are backwards, its DequantizeLinear nodes first; the image has what runs first, first."""
    rng = np.random.default_rng(3)
    names = ["c", "a", "d", "b"]
    arrays = {name: rng.integers(-99, 99, (8, 8)).astype(np.int8) for name in names}
    scales = {f"{name}_scale": np.float32(0.25 * (i + 1)) for i, name in enumerate(names)}
    prepare = [
        helper.make_node("DequantizeLinear", [name, f"{name}_scale"], [f"{name}_float"]) for name in sorted(names)
    ]
    use = [helper.make_node("MatMul", [f"x{i}", f"{name}_float"], [f"x{i + 1}"]) for i, name in enumerate(names)]
    backwards = sorted((arrays | scales).items(), reverse=True)
    model = graphs.model([*prepare, *use], {"x0": [1, 8]}, {"x4": [1, 8]}, backwards)
    onnx.save(model, tmp_path / "m.onnx")
    path = tmp_path / "m.dnz.onnx"
    assert dnnzip("compress", tmp_path / "m.onnx", "-o", path, "--max-error", "0lsb", "--quiet")[0] == 0
    facts = json.loads(good("image", path, "-o", tmp_path / "image", "--json", "-"))
    assert [(stream["name"], stream["layer"]) for stream in facts["streams"]] == [*zip(names, range(4), strict=True)]
    assert [stream["scale"] for stream in facts["streams"]] == [0.25, 0.5, 0.75, 1.0]
    assert {(stream["type"], stream["zero_point"]) for stream in facts["streams"]} == {("int8", 0)}
    data = (tmp_path / "image" / "weights.bin").read_bytes()
    entries = [entry for entry in read_image_table(data) if not entry.is_table_set]
    assert [entry.layer for entry in entries] == [0, 1, 2, 3]
    assert [entry.offset for entry in entries] == sorted(entry.offset for entry in entries)
    tables = read_compressed(path).tables
    for entry, name in zip(entries, names, strict=True):
        codes = decode_tensor(data[entry.offset : entry.offset + 2 * entry.words], tables)
        assert np.array_equal(codes, arrays[name].T)


@pytest.mark.parametrize("mixed", [("--groups", "2")], indirect=True)
def test_json_says_what_the_image_says(good, dnnzip, mixed, tmp_path):
    out = good("image", mixed, "-o", tmp_path, "--bus-bits", 32, "--json", "-")
    facts = json.loads(out)
    assert facts == json.loads((tmp_path / "weights.json").read_text())
    data = (tmp_path / "weights.bin").read_bytes()
    tables, *entries = read_image_table(data)
    assert (facts["image"], facts["bus_bits"]) == ("weights.bin", 32)
    place = (facts["table_set"][key] for key in ("offset", "words", "bytes", "bus_words"))
    assert tuple(place) == (tables.offset, tables.words, 2 * tables.words, tables.bus_words)
    assert facts["table_set"]["id"] == int.from_bytes(data[tables.offset + 2 : tables.offset + 4], "little")
    names = [layer.name for layer in read_compressed(mixed).layers]
    for stream, entry in zip(facts["streams"], entries, strict=True):
        assert stream["name"] == names[entry.layer]
        assert stream["bytes"] == 2 * entry.words
        for key in ("layer", "part", "offset", "words", "bus_words", "first_channel", "channels", "length"):
            assert stream[key] == getattr(entry, key)
    totals = facts["totals"]
    assert totals["image_bytes"] == len(data) == totals["head_bytes"] + totals["stream_bytes"] + totals["padding_bytes"]
    _, out, _ = dnnzip("info", mixed, "--json", "-")
    assert totals["stream_bytes"] == json.loads(out)["totals"]["stream_bytes"]
    assert totals["bits_per_weight"] == 8 * (len(data) + totals["side_bytes"]) / totals["weights"]
    assert (totals["layers"], totals["streams"]) == (3, len(entries))
    for stream in facts["streams"]:
        assert (stream["type"], stream["zero_point"]) == ("float32", 0)
        assert stream["shape"] == list(network().graph.initializer[names.index(stream["name"])].dims)
    assert {stream["codec"] for stream in facts["streams"]} == {"ans", "raw"}


def test_the_table_shows_every_stream(good, mixed, tmp_path):
    out = good("image", mixed, "-o", tmp_path / "image")
    assert "(table set)" in out
    for name in ("first", "noise", ODD_NAME):
        assert f" {name} " in out
    data = (tmp_path / "image" / "weights.bin").read_bytes()
    assert IMAGE_HEADER.unpack(data)["bus_bytes"] == 8
    assert f"{len(data):,} bytes" in out
    for name in FILES:
        assert f"{tmp_path / 'image' / name}\n" in out


def test_the_same_model_gives_the_same_image(good, mixed, tmp_path):
    for name in ("one", "two"):
        good("image", mixed, "-o", tmp_path / name, "--quiet", "--prefix", "net")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bus_bits", [0, 8, 48, 1024])
def test_a_wrong_bus(fault, mixed, tmp_path, bus_bits):
    line = fault("image", mixed, "-o", tmp_path / "image", "--bus-bits", bus_bits)
    assert line == f"--bus-bits: bus bits must be a power of two from 16 to 512, not {bus_bits}"


def test_a_damaged_stream(fault, mixed, tmp_path):
    model = onnx.load(mixed)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == "first.stream")
    changed = bytearray(numpy_helper.to_array(tensor).tobytes())
    changed[40] ^= 1
    tensor.CopyFrom(numpy_helper.from_array(np.frombuffer(bytes(changed), np.uint8), tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    line = fault("image", tmp_path / "damaged.onnx", "-o", tmp_path / "image")
    assert line.startswith(f"{tmp_path / 'damaged.onnx'}: layer 'first': has a damaged stream (")


def test_a_folder_that_is_a_file(fault, mixed, tmp_path):
    (tmp_path / "file").write_text("here")
    for place in (tmp_path / "file", tmp_path / "file" / "image"):
        assert fault("image", mixed, "-o", place).startswith(f"{place}: cannot be made (")


@pytest.mark.parametrize("name", FILES)
def test_one_file_that_cannot_be_written_leaves_all_as_they_are(good, fault, mixed, tmp_path, name):
    folder = tmp_path / "image"
    good("image", mixed, "-o", folder, "--quiet")
    (folder / name).unlink()
    (folder / name).mkdir()
    line = fault("image", mixed, "-o", folder, "--bus-bits", 512)
    assert line == f"{folder / name}: is a directory; name a file to write"


def test_more_than_the_fields_can_say(mixed, monkeypatch):
    monkeypatch.setattr("dnnzip.format.image.table_bytes", lambda _: 1 << 32)
    with pytest.raises(InputError, match=r"does not fit one image \(image .*; compress parts of it"):
        plan_image(read_compressed(mixed), 64)


def test_progress_is_told_by_layer(mixed):
    names = []
    plan_image(read_compressed(mixed), 64, names.append)
    assert names == ["first", "noise", ODD_NAME]
