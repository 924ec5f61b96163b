"""The simulated link: whole networks at the speed of the compiled model, equal to the reference bit for bit."""

import os
import random

import numpy as np
import pytest

from dnnzip.codec.ans import fast as ans_fast
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import fast as line_fast
from dnnzip.codec.raw import fast as raw_fast
from dnnzip.errors import InputError
from dnnzip.format import Verdict, VerdictError
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.harness import Conditions, stream_through
from dnnzip_sim.link import SimulatedLink, parameters_for
from dnnzip_sim.stimulus.cases import damaged_cases, exhaustive_cases, line_cases, random_case, sound_cases
from dnnzip_sim.stimulus.outcomes import Case, outcomes
from dnnzip_sim.stimulus.table_sets import random_table_set

SEED = 20200827


@pytest.fixture(scope="module")
def link():
    return SimulatedLink()


SMALL = DecompressorParameters(lanes=2, slots=2, log2_states=10, weight_bits=8)


LINE = DecompressorParameters(line=True)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(DecompressorParameters(), id="default"),
        pytest.param(SMALL, id="small", marks=pytest.mark.slow),
        pytest.param(LINE, id="line", marks=pytest.mark.slow),
    ],
)
def test_every_case(tmp_path, parameters):
    """All cases, table sets in the midst of them, in one run; without pauses, and with all kinds of them."""
    cases = [case for make in (sound_cases, damaged_cases, line_cases) for case in make(SEED)]
    cases += [random_case(SEED + number, parameters.limits) for number in range(100)]
    fewer = sum(len(case.streams) for case in cases)
    cases += exhaustive_cases(SEED)
    streams = tuple(stream for case in cases for stream in case.streams)
    wanted = outcomes(Case("joined", streams), parameters.limits)
    simulator = SimulatedLink(parameters=parameters).build()
    for pauses, count in ((0, len(streams)), (SEED, len(streams)), (SEED + 1, fewer), (SEED + 2, fewer)):
        passage = stream_through(simulator, streams[:count], tmp_path, Conditions(pauses=pauses))
        for number, (found, expected) in enumerate(zip(passage.outcomes, wanted[:count], strict=True)):
            where = f"seed {SEED}, pauses {pauses}, stream {number}"
            assert found.verdict == expected.verdict, f"{where}: expected {expected}, got {found}"
            assert found.weights.size <= expected.declared, f"{where}: expected {expected}, got {found}"
            if expected.verdict == Verdict.OK:
                assert found.weights.tolist() == list(expected.weights), f"{where}: expected {expected}, got {found}"
    assert sum(len(outcome.weights) for outcome in wanted) > 10_000


def network(rng, layers, **options):
    """Return (table set, streams, codes) of layers given as (channels, length)."""
    table_set = random_table_set(random.Random(int(rng.integers(1 << 30))), **options)
    codes = [np.clip(np.rint(rng.normal(0, 4, shape)), -31, 31).astype(np.int16) for shape in layers]
    streams = [
        ans_fast.encode(layer, (1, 1), table_set, AnsChoices(min(4, layer.shape[0].bit_length() - 1), [0]))
        for layer in codes
    ]
    return table_set, streams, codes


def test_codes_by_channel(link):
    rng = np.random.default_rng(SEED)
    table_set, streams, codes = network(rng, [(37, 50), (1, 1), (16, 300)])
    raw = rng.integers(-128, 128, 60).astype(np.int16)
    streams.append(raw_fast.encode(raw, 4, 8))
    results = link.decode(table_set.to_bytes(), streams)
    for result, layer in zip(results, [*codes, raw.reshape(4, 15)], strict=True):
        assert result.verdict == Verdict.OK
        assert result.codes.dtype == np.int16
        assert np.array_equal(result.codes, layer)
        assert result.cycles > 0


def test_figures_of_the_last_run(link):
    table_set, streams, _ = network(np.random.default_rng(SEED), [(64, 4000), (64, 4000)], log2_states=9)
    results = link.decode(table_set.to_bytes(), streams)
    figures = link.last_run
    assert figures.weights == 512_000
    assert 0 < figures.table_cycles < figures.cycles
    assert figures.cycles >= sum(result.cycles for result in results)
    assert figures.weights_per_second == figures.weights / figures.seconds


