"""The decompressor's RTL in Verilator, every cycle driven by cocotb: see ``dnnzip_sim.benches.decompressor``."""

import pytest

from dnnzip_hw import DecompressorParameters, beat_layout
from dnnzip_sim.beats import BeatLayout
from dnnzip_sim.build import build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.run import SimulationFailedError, run
from dnnzip_sim.stimulus.cases import damaged_cases, sound_cases
from dnnzip_sim.stimulus.outcomes import RTL_LIMITS
from dnnzip_sim.streams import PAUSE_PATTERNS
from dnnzip_sim.verilog import decompressor_verilog

pytestmark = pytest.mark.slow

BENCH = "dnnzip_sim.benches.decompressor"
SEED = 20200827
RANDOM_CASES = 4
CASES = len(sound_cases(SEED)) + len(damaged_cases(SEED)) + RANDOM_CASES


@pytest.fixture(scope="module")
def decompressor():
    text = decompressor_verilog(DecompressorParameters())
    return build("dnnzip_decompressor", {"dnnzip_decompressor.v": text}, options=OPTIONS)


BOTH = list(PAUSE_PATTERNS).index("both")


@pytest.mark.parametrize(
    "pattern", [pytest.param(n, marks=() if n == BOTH else pytest.mark.ports) for n in range(len(PAUSE_PATTERNS))]
)
def test_decodes_as_the_reference(decompressor, tmp_path, pattern):
    """The other pauses go through the harness, in a hundredth of the time: see `test_every_case` of test_link.py."""
    run(
        decompressor, BENCH, expected_tests=CASES, folder=tmp_path, seed=SEED,
        test_filter=rf"decodes_as_the_reference.*pattern={pattern}\b",
    )  # fmt: skip


def test_recovers_from_reset(decompressor, tmp_path):
    run(
        decompressor, BENCH, expected_tests=len(PAUSE_PATTERNS), folder=tmp_path, seed=SEED,
        test_filter="recovers_from_reset",
    )  # fmt: skip


def test_is_silent_after_a_reset(decompressor, tmp_path):
    run(
        decompressor, BENCH, expected_tests=2 + 1, folder=tmp_path, seed=SEED,
        test_filter=r"is_silent_after_a_reset(/cycles=1/pattern=[03]|_in_weights/cycles=1$)",
    )  # fmt: skip


def test_a_beat_after_a_late_reset_is_caught(decompressor, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"reset of 1 cycles after \d+: a beat in cycle 0"):
        run(
            decompressor, BENCH, expected_tests=1, folder=tmp_path, seed=SEED, env={"DNNZIP_LATE_RESET": "1"},
            test_filter=r"is_silent_after_a_reset/cycles=1/pattern=0\b",
        )  # fmt: skip


@pytest.mark.ports
def test_is_silent_after_resets_of_every_length(decompressor, tmp_path):
    run(
        decompressor, BENCH, expected_tests=4 * len(PAUSE_PATTERNS) + 4, folder=tmp_path, seed=SEED,
        test_filter="is_silent_after_a_reset",
    )  # fmt: skip


def test_new_seed(decompressor, tmp_path):
    names = "|".join(str(number) for number in range(CASES - RANDOM_CASES, CASES))
    test_filter = rf"decodes_as_the_reference.*name=({names})/pattern=3"
    done = run(decompressor, BENCH, expected_tests=RANDOM_CASES, folder=tmp_path, test_filter=test_filter)
    assert f"seed {done.seed}" in done.log.read_text()


def test_flipped_bit_is_caught(decompressor, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"decompressor: beat 7: expected weight -?\d+, got weight -?\d+"):
        run(
            decompressor, BENCH, expected_tests=1, folder=tmp_path, seed=SEED, env={"DNNZIP_FLIP": "7"},
            test_filter=r"decodes_as_the_reference.*name=0/pattern=0\b",
        )  # fmt: skip


@pytest.mark.parametrize("parameters", [DecompressorParameters(), DecompressorParameters(lanes=2, weight_bits=8)])
def test_beat_layout_is_the_hardware_s(parameters):
    layout, ours = beat_layout(parameters), BeatLayout(parameters.lanes, parameters.weight_bits)
    assert layout["mask"].offset == ours.mask_offset
    assert layout["last"].offset == ours.last_offset
    assert layout["cause"].offset == ours.cause_offset
    assert layout.size == ours.bits


def test_limits_of_the_cases_are_the_hardware_s():
    assert DecompressorParameters().limits == RTL_LIMITS
