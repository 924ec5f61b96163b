"""The project's own array: cycles that Verilator counted in the RTL, layer by layer; fixture with its configuration."""

import json
from pathlib import Path

import pytest

from dnnzip.accelerator import Estimator, Kind, Network, Timing
from dnnzip.accelerator.lanes import LanePipeline, chunks, vectors_of

MEASURED = json.loads((Path(__file__).parent / "fixtures" / "array_cycles.json").read_text(encoding="utf-8"))
CASES = MEASURED["cases"]
NAMES = [f"{case['network']}-{case['bound']}-{case['batch']}" for case in CASES]


@pytest.fixture
def array(accelerator):
    """Return the preset with the shape of the array that was measured."""
    shape = {"array.rows": 16, "array.columns": 16, "array.vectors": 1024, "decompressor.weights_per_cycle": 4}
    return accelerator("ulx3s", **shape)


@pytest.fixture
def layers(layer):
    def of(case):
        """Return the case's layers, with the bits of their streams."""
        for sizes, counted in zip(MEASURED["layers"][case["network"]], case["layers"], strict=True):
            own = layer(kind=Kind.CONVOLUTION, **sizes)
            bits = 8 * counted["stored_bytes"] / own.weights if counted["compressed"] else None
            yield own.compressed(bits), counted

    return of


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_vectors_and_fetches_are_those_of_the_rtl(case, array, layers):
    for own, counted in layers(case):
        assert vectors_of(own, array.array, case["batch"]) == counted["vectors"]
        assert len(chunks(own, array.array, case["batch"])) == counted["fetches"]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_cycles_of_plain_layers_within_a_percent_and_of_others_within_six(case, array, layers):
    pipeline = LanePipeline(array, 8, case["batch"])
    ours = theirs = 0.0
    for own, counted in layers(case):
        cycles = pipeline.cycles(own)
        assert cycles == pytest.approx(counted["cycles"], rel=0.06 if counted["compressed"] else 0.01), own.name
        ours, theirs = ours + cycles, theirs + counted["cycles"]
    assert ours == pytest.approx(theirs, rel=0.01)


def test_most_compressed_layers_are_within_a_percent(array, layers):
    off = []
    for case in CASES:
        pipeline = LanePipeline(array, 8, case["batch"])
        for own, counted in layers(case):
            # Plain ones go through the pipeline, too: the next layer depends on them.
            error = abs(pipeline.cycles(own) / counted["cycles"] - 1)
            off += [error] if counted["compressed"] else []
    assert len(off) > 100
    assert sum(error > 0.01 for error in off) <= 0.11 * len(off)


@pytest.mark.parametrize("bits", [None, 3.0])
def test_alike_passes_are_gone_through_as_if_one_by_one(bits, array, layer):
    wide = layer(16 * 40, 100, 7, Kind.DENSE).compressed(bits)
    whole = LanePipeline(array, 8, 1).cycles(wide)
    # Passes of their own, none of which is skipped.
    slow = LanePipeline(array, 8, 1)
    start = array.array.part_start.value
    if bits:
        start = array.decompressor.start.value + array.array.stream_end.value
    for number in range(40):
        slow._run(slow._tiles(wide, 16, 7, slow._between(wide) if number else start))
    assert whole == pytest.approx(slow.ended - slow.first_taken)


def test_the_memory_limits_a_dense_layer_and_the_array_a_convolution(array, layer):
    dense = LanePipeline(array, 8, 1).cycles(layer(256, 256, 1, Kind.DENSE))
    assert dense == pytest.approx(256 * 256 / 2, rel=0.01)
    convolution = LanePipeline(array, 8, 1).cycles(layer(16, 16, 10_000))
    assert convolution == pytest.approx(10_000, rel=0.01)


def test_overlap_goes_through_the_tiles_and_serial_does_not(array, layer):
    network = Network("one", (layer(256, 256, 1, Kind.DENSE, inputs=256),))
    serial, overlap = (
        Estimator(array).estimate(network, timing).layers[0] for timing in (Timing.SERIAL, Timing.OVERLAP)
    )
    brought = 256 / 2
    assert overlap.latency == pytest.approx(LanePipeline(array, 8, 1).cycles(network.layers[0]) + brought)
    assert serial.latency > overlap.latency


def test_a_lane_array_stands_alone(accelerator):
    with pytest.raises(ValueError, match=r"array\.model lanes needs a mesh with one processing element, not 2"):
        accelerator("ulx3s", **{"mesh.width": 3})
