"""On trained networks, where they are there: the baseline, and the accuracies that the design notes measured."""

import json
import os
from pathlib import Path

import pytest
from onnx import numpy_helper

from dnnzip.evaluation.accuracy import evaluate
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import load_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.tolerance import largest_errors

ZOO = Path(os.environ.get("DNNZIP_ZOO", Path(__file__).parents[4] / "shared" / "zoo"))

pytestmark = [pytest.mark.zoo, pytest.mark.skipif(not ZOO.is_dir(), reason="no zoo at $DNNZIP_ZOO")]

SMALL = [
    ("lenet5_mnist", "mnist"),
    ("resnet8_cifar10", "cifar10_ic01"),
    ("resnet8_cifar10_int8", "cifar10_ic01"),
    ("dscnn_kws", "kws01"),
    ("dscnn_kws_int8", "kws01"),
]


@pytest.mark.parametrize(("name", "data"), SMALL)
def test_the_baseline_is_reproduced_within_one_sample(name, data):
    rows = json.loads((ZOO / "baseline.json").read_text())
    (row,) = [row for row in rows if (row["model"], row["data"]) == (name, data)]
    result = evaluate(ZOO / f"{name}.onnx", ZOO / f"{data}.npz")
    assert result.samples == row["n"]
    assert abs(result.top1 - row["top1"]) * row["n"] <= 1


@pytest.mark.parametrize(
    ("name", "data", "bound", "scope", "percent"),
    [
        ("lenet5_mnist", "mnist", "0.5%", Scope.TENSOR, 99.26),
        ("lenet5_mnist", "mnist", "1%", Scope.TENSOR, 99.30),
        ("lenet5_mnist", "mnist", "2%", Scope.TENSOR, 99.17),
        ("lenet5_mnist", "mnist", "5%", Scope.TENSOR, 98.96),
        ("dscnn_kws", "kws01", "0.5%", Scope.TENSOR, 90.9),
        ("dscnn_kws", "kws01", "1%", Scope.TENSOR, 91.5),
        ("dscnn_kws", "kws01", "2%", Scope.TENSOR, 89.7),
        ("dscnn_kws", "kws01", "1%", Scope.CHANNEL, 91.2),
    ],
)
def test_accuracy_against_the_bound_is_as_measured(networks, name, data, bound, scope, percent):
    model = load_model(ZOO / f"{name}.onnx")
    compressed, results = networks.compress(model, bound, scope)
    plain = decompressed(open_compressed(compressed, name))
    restored = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    for result in results:
        assert (largest_errors(result.weight, restored[result.weight.name], 1, scope) <= result.grid.bound).all()
    # Half a point.
    assert abs(100 * evaluate(plain, ZOO / f"{data}.npz").top1 - percent) <= 0.5


def test_integer_weights_without_loss_change_no_prediction(networks):
    model = load_model(ZOO / "dscnn_kws_int8.onnx")
    compressed, _ = networks.compress(model, "0lsb")
    plain = evaluate(model, ZOO / "kws01.npz").predictions
    assert (evaluate(compressed, ZOO / "kws01.npz").predictions == plain).all()
