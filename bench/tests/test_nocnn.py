"""Every run that nocnn, the estimator of one of the paper's authors, printed for its own networks and configuration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dnnzip.accelerator import Estimator, Kind, Layer, Network, estimator_of, load_accelerator, reductions
from dnnzip.accelerator.nocnn import Nocnn
from dnnzip_bench.departures import DEPARTURES, departures, free, table, without
from dnnzip_bench.family_networks import NETWORKS

ORACLE = json.loads((Path(__file__).parent / "nocnn.json").read_text(encoding="utf-8"))
RUNS = ORACLE["runs"]
PRESET = "paper-mesh-8x8"
MACHINE = load_accelerator(PRESET)
PAGE = Path(__file__).parents[2] / "docs" / "accelerator.md"
PARTS = {
    "comm": "communication",
    "comm_leak": "communication_leakage",
    "comp": "computation",
    "lmem": "local_memory",
    "lmem_leak": "local_memory_leakage",
    "mmem": "main_memory",
    "mmem_leak": "main_memory_leakage",
}


def network(run):
    """Return the network of a run, with weights smaller by its ratio."""
    name, ratio = run.split("/cr=")
    plain = NETWORKS[name]()
    bits = MACHINE.weight_bits / float(ratio)
    return replace(plain, layers=tuple(layer.compressed(bits if bits < 16 else None) for layer in plain.layers))


def estimate(run, accelerator=MACHINE):
    return Nocnn(accelerator).estimate(network(run))


def cycles(result):
    return [sum(getattr(layer.cycles, part) for layer in result.layers) for part in ("memory", "communication")] + [
        sum(layer.cycles.computation for layer in result.layers)
    ]


def test_all_runs_are_there():
    assert len(RUNS) == 14
    assert {run.split("/")[0] for run in RUNS} == set(NETWORKS)


@pytest.mark.parametrize("run", RUNS)
def test_with_the_cost_of_decompressors_it_stays_within_the_limits(run):
    result, printed = estimate(run), RUNS[run]["total"]
    assert sum(layer.cycles.memory for layer in result.layers) == printed["latency_cycles"]["mmem"]
    assert result.latency == pytest.approx(printed["latency_total"], rel=0.02)
    assert result.energy.total == pytest.approx(printed["energy_J_total"], rel=0.05)


@pytest.mark.parametrize("run", RUNS)
def test_without_the_cost_of_decompressors_every_cycle_of_every_layer_is_the_same(run):
    result = estimate(run, free(MACHINE))
    assert len(result.layers) == len(RUNS[run]["layers"])
    for ours, printed in zip(result.layers, RUNS[run]["layers"], strict=True):
        parts = {"comm": ours.cycles.communication, "comp": ours.cycles.computation, "mmem": ours.cycles.memory}
        assert parts == printed["latency_cycles"], printed["layer"]
        assert ours.cores == printed["active_cores"]
        # The tool prints three digits.
        for theirs, name in PARTS.items():
            assert getattr(ours.energy, name) == pytest.approx(printed["energy_J"][theirs], rel=0.006), (
                printed["layer"],
                theirs,
            )


@pytest.mark.parametrize(
    ("network_name", "latency", "energy"),
    [("lenet5", 0.656, 0.647), ("alexnet", 0.663, 0.610), ("vgg16", 0.604, 0.504)],
)
def test_the_published_reductions_at_a_ratio_of_three(network_name, latency, energy):
    before, after = (estimate(f"{network_name}/cr={ratio}", free(MACHINE)) for ratio in (1, 3))
    assert 1 - after.latency / before.latency == pytest.approx(latency, abs=6e-4)
    assert 1 - after.energy.total / before.energy.total == pytest.approx(energy, abs=1.1e-3)


@pytest.mark.parametrize(
    ("network_name", "bits", "latency", "energy", "without_leakage"),
    [("alexnet", 3, 0.807, 0.742, 0.569), ("lenet5", 1.3, 0.901, 0.888, 0.840)],
)
def test_the_reductions_on_the_page_with_the_cost_of_decompressors(
    network_name, bits, latency, energy, without_leakage
):
    plain = NETWORKS[network_name]()
    packed = replace(plain, layers=tuple(layer.compressed(bits) for layer in plain.layers))
    estimator = Nocnn(MACHINE)
    saved = reductions(estimator.estimate(plain), estimator.estimate(packed))
    assert list(saved.values()) == pytest.approx([latency, energy, without_leakage], abs=6e-4)


@pytest.mark.parametrize(
    ("departure", "run"),
    [
        ("whole_bytes_per_cycle", "lenet5/cr=3"),
        ("whole_counts", "alexnet/cr=3"),
        ("convolutions_keep_no_leakage", "lenet5/cr=3"),
        ("interface_routers_do_not_leak", "lenet5/cr=3"),
        ("memory_leaks_outside_transfers", "lenet5/cr=3"),
        ("spill_of_all_but_one_core", "vgg16/cr=3"),
        ("spill_energy_of_local_part", "vgg16/cr=3"),
        ("local_reads_by_ranges", "lenet5/cr=3"),
        ("loads_skip_local_memory", "lenet5/cr=3"),
    ],
)
def test_each_departure_changes_the_result_by_itself(departure, run):
    # With all of them on, the difference from the printed figures is nothing; so each one that is switched shows.
    whole = estimate(run, free(MACHINE))
    other = without(free(MACHINE), departure).estimate(network(run))
    assert (other.latency, other.energy.total) != (whole.latency, whole.energy.total)


def test_elements_that_leak_show_once_they_have_leakage():
    array = MACHINE.array.model_copy(update={"leakage": MACHINE.array.leakage.model_copy(update={"value": 1e-3})})
    leaking = MACHINE.model_copy(update={"array": array})
    tools = Nocnn(leaking), without(leaking, "elements_do_not_leak")
    parts = [tool.estimate(network("lenet5/cr=1")).energy for tool in tools]
    assert parts[0].computation_leakage == 0 < parts[1].computation_leakage


def test_a_free_decompressor_takes_nothing():
    for estimator in (Nocnn(free(MACHINE)), Estimator(free(load_accelerator("edge-lpddr4")))):
        result = estimator.estimate(network("lenet5/cr=3"))
        energy = result.energy
        assert sum(layer.cycles.decompressor for layer in result.layers) == 0
        assert energy.decompressor == energy.decompressor_leakage == 0


def test_a_wrong_constant_would_be_seen():
    mesh = MACHINE.mesh
    slower = mesh.model_copy(update={"router_latency": mesh.router_latency.model_copy(update={"value": 4})})
    result = estimate("lenet5/cr=1", free(MACHINE.model_copy(update={"mesh": slower})))
    assert cycles(result)[1] != RUNS["lenet5/cr=1"]["total"]["latency_cycles"]["comm"]


def test_a_layer_that_takes_no_whole_cycle_saves_nothing():
    # One value on one core: the family's tool counts no cycle at all.
    sizes = {"units": 1, "reduction": 1, "positions": 1, "groups": 1, "inputs": 1, "outputs": 1}
    first = Layer(name="first", operator="Conv", kind=Kind.CONVOLUTION, weights=1, **sizes).compressed(3)
    second = Layer(name="second", operator="Pool", kind=Kind.POOLING, weights=0, source=0, **sizes)
    tiny = Network("tiny", (first, second))
    before, after = (Nocnn(MACHINE).estimate(tiny, compressed=on) for on in (False, True))
    assert before.layers[1].latency == 0
    assert reductions(before.layers[1], after.layers[1])["latency_reduction"] == 0


@pytest.mark.parametrize("run", RUNS)
def test_the_preset_counts_as_the_tool(run):
    assert estimator_of(MACHINE).estimate(network(run)) == estimate(run)


def test_the_table_of_departures_on_the_page_is_what_the_model_gives(tmp_path, bench):
    text = PAGE.read_text(encoding="utf-8")
    assert table().markdown() in text
    assert all(f"| `{name}` |" in text for name in DEPARTURES)
    page = tmp_path / "page.md"
    page.write_text("<!-- nocnn: departures --><!-- /nocnn -->")
    assert bench(departures, "--page", page)[0] == 0
    assert table().markdown() in page.read_text()
