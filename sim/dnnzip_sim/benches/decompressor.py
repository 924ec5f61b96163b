"""The decompressor, every cycle driven: the case list against the reference, with pauses on both sides.

Cases and pauses come from cocotb's seed. For the tests of this bench itself, ``DNNZIP_FLIP=n`` in the environment flips
a bit of the expected item n of each case, and with ``DNNZIP_LATE_RESET`` the resets that silence must follow come a
cycle late.
"""

import os
import random
from collections.abc import Sequence

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, FallingEdge

from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import WORD_BITS, Verdict
from dnnzip_sim.beats import BeatLayout, payloads
from dnnzip_sim.scoreboard import Scoreboard, ScoreboardError, nothing_left_over
from dnnzip_sim.stimulus.cases import damaged_cases, random_case, sound_cases
from dnnzip_sim.stimulus.outcomes import Case, Outcome, outcomes
from dnnzip_sim.stimulus.streams import AnsShape, random_stream
from dnnzip_sim.stimulus.table_sets import random_table_set
from dnnzip_sim.streams import PAUSE_PATTERNS, StreamSink, StreamSource, scalar, start

RANDOM_CASES = 4
RESETS = 12
RESET_CYCLES = (1, 2, 3, 16)
RAW_MOMENTS = [*range(0, 84, 7), *range(84, 150)]
"""Cycles of a small stream at which it is reset: some of its header, all of its payload and its end."""

WEIGHTS_MOMENTS = range(60, 180, 5)
QUIET_CYCLES = 32
PATIENCE_CYCLES = 20_000

LAYOUT = BeatLayout(lanes=4, weight_bits=16)
SEED = cocotb.RANDOM_SEED  # of the cases; while a test runs it is another one, for each test its own
CASES = {case.name: case for case in (*sound_cases(SEED), *damaged_cases(SEED))}
CASES.update({f"random_{number}": random_case(SEED + number) for number in range(RANDOM_CASES)})

# An item of the scoreboard is a weight, or the end of a stream: this plus its verdict.
END = 1 << WORD_BITS


def show(item: int) -> str:
    """Return a scoreboard's item in words."""
    return f"end, {Verdict(item - END).label}" if item >= END else f"weight {item}"


class Decompressor:
    """The design between a source and a sink, with the outcomes expected of the streams that it is sent.

    Parameters
    ----------
    dut
        The decompressor.
    pattern
        Name of the pause pattern.
    rng
        Where the pauses come from.
    """

    def __init__(self, dut: HierarchyObject, pattern: str, rng: random.Random) -> None:
        pauses = PAUSE_PATTERNS[pattern]
        self._dut = dut
        self._clk = scalar(dut, "clk")
        self._outcomes: list[Outcome] = []
        self._ended = 0
        self._weights: list[int] = []
        self._scoreboard = Scoreboard("decompressor", show)
        self._source = StreamSource(dut, "i", pauses.source(rng))
        self._sink = StreamSink(dut, "o", self._take, pauses.sink(rng))
        self._watch = cocotb.start_soon(self._watch_progress())

    def send(self, streams: Sequence[bytes], expected: Sequence[Outcome]) -> None:
        """Queue the streams, back to back."""
        self._outcomes.extend(expected)
        items = [item for outcome in expected for item in (*outcome.weights, END + outcome.verdict)]
        if "DNNZIP_FLIP" in os.environ:
            items[int(os.environ["DNNZIP_FLIP"]) % len(items)] ^= 1
        self._scoreboard.expect(items)
        for stream in streams:
            self._source.send(payloads(stream))

    async def finished(self) -> None:
        """Wait for everything that is expected, and check that nothing is left over."""
        await nothing_left_over(self._dut, [self._scoreboard], [self._source])
        if self._weights:
            raise ScoreboardError(f"{len(self._weights)} weights are left over after the last end beat")

    @property
    def ended(self) -> int:
        """Number of streams that have ended."""
        return self._ended

    @property
    def weights(self) -> int:
        """Number of weights of the stream that has not ended."""
        return len(self._weights)

    def stop(self) -> None:
        """Let go of the design."""
        for part in (self._source, self._sink):
            part.stop()
        self._watch.cancel()

    def _take(self, payload: int) -> None:
        """Collect a stream's weights; compare them at its end, where the verdict is ok."""
        beat = LAYOUT.unpack(payload)
        self._weights.extend(beat.weights)
        if self._ended >= len(self._outcomes):
            raise ScoreboardError(f"a beat after the end of all {self._ended} streams: {beat}")
        declared = self._outcomes[self._ended].declared
        if len(self._weights) > declared:
            raise ScoreboardError(f"stream {self._ended}: {len(self._weights)} weights, {declared} are declared")
        if beat.cause is None:
            return
        if beat.cause == Verdict.OK:
            for weight in self._weights:
                self._scoreboard.receive(weight)
        self._scoreboard.receive(END + beat.cause)
        self._weights = []
        self._ended += 1

    async def _watch_progress(self) -> None:
        before = (-1, -1)
        while True:
            await ClockCycles(self._clk, PATIENCE_CYCLES)
            now = (self._source.sent, self._sink.beats)
            if now == before and self._ended < len(self._outcomes):
                raise AssertionError(f"stream {self._ended} hangs: no progress in {PATIENCE_CYCLES} cycles")
            before = now


