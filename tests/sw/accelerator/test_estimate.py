"""Rules that hold for any network and accelerator, and the formulas of single parts, worked out by hand."""

import itertools
from pathlib import Path

import onnx
import pytest

from dnnzip.accelerator import (
    PRESETS,
    Energy,
    Estimator,
    Kind,
    Layer,
    Network,
    Timing,
    load_accelerator,
    reductions,
)
from dnnzip.accelerator.compute import work_of
from dnnzip.digits import MODEL
from dnnzip.format.array import Placement
from dnnzip.usecases.estimate import read_network

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NETWORKS = {
    "lenet5": read_network(MODEL),
    "alexnet": read_network(LIGHT / "light_bvlc_alexnet.onnx"),
    "vgg19": read_network(LIGHT / "light_vgg19.onnx"),
}


def compressed(network, bits, table_bytes=0):
    return Network(network.name, tuple(layer.compressed(bits) for layer in network.layers), table_bytes)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("timing", Timing)
@pytest.mark.parametrize("name", NETWORKS)
def test_energy_and_latency_add_up(preset, timing, name):
    result = Estimator(load_accelerator(preset)).estimate(compressed(NETWORKS[name], 3), timing)
    assert result.latency == pytest.approx(sum(layer.latency for layer in result.layers))
    energy = result.energy
    assert sum(energy.as_json().values()) == pytest.approx(energy.total)
    assert energy.dynamic + energy.leakage == pytest.approx(energy.total)
    assert all(value >= 0 for value in vars(energy).values())
    for layer in result.layers:
        parts = [layer.cycles.memory, layer.cycles.communication, layer.cycles.computation, layer.cycles.decompressor]
        if timing is Timing.OVERLAP and preset == "ulx3s" and layer.weight_bytes:
            # Its tiles are gone through one by one.
            assert layer.latency >= layer.cycles.computation - 1
            continue
        wanted = sum(parts) if timing is Timing.SERIAL else max(parts) + layer.cycles.fill
        assert layer.latency == pytest.approx(wanted)


@pytest.mark.parametrize("preset", PRESETS)
def test_fewer_bits_never_take_longer_nor_more_traffic(preset):
    estimator = Estimator(load_accelerator(preset))
    results = [estimator.estimate(compressed(NETWORKS["alexnet"], bits)) for bits in (8, 5, 3, 1.3)]
    for more, fewer in itertools.pairwise(results):
        assert fewer.latency <= more.latency
        assert fewer.energy.main_memory < more.energy.main_memory


@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_with_no_compressed_weights_is_its_own_baseline(preset):
    estimator = Estimator(load_accelerator(preset))
    plain = NETWORKS["lenet5"]
    assert estimator.estimate(plain) == estimator.estimate(compressed(plain, 3), compressed=False)


def test_overlap_saves_less_than_serial_where_computation_limits():
    estimator = Estimator(load_accelerator("edge-lpddr4"))
    saved = {}
    for timing in Timing:
        before, after = (
            estimator.estimate(compressed(NETWORKS["vgg19"], 2), timing, compressed=on) for on in (False, True)
        )
        saved[timing] = reductions(before.layers[1], after.layers[1])["latency_reduction"]
    assert saved[Timing.OVERLAP] < saved[Timing.SERIAL]


def test_baselines_of_more_bits_take_more(layer):
    estimator = Estimator(load_accelerator("edge-lpddr4"))
    network = Network("one", (layer(1024, 4096, 1, Kind.DENSE),))
    sizes = [estimator.estimate(network, weight_bits=bits).layers[0].weight_bytes for bits in (8, 16, 32)]
    assert sizes == [1024 * 4096 * factor for factor in (1, 2, 4)]


def test_a_batch_shares_the_weights_and_not_the_rest(layer):
    estimator = Estimator(load_accelerator("edge-lpddr4"))
    network = Network("one", (layer(64, 64, 64),))
    one, many = (estimator.estimate(network, batch=batch).layers[0] for batch in (1, 16))
    assert many.weight_bytes == one.weight_bytes
    assert many.energy.computation == pytest.approx(16 * one.energy.computation)
    assert many.cycles.memory < 16 * one.cycles.memory
    with pytest.raises(ValueError, match="batch must be 1 or more, not 0"):
        estimator.estimate(network, batch=0)


def test_at_the_memory_interface_weights_travel_plain():
    accelerator = load_accelerator("edge-lpddr4")
    network = compressed(NETWORKS["alexnet"], 3)
    baseline = Estimator(accelerator).estimate(network, compressed=False).energy
    inside, outside = (Estimator(accelerator.placed(place)).estimate(network).energy for place in Placement)
    assert inside.main_memory == pytest.approx(outside.main_memory)
    assert inside.communication < outside.communication == pytest.approx(baseline.communication)


