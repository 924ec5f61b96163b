"""``make gain`` on the digits network, its checks seen failing."""

import dataclasses
import json

import pytest

from dnnzip.errors import CheckFailedError
from dnnzip.format.array import Placement
from dnnzip_bench.array import passage as passages
from dnnzip_bench.array.comparison import PLAIN, Case, Comparison, compare, outcomes
from dnnzip_bench.array.networks import networks
from dnnzip_bench.gain import comparisons_of, faults_of, gain


@pytest.fixture(scope="module")
def measured():
    """Return the digits network at two bytes per cycle, with plain weights and at one bound."""
    (network,) = networks(None)
    return list(outcomes(network, (2,), (1,), (PLAIN, "1%"), (Placement.PE,)))


@pytest.mark.slow
def test_the_measured_gain(measured):
    plain, packed = measured
    assert [outcome.passage.mismatches for outcome in measured] == [0, 0]
    assert packed.passage.memory_words < 0.7 * plain.passage.memory_words
    assert packed.passage.table_cycles > 5000 > plain.passage.table_cycles == 0
    layers = {layer.packed.name.split(".")[0]: layer for layer in compare(plain, packed)}
    assert len(layers) == 5
    assert not layers["conv1"].packed.compressed, "six channels would need a second pass"
    assert layers["conv1"].limit == "array"
    assert layers["conv1"].speed_up == 1
    # The largest layer waits for the memory in both, but for its last pass of eight channels.
    assert layers["fc1"].plain.limit == "memory"
    assert layers["fc1"].speed_up > 0.9 * layers["fc1"].bytes_ratio > 1.5
    assert [layer.fault for layer in layers.values()] == [""] * 5
    json.dumps([outcome.as_json() for outcome in measured])


@pytest.mark.slow
def test_a_slow_layer_is_a_fault(measured):
    plain, packed = measured
    case = packed.case
    before = dataclasses.replace(plain.passage.layers[2], cycles=10_000, memory_limit=10_000, decoder_limit=10_000)
    half = {"cycles": 5_000, "memory_limit": 5_000, "decoder_limit": 5_000, "stored_bytes": before.stored_bytes // 2}
    after = dataclasses.replace(before, **half, compressed=True)
    assert Comparison(case, before, after).fault == ""
    slow = Comparison(case, before, dataclasses.replace(after, cycles=5_400))
    assert slow.fault.startswith("speed-up 1.852, less than 0.97 of the ratio 2.0")
    array = dataclasses.replace(before, vectors=20_000, cycles=20_000)
    assert Comparison(case, array, array).fault == ""
    assert Comparison(case, array, dataclasses.replace(array, cycles=20_400)).fault == (
        "20400 cycles, more than 1.01 times 20000"
    )
    waits = dataclasses.replace(after, decoder_limit=6_000)
    assert waits.limit == "decoder"
    slower = dataclasses.replace(packed, passage=dataclasses.replace(packed.passage, layers=(slow.packed,)))
    single = dataclasses.replace(plain, passage=dataclasses.replace(plain.passage, layers=(before,)))
    faults = faults_of(comparisons_of([single, slower]))
    assert len(faults) == 1
    assert "1%, 2 B/cycle, batch 1" in faults[0]


def test_words_that_the_image_does_not_have_are_a_failed_check(monkeypatch):
    (network,) = networks(None)
    real = passages._bus_load
    monkeypatch.setattr(passages, "_bus_load", lambda entry, parameters: real(entry, parameters) + 1)
    with pytest.raises(CheckFailedError, match=r"the hardware counted .* words on the on-chip bus, the image has"):
        list(outcomes(network, (2,), (1,), (PLAIN,), (Placement.PE,)))


def test_an_unknown_option_is_a_usage_error(bench):
    status, _, err = bench(gain, "--wide", "2")
    assert status == 2
    assert "--wide" in err


def test_cases_are_told_apart():
    assert len({Case("n", PLAIN, 2, 1, placement) for placement in Placement}) == 2