@cocotb.test()
@cocotb.parametrize(name=list(CASES), pattern=list(PAUSE_PATTERNS))
async def decodes_as_the_reference(dut: HierarchyObject, name: str, pattern: str) -> None:
    """Decode streams back to back: the reference's verdict for each, its weights where that is ok, and nothing else."""
    dut._log.info(f"case {name}, {pattern}, seed {SEED}")
    rng = random.Random(cocotb.RANDOM_SEED)
    case = CASES[name]
    decompressor = Decompressor(dut, pattern, rng)
    await start(dut)
    decompressor.send(case.streams, outcomes(case))
    await decompressor.finished()


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def recovers_from_reset(dut: HierarchyObject, pattern: str) -> None:
    """Decode all streams after a reset at any moment."""
    rng = random.Random(cocotb.RANDOM_SEED)
    case = CASES["wrong_tables"]
    clk = scalar(dut, "clk")
    rst = scalar(dut, "rst")
    valid = scalar(dut, "i__valid")
    await start(dut)
    for _ in range(RESETS):
        interrupted = Decompressor(dut, pattern, rng)
        interrupted.send(case.streams, outcomes(case))
        await ClockCycles(clk, rng.randrange(1, 1500))
        await FallingEdge(clk)
        interrupted.stop()
        valid.value = 0
        rst.value = 1
        await ClockCycles(clk, rng.randrange(1, 4))
        await FallingEdge(clk)
        rst.value = 0
    decompressor = Decompressor(dut, pattern, rng)
    decompressor.send(case.streams, outcomes(case))
    await decompressor.finished()


async def reset_in_silence(dut: HierarchyObject, cycles: int, when: str) -> None:
    """Reset for a number of cycles with an idle source; from the first clock edge of it on nothing may be given."""
    clk, rst, given = scalar(dut, "clk"), scalar(dut, "rst"), scalar(dut, "o__valid")
    scalar(dut, "i__valid").value = 0
    scalar(dut, "o__ready").value = 1
    begin = int("DNNZIP_LATE_RESET" in os.environ)
    rst.value = 1 - begin
    for cycle in range(cycles + QUIET_CYCLES):
        await FallingEdge(clk)
        assert given.value == 0, f"{when}: a beat in cycle {cycle} after the reset was seen"
        rst.value = int(begin <= cycle + 1 < begin + cycles)


async def resets(dut: HierarchyObject, case: Case, cycles: int, pattern: str, moments: Sequence[int]) -> None:
    """Reset while the case's last stream is decoded, some cycles behind the one before; then decode all of it."""
    rng = random.Random(cocotb.RANDOM_SEED)
    clk = scalar(dut, "clk")
    expected = outcomes(case)
    hits = 0
    await start(dut)
    for moment in moments:
        interrupted = Decompressor(dut, pattern, rng)
        interrupted.send(case.streams, expected)
        while interrupted.ended < len(case.streams) - 1:
            await FallingEdge(clk)
        await ClockCycles(clk, moment)
        await FallingEdge(clk)
        hits += interrupted.weights > 0
        interrupted.stop()
        await reset_in_silence(dut, cycles, f"reset of {cycles} cycles after {moment}")
        decompressor = Decompressor(dut, pattern, rng)
        decompressor.send(case.streams, expected)
        await decompressor.finished()
        decompressor.stop()
    assert hits > 5, "the weights were missed"


@cocotb.test()
@cocotb.parametrize(cycles=RESET_CYCLES, pattern=list(PAUSE_PATTERNS))
async def is_silent_after_a_reset(dut: HierarchyObject, cycles: int, pattern: str) -> None:
    """Reset in every cycle of the payload of a small stream, and in some of its header."""
    rng = random.Random(SEED)
    items = [rng.randrange(-128, 128) for _ in range(40)]
    await resets(dut, Case("raw", (raw_reference.encode(items, 1, 8),)), cycles, pattern, RAW_MOMENTS)


@cocotb.test()
@cocotb.parametrize(cycles=RESET_CYCLES)
async def is_silent_after_a_reset_in_weights(dut: HierarchyObject, cycles: int) -> None:
    """Reset in some cycles of a stream that needs its table set, which is lost."""
    rng = random.Random(SEED)
    tables = random_table_set(rng, tables=1)
    stream = random_stream(rng, tables, AnsShape(channels=16, length=9, log2_lanes=4))
    await resets(dut, Case("weights", (tables.to_bytes(), stream)), cycles, "no_pauses", WEIGHTS_MOMENTS)
