"""``make zoo`` on its two smallest networks, and its checks seen failing."""

from dataclasses import replace
from pathlib import Path

import pytest

from dnnzip.errors import CheckFailedError, InputError
from dnnzip_bench import zoo
from dnnzip_sim.link import SimulatedLink

pytestmark = pytest.mark.slow

SMALLEST = ("dscnn_kws", "lenet5_mnist")


@pytest.mark.zoo
@pytest.mark.parametrize("name", SMALLEST)
def test_network_through_the_chain(name: str, tmp_path: Path) -> None:
    entry = next(entry for entry in zoo.ENTRIES if entry.model == name)
    for bound in zoo.BOUNDS:
        result = zoo.run_entry(entry, bound, zoo.zoo_folder(), tmp_path, SimulatedLink())
        zoo.check(entry, bound, result)
        assert result.simulation is not None
        assert result.simulation.weights == result.summary.weights > 20_000


@pytest.mark.zoo
def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    entry = next(entry for entry in zoo.ENTRIES if entry.model == "dscnn_kws")
    result = zoo.run_entry(entry, "1%", zoo.zoo_folder(), tmp_path, SimulatedLink())
    with pytest.raises(CheckFailedError, match=r"^dscnn_kws at 1%: top-1 is 91\.\d\d %, not 90\.00 %$"):
        zoo.check(replace(entry, known=(90.0,) * len(zoo.BOUNDS)), "1%", result)
    expected = next(item for item in zoo.baselines(zoo.zoo_folder()) if item.model == "dscnn_kws")
    with pytest.raises(CheckFailedError, match=r"^dscnn_kws: kws01: top-1 is 91\.30 %, not 91\.50 %$"):
        zoo.measure_baseline(replace(expected, top1=expected.top1 + 0.002), zoo.zoo_folder())


def test_a_missing_zoo_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"baseline\.json: is not there; set DNNZIP_ZOO to"):
        zoo.baselines(tmp_path)
