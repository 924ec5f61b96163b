"""Fixtures of the commands' tests: calls that succeed or fail, a small model and the digits network, compressed."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from dnnzip.digits import MODEL

sys.path.insert(0, str(Path(__file__).parent))
from command_models import network

DNNZIP = Path(sys.executable).with_name("dnnzip")


@pytest.fixture
def fault(dnnzip, tmp_path):
    """Run a command that has to fail: one line, the status, no output, no file left; returns the line."""

    def state():
        return {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}

    def run(*arguments, status=2):
        before = state()
        got, out, err = dnnzip(*arguments)
        assert got == status, err
        assert out == ""
        assert err.startswith("dnnzip: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        assert state() == before
        return err.removeprefix("dnnzip: ").rstrip("\n")

    return run


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture
def compressed(small, dnnzip, tmp_path):
    path = tmp_path / "small.dnz.onnx"
    assert dnnzip("compress", small, "-o", path, "--max-error", "2%", "--codec", "ans", "--quiet") == (0, "", "")
    return path


@pytest.fixture
def good(dnnzip):
    """Run a command that has to succeed without a word on standard error; returns standard output."""

    def run(*arguments):
        status, out, err = dnnzip(*arguments)
        assert (status, err) == (0, "")
        return out

    return run


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The digits network at 2 %, and the JSON of its compression."""
    folder = tmp_path_factory.mktemp("digits")
    arguments = ["compress", MODEL, "-o", folder / "m.dnz.onnx", "--max-error", "2%", "--json", folder / "c.json"]
    subprocess.run([DNNZIP, *map(str, arguments), "--quiet"], check=True)
    return folder / "m.dnz.onnx", json.loads((folder / "c.json").read_text())
