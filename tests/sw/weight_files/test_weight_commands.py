"""Commands on weight files: what comes back, what stays as it is, and where it goes."""

import json
import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dnnzip import open_tensors
from dnnzip.weight_files import sharded as shards

OUTPUTS = ("out.safetensors", "out.safetensors.index.json", "out.npz")


def close(found, array, share=0.02):
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    error = np.abs(found.astype(np.float64) - array.astype(np.float64)).max()
    assert error <= share * float(np.ptp(array.astype(np.float64)))


def loaded(path):
    """Return tensors and metadata of a plain output, by readers that are not dnnzip's."""
    if path.suffix == ".npz":
        content = dict(np.load(path))
        texts = content.pop("__metadata__", None)
        return content, json.loads(texts.tobytes()) if texts is not None else {}
    files = [path]
    if path.suffix == ".json":
        files = sorted({path.parent / name for name in json.loads(path.read_text())["weight_map"].values()})
    arrays, metadata = {}, {}
    for file in files:
        arrays |= load_file(file)
        with safe_open(file, "numpy") as opened:
            metadata |= opened.metadata() or {}
    return arrays, metadata


@pytest.fixture(params=["plain", "sharded"])
def path(request):
    """Return a file of one piece, and the index of two."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("compressed_as", OUTPUTS)
def test_a_file_comes_back_within_its_bound(path, compressed_as, arrays, good, tmp_path):
    target = tmp_path / compressed_as
    good("compress", path, "-o", target, "--max-error", "2%", "--json", tmp_path / "c.json")
    told = json.loads((tmp_path / "c.json").read_text())
    compressed_names = {layer["name"] for layer in told["layers"]}
    assert {item["name"] for item in told["left_out"]} == arrays.keys() - compressed_names
    assert " ok" in good("verify", path, target)
    assert "BROKEN" not in good("verify", path, target)
    assert "position_ids (12 weights): Its type must be" in good("info", target)
    for plain_as in OUTPUTS:
        back = tmp_path / f"back.{plain_as.partition('.')[2]}"
        good("decompress", target, "-o", back)
        found, metadata = loaded(back)
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            if name in compressed_names:
                close(found[name], array)
            else:
                assert found[name].dtype == array.dtype
                assert np.array_equal(found[name], array)
        assert metadata["format"] == "pt"


def test_a_compressed_file_is_one_that_other_readers_open(plain, arrays, compressed_names, good, tmp_path):
    good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", "2%")
    found, metadata = loaded(tmp_path / "c.safetensors")
    assert found.keys() == {*arrays, "dnnzip.tables"}
    assert metadata["note"] == 'a "quoted" ü'
    assert all(found[name].dtype == np.uint8 for name in compressed_names)
    declared = json.loads(metadata["dnnzip"])
    assert declared["version"] == 1
    assert set(declared["compressed"]) == compressed_names
    # One table set for all: the streams of a tensor bring none.
    assert sum(value.nbytes for name, value in found.items() if name in compressed_names) < 4500


def test_what_loses_nothing_comes_back_byte_for_byte(good, tmp_path):
    rng = np.random.default_rng(8)
    arrays = {name: rng.integers(-30, 30, (50, 40)).astype(np.int8) for name in ("b", "a", "c")}
    arrays |= {"z.bias": np.ones(5, np.float64), "m": np.ones((2, 2), np.uint64)}
    save_file(arrays, tmp_path / "m.safetensors", metadata={"x": "y"})
    good("compress", tmp_path / "m.safetensors", "-o", tmp_path / "c.safetensors", "--max-error", "0lsb")
    good("decompress", tmp_path / "c.safetensors", "-o", tmp_path / "back.safetensors")
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_shards_and_index_stay_as_they_were(sharded, good, tmp_path):
    target, back = tmp_path / "c.safetensors.index.json", tmp_path / "b.safetensors.index.json"
    good("compress", sharded, "-o", target, "--max-error", "2%")
    index = json.loads(target.read_text())
    original = json.loads(sharded.read_text())
    for name, file in original["weight_map"].items():
        assert index["weight_map"][name] == file.replace("model", "c")
    assert index["metadata"]["by"] == "test"
    files = sorted(path for path in tmp_path.glob("c-*"))
    assert [path.name for path in files] == ["c-00001-of-00002.safetensors", "c-00002-of-00002.safetensors"]
    assert index["metadata"]["total_size"] == sum(array.nbytes for path in files for array in load_file(path).values())
    good("decompress", target, "-o", back)
    again = json.loads(back.read_text())
    assert again["metadata"] == original["metadata"]
    assert again["weight_map"] == {k: v.replace("model", "b") for k, v in original["weight_map"].items()}
    with safe_open(tmp_path / "b-00002-of-00002.safetensors", "numpy") as opened:
        assert opened.metadata() == {"format": "pt", "part": "2"}
    assert load_file(tmp_path / "b-00001-of-00002.safetensors").keys() == {
        name for name, file in original["weight_map"].items() if "-00001-" in file
    }


def test_sharded_outputs_appear_together_or_not_at_all(sharded, good, fault, tmp_path):
    target = tmp_path / "c.safetensors.index.json"
    good("compress", sharded, "-o", target, "--max-error", "2%")
    second = tmp_path / "c-00002-of-00002.safetensors"
    with safe_open(second, "numpy") as opened:
        name = max((key for key in opened.keys()), key=lambda key: opened.get_tensor(key).nbytes)  # noqa: SIM118 - no dict
        stream = opened.get_tensor(name).tobytes()
    content = bytearray(second.read_bytes())
    content[content.index(stream) + len(stream) - 40] ^= 1
    second.write_bytes(content)
    line = fault("decompress", target, "-o", tmp_path / "b.safetensors.index.json")
    assert "has a damaged stream" in line
    assert name in line


def test_no_input_is_overwritten_by_an_index(sharded, fault):
    line = fault("compress", sharded, "-o", sharded, "--max-error", "2%")
    assert "are the same file" in line
    other = sharded.with_name("model.index.json")
    line = fault("compress", sharded, "-o", other, "--max-error", "2%")
    assert "model-00001-of-00002.safetensors" in line
    assert "are the same file" in line


def test_shards_are_those_of_the_stem_alone(tmp_path):
    for name in ("a-00001-of-00003.safetensors", "ab-00001-of-00003.safetensors", "a-1-of-3.safetensors"):
        (tmp_path / name).write_bytes(b"")
    found = shards.shards_there(tmp_path / "a.safetensors.index.json")
    assert [path.name for path in found] == ["a-00001-of-00003.safetensors"]


@pytest.mark.parametrize(
    ("options", "compressed"),
    [
        (("--layers", "model.*"), {"model.layers.0.weight", "model.layers.1.weight"}),
        (("--exclude", "model.*", "--exclude", "größe [a]<b>"), {"conv.weight", "codes"}),
        (("--layers", "größe [a]<b>"), {"größe [a]<b>"}),
    ],
)
def test_tensors_are_chosen_by_globs(options, compressed, plain, good, tmp_path):
    good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", "2%", *options)
    assert {name for name, one in open_tensors(tmp_path / "c.safetensors").items() if one.is_compressed} == compressed


def test_a_bound_that_does_not_suit_leaves_tensors_out(plain, good, tmp_path):
    for bound, compressed in (("1lsb", 1), ("0.01", 4)):
        out = good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", bound)
        assert "Its type must suit the bound" in out
        assert sum(one.is_compressed for one in open_tensors(tmp_path / "c.safetensors").values()) == compressed


def test_a_table_set_is_shared_by_files(plain, good, tmp_path):
    tables, first, second = tmp_path / "t", tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    good("compress", plain, "-o", first, "--max-error", "2%", "--tables", tables)
    good("compress", plain, "-o", second, "--max-error", "2%", "--tables", tables)
    assert first.read_bytes() == second.read_bytes()
    assert load_file(first)["dnnzip.tables"].tobytes() == tables.read_bytes()


def test_a_changed_file_is_not_verified(plain, arrays, good, dnnzip, tmp_path):
    good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", "2%")
    for name, change in (("model.layers.0.weight", 9), ("mask", True), ("position_ids", 3)):
        changed = {key: value.copy() for key, value in arrays.items()}
        changed[name][1 if name == "mask" else 0, -1] = change
        save_file(changed, tmp_path / "other.safetensors", metadata={"format": "pt", "note": 'a "quoted" ü'})
        status, _, err = dnnzip("verify", tmp_path / "other.safetensors", tmp_path / "c.safetensors")
        assert status == 1
        assert name in err
    save_file(arrays, tmp_path / "other.safetensors", metadata={"format": "tf"})
    status, out, _ = dnnzip("verify", tmp_path / "other.safetensors", tmp_path / "c.safetensors")
    assert status == 1
    assert "metadata 'format' is not as it was" in out


def test_bfloat16_comes_back_as_it_is_or_within_its_bound(bfloat16, good, tmp_path, write_raw):
    facts = {"dtype": "BF16", "shape": [16, 24], "data_offsets": [0, bfloat16.nbytes]}
    wide = np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32)
    end = bfloat16.nbytes + wide.nbytes
    header = {"half": facts, "wide": {"dtype": "F32", "shape": [30, 30], "data_offsets": [bfloat16.nbytes, end]}}
    path = write_raw(tmp_path / "m.safetensors", header, bfloat16.tobytes() + wide.tobytes())
    good("compress", path, "-o", tmp_path / "c.safetensors", "--max-error", "1%")
    good("verify", path, tmp_path / "c.safetensors")
    good("decompress", tmp_path / "c.safetensors", "-o", tmp_path / "b.safetensors")
    found = open_tensors(tmp_path / "b.safetensors")["half"].decode()
    close(found, bfloat16, 0.01)


def test_types_that_share_bytes_stay_as_they_are(good, tmp_path, write_raw):
    wide = np.random.default_rng(1).normal(size=(30, 30)).astype(np.float32)
    header = {
        "w": {"dtype": "F32", "shape": [30, 30], "data_offsets": [0, wide.nbytes]},
        "packed": {"dtype": "F4", "shape": [4, 4], "data_offsets": [wide.nbytes, wide.nbytes + 8]},
    }
    path = write_raw(tmp_path / "m.safetensors", header, wide.tobytes() + bytes(range(8)))
    good("compress", path, "-o", tmp_path / "c.safetensors", "--max-error", "1%")
    good("decompress", tmp_path / "c.safetensors", "-o", tmp_path / "b.safetensors")
    assert (tmp_path / "b.safetensors").read_bytes().endswith(bytes(range(8)))
    assert good("verify", path, tmp_path / "c.safetensors")


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_an_output_may_be_a_device_or_a_pipe(kind, plain, arrays, good, tmp_path):
    compressed = tmp_path / f"c.{kind}"
    good("compress", plain, "-o", compressed, "--max-error", "2%")
    good("decompress", compressed, "-o", "/dev/null")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    good("decompress", compressed, "-o", path)
    reader.join()
    (tmp_path / f"piped.{kind}").write_bytes(found[0])
    content, _ = loaded(tmp_path / f"piped.{kind}")
    assert content.keys() == arrays.keys()
    assert open_tensors(tmp_path / f"piped.{kind}").keys() == arrays.keys()


def test_a_device_that_claims_to_go_back_takes_an_archive(good, tmp_path):
    arrays = {f"w{size}": np.arange(12 * size, dtype=np.float32).reshape(12, size) for size in (10, 11, 1, 40, 3)}
    np.savez(tmp_path / "m.npz", **arrays)
    good("compress", tmp_path / "m.npz", "-o", tmp_path / "c.npz", "--max-error", "2%")
    good("decompress", tmp_path / "c.npz", "-o", "/dev/null")


@pytest.mark.parametrize("source", ["safetensors", "npz"])
def test_standard_output_takes_a_whole_file(source, plain, good, tmp_path):
    good("compress", plain, "-o", tmp_path / f"c.{source}", "--max-error", "2%")
    good("decompress", tmp_path / f"c.{source}", "-o", tmp_path / f"b.{source}")
    command = [sys.executable, "-m", "dnnzip", "decompress", tmp_path / f"c.{source}", "-o", "-"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == (tmp_path / f"b.{source}").read_bytes()


def peak_of(run):
    """Return the most bytes that NumPy and Python have taken at once in a call."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_a_tensor_and_not_of_the_file(good, tmp_path):
    array = np.random.default_rng(0).integers(-9, 9, (256, 512)).astype(np.int8)
    peaks = []
    for count in (2, 14):
        source, compressed = tmp_path / "m.safetensors", tmp_path / "c.safetensors"
        save_file({f"w{number}": array for number in range(count)} | {f"b{count}": array.reshape(-1)}, source)
        good("compress", source, "-o", compressed, "--max-error", "0lsb", "--codec", "raw")
        commands = (
            ("verify", source, compressed, "--quiet"),
            ("decompress", compressed, "-o", tmp_path / "plain.safetensors"),
        )
        for command in commands:
            good(*command)  # what is loaded at first use is no part of it
        peaks.append([peak_of(lambda command=command: good(*command)) for command in commands])
    for few, many in zip(*peaks, strict=True):
        assert many < few + array.nbytes
