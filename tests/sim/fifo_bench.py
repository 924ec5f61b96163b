"""Bench of the stream FIFO; runs inside the simulator, ``test_streams.py`` starts it."""

import os
import random

import cocotb
from cocotb.handle import HierarchyObject

from dnnzip_sim.scoreboard import Scoreboard, nothing_left_over
from dnnzip_sim.streams import PAUSE_PATTERNS, StreamSink, StreamSource, start

BEATS = 500


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def everything_passes_in_order(dut: HierarchyObject, pattern: str) -> None:
    rng = random.Random(cocotb.RANDOM_SEED)
    pauses = PAUSE_PATTERNS[pattern]
    payloads = [rng.getrandbits(16) for _ in range(BEATS)]

    source = StreamSource(dut, "i", pauses.source(rng))
    scoreboard = Scoreboard("fifo")
    sink = StreamSink(dut, "o", scoreboard.receive, pauses.sink(rng))
    await start(dut)

    expected = list(payloads)
    if os.environ.get("FLIP_BEAT"):
        expected[int(os.environ["FLIP_BEAT"])] ^= 1 << 7
    if os.environ.get("EXTRA_BEAT"):
        expected.append(0)
    if os.environ.get("MISSING_BEAT"):
        expected.pop()
    scoreboard.expect(expected)
    source.send(payloads)
    await nothing_left_over(dut, [scoreboard], [source])
    assert source.sent == BEATS
    beats = BEATS + int(os.environ.get("MORE_BEATS", 0))
    assert sink.beats == beats