@pytest.mark.parametrize(("log2_states", "built"), [(8, 9), (9, 9), (10, 10)])
def test_as_many_states_as_the_table_set_has(log2_states, built):
    tables = random_table_set(random.Random(SEED), log2_states=log2_states).to_bytes()
    assert parameters_for(tables) == DecompressorParameters(log2_states=built)


def test_states_of_no_table_set():
    assert parameters_for(b"") == parameters_for(b"\xd7" + b"\xff" * 30) == DecompressorParameters()


def test_a_core_for_lines_where_a_stream_needs_it():
    line = line_fast.encode(np.arange(12, dtype=np.int16), 3)
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    assert parameters_for(b"", [raw, b"", b"\xda", raw[:2]]) == DecompressorParameters()
    assert parameters_for(b"", [raw, line[:2]]) == DecompressorParameters(line=True)


@pytest.mark.slow
def test_lines(link):
    rng = np.random.default_rng(SEED)
    codes = np.repeat(rng.integers(-32768, 32768, 400), rng.integers(1, 9, 400)).astype(np.int16)[:1500].reshape(5, 300)
    results = link.decode(b"", [line_fast.encode(codes, 5), line_fast.encode(codes[:1], 1)])
    assert [result.verdict for result in results] == [Verdict.OK, Verdict.OK]
    assert np.array_equal(results[0].codes, codes)
    assert np.array_equal(results[1].codes, codes[:1])


def test_bad_stream_among_good_ones(link):
    table_set, (good, other), codes = network(np.random.default_rng(SEED), [(8, 30), (5, 30)])
    flipped = bytearray(good)
    flipped[-1] ^= 1
    results = link.decode(table_set.to_bytes(), [bytes(flipped), b"", other, good[:-6]])
    assert [result.verdict for result in results] == [Verdict.BAD_CRC, Verdict.TRUNCATED, Verdict.OK, Verdict.TRUNCATED]
    assert results[0].codes is None
    assert np.array_equal(results[2].codes, codes[1])


def test_damaged_table_set(link):
    table_set, streams, _ = network(np.random.default_rng(SEED), [(4, 4)])
    damaged = bytearray(table_set.to_bytes())
    damaged[-1] ^= 1
    with pytest.raises(VerdictError) as raised:
        link.decode(bytes(damaged), streams)
    assert raised.value.verdict == Verdict.BAD_CRC


def test_no_table_set(link):
    _, streams, _ = network(np.random.default_rng(SEED), [(4, 4)])
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    results = link.decode(b"", [raw, *streams])
    assert [result.verdict for result in results] == [Verdict.OK, Verdict.WRONG_TABLES]
    assert results[0].codes.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert link.last_run.table_cycles == 0


def test_no_streams(link):
    assert link.decode(b"", []) == []


def test_other_folder_and_nothing_left_behind(link, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    elsewhere = tmp_path / "elsewhere"
    temporary.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(elsewhere)
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    assert link.decode(b"", [raw])[0].verdict == Verdict.OK
    assert not [*temporary.iterdir(), *elsewhere.iterdir()]


@pytest.mark.parametrize("argument", ["fast", "0", "-1", "1.5", "²"])
def test_other_arguments_than_a_number_of_processes_are_refused(argument):
    with pytest.raises(InputError, match=f"link sim:{argument}: is no number of processes; link sim:2, or li"):
        SimulatedLink(argument)


def test_as_many_processes_as_the_argument_says(monkeypatch):
    asked = []

    def note(simulators, *_, **__):
        asked.append(simulators.processes)
        raise ZeroDivisionError

    monkeypatch.setattr("dnnzip_sim.link.Simulators.stream", note)
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    for argument in ("3", ""):
        with pytest.raises(ZeroDivisionError):
            SimulatedLink(argument).decode(b"", [raw])
    assert asked == [3, len(os.sched_getaffinity(0))]
