"""The decompressor's RTL in Verilator, every cycle driven by cocotb: see ``dnnzip_sim.benches.decompressor``."""

import pytest

from dnnzip_hw import DecompressorParameters, beat_layout
from dnnzip_sim.beats import BeatLayout
from dnnzip_sim.build import build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run
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


def bench(decompressor, folder, tests, test_filter, **options):
    """Run the tests of the bench that the filter finds, which must be as many as said."""
    run(decompressor, CocotbTests(BENCH, tests, test_filter, seed=SEED, **options), folder)


BOTH = list(PAUSE_PATTERNS).index("both")


@pytest.mark.parametrize(
    "pattern", [pytest.param(n, marks=() if n == BOTH else pytest.mark.ports) for n in range(len(PAUSE_PATTERNS))]
)
def test_decodes_as_the_reference(decompressor, tmp_path, pattern):
    """The other pauses go through the harness, in a hundredth of the time: see `test_every_case` of test_link.py."""
    bench(decompressor, tmp_path, CASES, rf"decodes_as_the_reference.*pattern={pattern}\b")


def test_recovers_from_reset(decompressor, tmp_path):
    bench(decompressor, tmp_path, len(PAUSE_PATTERNS), "recovers_from_reset")


def test_is_silent_after_a_reset(decompressor, tmp_path):
    bench(decompressor, tmp_path, 2 + 1, r"is_silent_after_a_reset(/cycles=1/pattern=[03]|_in_weights/cycles=1$)")


def test_a_beat_after_a_late_reset_is_caught(decompressor, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"reset of 1 cycles after \d+: a beat in cycle 0"):
        bench(
            decompressor, tmp_path, 1, r"is_silent_after_a_reset/cycles=1/pattern=0\b", env={"DNNZIP_LATE_RESET": "1"}
        )


@pytest.mark.ports
def test_is_silent_after_resets_of_every_length(decompressor, tmp_path):
    bench(decompressor, tmp_path, 4 * len(PAUSE_PATTERNS) + 4, "is_silent_after_a_reset")


def test_new_seed(decompressor, tmp_path):
    names = "|".join(str(number) for number in range(CASES - RANDOM_CASES, CASES))
    test_filter = rf"decodes_as_the_reference.*name=({names})/pattern=3"
    done = run(decompressor, CocotbTests(BENCH, RANDOM_CASES, test_filter), tmp_path)
    assert f"seed {done.seed}" in done.log.read_text()


def test_flipped_bit_is_caught(decompressor, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"decompressor: beat 7: expected weight -?\d+, got weight -?\d+"):
        bench(decompressor, tmp_path, 1, r"decodes_as_the_reference.*name=0/pattern=0\b", env={"DNNZIP_FLIP": "7"})


@pytest.mark.parametrize("parameters", [DecompressorParameters(), DecompressorParameters(lanes=2, weight_bits=8)])
def test_beat_layout_is_the_hardware_s(parameters):
    layout, ours = beat_layout(parameters), BeatLayout(parameters.lanes, parameters.weight_bits)
    assert layout["mask"].offset == ours.mask_offset
    assert layout["last"].offset == ours.last_offset
    assert layout["cause"].offset == ours.cause_offset
    assert layout.size == ours.bits


def test_limits_of_the_cases_are_the_hardware_s():
    assert DecompressorParameters().limits == RTL_LIMITS
