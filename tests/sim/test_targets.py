"""Targets differ only in their memories: each yields the same as the generic one in the same cycles."""

import random
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.kit.contents import primitives
from dnnzip_hw.memory import GENERIC, TARGETS
from dnnzip_sim.harness import Conditions, Cut, Reset, build_harness, stream_through
from dnnzip_sim.stimulus.cases import damaged_cases, random_case, sound_cases
from dnnzip_sim.verilog import decompressor_verilog

pytestmark = pytest.mark.slow

RESET_AFTER = 40
"""Streams between two resets."""

Ending = tuple[str, int, int, bytes]


def endings(parameters: DecompressorParameters, seed: int, folder: Path) -> list[Ending]:
    """Return the verdict, cycles and weights of every stream."""
    rng = random.Random(seed)
    cases = [*sound_cases(seed), *damaged_cases(seed), *(random_case(rng.randrange(1 << 30)) for _ in range(12))]
    streams = [stream for case in cases for stream in case.streams]
    resets = [
        Reset(number, rng.randrange(200, 20_000), rng.randrange(1, 8))
        for number in range(RESET_AFTER, len(streams), RESET_AFTER)
    ]
    verilog = decompressor_verilog(parameters)
    if models := primitives(parameters.target):
        verilog = f"/* verilator lint_off PINMISSING */\n{verilog}{models}"  # ports that are not used
    harness = build_harness(parameters, verilog)
    ended = stream_through(harness, streams, folder, Conditions(pauses=seed, resets=resets)).ended
    return [
        ("cut", int(end.begun), 0, end.weights.tobytes())
        if isinstance(end, Cut)
        else (end.verdict.label, end.begin, end.end, end.weights.tobytes())
        for end in ended
    ]


@pytest.mark.parametrize("target", [target for target in TARGETS if target != GENERIC])
@pytest.mark.parametrize("weight_bits", [16, pytest.param(8, marks=pytest.mark.ports)])
def test_targets_behave_alike(target: str, weight_bits: int, tmp_path: Path) -> None:
    parameters = DecompressorParameters(weight_bits=weight_bits)
    seed = random.randrange(1, 1 << 30)
    folders = [tmp_path / name for name in (GENERIC, target)]
    for folder in folders:
        folder.mkdir()
    expected = endings(parameters, seed, folders[0])
    found = endings(replace(parameters, target=target), seed, folders[1])
    assert len({label for label, *_ in expected}) > 5, f"seed {seed}: {expected}"
    for index, (got, wanted) in enumerate(zip_longest(found, expected)):
        assert got == wanted, f"seed {seed}, stream {index}: expected {wanted}, got {got}"
