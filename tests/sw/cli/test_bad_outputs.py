"""Outputs that cannot be written are refused before any work; an interrupt leaves none."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_models import DNNZIP, compress

from dnnzip.digits import MODEL, TEST_SET


@pytest.mark.parametrize("kind", ["no folder", "folder", "file as folder", "read only"])
def test_an_output_that_cannot_be_written(fault, small, compressed, tmp_path, kind):
    targets = {
        "no folder": tmp_path / "nowhere" / "out.onnx",
        "folder": tmp_path / "taken",
        "file as folder": small / "out.onnx",
        "read only": tmp_path / "locked" / "out.onnx",
    }
    (tmp_path / "taken").mkdir()
    if kind == "read only":
        if os.getuid() == 0:
            pytest.skip("root writes everywhere")
        (tmp_path / "locked").mkdir(mode=0o500)
    target = targets[kind]
    for arguments in (
        ("compress", small, "-o", target, "--max-error", "2%"),
        ("decompress", compressed, "-o", target),
        ("simulate", compressed, "--link", "golden", "--quiet", "-o", target),
        ("info", compressed, "--quiet", "--json", target),
    ):
        line = fault(*arguments)
        assert line.startswith(f"{target}: ")
        assert "name a file" in line


def test_an_output_is_refused_before_any_work(fault, small, compressed, tmp_path, monkeypatch):
    def work(*_):
        raise AssertionError("the output should have been looked at first")

    monkeypatch.setattr("dnnzip.onnx.files.open_model", work)
    monkeypatch.setattr("dnnzip.onnx.opening.open_model", work)
    monkeypatch.setattr("dnnzip.onnx.opening.load_model", work)
    monkeypatch.setattr("dnnzip.evaluation.accuracy.evaluate", work)
    nowhere = tmp_path / "nowhere" / "out"
    for place in ("/dev/null/facts.json", "/dev/none/facts.json"):
        assert fault("info", compressed, "--json", place).startswith(f"{place}: cannot be written (No")
    for arguments in (
        ("compress", small, "--max-error", "2%", "-o", nowhere),
        ("compress", small, "--max-error", "2%", "-o", tmp_path / "o", "--json", nowhere),
        ("compress", small, "--max-error", "2%", "-o", tmp_path / "o", "--tables", nowhere),
        ("decompress", compressed, "-o", nowhere),
        ("info", compressed, "--json", nowhere),
        ("verify", small, compressed, "--json", nowhere),
        ("evaluate", small, "--data", TEST_SET, "--json", nowhere),
        ("simulate", compressed, "-o", nowhere),
    ):
        assert fault(*arguments).startswith(f"{nowhere}: cannot be written (No such file or directory); ")


def test_a_name_that_is_too_long(fault, small, compressed):
    name = "x" * 5000
    for command in (
        ("bitstream", "--board", "icebreaker", "-o", name),
        ("report", name),
        ("image", compressed, "-o", name),
        ("rtl", "-o", name),
        ("explore", small, "--data", TEST_SET, "--max-error", "1%", "-o", name),
        ("evaluate", small, "--images", name),
        ("info", name),
        ("info", compressed, "--json", name),
    ):
        assert fault(*command) == f"{name}: cannot be opened (File name too long); give a shorter name"


def test_a_full_device(fault, compressed):
    assert fault("decompress", compressed, "-o", "/dev/full") == (
        "/dev/full: cannot be written (No space left on device); make room there"
    )


def test_an_interrupt_leaves_no_output(tmp_path):
    """The interrupt comes while the model is on its way through a pipe, when everything is imported and under way."""
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    with (
        subprocess.Popen(
            [DNNZIP, "compress", pipe, "-o", tmp_path / "out.dnz.onnx", "--max-error", "2%"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, a process inherits that it ignores interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
        pipe.open("wb") as file,
    ):
        file.write(MODEL.read_bytes()[:1000])
        file.flush()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "dnnzip: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_interrupt_in_the_middle_of_writing_leaves_no_output(dnnzip, small, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    status, _, err = dnnzip(*compress(small, tmp_path))
    assert (status, err.strip()) == (130, "dnnzip: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]
