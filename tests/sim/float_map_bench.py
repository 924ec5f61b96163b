"""Bench of a decompressor with the map of floats behind it; runs inside the simulator, ``test_float_map.py`` starts it.

``STREAMS`` in the environment names a JSON file: the streams in hexadecimal, the base and the patterns that they hold.
"""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject

from dnnzip.format import Verdict
from dnnzip_sim.beats import BeatLayout, payloads
from dnnzip_sim.scoreboard import Scoreboard, nothing_left_over
from dnnzip_sim.streams import PAUSE_PATTERNS, StreamSink, StreamSource, scalar, start

LAYOUT = BeatLayout(lanes=1, weight_bits=16)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def weights_are_the_bits_of_floats(dut: HierarchyObject, pattern: str) -> None:
    case = json.loads(Path(os.environ["STREAMS"]).read_text(encoding="utf-8"))
    rng = random.Random(cocotb.RANDOM_SEED)
    pauses = PAUSE_PATTERNS[pattern]
    scoreboard = Scoreboard("float map")
    verdicts = []

    def take(payload: int) -> None:
        beat = LAYOUT.unpack(payload)
        for weight in beat.weights:
            scoreboard.receive(weight & 0xFFFF)
        if beat.cause is not None:
            verdicts.append(beat.cause)

    source = StreamSource(dut, "i", pauses.source(rng))
    sink = StreamSink(dut, "o", take, pauses.sink(rng))
    dut.base.value = case["base"]
    scalar(dut, "mapped").value = 1
    await start(dut)
    scoreboard.expect(case["patterns"])
    for stream in case["streams"]:
        source.send(payloads(bytes.fromhex(stream)))
    await nothing_left_over(dut, [scoreboard], [source])
    assert verdicts == [Verdict.OK] * len(case["streams"])
    assert sink.beats == len(case["patterns"]) + len(case["streams"])
