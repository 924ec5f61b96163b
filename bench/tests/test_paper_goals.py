"""The paper's goals by estimate, each seen missed; bits that are carried over to the paper's networks."""

from dataclasses import replace

import pytest
from paper_subjects import dense, record, subject

from dnnzip.accelerator import Network, Timing
from dnnzip.errors import CheckFailedError
from dnnzip_bench.family_networks import alexnet, lenet5
from dnnzip_bench.storage.claim import (
    ALEXNET,
    DENSE,
    FIRST,
    GOALS,
    HIGHEST,
    LENET,
    ONE_BOUND,
    STATED,
    carried_over,
    check_goals,
    highest_bits,
    light_alexnet,
    role,
)
from dnnzip_bench.storage.savings import bits_per_weight, largest_only, with_bits
from dnnzip_bench.storage.tables import highest_table
from dnnzip_bench.storage.trained import Drop


@pytest.fixture(scope="module")
def reached():
    return [
        subject(LENET, lenet5(), 1.3, ONE_BOUND, Drop(0.4, 0.4)),
        subject(ALEXNET, alexnet(), 3.0),
    ]


def test_the_goals_are_reached_at_the_bits_that_they_are_for(reached):
    assert len(GOALS) == 2
    assert check_goals(reached) == []


@pytest.mark.parametrize(
    ("number", "changed", "message"),
    [
        (0, {"bits": 1.45}, "LeNet-5, one bound: 89.3 % of latency saved, not 90 %"),
        (0, {"drop": Drop(0.0, 0.51)}, "LeNet-5, one bound: accuracy lost is 0.51, not 0.5 points"),
        (0, {"drop": None}, "LeNet-5, one bound: accuracy lost is unknown, not 0.5 points"),
        (0, {"source": HIGHEST}, "LeNet-5: no bits per weight from tuned or one bound"),
        (1, {"bits": 3.15}, "AlexNet, stated: 3 bits: 79.8 % of latency saved, not 80 %"),
    ],
)
def test_a_figure_that_is_too_small_is_a_fault(reached, number, changed, message):
    names = ((LENET, lenet5, 1.3, ONE_BOUND, Drop(0.4, 0.4)), (ALEXNET, alexnet, 3.0, STATED, None))
    name, network, bits, source, drop = names[number]
    facts = {"bits": bits, "source": source, "drop": drop} | changed
    other = [*reached]
    other[number] = subject(name, network(), **facts)
    assert check_goals(other)[0] == message


def test_less_energy_than_the_goal_is_a_fault_too(reached):
    way = reached[1].way(False, Timing.SERIAL, 16)
    poor = replace(way, saving=replace(way.saving, energy=0.7399))
    other = replace(reached[1], ways=tuple(poor if each == way else each for each in reached[1].ways))
    assert check_goals([reached[0], other]) == ["AlexNet, stated: 3 bits: 74.0 % of energy saved, not 74 %"]


def test_every_way_is_counted_once_and_larger_baselines_save_more(reached):
    ways = reached[1].ways
    assert len({(way.largest_only, way.timing, way.baseline) for way in ways}) == len(ways) == 12
    for only in (False, True):
        saved = [reached[1].way(only, Timing.SERIAL, bits).saving.latency for bits in (32, 16, 8)]
        assert saved == sorted(saved, reverse=True)
    whole, part = (reached[1].way(only, Timing.SERIAL, 16).saving for only in (False, True))
    assert whole.energy > part.energy > 0
    assert whole.energy > whole.energy_without_leakage


def test_the_largest_layer_alone_is_compressed():
    network = with_bits(alexnet(), {layer.name: 3.0 for layer in alexnet().layers})
    packed = [layer for layer in largest_only(network).layers if layer.bits_per_weight is not None]
    assert [layer.weights for layer in packed] == [max(layer.weights for layer in network.layers)]
    assert bits_per_weight(largest_only(network)) == 3.0


def test_bits_are_carried_over_layer_by_layer():
    sizes = [layer.weights for layer in lenet5().layers if layer.weights]
    trained = Network("trained", tuple(dense(f"t{number}", size) for number, size in enumerate([*sizes, 840])))
    weights = {layer.name: layer.weights for layer in trained.layers}
    bits = {name: count * (index + 1.5) for index, (name, count) in enumerate(weights.items())}
    carried = carried_over(trained, record(bits, weights), lenet5())
    assert carried == {"layer1": 1.5, "layer3": 2.5, "layer5": 3.5, "layer6": 4.5}
    other = replace(trained, layers=(dense("t0", 160), *trained.layers[1:]))
    with pytest.raises(CheckFailedError, match="lenet5: layer1 has 150 weights, t0 160"):
        carried_over(other, record(bits, weights), lenet5())


def test_the_highest_bits_are_of_layers_that_are_large_enough():
    one = Network("one", (dense("a", 100), dense("b", 20_000)))
    two = Network("two", (dense("a", 200), dense("b", 9_000)))
    found = highest_bits(
        [
            (one, record({"a": 400.0, "b": 40_000.0}, {"a": 100, "b": 20_000})),
            (two, record({"a": 1000.0, "b": 72_000.0}, {"a": 200, "b": 9_000})),
        ]
    )
    assert found == {FIRST: (5.0, "two"), DENSE: (2.0, "one")}


def test_a_depthwise_convolution_has_no_counterpart():
    layers = light_alexnet().layers
    own = [layer for layer in layers if layer.weights]
    assert [role(light_alexnet(), layer.name) for layer in (own[0], own[1], own[-1])] == [
        "first layer",
        "other convolutions",
        "dense layers",
    ]
    network = light_alexnet()
    single = replace(network, layers=tuple(replace(layer, positions=1) for layer in network.layers))
    assert role(single, own[1].name) == DENSE
    depthwise = replace(own[1], groups=own[1].units)
    assert role(Network("d", (replace(own[0], source=None), replace(depthwise, source=0))), depthwise.name) == ""


def test_bits_of_the_zoo_are_a_table():
    assert highest_table({"dense": (2.5, "one")}).rows == (("dense", "2.500", "one"),)
