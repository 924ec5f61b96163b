"""Whole networks on the golden array: every sum, every class, and the sentence for a class that differs."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest

from dnnzip.array.golden import GoldenArray
from dnnzip.array.job import ArrayFigures, open_array
from dnnzip.array.network import compile_network
from dnnzip.codec import CodecOptions
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import CheckFailedError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.format.array import ArrayShape
from dnnzip.onnx.files import load_model
from dnnzip.quantize.bound import Bound
from dnnzip.usecases import run as network_run
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.quantize import quantise_network
from dnnzip.usecases.run import require, run_on_array

SHAPE = ArrayShape(2, 8, 16, 256)


@pytest.fixture(scope="module")
def digits():
    return quantise_network(load_model(MODEL), load_dataset(TEST_SET).first(100), "digits")


def run(model, data, shape=SHAPE, samples=None, link="golden"):
    compiled = compile_network(model, shape, "net")
    return run_on_array(compiled, open_array(link, shape), load_dataset(data, samples))


def check(result):
    """Sums are exact; each class is onnxruntime's, or there is a sentence why not."""
    require(result)
    differing = np.flatnonzero(result.accuracy.predictions != result.reference.predictions)
    assert [difference.sample for difference in result.differences] == differing.tolist()
    assert all(difference.reason for difference in result.differences)
    assert result.accuracy.top1 == result.reference.top1


def test_all_digits(digits):
    result = run(digits, TEST_SET)
    check(result)
    assert (result.accuracy.samples, result.sums, result.mismatches) == (450, 2933100, 0)
    assert not result.differences
    assert result.reference.top1 == evaluate(digits, TEST_SET).top1 > 0.99


@pytest.mark.parametrize("bound", ["0lsb", "1lsb", "1%", "2%"])
@pytest.mark.parametrize("codec", [{}, {"virtual_lanes": 8, "groups": 2}])
def test_compressed_digits(digits, bound, codec):
    made = compress(digits, CompressionOptions(Bound.parse(bound), codec=CodecOptions(**codec))).compressed.model
    result = run(made, TEST_SET, samples=60)
    check(result)
    assert sum(layer.compressed for layer in result.layers) >= 2


def test_a_layer_that_does_not_add_up(digits):
    result = run(digits, TEST_SET, samples=2)
    first, *others = result.layers
    for changes, message in (
        ({"norm_mismatches": 3}, "layer 'conv1.weight_quantized': 3 of 9408 sums differ from plain NumPy arithmetic"),
        (
            {"kernel_mismatches": 4},
            "layer 'conv1.weight_quantized': 4 of 9408 sums differ from onnxruntime's integer kernel",
        ),
    ):
        with pytest.raises(CheckFailedError, match=f"^{message}$"):
            require(replace(result, layers=(replace(first, **changes), *others)))
    with pytest.raises(CheckFailedError, match=r"^the array made no sum$"):
        require(replace(result, layers=()))
    require(result)


def test_totals(digits):
    result = run(digits, TEST_SET, samples=2)
    figures = ArrayFigures(cycles=10, memory_words=7, seconds=0.5)
    layers = tuple(replace(layer, figures=figures) for layer in result.layers)
    result = replace(result, layers=layers)
    assert (result.figures.cycles, result.figures.memory_words, result.figures.seconds) == (50, 35, 2.5)
    assert result.macs_per_second == result.macs / 2.5
    assert replace(result, layers=()).macs_per_second == 0


@pytest.mark.parametrize("batch", [None, 3])
def test_the_place_where_two_ways_part_is_found(digits, monkeypatch, batch):
    model = onnx.ModelProto()
    model.CopyFrom(digits)
    for value in (model.graph.input[0], model.graph.output[0]):
        if batch is not None:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    compiled = compile_network(model, SHAPE, "net")
    dataset = load_dataset(TEST_SET, 20)

    class Turned(GoldenArray):
        """Return the sums of the last layer in the wrong order."""

        def execute(self, job):
            result = super().execute(job)
            if job.walks[-1] == compiled.layers[last].placed.walk:
                result.sums[:] = result.sums[:, ::-1].copy()
            return result

    last = list(compiled.layers)[-1]
    monkeypatch.setattr(network_run, "GoldenArray", Turned)
    result = run_on_array(compiled, Turned(SHAPE), dataset)
    assert len(result.differences) > 5
    for difference in result.differences:
        pattern = (
            r"first in what layer 'fc3\.weight_quantized' makes of equal inputs: (\d+) of (\d+) values, by at most "
        )
        counts = re.match(pattern, difference.reason)
        assert counts
        assert int(counts[2]) == 10 * (batch or 1)
        assert int(counts[1]) % (batch or 1) == 0
        assert "score of" in difference.reason


def test_a_difference_beside_the_arrays_layers_and_none(digits):
    compiled = compile_network(digits, SHAPE, "net")
    first, last = (list(compiled.layers)[number] for number in (0, -1))
    names, ours = [first, "between", last], [np.zeros(4, np.int8), np.zeros(4, np.float32), np.zeros(4, np.int8)]
    theirs = dict(zip(names, (ours[0], np.array([0, 0.5, -2, 0], np.float32), np.ones(4, np.int8)), strict=True))
    found = network_run._first_difference(compiled, names, ours, theirs)
    assert found == "first in 'between', between the array's layers: 2 of 4 values, by at most 2"
    found = network_run._first_difference(compiled, names, ours, dict(zip(names, ours, strict=True)))
    assert found == "no tensor differs while each is looked at: onnxruntime then fuses other operators"


@pytest.mark.slow
def test_the_simulated_array_gives_what_the_golden_one_gives(digits):
    options = CompressionOptions(Bound.parse("1lsb"), exclude=("fc2*",), codec=CodecOptions(virtual_lanes=16))
    made = compress(digits, options).compressed.model
    shape = ArrayShape()
    simulated, golden = (run(made, TEST_SET, shape, 3, link) for link in ("sim", "golden"))
    check(simulated)
    np.testing.assert_array_equal(simulated.accuracy.predictions, golden.accuracy.predictions)
    assert [layer.compressed for layer in simulated.layers].count(False) >= 1
    assert all(layer.figures.cycles > 0 for layer in simulated.layers)


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "data", "samples", "top1"),
    [
        ("lenet5_mnist", "mnist", 1000, 0.99),
        ("resnet8_cifar10_int8", "cifar10_ic01", 50, 0.80),
        ("dscnn_kws_int8", "kws01", 50, 0.94),
    ],
)
@pytest.mark.parametrize("bound", [None, "0lsb", "1lsb"])
def test_zoo(zoo, name, data, samples, top1, bound):
    model = load_model(zoo / f"{name}.onnx")
    if not name.endswith("int8"):
        model = quantise_network(model, load_dataset(zoo / f"{data}.npz", 100), name)
    if bound is not None:
        model = compress(model, CompressionOptions(Bound.parse(bound))).compressed.model
    result = run(model, zoo / f"{data}.npz", samples=samples)
    for difference in result.differences:
        print(difference)
    check(result)
    assert result.accuracy.top1 == pytest.approx(top1, abs=0.05 if bound == "1lsb" else 0.005)
