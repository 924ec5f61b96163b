"""Weight files that are damaged, or made to harm: each ends in one line, quickly, and leaves no output."""

import io
import json
import os
import pickle
import shlex
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dnnzip import compress, open_tensors
from dnnzip.errors import InputError

FACTS = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
TWICE = b'{"a":%s,"a":%s}' % ((json.dumps(FACTS).encode(),) * 2)


@pytest.fixture
def refused(fault, tmp_path):
    """Compress a file that has to be refused; returns the line."""

    def run(path):
        line = fault("compress", path, "-o", tmp_path / "out.safetensors", "--max-error", "1%")
        with pytest.raises(InputError) as error:
            open_tensors(path)
        # The library's own words may name either of two tensors.
        assert str(error.value).partition("(")[0] == line.partition("(")[0]
        return line

    return run


@pytest.fixture
def refused_raw(write_raw, refused, tmp_path):
    """Write a file from a header and bytes, which has to be refused; returns the line."""
    return lambda *parts: refused(write_raw(tmp_path / "m.safetensors", *parts))


@pytest.mark.parametrize(
    ("header", "content", "size", "message"),
    [
        ({"a": FACTS}, bytes(12), None, "is no safetensors file, or is damaged"),
        ({"a": FACTS}, bytes(17), None, "is no safetensors file, or is damaged"),
        ({"a": FACTS, "b": FACTS}, bytes(16), None, "is no safetensors file, or is damaged"),
        ({"a": FACTS | {"dtype": "F128"}}, bytes(16), None, "unknown variant"),
        ({"a": FACTS | {"shape": [1 << 62, 1 << 62]}}, bytes(16), None, "overflow"),
        ({"a": FACTS | {"shape": [-2, -2]}}, bytes(16), None, "is damaged"),
        ({"__metadata__": {"n": 1}, "a": FACTS}, bytes(16), None, "expected a string"),
        (TWICE, bytes(16), None, "key 'a' is there twice"),
        (b"[" * 100_000, b"", None, "is damaged"),
        (b"\xff\xfe", b"", None, "is damaged"),
        (b"", b"", 1 << 60, "header too large"),
        (b"{}", b"", 99, "is damaged"),
        (b"", b"", 0, "is damaged"),
    ],
)
def test_a_bad_header(header, content, size, message, refused_raw):
    assert message in refused_raw(header, content, size)


def test_a_file_without_tensors(write_raw, fault, tmp_path):
    path = write_raw(tmp_path / "m.safetensors", {})
    line = fault("compress", path, "-o", tmp_path / "out.safetensors", "--max-error", "1%")
    assert line == f"{path}: has no weights to compress; give a file with tensors"


def test_no_truncation_is_taken_for_a_file(plain, refused):
    whole = plain.read_bytes()
    for size in (*range(12), 100, len(whole) // 2, len(whole) - 1):
        plain.write_bytes(whole[:size])
        refused(plain)


def test_what_is_no_file(fault, tmp_path):
    for name in ("m.safetensors", "m.safetensors.index.json", "m.npz", "m.gguf"):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / f"pipe.{name}")
        for path, message in (
            (name, "Is a directory"),
            (f"pipe.{name}", "is no regular file"),
            (f"no.{name}", "No such"),
        ):
            assert message in fault(
                "compress", tmp_path / path, "-o", tmp_path / "out.safetensors", "--max-error", "1%"
            )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["weight_map"].update(codes="../in/model-00001-of-00002.safetensors"), "its own folder"),
        (lambda index: index["weight_map"].update(codes="/etc/passwd"), "its own folder"),
        (lambda index: index["weight_map"].update(codes=".."), "its own folder"),
        (lambda index: index["weight_map"].update(codes=""), "its own folder"),
        (lambda index: index["weight_map"].update(codes="model-00003-of-00003.safetensors"), "No such file"),
        (lambda index: index["weight_map"].update(codes="pytorch_model-1.bin"), "never loaded"),
        (lambda index: index["weight_map"].update(extra="model-00001-of-00002.safetensors"), "no file holds it"),
        (lambda index: index["weight_map"].pop("codes"), "in no file"),
        (lambda index: index["weight_map"].update(codes=7), "has no weight_map"),
        (lambda index: index.pop("weight_map"), "has no weight_map"),
        (lambda index: index.update(weight_map=[]), "has no weight_map"),
    ],
)
def test_an_index_that_does_not_suit_its_shards(change, message, sharded, refused):
    index = json.loads(sharded.read_text())
    change(index)
    sharded.write_text(json.dumps(index))
    assert message in refused(sharded)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"weight_map":{"a":"b","a":"c"}}', b"\xff", b"[" * 99_999])
def test_an_index_that_is_none(text, sharded, refused):
    sharded.write_bytes(text)
    refused(sharded)


