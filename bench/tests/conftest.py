"""Fixtures of the bench's tests: its commands, run in this process, and a small trained network."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.evaluation.dataset import Dataset
from dnnzip_bench.catalogue import Entry
from dnnzip_bench.command import run
from dnnzip_bench.storage.trained import load_trained

sys.path.insert(0, str(Path(__file__).parent))  # paper_subjects


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
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 30])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    x = rng.normal(size=(200, 40)).astype(np.float32)
    return model, Dataset(x, np.argmax(x @ weights, axis=1), "data")


@pytest.fixture
def trained(network, tmp_path):
    model, data = network
    onnx.save(model, tmp_path / "small.onnx")
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y)
    return load_trained(Entry("small", "data"), tmp_path)
