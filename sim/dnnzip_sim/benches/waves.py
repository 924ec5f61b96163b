"""A table set and a layer through the decompressor, with back-pressure for a while; see ``dnnzip_sim.waves``."""

import random
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject

from dnnzip_sim.beats import payloads
from dnnzip_sim.scoreboard import Scoreboard, nothing_left_over
from dnnzip_sim.streams import PAUSE_PATTERNS, StreamSink, StreamSource, start

SEED = 1


@cocotb.test()
async def decode_layer(dut: HierarchyObject) -> None:
    """Send the streams; every beat is noted for the one who started this run."""
    folder = Path(str(cocotb.plusargs["streams"]))
    streams = [path.read_bytes() for path in sorted(folder.glob("*.bin"))]
    beats: list[int] = []
    await start(dut)
    ends = Scoreboard("end beats")
    ends.expect([1] * len(streams))

    def take(payload: int) -> None:
        beats.append(payload)
        if payload >> int(str(cocotb.plusargs["last"])) & 1:
            ends.receive(1)

    StreamSink(dut, "o", take, PAUSE_PATTERNS["stalled_sink"].sink(random.Random(SEED)))
    source = StreamSource(dut, "i")
    for stream in streams:
        source.send(payloads(stream))
    await nothing_left_over(dut, [ends], [source])
    (folder / "beats").write_text("\n".join(f"{beat:x}" for beat in beats))