def test_a_tensor_in_two_shards(sharded, refused):
    first = sharded.with_name("model-00001-of-00002.safetensors")
    second = sharded.with_name("model-00002-of-00002.safetensors")
    both = load_file(second)
    both["mask"] = load_file(first).get("mask", np.ones(2, bool))
    both |= {name: array for name, array in load_file(first).items() if name == "codes"}
    save_file(both, second)
    save_file({**load_file(first), "mask": np.ones(2, bool)}, first)
    assert "in two of its files" in refused(sharded)


class Harm:
    """An object that leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def torch_archive(path, content):
    """Write an archive as `torch.save` does."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", content)
        archive.writestr("model/data/0", bytes(16))


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.ckpt", "weights", "it's.pt"])
@pytest.mark.parametrize("is_archive", [True, False])
def test_a_pickle_is_never_loaded(name, is_archive, fault, tmp_path):
    path, harm = tmp_path / name, tmp_path / "harm"
    content = pickle.dumps({"w": Harm(str(harm))}, protocol=2)
    torch_archive(path, content) if is_archive else path.write_bytes(content)
    for command in (("compress", path, "-o", tmp_path / "o.safetensors", "--max-error", "1%"), ("info", path)):
        line = fault(*command)
        assert "is a pickle of PyTorch, which is never loaded" in line
        # The line is one that a shell and Python take.
        words = shlex.split(line.partition("python -c ")[2])
        assert len(words) == 1
        compile(words[0], "line", "exec")
        assert repr(str(path)) in words[0]
        assert repr(str(path.with_suffix(".safetensors"))) in words[0]
    assert not harm.exists()


def test_an_old_tar_of_pytorch_is_a_pickle_too(fault, tmp_path):
    (tmp_path / "old.pth").write_bytes(b"sys_info\x00" * 80)
    assert "never loaded" in fault("info", tmp_path / "old.pth")