def test_the_decompressor_costs_its_start_its_rate_and_its_energy(accelerator, layer):
    machine = accelerator(
        **{"decompressor.weights_per_cycle": 2, "decompressor.start": 50, "decompressor.energy": 1e-12}
    )
    own = layer(28, 100, 1, Kind.DENSE).compressed(3)
    result = Estimator(machine).estimate(Network("one", (own,))).layers[0]
    assert machine.cores == 14
    assert result.cycles.decompressor == pytest.approx(50 + 2800 / 14 / 2)
    assert result.energy.decompressor == pytest.approx(2800e-12)
    hidden = Estimator(machine).estimate(Network("one", (own,)), Timing.OVERLAP).layers[0].cycles
    plain = Estimator(machine).estimate(Network("one", (own,)), Timing.OVERLAP, compressed=False).layers[0].cycles
    assert hidden.decompressor == pytest.approx(2800 / 14 / 2)
    assert hidden.fill - plain.fill == pytest.approx(50)
    outside = Estimator(machine.placed(Placement.MEMORY_INTERFACE)).estimate(Network("one", (own,))).layers[0]
    assert outside.cycles.decompressor == pytest.approx(50 + 2800 / 2 / 2)


def test_the_table_set_is_loaded_once_and_stands_apart():
    accelerator = load_accelerator("edge-lpddr4")
    network = compressed(NETWORKS["lenet5"], 3)
    with_tables = compressed(NETWORKS["lenet5"], 3, table_bytes=10_000)
    short, long = (Estimator(accelerator).estimate(own) for own in (network, with_tables))
    assert short.table_set is None
    tables = long.table_set
    assert tables.energy.main_memory == pytest.approx(80_000 * accelerator.main_memory.energy.value)
    assert tables.latency > accelerator.decompressor.table_build.value == tables.cycles.decompressor
    # It stays from inference to inference, so it is in no sum.
    assert long.latency == short.latency
    # The baseline has none.
    assert Estimator(accelerator).estimate(with_tables, compressed=False).table_set is None


def test_outputs_that_do_not_fit_go_to_the_main_memory_and_come_back(accelerator, layer):
    machine = accelerator(**{"local_memory.size": 100})
    first = layer(14, 9, 300)
    second = layer(14, 14, 300, inputs=14 * 300, source=0)
    result = Estimator(machine).estimate(Network("two", (first, second)))
    bit = machine.main_memory.energy.value
    out = 14 * (300 - 100)
    assert result.layers[0].energy.main_memory == pytest.approx(8 * bit * (first.weights + first.inputs + out))
    # What was spilled is read once; its own output is spilled, too.
    assert result.layers[1].energy.main_memory == pytest.approx(8 * bit * (second.weights + out + out))


def test_leakage_grows_with_time_and_is_none_without_it(accelerator, layer):
    zero = {
        "main_memory.leakage": 0,
        "local_memory.leakage": 0,
        "mesh.router_leakage": 0,
        "mesh.link_leakage": 0,
        "array.leakage": 0,
        "decompressor.leakage": 0,
    }
    network = Network("one", (layer(64, 64, 64).compressed(3),))
    leaking = Estimator(accelerator()).estimate(network)
    assert Estimator(accelerator(**zero)).estimate(network).energy.leakage == 0
    seconds = leaking.seconds
    machine = accelerator()
    routers = 16 * (machine.mesh.router_leakage.value + 4 * machine.mesh.link_leakage.value)
    cores = 14 * (machine.local_memory.leakage.value + machine.array.leakage.value + machine.decompressor.leakage.value)
    assert leaking.energy.leakage == pytest.approx((routers + cores) * seconds)


def test_a_depthwise_convolution_uses_an_array_badly(layer, accelerator):
    single = accelerator(**{"mesh.width": 2, "mesh.height": 1, "mesh.interfaces": [0]})
    plain, depthwise = layer(64, 9, 100), layer(64, 9, 100, groups=64)
    assert work_of(depthwise, single, 1).cycles > 10 * work_of(plain, single, 1).cycles


def test_a_pooling_has_no_multiplications_and_no_weights(layer):
    pool = layer(16, 4, 25, Kind.POOLING)
    assert (pool.macs, pool.operations, pool.weights) == (0, 1600, 0)
    assert pool.compressed(3) == pool
    result = Estimator(load_accelerator("edge-lpddr4")).estimate(Network("pool", (pool,)))
    assert result.layers[0].weight_bytes == 0


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"units": 0}, "units must be 1 or more, not 0"),
        ({"weights": -1}, "weights must be 0 or more, not -1"),
        ({"bits_per_weight": 0.0}, "bits_per_weight must be above 0, not 0.0"),
    ],
)
def test_a_layer_checks_its_sizes(facts, message, layer):
    sizes = {"inputs": 4, "outputs": 4} | facts
    with pytest.raises(ValueError, match=message):
        layer(**sizes)


def test_a_network_checks_where_inputs_come_from(layer):
    with pytest.raises(ValueError, match="source of layer 0 must be a layer before it, not 0"):
        Network("loop", (layer(source=0),))


def test_energies_add_part_by_part():
    total = Energy.sum([Energy(main_memory=1, computation_leakage=2), Energy(main_memory=3)])
    assert (total.main_memory, total.computation_leakage, total.total) == (4, 2, 6)


def test_layers_are_what_the_type_says(layer):
    assert isinstance(layer(), Layer)
