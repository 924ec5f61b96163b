"""The project's own array: cycles that Verilator counted in the RTL, layer by layer; fixture with its configuration.

A layer is right within a percent, or within ``FEW_CYCLES``: words are taken to be spread evenly over a stream, and what
they do in queues of 16 rows is not followed one by one, which is worth a few cycles in a layer of any length.
"""

import json
from pathlib import Path

import pytest

from dnnzip.accelerator import Estimator, Kind, Network, Timing
from dnnzip.accelerator.lanes import LanePipeline, chunks, passes, vectors_of

MEASURED = json.loads((Path(__file__).parent / "fixtures" / "array_cycles.json").read_text(encoding="utf-8"))
CASES = MEASURED["cases"]
NAMES = [f"{case['network']}-{case['bound']}-{case['width']}-{case['batch']}-{case['placement']}" for case in CASES]
FEW_CYCLES = 8
WIDTHS = (1, 2, 4, 8)


@pytest.fixture
def array(accelerator):
    """Return the preset with the shape of the array that was measured, at a memory's bytes per cycle."""

    def make(width=2):
        groups = max(1, width // 2)
        return accelerator(
            "ulx3s",
            **{
                "main_memory.bandwidth": 2.5e7 * width,
                "mesh.link_bits": 16 * groups,
                "array.rows": 16 * groups,
                "array.columns": 16,
                "array.groups": groups,
                "array.vectors": 1024,
                "decompressor.weights_per_cycle": 4 * groups,
            },
        )

    return make


@pytest.fixture
def layers(layer):
    """Return a case's layers with the bits of their streams, and what was counted: vectors, fetches, cycles."""

    def of(case):
        for sizes, (packed, stored, *counted) in zip(MEASURED["layers"][case["network"]], case["layers"], strict=True):
            own = layer(kind=Kind.CONVOLUTION, **sizes)
            yield own.compressed(8 * stored / own.weights if packed else None), counted

    return of


@pytest.fixture
def errors(array, layers):
    """Return (compressed, cycles, counted) of every layer that was measured at a memory's bytes per cycle."""

    def of(width):
        found = []
        for case in CASES:
            if case["width"] == width:
                pipeline = LanePipeline(array(width), 8, case["batch"])
                found += [
                    (own.bits_per_weight is not None, pipeline.cycles(own), counted[2]) for own, counted in layers(case)
                ]
        return found

    return of


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_vectors_and_fetches_are_those_of_the_rtl(case, array, layers):
    machine = array(case["width"])
    for own, (vectors, fetches, _) in layers(case):
        assert vectors_of(own, machine.array, case["batch"]) == vectors, own.name
        assert len(chunks(own, machine.array, case["batch"])) == fetches, own.name


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_cycles_of_a_network_within_two_percent(case, array, layers):
    pipeline = LanePipeline(array(case["width"]), 8, case["batch"])
    ours = theirs = 0.0
    for own, (_, _, cycles) in layers(case):
        ours, theirs = ours + pipeline.cycles(own), theirs + cycles
    assert ours == pytest.approx(theirs, rel=0.02)


def is_off(ours, theirs):
    return abs(ours - theirs) > max(FEW_CYCLES, 0.01 * theirs)


@pytest.mark.parametrize(
    ("width", "compressed", "layers_of_it", "off", "worst"),
    [
        (1, False, 76, 4, 0.05),
        (1, True, 224, 18, 0.07),
        (2, False, 76, 0, 0.02),
        (2, True, 224, 12, 0.07),
        (4, False, 76, 0, 0.01),
        (4, True, 224, 28, 0.06),
        (8, False, 60, 0, 0.03),
        (8, True, 240, 27, 0.07),
    ],
)
def test_layers_within_a_percent_or_eight_cycles(width, compressed, layers_of_it, off, worst, errors):
    found = [(ours, theirs) for packed, ours, theirs in errors(width) if packed is compressed]
    assert len(found) == layers_of_it
    assert sum(is_off(*each) for each in found) <= off
    assert max(abs(ours / theirs - 1) for ours, theirs in found) <= worst


def test_a_model_without_a_decompressors_start_would_be_seen(array, layers):
    machine = array(2)
    blind = machine.model_copy(
        update={"decompressor": machine.decompressor.model_copy(
            update={"start": machine.decompressor.start.model_copy(update={"value": 0.0})}
        )}
    )  # fmt: skip
    off = 0
    for case in CASES:
        if case["width"] == 2 and case["bound"] != "plain":
            pipeline = LanePipeline(blind, 8, case["batch"])
            off += sum(is_off(pipeline.cycles(own), counted[2]) for own, counted in layers(case))
    # As it is, 12 are off.
    assert off > 50


def test_channels_are_divided_among_groups(array, layer):
    six = layer(6, 25, 100).compressed(4)
    wide = array(8).array
    assert [(each.channels, each.most, each.lanes) for each in passes(six, wide)] == [(6, 2, 2)]
    assert [each.channels for each in passes(six, array(2).array)] == [4, 2]
    assert [each.channels for each in passes(six.compressed(None), array(2).array)] == [6]
    many = layer(70, 25, 100).compressed(4)
    assert [each.channels for each in passes(many, wide)] == [64, 6]
    assert sum(each.channels for each in passes(many, array(4).array)) == 70


@pytest.mark.parametrize("bits", [None, 3.0])
def test_alike_passes_are_gone_through_as_if_one_by_one(bits, array, layer):
    machine = array()
    wide = layer(16 * 40, 100, 7, Kind.DENSE).compressed(bits)
    whole = LanePipeline(machine, 8, 1).cycles(wide)
    # Passes of their own, none of which is skipped.
    slow = LanePipeline(machine, 8, 1)
    for number, each in enumerate(passes(wide, machine.array)):
        slow._run(slow._tiles(wide, each, 7, number == 0))
    assert whole == pytest.approx(slow.ended - slow.first_taken)


def test_the_memory_limits_a_dense_layer_and_the_array_a_convolution(array, layer):
    dense = LanePipeline(array(), 8, 1).cycles(layer(256, 256, 1, Kind.DENSE))
    assert dense == pytest.approx(256 * 256 / 2, rel=0.01)
    convolution = LanePipeline(array(), 8, 1).cycles(layer(16, 16, 10_000))
    assert convolution == pytest.approx(10_000, rel=0.01)


def test_overlap_goes_through_the_tiles_and_serial_does_not(array, layer):
    network = Network("one", (layer(256, 256, 1, Kind.DENSE, inputs=256),))
    machine = array()
    serial, overlap = (
        Estimator(machine).estimate(network, timing).layers[0] for timing in (Timing.SERIAL, Timing.OVERLAP)
    )
    brought = 256 / 2
    assert overlap.latency == pytest.approx(LanePipeline(machine, 8, 1).cycles(network.layers[0]) + brought)
    assert serial.latency > overlap.latency


def test_a_lane_array_stands_alone(accelerator):
    with pytest.raises(ValueError, match=r"array\.model lanes needs a mesh with one processing element, not 2"):
        accelerator("ulx3s", **{"mesh.width": 3})


def test_groups_divide_the_rows(accelerator):
    with pytest.raises(ValueError, match=r"array\.groups must divide 8 rows, not 3"):
        accelerator("ulx3s", **{"array.groups": 3})
