"""Loading of a compressed network beside the plain one."""

import numpy as np
from click.testing import CliRunner
from onnx import helper

import graphs
from dnnzip.onnx.files import save_model
from dnnzip_bench.loading import loading


def test_a_table_has_both_files_of_each_network(tmp_path):
    weights = np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    save_model(graphs.model([node], {"x": None}, {"y": None}, [("w", weights)], opset=17), tmp_path / "small.onnx")
    found = CliRunner().invoke(loading, [str(tmp_path / "small.onnx"), "--max-error", "1%"])
    assert found.exit_code == 0, found.output
    (row,) = [line.split() for line in found.output.splitlines() if line.split()[:1] == ["small"]]
    assert len(row) == 7
    assert all(float(cell) > 0 for cell in row[1:])
