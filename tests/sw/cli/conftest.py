"""Fixtures of the commands' tests: a small model and the digits network, compressed."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from dnnzip.digits import MODEL

sys.path.insert(0, str(Path(__file__).parent))
from command_models import DNNZIP, network


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture
def compressed(small, dnnzip, tmp_path):
    path = tmp_path / "small.dnz.onnx"
    options = ("--max-error", "2%", "--error-scope", "tensor", "--codec", "ans")
    assert dnnzip("compress", small, "-o", path, *options, "--quiet") == (0, "", "")
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The digits network at 2 % of the range of each tensor, and the JSON of its compression."""
    folder = tmp_path_factory.mktemp("digits")
    arguments = ["compress", MODEL, "-o", folder / "m.dnz.onnx", "--max-error", "2%", "--error-scope", "tensor"]
    arguments += ["--json", folder / "c.json"]
    subprocess.run([DNNZIP, *map(str, arguments), "--quiet"], check=True)
    return folder / "m.dnz.onnx", json.loads((folder / "c.json").read_text())
