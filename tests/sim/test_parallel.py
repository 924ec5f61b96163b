"""Several simulators return what one returns, to the cycle."""

import contextlib
import itertools
import random
import time
from pathlib import Path

import pytest

from dnnzip.format import TABLES_MAGIC, Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim import parallel
from dnnzip_sim.harness import PATIENCE_CYCLES, stream_through, streaming
from dnnzip_sim.link import SimulatedLink
from dnnzip_sim.run import SimulationFailedError
from dnnzip_sim.stimulus.cases import damaged_cases, random_case, sound_cases

DEFAULT = DecompressorParameters()

HANGS_SECONDS = 600
"""Whoever waits longer waits for ever; nothing is measured by it."""


@pytest.fixture(scope="module")
def harness():
    return SimulatedLink(parameters=DEFAULT).build()


@pytest.fixture
def seed():
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    return seed


def in_parts(monkeypatch, shares):
    """Share streams out as given; returns how many simulators are started, as a list that is filled."""
    starts = []
    monkeypatch.setattr(parallel, "LEAST_CYCLES", 1)
    monkeypatch.setattr(parallel, "shared_out", lambda *_: shares)
    monkeypatch.setattr(parallel, "streaming", lambda *args: starts.append(args[1]) or streaming(*args))
    return starts


def through(harness, streams, folder, *, tables, patience=PATIENCE_CYCLES):
    folder.mkdir()
    return parallel.Simulators(harness, 4, 9, patience).stream(streams, folder, tables=tables)


def assert_same(found, expected):
    assert found.cycles == expected.cycles
    for number, (one, other) in enumerate(zip(found.outcomes, expected.outcomes, strict=True)):
        figures = [(end.verdict, end.begin, end.end, end.weights.tolist()) for end in (one, other)]
        assert figures[0] == figures[1], f"stream {number}: expected {figures[1]}, got {figures[0]}"


@pytest.mark.slow
def test_several_simulators_give_what_one_gives(harness, monkeypatch, tmp_path, seed):
    """Sound and damaged streams of many kinds in random parts."""
    rng = random.Random(seed)
    compared = 0
    for case in [*sound_cases(seed), *damaged_cases(seed), *(random_case(rng.randrange(1 << 30)) for _ in range(20))]:
        tables = case.streams[0][0] == TABLES_MAGIC
        streams = [*case.streams[:1], *(one for one in case.streams[1:] if one[0] != TABLES_MAGIC)]
        weights = len(streams) - tables
        if weights < 3 or compared == 5:
            continue
        compared += 1
        cuts = sorted(rng.sample(range(1, weights), min(3, weights - 1)))
        shares = [end - start for start, end in itertools.pairwise([0, *cuts, weights])]
        folder = tmp_path / case.name
        folder.mkdir()
        starts = in_parts(monkeypatch, shares)
        found = through(harness, streams, folder / "parts", tables=tables)
        assert len(starts) == len(shares)
        assert_same(found, stream_through(harness, streams, folder))
    assert compared == 5


def test_a_table_set_in_the_midst_takes_one_simulator(harness, monkeypatch, tmp_path, seed):
    case = next(case for case in sound_cases(seed) if sum(one[0] == TABLES_MAGIC for one in case.streams) > 1)
    assert case.streams[0][0] == TABLES_MAGIC
    starts = in_parts(monkeypatch, [1, len(case.streams) - 2])
    found = through(harness, case.streams, tmp_path / "all", tables=True)
    assert not starts
    assert {outcome.verdict for outcome in found.outcomes} == {Verdict.OK}


def test_a_failure_names_the_stream_of_the_network(harness, monkeypatch, tmp_path, seed):
    """With so little patience the decompressor hangs, as it seems, over the table set."""
    case = next(case for case in sound_cases(seed) if len(case.streams) > 3)
    in_parts(monkeypatch, [1, len(case.streams) - 2])
    with pytest.raises(SimulationFailedError, match=f"stream 0 of {len(case.streams)} "):
        through(harness, case.streams, tmp_path / "all", tables=True, patience=20)


def test_simulators_do_not_outlive_an_exception(harness, tmp_path, seed):
    streams = next(iter(sound_cases(seed))).streams

    def running():
        commands = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has just ended
                commands.append(path.read_bytes())
        return [command for command in commands if str(tmp_path).encode() in command]

    def interrupted():
        with streaming(harness, list(streams) * 2000, tmp_path):
            deadline = time.monotonic() + HANGS_SECONDS
            while not running():
                assert time.monotonic() < deadline
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    deadline = time.monotonic() + HANGS_SECONDS
    while running():
        assert time.monotonic() < deadline, running()


def test_streams_are_shared_out_evenly(seed):
    """Against all ways to do it."""
    rng = random.Random(seed)
    for _ in range(200):
        costs = [rng.choice((0, 1, 5, rng.randrange(100))) for _ in range(rng.randrange(1, 8))]
        parts = rng.randrange(1, 5)
        best = min(
            largest(costs, [0, *cuts, len(costs)])
            for count in range(min(parts, len(costs)))
            for cuts in itertools.combinations(range(1, len(costs)), count)
        )
        shares = parallel.shared_out(costs, parts)
        assert sum(shares) == len(costs)
        assert min(shares) > 0
        assert len(shares) <= parts
        got = largest(costs, list(itertools.accumulate([0, *shares])))
        assert got == best, f"{costs} in {parts} parts: expected {best}, got {got} by {shares}"


def largest(costs, bounds):
    return max(sum(costs[max(0, start - 1) : end]) for start, end in itertools.pairwise(bounds))


def test_no_stream_is_shared_out_to_nobody():
    assert parallel.shared_out([], 4) == []
