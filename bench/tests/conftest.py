"""Fixtures of the bench's tests: its commands, run in this process, and a small trained network."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from dnnzip.evaluation.dataset import Dataset
from dnnzip_bench.catalogue import Entry
from dnnzip_bench.command import run
from dnnzip_bench.storage.trained import load_trained

sys.path.insert(0, str(Path(__file__).parent))
from matrix_products import products


@pytest.fixture
def bench(capsys):
    """Run a command of the bench; returns (status, standard output, standard error)."""

    def called(command, *arguments):
        with pytest.raises(SystemExit) as stopped:
            run(command, list(map(str, arguments)))
        return (stopped.value.code or 0, *capsys.readouterr())

    return called


@pytest.fixture
def network():
    """Return a trained network of one product, right on each of its samples, in memory."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(40, 30)).astype(np.float32)
    x = rng.normal(size=(200, 40)).astype(np.float32)
    return products(w=weights), Dataset(x, np.argmax(x @ weights, axis=1), "data")


@pytest.fixture
def trained(network, tmp_path):
    model, data = network
    onnx.save(model, tmp_path / "small.onnx")
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y)
    return load_trained(Entry("small", "data"), tmp_path)
