"""The stimulus itself: every size, distribution, verdict and kind of damage; and what the fast codec makes of it."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from dnnzip.codec import fast
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.format import RAW_WIDTHS, WEIGHT_HEADER, Codec, Limits, TableSet, Verdict
from dnnzip_sim.stimulus.cases import damaged_cases, exhaustive_cases, line_cases, random_case, sound_cases
from dnnzip_sim.stimulus.damage import DAMAGE, damaged, layout_of, resealed
from dnnzip_sim.stimulus.outcomes import LINE_LIMITS, RTL_LIMITS, Case, Outcome, outcomes
from dnnzip_sim.stimulus.streams import any_stream
from dnnzip_sim.stimulus.table_sets import DISTRIBUTIONS, any_table_set, single_token

SEED = 1
EVERYTHING = Limits()
NARROW = Limits(log2_lanes=2, log2_states=8, code_bits=8, line=False)
ALL_LIMITS = (RTL_LIMITS, LINE_LIMITS, EVERYTHING, NARROW)
MADE = {make: make(SEED) for make in (sound_cases, damaged_cases, exhaustive_cases, line_cases)}
CASES = [
    *((LINE_LIMITS if make is line_cases else RTL_LIMITS, case) for make, cases in MADE.items() for case in cases),
    *((limits, random_case(seed, limits)) for seed in range(SEED, SEED + 20) for limits in ALL_LIMITS),
]


def same(found, expected):
    """Compare the fast decoder's outcome with the reference's.

    The fast one takes no memory for counts that the stream cannot hold; hardware and the reference have no such rule.
    """
    return found == expected or (expected.declared > fast.ALWAYS_DECODED and found.verdict == Verdict.BAD_HEADER)


@pytest.fixture(scope="module")
def expected():
    """Return the reference's results for each case; it is slow, and asked once."""
    return [outcomes(case, limits) for limits, case in CASES]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number][1].name)
def test_fast_decoder(expected, number):
    limits, case = CASES[number]
    pairs = zip(outcomes(case, limits, fast.decode), expected[number], strict=True)
    for index, (found, wanted) in enumerate(pairs):
        assert same(found, wanted), f"seed {SEED}, stream {index}: expected {wanted}, got {found}"


def test_every_verdict_occurs(expected):
    found = Counter(outcome.verdict for outcomes_of_case in expected for outcome in outcomes_of_case)
    assert set(found) == set(Verdict), found


def test_sound_cases_are_sound(expected):
    sound = {case.name for case in MADE[sound_cases]} | {"line_lengths", "line_shapes", "line_among_others"}
    for (_, case), found in zip(CASES, expected, strict=True):
        if case.name in sound:
            assert {outcome.verdict for outcome in found} == {Verdict.OK}, case.name
        elif not case.name.startswith("random"):
            assert Verdict.OK in {outcome.verdict for outcome in found} != {Verdict.OK}, case.name


@pytest.mark.parametrize("limits", ALL_LIMITS)
def test_random_cases_without_damage_are_what_the_decoder_takes(limits):
    for seed in range(10):
        ends = {outcome.verdict for outcome in outcomes(random_case(seed, limits, damage=False), limits, fast.decode)}
        assert ends == {Verdict.OK}, seed


def test_same_seed_same_cases():
    for make, cases in MADE.items():
        assert make(SEED) == cases
    assert damaged_cases(SEED + 1) != MADE[damaged_cases]
    assert random_case(SEED) == random_case(SEED) != random_case(SEED + 1)


def test_streams_are_whole_words():
    assert all(stream and len(stream) % 2 == 0 for _, case in CASES for stream in case.streams)


def test_every_size_and_distribution_occurs():
    rng = random.Random(SEED)
    sets = [any_table_set(rng) for _ in range(300)]
    assert {one.log2_states for one in sets} == {8, 9, 10}
    assert {len(one.counts) for one in sets} == set(range(1, 9))
    assert {shift for one in sets for shift in one.shifts} == set(range(8))
    tokens = {sum(count > 0 for count in counts) for one in sets for counts in one.counts}
    assert {1, 2, 3, 63, 64} <= tokens, tokens
    assert len(DISTRIBUTIONS) == 6
    headers = Counter()
    for one in sets:
        for _ in range(2):
            headers.update(WEIGHT_HEADER.unpack(any_stream(rng, one, most_weights=100)).items())
    for field, values in {
        "codec": set(Codec),
        "log2_lanes": set(range(5)),
        "kernel_height": {1, 2, 3, 5, 7, 8},
        "kernel_width": {1, 2, 3, 5, 7, 8},
        "class_per_channel": {0, 1},
        "columns": {0, 1},
        "context": {0, 1},
        "wide": {0, 1},
        "klass": set(range(8)),
        "raw_width": set(range(len(RAW_WIDTHS))),
    }.items():
        assert values <= {value for name, value in headers if name == field}, field


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_changes_streams_and_is_the_same_for_a_seed(kind):
    rng = random.Random(SEED)
    tables = any_table_set(rng)
    streams = [any_stream(rng, tables) for _ in range(8)]
    made = [
        [damaged(random.Random(seed), kind, stream, tables.to_bytes()) for seed, stream in enumerate(streams)]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert sum(one != stream for one, stream in zip(made[0], streams, strict=True)) >= 4
    assert all(one and len(one) % 2 == 0 for one in made[0])
    if "made to match" in kind:
        assert all(resealed(one) == one for one in made[0] if layout_of(one) is WEIGHT_HEADER)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_whole_words_for_the_shortest_streams(kind):
    rng = random.Random(SEED)
    for stream in (b"\xd7\x01", b"\xda\x09", b"\xd7\x01" * 8, b"\xda\x09" * 5, bytes(20)):
        for _ in range(20):
            made = damaged(rng, kind, stream, rng.choice((stream, b"\xd7\x01", single_token(0).to_bytes())))
            assert made
            assert len(made) % 2 == 0


def test_outcome_of_a_table_set_has_no_weights():
    case = MADE[sound_cases][0]
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


def test_a_table_set_of_every_damage_ends_with_a_verdict():
    """No bytes make the reader of table sets raise anything else, and what it takes goes back to the same bytes."""
    rng = random.Random(SEED)
    for number in range(400):
        good = any_table_set(rng).to_bytes()
        kind = rng.choice(list(DAMAGE))
        made = damaged(rng, kind, good, any_table_set(rng).to_bytes())
        (outcome,) = outcomes(Case(kind, (made,)), EVERYTHING)
        if outcome.verdict == Verdict.OK and layout_of(made) is not WEIGHT_HEADER:
            assert TableSet.from_bytes(made).to_bytes() == made, f"seed {SEED}, set {number}, {kind}"
