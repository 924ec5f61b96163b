"""The family's monotonic runs: least-squares lines, whose error is measured."""

import dataclasses

import numpy as np
import pytest
from matrix_products import products

from dnnzip.codec import CodecOptions
from dnnzip.encoding import encode_quantised
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.format import MAX_SEGMENT
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.weights import ArrayWeights
from dnnzip.usecases.verify import require, verify
from dnnzip_bench.monotonic_runs import SMALLEST_BOUND, quantise_runs


def weight_of(array):
    return ArrayWeights("w", array, Layout(array.shape, 0), None)


def slow_runs(values, tolerance):
    """Return the lengths of the runs, by the definition."""
    lengths, start = [], 0
    while start < len(values):
        steps = np.diff(values[start : start + MAX_SEGMENT])
        ends = [np.flatnonzero(against < -tolerance) for against in (steps, -steps)]
        lengths.append(max(int(end[0]) + 1 if end.size else steps.size + 1 for end in ends))
        start += lengths[-1]
    return lengths


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.2, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_runs_are_the_least_squares_lines_of_the_definition(tolerance, dtype):
    array = np.random.default_rng(int(100 * tolerance)).normal(size=(5, 230)).astype(dtype)
    weight = weight_of(array)
    result = quantise_runs(weight, tolerance)
    values = array.reshape(-1).astype(np.float64)
    span = values.max() - values.min()
    restored = result.grid.restore(result.codes, weight.layout).reshape(-1).astype(np.float64)
    start = 0
    for length in slow_runs(values, tolerance * span):
        part = slice(start, start + length)
        line = (
            np.polyval(np.polyfit(np.arange(length), values[part], 1), np.arange(length))
            if length > 1
            else values[part]
        )
        # Half a code for the intercept, and half a code for each step of the slope.
        slack = float(result.grid.step) * (1 + length / 2) + (2e-3 if dtype is np.float16 else 0)
        assert np.abs(restored[part] - line).max() <= slack
        start += length
    assert start == values.size
    error = float(np.abs(values - restored).max())
    assert (result.grid.max_error, result.grid.max_bound, float(result.grid.spec)) == (error, error, error)


def test_runs_of_a_constant_and_of_a_straight_line():
    assert quantise_runs(weight_of(np.full((3, 4), 2.5, np.float32)), 0.1).grid.max_error == 0
    ramp = np.arange(400, dtype=np.float32).reshape(2, 200)
    result = quantise_runs(weight_of(ramp), 0.0)
    codes = result.codes.reshape(-1)
    assert [np.unique(np.diff(part)).size for part in (codes[:MAX_SEGMENT], codes[MAX_SEGMENT:])] == [1, 1]
    assert 0 < result.grid.max_error < 3
    assert SMALLEST_BOUND > 0


@pytest.mark.parametrize(
    ("array", "tolerance", "message"),
    [
        (np.zeros((2, 2), np.int8), 0.1, "layer 'w'.*integer weights.*float weights"),
        (np.zeros((2, 2), np.float32), 1.5, "tolerance.*1.5.*0 to 1"),
        (np.array([[np.nan, 1.0]], np.float32), 0.1, "layer 'w'.*NaN or infinite"),
    ],
)
def test_runs_refuse(array, tolerance, message):
    with pytest.raises(InputError, match=message):
        quantise_runs(weight_of(array), tolerance)


def test_a_network_of_runs_says_its_measured_error_and_verifies_against_it():
    model = products(w=np.random.default_rng(5).normal(size=(30, 20)).astype(np.float32))
    weights = find_weights(model)[0]
    result = quantise_runs(weights[0], 0.1)

    def checks(of):
        tables, encoded = encode_quantised(weights, [of], CodecOptions("line"))
        fresh = compressed_model(model, weights, encoded, tables)
        compressed = open_compressed(fresh, "runs")
        (layer,) = compressed.layers
        assert (layer.codec, layer.max_error) == ("line", result.grid.max_error)
        return verify(model, compressed)

    (check,) = checks(result).layers
    assert (check.broken, check.max_error, check.bound) == (False, result.grid.max_error, result.grid.max_error)
    less = np.nextafter(result.grid.max_error, 0)
    lying = dataclasses.replace(result, grid=dataclasses.replace(result.grid, spec=repr(float(less))))
    with pytest.raises(CheckFailedError, match=r"layer 'w'.*is over the bound"):
        require(checks(lying))
