"""The AXI top in Verilator, with cocotbext-axi on every port: see ``dnnzip_sim.benches.axi``."""

import dataclasses
import json
from pathlib import Path

import pytest

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.axi import AxiParameters
from dnnzip_sim.build import build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run
from dnnzip_sim.stimulus.cases import damaged_cases, sound_cases
from dnnzip_sim.streams import PAUSE_PATTERNS
from dnnzip_sim.verilog import AXI_TOP, axi_verilog

pytestmark = pytest.mark.slow

BENCH = "dnnzip_sim.benches.axi"
RESETS = "dnnzip_sim.benches.axi_reset"
VECTORS = Path(__file__).parents[1] / "vectors" / "v1"
SEED = 20200827
CASES = len(sound_cases(SEED)) + len(damaged_cases(SEED)) + 1
PATTERNS = len(PAUSE_PATTERNS)

TOPS = {
    "everything": AxiParameters(DecompressorParameters(log2_states=10, line=True), bus_bits=32),
    "wide": AxiParameters(DecompressorParameters(2, 2, 8, 8), bus_bits=128, row_weights=8, groups=2),
    "narrow": AxiParameters(DecompressorParameters(1, 4, 8, 16), bus_bits=16),
}


def bench(top, folder, test_filter, expected_tests, module=BENCH, **environment):
    parameters = TOPS[top]
    built = build(AXI_TOP, {f"{AXI_TOP}.v": axi_verilog(parameters)}, options=OPTIONS)
    given = {"DNNZIP_AXI": json.dumps(dataclasses.asdict(parameters)), "DNNZIP_VECTORS": str(VECTORS), **environment}
    return run(built, CocotbTests(module, expected_tests, test_filter, env=given, seed=SEED), folder)


PORTS = "bad_keep|empty_beats|soft_reset|tables_through|too_early|every_register|counters_"
NONE, BOTH = (list(PAUSE_PATTERNS).index(name) for name in ("no_pauses", "both"))


def test_ports_with_all_pauses(tmp_path):
    """The whole list of port tests on one top; `ports` has the other pauses and tops."""
    bench("everything", tmp_path, rf"({PORTS})(?!.*pattern=(?!{BOTH}\b))", 4 + 4)


def test_ports_of_several_groups_without_a_pause(tmp_path):
    bench("wide", tmp_path, rf"({PORTS})(?!.*pattern=(?!{NONE}\b))", 4 + 4)


def test_frozen_streams(tmp_path):
    bench("everything", tmp_path, rf"frozen_streams.*pattern={BOTH}", 1)


def test_cases_of_several_groups(tmp_path):
    bench("wide", tmp_path, r"decodes_as_the_reference.*name=[0-9]/.*both", 10)


RESET_TESTS = 2 * 2 * 4 + 4 + 2
"""Patterns and lengths of the streams' tests; lengths of the registers'; patterns of the soft reset's."""


def test_resets_of_one_cycle(tmp_path):
    bench("wide", tmp_path, r"cycles=1(/|$)|by_the_register", 2 * 2 + 1 + 2, RESETS)


def test_a_row_after_a_late_reset_is_caught(tmp_path):
    with pytest.raises(SimulationFailedError, match=r"reset of 1 cycles after \d+: m_axis_0_tvalid is 1 in cycle 0"):
        bench("wide", tmp_path, r"in_every_cycle.*cycles=1/.*no_pauses", 1, RESETS, DNNZIP_FLIP="reset")


@pytest.mark.ports
@pytest.mark.parametrize("top", TOPS)
def test_resets_of_every_length(tmp_path, top):
    bench(top, tmp_path, "", RESET_TESTS, RESETS)


@pytest.mark.ports
@pytest.mark.parametrize("top", TOPS)
def test_every_case_and_pause(tmp_path, top):
    bench(top, tmp_path, PORTS, 4 * PATTERNS + 4)
    bench(top, tmp_path, "decodes_as_the_reference", 2 * CASES)


@pytest.mark.ports
def test_frozen_streams_with_every_pause(tmp_path):
    bench("everything", tmp_path, "frozen_streams", PATTERNS)


@pytest.mark.parametrize(
    ("flipped", "message"),
    [("weight", r"packet \d+: other weights"), ("cause", "packet 1: expected bad crc, got ok")],
)
def test_a_difference_is_caught(tmp_path, flipped, message):
    with pytest.raises(SimulationFailedError, match=message):
        bench("wide", tmp_path, r"decodes_as_the_reference.*name=8/.*no_pauses", 1, DNNZIP_FLIP=flipped)
