"""Runs of hardware in Amaranth's simulator as functions, and of the decompressor compared with the reference."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from amaranth.sim import Simulator

import verdicts
from dnnzip.format import RAW_WIDTHS, WORD_BITS, Codec, Verdict, WeightHeader
from dnnzip_hw import Decompressor, DecompressorParameters
from dnnzip_sim.stimulus.damage import words_of
from dnnzip_sim.stimulus.outcomes import SoftwareRow

PAUSES = {"no pauses": (0.0, 0.0), "idle source": (0.6, 0.0), "stalled sink": (0.0, 0.6), "both": (0.5, 0.5)}
"""Chance of a pause per cycle: of the source, of the sink."""

PAUSE_CASES = [name if name == "both" else pytest.param(name, marks=pytest.mark.ports) for name in PAUSES]
"""For tests that take long: fewer pauses run with the ports, and in Verilator."""

DEFAULT = DecompressorParameters()

MOST_IDLE = 12_000
"""Cycles without a word in or a beat out after which a run hangs; the longest table set takes fewer."""


@dataclass
class Ended:
    """Output for one stream."""

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
    parameters: DecompressorParameters, streams: Sequence[bytes], pauses: str = "no pauses", seed: int = 0
) -> list[Ended]:
    """Return the decompressor's results for streams, one after the other, and check the port's rules.

    The payload is stable while it waits, an end beat holds no weights and a beat at least one, and after the last end
    beat nothing is left over.
    """
    dut = Decompressor(parameters)
    rng = random.Random(seed)
    source_pause, sink_pause = PAUSES[pauses]
    ended: list[Ended] = []
    taken = [0]

    async def source(ctx):
        for words in map(words_of, streams):
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
        assert taken[0] == sum(len(words_of(stream)) for stream in streams), "words are left over"

    run(dut, sink, background=(source,))
    verdicts.count("RTL in Amaranth's simulator", len(ended))
    return ended


def check(
    streams: Sequence[bytes],
    parameters: DecompressorParameters = DEFAULT,
    pauses: str = "no pauses",
    seed: int = 0,
) -> list[Verdict]:
    """Decode the streams one after the other in hardware and by the reference, compare, and return the verdicts."""
    row = SoftwareRow(parameters.limits)
    results = decompress(parameters, streams, pauses, seed)
    for number, (stream, result) in enumerate(zip(streams, results, strict=True)):
        verdict, decoded = row.take(stream)
        where = f"seed {seed}, stream {number}"
        assert result.verdict == verdict, f"{where}: expected {verdict.label}, got {result.verdict.label}"
        header = decoded.header if decoded else None
        if header is not None and verdict == Verdict.OK:
            expected = list(beats_of(header, decoded.codes, parameters.lanes))
            assert result.beats == expected, f"{where}: expected {expected}, got {result.beats}"
            continue
        weights = sum(weight is not None for beat in result.beats for weight in beat)
        declared = header.weights if header else 0
        assert weights <= declared, f"{where}: {weights} weights, {declared} are declared"
    return [result.verdict for result in results]


def beats_of(header: WeightHeader, codes: Sequence[Sequence[int]], lanes: int) -> Iterator[list[int | None]]:
    """Yield the beats of hardware of ``lanes`` lanes for a weight stream; None in lanes without a weight."""
    if header.codec != Codec.ANS:
        items = [code for row in codes for code in row]
        count = min(lanes, WORD_BITS // RAW_WIDTHS[header.raw_width]) if header.codec == Codec.RAW else 1
        for start in range(0, len(items), count):
            beat = items[start : start + count]
            yield [*beat, *[None] * (lanes - len(beat))]
        return
    for first in range(0, header.channels, header.lanes):
        for position in range(header.length):
            for slot in range(0, header.lanes, lanes):
                channels = [
                    first + lane if lane < header.lanes and first + lane < header.channels else None
                    for lane in range(slot, slot + lanes)
                ]
                if any(channel is not None for channel in channels):
                    yield [None if channel is None else codes[channel][position] for channel in channels]
