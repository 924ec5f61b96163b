"""``make family`` on its two smallest networks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnzip.errors import CheckFailedError
from dnnzip.evaluation.dataset import Dataset
from dnnzip_bench import family
from dnnzip_bench.catalogue import ENTRIES, evenly, zoo_folder
from dnnzip_bench.storage.trained import load_trained

SMALLEST = ("dscnn_kws", "lenet5_mnist")


@pytest.mark.zoo
def test_sweep_of_small_networks(tmp_path: Path, bench: Callable[..., Any]) -> None:
    # More tolerance never needs more runs; `ans` is the smallest at the same error, and the files say so.
    status, out, _ = bench(family.family, "--networks", ",".join(SMALLEST), "--samples", "40", "-o", tmp_path)
    assert status == 0
    content = json.loads((tmp_path / "family.json").read_text())
    assert content["samples"] == 40
    assert content["provenance"]["commit"]
    page = (tmp_path / "family.md").read_text()
    assert page.count("\n| lenet5_mnist ") == len(family.TOLERANCES)
    assert "dscnn_kws" in out
    for name in SMALLEST:
        rows = [row for row in content["rows"] if row["network"] == name]
        assert [row["tolerance"] for row in rows] == list(family.TOLERANCES)
        bits = [row["runs_bits"] for row in rows]
        assert bits == sorted(bits, reverse=True)
        for row in rows:
            assert row["ans_bits"] < row["greedy_bits"] < row["runs_bits"]
            assert row["ans_bits"] < row["ans_rms_bits"] < row["runs_bits"]
            assert 0 < row["rms_error_share"] < row["error_share"] < 1
            assert 0 <= row["top1_runs"] <= 1


@pytest.mark.zoo
def test_a_runs_error_that_is_stated_too_small_is_noticed() -> None:
    entry = next(entry for entry in ENTRIES if entry.model == "dscnn_kws")
    network = load_trained(replace(entry, samples=10), zoo_folder())
    runs = [family.quantise_runs(weight, 0.05) for weight in network.weights]
    family.result(network, runs, "line")
    grid = runs[3].grid
    runs[3] = replace(runs[3], grid=replace(grid, spec=repr(0.9 * grid.max_error)))
    with pytest.raises(CheckFailedError, match=r"is over the bound of"):
        family.result(network, runs, "line")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--networks", "alexnet", "'alexnet' is not one of 'lenet5_mnist', "),
        ("--samples", "0", "0 is not in the range"),
    ],
)
def test_bad_input_says_what_would_be_right(option: str, value: str, message: str, bench: Callable[..., Any]) -> None:
    status, _, error = bench(family.family, option, value)
    assert status == 2
    assert f"Invalid value for '{option}': {message}" in error


def test_samples_come_from_all_of_a_sorted_set() -> None:
    data = Dataset(np.arange(1000.0), np.arange(1000) // 100, "set")
    assert set(evenly(data, 50).y) == set(range(10))
    assert len(evenly(data, 5000).x) == 1000
