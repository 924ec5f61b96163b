"""Fixtures of the weight files' tests: a set of tensors of all kinds, and calls that have to fail in one line."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture(scope="session")
def arrays():
    """Return tensors by name: some that are compressed, and one for each rule that leaves others out."""
    rng = np.random.default_rng(5)
    return {
        "model.layers.0.weight": rng.normal(size=(48, 32)).astype(np.float32),
        "model.layers.1.weight": rng.normal(size=(32, 48)).astype(np.float16),
        "conv.weight": rng.normal(size=(8, 4, 3, 3)).astype(np.float32),
        "codes": rng.integers(-20, 20, (40, 50)).astype(np.int8),
        "model.layers.0.bias": rng.normal(size=48).astype(np.float32),
        "position_ids": np.arange(12).reshape(1, 12),
        "mask": np.tri(5, dtype=np.bool_),
        "few": rng.integers(-9, 9, (4, 5)).astype(np.int8),
        "empty": np.zeros((0, 7), np.float32),
        "scalar": np.array(0.5, np.float32),
        "größe [a]<b>": rng.normal(size=(6, 10)).astype(np.float32),
    }


COMPRESSED = {"model.layers.0.weight", "model.layers.1.weight", "conv.weight", "codes", "größe [a]<b>"}


@pytest.fixture(scope="session")
def compressed_names():
    """Return the names of the tensors of `arrays` that are compressed."""
    return COMPRESSED


@pytest.fixture
def plain(arrays, tmp_path):
    """Return a safetensors file of the tensors, as the library writes it, with metadata."""
    path = tmp_path / "model.safetensors"
    save_file(arrays, path, metadata={"format": "pt", "note": 'a "quoted" ü'})
    return path


def shard(arrays, folder, stem="model", metadata=({"format": "pt"}, {"format": "pt", "part": "2"})):
    """Write a sharded file of two parts, as the hub's tools do; returns the index."""
    names = [f"{stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    weight_map = {name: names[place % 2] for place, name in enumerate(arrays)}
    for file, texts in zip(names, metadata, strict=True):
        own = {name: array for name, array in arrays.items() if weight_map[name] == file}
        save_file(own, folder / file, metadata=texts)
    total = sum(array.nbytes for array in arrays.values())
    index = folder / f"{stem}.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": total, "by": "test"}, "weight_map": weight_map}))
    return index


@pytest.fixture
def sharded(arrays, tmp_path):
    """Return the index of the tensors in two files."""
    folder = tmp_path / "in"
    folder.mkdir()
    return shard(arrays, folder)


@pytest.fixture
def write_raw():
    """Write a safetensors file from its header, an object or text, and its bytes."""

    def write(path, header, content=b"", size=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + content)
        return path

    return write


@pytest.fixture
def bfloat16():
    """Return an array of bfloat16, which NumPy's own formats do not know."""
    return np.random.default_rng(6).normal(size=(16, 24)).astype(ml_dtypes.bfloat16)


@pytest.fixture
def fault(dnnzip, tmp_path):
    """Run a command that has to fail: one line, status 2, no output, no file changed; returns the line."""

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def run(*arguments):
        before = files()
        status, out, err = dnnzip(*arguments)
        assert (status, out) == (2, ""), err
        assert err.startswith("dnnzip: ")
        assert err.count("\n") == 1
        assert files() == before
        return err.removeprefix("dnnzip: ").rstrip("\n")

    return run


@pytest.fixture
def good(dnnzip):
    """Run a command that has to succeed without a word on standard error; returns standard output."""

    def run(*arguments):
        status, out, err = dnnzip(*arguments)
        assert (status, err) == (0, "")
        return out

    return run
