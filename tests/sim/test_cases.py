"""The case list itself, and what the fast codec makes of it."""

from collections import Counter
from dataclasses import replace

import pytest

from dnnzip.codec import fast
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.format import Verdict
from dnnzip_sim.cases import (
    LINE_LIMITS,
    RTL_LIMITS,
    Case,
    Outcome,
    damaged_cases,
    line_cases,
    outcomes,
    random_case,
    single_token,
    sound_cases,
)

SEED = 1
CASES = [*sound_cases(SEED), *damaged_cases(SEED), *(random_case(seed) for seed in range(SEED, SEED + 12))]


def test_every_verdict_occurs():
    found = Counter(outcome.verdict for case in CASES for outcome in outcomes(case))
    assert set(found) == set(Verdict), found


def test_sound_cases_are_sound():
    for case in sound_cases(SEED):
        assert {outcome.verdict for outcome in outcomes(case)} == {Verdict.OK}, case.name


def test_same_seed_same_cases():
    assert sound_cases(SEED) == sound_cases(SEED)
    assert damaged_cases(SEED) == damaged_cases(SEED)
    assert sound_cases(SEED) != sound_cases(SEED + 1)


def test_streams_are_whole_words():
    assert all(stream and len(stream) % 2 == 0 for case in CASES for stream in case.streams)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fast_decoder(case):
    pairs = zip(outcomes(case, decode=fast.decode), outcomes(case), strict=True)
    for number, (found, expected) in enumerate(pairs):
        if expected.declared > fast.ALWAYS_DECODED and found.verdict == Verdict.BAD_HEADER:
            continue  # software takes no memory for counts that the stream cannot hold; hardware has no such rule
        assert found == expected, f"seed {SEED}, stream {number}"


@pytest.mark.parametrize("case", line_cases(SEED), ids=lambda case: case.name)
def test_fast_decoder_of_lines(case):
    expected = outcomes(case, LINE_LIMITS)
    for found, wanted in zip(outcomes(case, LINE_LIMITS, fast.decode), expected, strict=True):
        assert found == wanted or (wanted.declared > fast.ALWAYS_DECODED and found.verdict == Verdict.BAD_HEADER)
    if case.name in ("line_lengths", "line_shapes", "line_among_others"):
        assert {outcome.verdict for outcome in expected} == {Verdict.OK}
    else:
        assert Verdict.OK in {outcome.verdict for outcome in expected} != {Verdict.OK}


def test_outcome_of_a_table_set_has_no_weights():
    case = sound_cases(SEED)[0]
    assert outcomes(case)[0] == Outcome(Verdict.OK)


def test_a_set_with_too_large_a_shift_takes_the_loaded_one_away():
    """It is unsupported after its header was taken, unlike one with too many states."""
    narrow = replace(RTL_LIMITS, code_bits=8)
    good, deep, big = (single_token(0, log2_states=log2, shift=shift) for log2, shift in ((8, 0), (8, 4), (10, 0)))
    stream = ans_reference.encode([[0, 0]], (1, 1), good, AnsChoices(0, [0]))
    case = Case("shift", (good.to_bytes(), stream, big.to_bytes(), stream, deep.to_bytes(), stream))
    assert [outcome.verdict.label for outcome in outcomes(case, narrow)] == [
        "ok", "ok", "unsupported", "ok", "unsupported", "wrong tables",
    ]  # fmt: skip
