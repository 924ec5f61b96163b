"""``make family`` on its two smallest networks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dnnzip.errors import CheckFailedError
from dnnzip.evaluation.dataset import Dataset
from dnnzip.quantize.bound import Bound
from dnnzip_sim import family
from dnnzip_sim.zoo import ENTRIES, zoo_folder

SMALLEST = ("dscnn_kws", "lenet5_mnist")


@pytest.mark.zoo
def test_sweep_of_small_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More tolerance never needs more runs; ``ans`` is the smallest at the same error, and the files say so."""
    assert family.main(["--networks", *SMALLEST, "--samples", "40", "-o", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "family.json").read_text())
    assert content["samples"] == 40
    assert content["provenance"]["commit"]
    page = (tmp_path / "family.md").read_text()
    assert page.count("\n| lenet5_mnist ") == len(family.TOLERANCES)
    assert "dscnn_kws" in capsys.readouterr().out
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
    """What the compressed model states is verified, not taken on trust."""
    entry = next(entry for entry in ENTRIES if entry.model == "dscnn_kws")
    network = family.load_network(entry, zoo_folder(), 10)
    runs = [family.quantise_runs(weight, 0.05) for weight in network.weights]
    family.result(network, runs, "line")
    runs[3] = replace(runs[3], spec=Bound.parse(repr(0.9 * runs[3].max_error)))
    with pytest.raises(CheckFailedError, match=r"is over the bound of"):
        family.result(network, runs, "line")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--networks", "alexnet"], "dnnzip: --networks: 'alexnet' is not in the zoo; one of lenet5_mnist, "),
        (["--samples", "0"], "dnnzip: --samples: is 0; give at least 1"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and one line that says what would be right."""
    with pytest.raises(SystemExit) as stopped:
        family.main(arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_samples_come_from_all_of_a_sorted_set() -> None:
    """Every class of a sorted set is there, and no more samples than it has."""
    data = Dataset(np.arange(1000.0), np.arange(1000) // 100, "set")
    assert set(family.evenly(data, 50).y) == set(range(10))
    assert len(family.evenly(data, 5000).x) == 1000
