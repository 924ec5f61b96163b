"""Tables of the commands in a narrow terminal: within its width, no number cut, layers told apart."""

import json
import re

import numpy as np
import onnx
import pytest
from rich.cells import cell_len

from dnnzip.evaluation.dataset import Dataset
from dnnzip.usecases.quantize import quantise_network
from graphs import chain

LAYERS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network whose layers have long names that differ in their middle."""
    rng = np.random.default_rng(5)
    names = [f"StatefulPartitionedCall/model/block_{i}_expand/Conv2D/ReadVariableOp:0_quantized" for i in range(LAYERS)]
    path = tmp_path_factory.mktemp("columns") / "m.onnx"
    onnx.save(chain({name: rng.normal(size=(64, 64)).astype(np.float32) for name in names}), path)
    return path


@pytest.fixture(scope="module")
def quantised(model):
    """The same network in 8 bits, with samples next to it."""
    rng = np.random.default_rng(6)
    samples = {"x": rng.normal(size=(4, 64)).astype(np.float32), "y": np.zeros(4, np.int64)}
    np.savez(model.with_name("set.npz"), **samples)
    path = model.with_name("q.onnx")
    onnx.save(quantise_network(onnx.load(model), Dataset(**samples, where="set.npz"), "m.onnx"), path)
    return path


def tables(out):
    """Return the lines of tables and records; free text wraps by itself."""
    start = re.compile(r" |layer|Stateful|[^ ]*…|total")
    return [
        line for line in out.splitlines() if start.match(line) and not line.lstrip().startswith(("serial:", "overlap:"))
    ]


@pytest.mark.parametrize("width", [80, 60, 40])
def test_every_command_keeps_to_the_width(good, model, quantised, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(tmp_path)
    commands = {
        "compress": (model, "-o", "c.onnx", "--max-error", "2%"),
        "info": ("c.onnx",),
        "verify": (model, "c.onnx"),
        "simulate": ("c.onnx", "--link", "golden"),
        "image": ("c.onnx", "-o", "image"),
        "estimate": ("c.onnx", "--accelerator", "edge-lpddr4"),
        "run": (quantised, "--data", model.with_name("set.npz"), "--link", "golden", "--samples", "1"),
    }
    for command, arguments in commands.items():
        out = good(command, *arguments, "--json", "found.json")
        lines = tables(out)
        assert [line for line in lines if cell_len(line) > width] == [], command
        assert not re.search(r"\d(…|\.\.)(\s|$)", out), command
        names = {word for line in lines for word in line.split() if "…" in word}
        assert len(names) == LAYERS, (command, names)
        found = json.loads((tmp_path / "found.json").read_text())
        assert found


def test_a_terminal_of_another_encoding_gets_dots(dnnzip, model, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("rich.console.Console.encoding", "ascii")
    status, out, _ = dnnzip("compress", model, "-o", tmp_path / "c.onnx", "--max-error", "2%")
    assert status == 0
    assert out.isascii()
    assert len({line.split()[0] for line in out.splitlines() if ".." in line}) == LAYERS