def npz(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def test_objects_in_an_archive_are_never_loaded(refused, tmp_path):
    harm = tmp_path / "harm"
    array = np.array([Harm(str(harm))], object)
    npz(tmp_path / "m.npz", [("w.npy", npy(array, allow_pickle=True))])
    assert "w.npy holds Python objects" in refused(tmp_path / "m.npz")
    assert not harm.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_none(refused, tmp_path):
    path, good = tmp_path / "m.npz", npy(np.ones((4, 4), np.float32))
    header = good.replace(b"(4, 4)", b"(4, 8)")
    for members, message in (
        ([("a.npy", good), ("a.npy", good)], "two arrays 'a'"),
        ([("a.txt", good)], "'a.txt' in it is no array"),
        ([("a.npy", good[:-1])], "and its shape needs"),
        ([("a.npy", header)], "and its shape needs"),
        ([("a.npy", b"\x93NUMPY\x09\x00" + good[8:])], "is of version"),
        ([("a.npy", b"")], "a"),
        ([("__metadata__.npy", npy(np.frombuffer(b'{"a":1}', np.uint8)))], "holds no texts"),
    ):
        npz(path, members)
        assert message in refused(path)
    path.write_bytes(good)
    assert "is no .npz file" in refused(path)
    npz(path, [("a.npy", good)])
    path.write_bytes(path.read_bytes()[:-30])
    refused(path)


def test_a_wrong_checksum_in_an_archive(fault, tmp_path):
    path, array = tmp_path / "m.npz", np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    np.savez(path, w=array)
    content = bytearray(path.read_bytes())
    content[content.index(array.tobytes()) + 100] ^= 1
    path.write_bytes(content)
    assert "Bad CRC-32" in fault("compress", path, "-o", tmp_path / "o.npz", "--max-error", "1%")


@pytest.fixture
def compressed(plain, good, tmp_path):
    """Return a compressed file."""
    good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", "2%")
    return tmp_path / "c.safetensors"


def changed(path, change):
    """Change the declaration of a compressed safetensors file."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
    arrays = load_file(path)
    declared = json.loads(metadata["dnnzip"])
    change(declared, arrays)
    save_file(arrays, path, metadata=metadata | {"dnnzip": json.dumps(declared)})


def array_file():
    """Return an array file as it stands alone, with its table set."""
    array = np.random.default_rng(0).integers(-9, 9, (40, 50)).astype(np.int8)
    return np.frombuffer(compress(array, "0lsb", codec="ans").to_bytes(), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda declared, _: declared.update(version=2), "is of version 2"),
        (lambda declared, _: declared.update(version="1"), "no description"),
        (lambda declared, _: declared.update(tables=5), "no description"),
        (lambda declared, _: declared.pop("tables"), "no description"),
        (lambda declared, _: declared.update(tables="other"), "lacks its table set 'other'"),
        (lambda declared, _: declared.update(compressed={}), "no description"),
        (lambda declared, _: declared["compressed"].append("codes"), "each once"),
        (lambda declared, _: declared["compressed"].append("mask"), "each once"),
        (lambda declared, _: declared["compressed"].pop(), "each once"),
        (lambda declared, _: declared.update(left_out=[]), "no description"),
        (lambda _, arrays: arrays.update(more=np.ones(2)), "each once"),
        (lambda _, arrays: arrays.update(codes=np.ones(200, np.uint8)), "is no compressed array"),
        (lambda _, arrays: arrays.update(codes=np.ones(0, np.uint8)), "is no compressed array"),
        (lambda _, arrays: arrays.update(codes=array_file()), "has a table set of its own"),
        (lambda _, arrays: arrays.update(codes=arrays["codes"][:-1].copy()), "is truncated"),
        (lambda _, arrays: arrays.update(codes=np.append(arrays["codes"], np.uint8(0))), "follow its end"),
        (lambda _, arrays: arrays.update(codes=np.ones((4, 4), np.float32)), "is no list of bytes"),
    ],
)
def test_a_declaration_that_does_not_suit(change, message, compressed, fault):
    changed(compressed, change)
    line = fault("info", compressed)
    assert message in line
    assert str(compressed) in line


def test_damage_to_a_compressed_file_is_one_line_or_harmless(compressed, dnnzip, tmp_path):
    path, back = compressed, tmp_path / "b.safetensors"
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    ends = []
    for _ in range(60):
        content = bytearray(whole)
        for position in rng.integers(len(whole), size=2):
            content[position] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        back.unlink(missing_ok=True)
        status, _, err = dnnzip("decompress", path, "-o", back)
        assert status in (0, 2)
        assert err.count("\n") == (status == 2)
        assert back.exists() == (status == 0)
        ends.append(status)
    assert sum(ends) > 20


def test_one_shard_of_a_compressed_file(sharded, good, fault, tmp_path):
    good("compress", sharded, "-o", tmp_path / "c.safetensors.index.json", "--max-error", "2%")
    line = fault("info", tmp_path / "c-00002-of-00002.safetensors")
    assert "lacks its table set 'dnnzip.tables'; name the index where it is one of its shards" in line


def test_outputs_that_say_no_kind(plain, fault, good, tmp_path):
    for name, message in (("o.onnx", "no ending"), ("o", "no ending"), ("o.gguf", "read alone"), ("o.pt", "no ending")):
        assert message in fault("compress", plain, "-o", tmp_path / name, "--max-error", "1%")
    assert "is not a compressed weight file" in fault("info", plain)
    good("compress", plain, "-o", tmp_path / "c.safetensors", "--max-error", "1%")
    line = fault("compress", tmp_path / "c.safetensors", "-o", tmp_path / "d.safetensors", "--max-error", "1%")
    assert "is compressed already" in line


def test_weights_that_are_no_numbers(fault, good, tmp_path):
    array = np.ones((4, 4), np.float32)
    array[1, 2] = np.nan
    save_file({"w": array, "v": np.eye(9, dtype=np.float32)}, tmp_path / "m.safetensors")
    arguments = ("compress", tmp_path / "m.safetensors", "-o", tmp_path / "o.safetensors", "--max-error", "1%")
    assert "layer 'w': has NaN or infinite weights" in fault(*arguments)
    good(*arguments, "--exclude", "w")
    good("verify", tmp_path / "m.safetensors", tmp_path / "o.safetensors")


def test_types_that_an_output_does_not_have(fault, good, tmp_path, write_raw, bfloat16):
    np.savez(tmp_path / "m.npz", w=np.eye(9, dtype=np.float32), names=np.array(["a", "b"]))
    line = fault("compress", tmp_path / "m.npz", "-o", tmp_path / "o.safetensors", "--max-error", "1%")
    assert "cannot hold 'names', an array of <U1" in line
    good("compress", tmp_path / "m.npz", "-o", tmp_path / "o.npz", "--max-error", "1%")
    good("decompress", tmp_path / "o.npz", "-o", tmp_path / "b.npz")
    assert list(np.load(tmp_path / "b.npz")["names"]) == ["a", "b"]
    facts = {"w": FACTS, "h": {"dtype": "BF16", "shape": [384], "data_offsets": [16, 16 + bfloat16.nbytes]}}
    values = np.arange(4, dtype=np.float32).tobytes()
    path = write_raw(tmp_path / "h.safetensors", facts, values + bfloat16.tobytes())
    assert "cannot hold 'h'" in fault("compress", path, "-o", tmp_path / "h.npz", "--max-error", "1%")


def test_a_header_of_many_bytes_takes_no_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 40))
        file.truncate(1 << 41)
    with pytest.raises(InputError, match="header too large"):
        open_tensors(path)
