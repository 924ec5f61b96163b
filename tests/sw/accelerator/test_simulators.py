"""Figures of SCALE-Sim, ZigZag, Noxim and DRAMsim3; tools and configurations are named in the fixture."""

from pathlib import Path

import onnx
import pytest

from dnnzip.accelerator import Estimator, Network, Timing
from dnnzip.accelerator.compute import systolic_cycles, work_of
from dnnzip.accelerator.mesh import MeshNetwork
from dnnzip.usecases.estimate import read_network

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# Reduction, filters and outputs of each of the layers that SCALE-Sim ran.
SCALE_SIM = {
    "alexnet_conv1": (11 * 11 * 3, 96, 55 * 55),
    "alexnet_conv2_ungrouped": (5 * 5 * 96, 256, 23 * 23),
    "alexnet_conv3": (3 * 3 * 256, 384, 11 * 11),
    "alexnet_conv4": (3 * 3 * 384, 384, 11 * 11),
    "alexnet_conv5": (3 * 3 * 384, 256, 11 * 11),
    "resnet50_1x1_512_2048_49px": (512, 2048, 49),
    "resnet50_3x3_512_512_49px": (3 * 3 * 512, 512, 49),
    "resnet50_fc": (2048, 1000, 1),
}


@pytest.mark.parametrize("name", SCALE_SIM)
def test_scale_sim_weight_stationary_cycles_and_weights(name, simulators, accelerator, layer):
    printed = simulators["scale_sim"]
    reduction, filters, positions = SCALE_SIM[name]
    single = {"mesh.width": 2, "mesh.height": 1, "mesh.interfaces": [0], "array.rows": 32, "array.columns": 32}
    own = layer(filters, reduction, positions)
    assert work_of(own, accelerator(**single), 1).cycles == printed["compute_cycles"][name]
    assert own.weights == printed["filter_dram_words"][name]


def test_scale_sim_names_all_its_layers(simulators):
    assert set(SCALE_SIM) == set(simulators["scale_sim"]["compute_cycles"])


def test_another_array_gives_other_cycles():
    assert systolic_cycles(363, 96, 3025, 32, 32) != systolic_cycles(363, 96, 3025, 32, 16)


ZIGZAG = {
    "clock": 1e9,
    "main_memory.bandwidth": 8e9,
    "main_memory.efficiency": 1.0,
    "main_memory.energy": 700e-12 / 64,
    "local_memory.size": 1 << 21,
    "array.rows": 32,
    "array.columns": 32,
}


@pytest.fixture
def alexnet_on_zigzag(accelerator):
    """Return the layers with weights of AlexNet on a memory of 64 bits per cycle, 700 pJ each; and their estimates."""
    machine = accelerator(**ZIGZAG)
    network = read_network(LIGHT / "light_bvlc_alexnet.onnx")
    result = Estimator(machine).estimate(network, Timing.OVERLAP)
    return machine, {
        layer.name.removesuffix("_w_0"): estimate
        for layer, estimate in zip(network.layers, result.layers, strict=True)
        if layer.weights
    }


def test_zigzag_energy_of_weights_from_the_main_memory(simulators, alexnet_on_zigzag):
    machine, layers = alexnet_on_zigzag
    printed = simulators["zigzag"]["alexnet_dram_weight_energy_uJ"]
    assert set(printed) == set(layers)
    for name, energy in printed.items():
        ours = 8 * layers[name].weight_bytes * machine.main_memory.energy.value * 1e6
        # Exact to the digits that it printed.
        assert float(f"{ours:.{len(str(energy).replace('.', '').strip('0'))}g}") == pytest.approx(energy, rel=1e-3), (
            name
        )


@pytest.mark.parametrize("name", ["fc6", "fc7", "fc8"])
def test_zigzag_latency_of_fully_connected_layers(name, simulators, alexnet_on_zigzag):
    printed = simulators["zigzag"]["alexnet_latency_cycles"][name]
    assert alexnet_on_zigzag[1][name].latency == pytest.approx(printed, rel=0.01)


NOXIM = {
    "mesh.width": 8,
    "mesh.height": 8,
    "mesh.interfaces": [0, 7, 56, 63],
    "mesh.multicast": False,
    "mesh.ports": True,
    "mesh.link_bits": 64,
    "mesh.flits_per_cycle": 0.5,
    "mesh.router_latency": 1,
}


@pytest.fixture
def noxim(accelerator):
    return MeshNetwork(accelerator(**NOXIM).mesh)


def saturation(mesh):
    """Return the flits per cycle, of all cores' flows together, at which the most loaded link is full."""
    pattern = mesh.from_memory(60)
    return pattern.flows * mesh.mesh.flits_per_cycle.value / float(pattern.load.max())


def test_noxim_saturation_of_four_corner_interfaces(simulators, noxim):
    printed = simulators["noxim"]
    limit = saturation(noxim)
    assert limit == pytest.approx(2.0)
    pairs = zip(
        printed["offered_per_interface_flits_per_cycle"], printed["accepted_total_flits_per_cycle"], strict=True
    )
    for offered, accepted in pairs:
        assert min(4 * offered, limit) == pytest.approx(accepted, rel=0.01)


def test_noxim_saturation_without_the_handshake_would_be_another(accelerator):
    mesh = MeshNetwork(accelerator(**(NOXIM | {"mesh.flits_per_cycle": 1.0})).mesh)
    assert saturation(mesh) == pytest.approx(4.0)


def test_noxim_cycles_per_hop(simulators, noxim):
    delays = {int(hops): delay for hops, delay in simulators["noxim"]["low_load_delay_cycles_by_hops"].items()}
    assert noxim.cycles_per_hop == 2
    for near, far in ((1, 7), (7, 14), (1, 14)):
        slope = (delays[far] - delays[near]) / (far - near)
        assert noxim.cycles_per_hop == pytest.approx(slope, rel=0.03)


@pytest.mark.parametrize(
    ("part", "peak", "efficiency"),
    [
        ("DDR3-1600 x8", 12.8e9, 0.96),
        ("DDR4-2400 x8", 19.2e9, 0.77),
        ("LPDDR4-2400", 19.2e9, None),
    ],
)
def test_dramsim3_bandwidth_and_energy(part, peak, efficiency, simulators, accelerator, layer):
    energy, rate = simulators["dramsim3"]["pJ_per_bit_and_GBps"][part]
    changes = {} if efficiency is None else {"main_memory.efficiency": efficiency, "main_memory.energy": energy * 1e-12}
    machine = accelerator(**({"main_memory.bandwidth": peak} | changes))
    # A layer with enough weights that nothing else counts: what the model makes of the constants.
    dense = layer(1024, 1 << 16, 1)
    result = Estimator(machine).estimate(Network("dense", (dense,))).layers[0]
    assert dense.weights / (result.cycles.memory / machine.clock.value) == pytest.approx(rate * 1e9, rel=0.05)
    assert result.energy.main_memory / (8 * dense.weights) == pytest.approx(energy * 1e-12, rel=0.05)


def test_the_lpddr4_preset_is_dramsim3s(simulators, accelerator):
    memory = accelerator("edge-lpddr4").main_memory
    energy, rate = simulators["dramsim3"]["pJ_per_bit_and_GBps"]["LPDDR4-2400"]
    assert memory.bandwidth.value * memory.efficiency.value == pytest.approx(rate * 1e9, rel=0.05)
    assert memory.energy.value == pytest.approx(energy * 1e-12, rel=0.05)
