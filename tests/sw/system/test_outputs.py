"""Outputs of a command: all of them together, or none, whatever comes in between."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dnnzip.cli.options import with_options
from dnnzip.errors import InputError, field_name
from dnnzip.system.outputs import OutputSet
from dnnzip.tuning.tuner import Tuner
from graphs import product

FULL = "/dev/full"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a folder with a small network, its samples, and a broken "compressed" twin."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(3)
    onnx.save(product(rng.normal(size=(16, 10)).astype(np.float32), "N"), folder / "m.onnx")
    np.savez(folder / "s.npz", x=rng.normal(size=(48, 16)).astype(np.float32), y=np.zeros(48, np.int64))
    return folder


@pytest.fixture
def place(small, tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return small


def names():
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_a_second_output_that_fails_takes_the_first_with_it(dnnzip, place, tmp_path):
    source = place / "c.onnx"
    assert dnnzip("compress", place / "m.onnx", "-o", source, "--max-error", "2%")[0] == 0
    commands = {
        "compress": (place / "m.onnx", "-o", "o.onnx", "--max-error", "2%", "--codec", "ans", "--tables", "t.bin"),
        "decompress": (source, "-o", "o.onnx"),
        "simulate": (source, "-o", "o.onnx", "--link", "golden"),
        "image": (source, "-o", "images/new"),
        "quantize": (place / "m.onnx", "--data", place / "s.npz", "-o", "o.onnx"),
    }
    for command, arguments in commands.items():
        (tmp_path / "o.onnx").write_bytes(b"before")
        status, out, err = dnnzip(command, *arguments, "--json", FULL)
        assert (status, out, err.count("\n")) == (2, "", 1), command
        assert err.startswith(f"dnnzip: {FULL}: cannot be written (No space left on device)"), command
        assert names() == ["o.onnx"], command
        assert (tmp_path / "o.onnx").read_bytes() == b"before", command
        assert not (tmp_path / "images").exists()
        status, _, err = dnnzip(command, *arguments, "--json", "j.json")
        assert (status, err) == (0, ""), command
        assert json.loads((tmp_path / "j.json").read_text()), command
        for path in names():
            Path(path).unlink()
        shutil.rmtree("images", ignore_errors=True)


def test_a_table_set_that_cannot_be_written_leaves_no_model(dnnzip, place, monkeypatch):
    real = OutputSet.write

    def write(self, path, content):
        if path == "t.bin":
            raise InputError(path, "cannot be written", "make room there")
        real(self, path, content)

    monkeypatch.setattr(OutputSet, "write", write)
    options = ("-o", "o.onnx", "--max-error", "2%", "--codec", "ans", "--tables", "t.bin", "--json", "j.json")
    assert dnnzip("compress", place / "m.onnx", *options)[0] == 2
    assert names() == []


def test_a_table_without_room_takes_the_files_along_and_a_reader_that_leaves_does_not(dnnzip, place, monkeypatch):
    options = (place / "m.onnx", "-o", "o.onnx", "--max-error", "2%")
    with Path(FULL).open("w", encoding="utf-8") as full:
        monkeypatch.setattr("sys.stdout", full)
        status, _, err = dnnzip("compress", *options)
    assert status == 2
    assert err.startswith("dnnzip: standard output: cannot be written (No space left on device)")
    assert names() == []
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as gone:
        monkeypatch.setattr("sys.stdout", gone)
        assert dnnzip("compress", *options)[0] == 1
    assert names() == ["o.onnx"]


def test_what_a_failed_check_found_is_written(dnnzip, place, tmp_path):
    other = onnx.load(place / "m.onnx")
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((16, 10), np.float32), "w"))
    onnx.save(other, tmp_path / "other.onnx")
    assert dnnzip("compress", place / "m.onnx", "-o", "c.onnx", "--max-error", "2%")[0] == 0
    assert dnnzip("verify", "other.onnx", "c.onnx", "--json", "j.json")[0] == 1
    assert json.loads((tmp_path / "j.json").read_text())


def test_a_set_keeps_what_is_there_until_all_of_it_is_complete(tmp_path):
    before = tmp_path / "a"
    before.write_bytes(b"before")
    (tmp_path / "b").mkdir()

    def write():
        with OutputSet() as outputs:
            outputs.write(before, b"after")
            outputs.make_folder(tmp_path / "new" / "inner")
            outputs.write(tmp_path / "new" / "inner" / "c", b"c")
            outputs.write(tmp_path / "b", b"b")

    with pytest.raises(InputError, match="b: is a directory"):
        write()
    assert before.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    ended = []
    with OutputSet() as outputs:
        outputs.write(before, b"after")
        outputs.make_folder(tmp_path / "empty")
        outputs.afterwards(lambda: ended.append(before.read_bytes()))
    assert ended == [b"after"]
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize("fault", ["option", "model", "disk"])
def test_a_search_that_is_refused_leaves_no_journal(dnnzip, place, monkeypatch, fault):
    """It would stand in the way of the same search with other options; that of a full disk is kept."""
    where = {"option": field_name("max_drop"), "model": str(place / "m.onnx"), "disk": "o.onnx.tune"}[fault]

    def tune(_, measuring):
        measuring.measured("plain", lambda: [True])
        raise InputError(where, "is wrong", "another")

    monkeypatch.setattr(Tuner, "_tuned", tune)
    options = ("--data", place / "s.npz", "-o", "o.onnx")
    found = dnnzip("tune", place / "m.onnx", *options, "--max-drop", "1%")
    assert found == (2, "", f"dnnzip: {with_options(where)}: is wrong; another\n")
    assert names() == (["o.onnx.tune"] if fault == "disk" else [])
