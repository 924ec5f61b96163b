"""Runs of hardware as functions: in Amaranth's simulator, and of the decompressor in Verilator as well."""

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from amaranth.sim import Simulator
from random_streams import to_bytes

import verdicts
from dnnzip.format import Verdict
from dnnzip_hw import Decompressor, DecompressorParameters
from dnnzip_sim.harness import Outcome, build_harness, stream_through
from dnnzip_sim.verilog import decompressor_verilog

PAUSES = {"no pauses": (0.0, 0.0), "idle source": (0.6, 0.0), "stalled sink": (0.0, 0.6), "both": (0.5, 0.5)}
"""Chance of a pause per cycle: of the source, of the sink."""

PAUSE_CASES = [name if name == "both" else pytest.param(name, marks=pytest.mark.ports) for name in PAUSES]
"""For tests that take long: fewer pauses run with the ports, and in Verilator."""

MOST_IDLE = 12_000
"""Cycles without a word in or a beat out after which a run hangs; the longest table set takes fewer."""


@dataclass
class Ended:
    """What came out for one stream."""

    beats: list[list[int | None]]
    verdict: Verdict


def run(component, *testbenches, background=()):
    """Run the testbenches in the simulator until they end."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    simulator.run()


def decompress(
    parameters: DecompressorParameters, streams: Sequence[Sequence[int]], pauses: str = "no pauses", seed: int = 0
) -> list[Ended]:
    """Return what the decompressor makes of streams of words, one after the other, and check the port's rules.

    The payload is stable while it waits, an end beat holds no weights and a beat at least one, and after the last end
    beat nothing is left over.
    """
    dut = Decompressor(parameters)
    rng = random.Random(seed)
    source_pause, sink_pause = PAUSES[pauses]
    ended: list[Ended] = []
    taken = [0]

    async def source(ctx):
        for words in streams:
            for number, word in enumerate(words):
                while rng.random() < source_pause:
                    ctx.set(dut.i.valid, 0)
                    await ctx.tick()
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, {"data": word, "last": number == len(words) - 1})
                await ctx.tick().until(dut.i.ready)
                taken[0] += 1
        ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        beats: list[list[int | None]] = []
        waiting = None
        idle, seen = 0, 0
        while len(ended) < len(streams):
            ready = rng.random() >= sink_pause
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if waiting is not None:
                assert valid
                assert payload == waiting, "the payload changed while it waited"
            waiting = payload if valid and not ready else None
            idle = 0 if valid or taken[0] != seen else idle + 1
            seen = taken[0]
            assert idle < MOST_IDLE, f"hangs in stream {len(ended)}"
            if not (valid and ready):
                continue
            mask = int(payload.mask)
            if payload.last:
                assert mask == 0
                ended.append(Ended(beats, Verdict(int(payload.cause))))
                beats = []
            else:
                assert mask != 0
                beats.append(
                    [int(payload.weights[lane]) if mask >> lane & 1 else None for lane in range(parameters.lanes)]
                )
        ctx.set(dut.o.ready, 1)
        for _ in range(30):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid, "a beat is left over"
        assert taken[0] == sum(len(words) for words in streams), "words are left over"

    run(dut, sink, background=(source,))
    verdicts.count("RTL in Amaranth's simulator", len(ended))
    return ended


def decompress_compiled(
    parameters: DecompressorParameters, streams: Sequence[Sequence[int]], pauses: int = 0
) -> list[Outcome]:
    """Return what the decompressor makes of streams of words in Verilator, for many of them.

    The harness checks the port's rules, and that nothing is left over. `pauses` is the seed of those of both sides, or
    0 for none.
    """
    verilog = decompressor_verilog(parameters)
    harness = build_harness(verilog, lanes=parameters.lanes, weight_bits=parameters.weight_bits)
    with tempfile.TemporaryDirectory(prefix="dnnzip-test-") as folder:
        return stream_through(harness, [to_bytes(words) for words in streams], Path(folder), pauses=pauses).outcomes
