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

LAST_LOOK = 30
"""Cycles behind the last item in which nothing more may come."""


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


async def pulse(ctx, signal):
    """Set a signal for one cycle."""
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def give(ctx, port, item):
    """Offer an item of a stream until it is taken."""
    ctx.set(port.payload, item)
    ctx.set(port.valid, 1)
    await ctx.tick().until(port.ready)
    ctx.set(port.valid, 0)


def packet(words):
    """Return the items of a stream of words, the last one marked."""
    return [{"data": word, "last": number == len(words) - 1} for number, word in enumerate(words)]


class Source:
    """Gives items to a stream, each after pauses of a chance per cycle."""

    def __init__(self, port, items, rng=None, chance=0.0):
        self.port, self.items, self.rng, self.chance = port, items, rng, chance
        self.taken = 0

    async def pause(self, ctx):
        while self.chance and self.rng.random() < self.chance:
            await ctx.tick()

    async def run(self, ctx):
        for item in self.items:
            await self.pause(ctx)
            await give(ctx, self.port, item)
            self.taken += 1


class Sink:
    """Takes ``count`` items of a stream, not ready by chance; what waits must stay as it is."""

    def __init__(self, port, rng=None, chance=0.0, count=0):
        self.port, self.rng, self.chance, self.count = port, rng, chance, count
        self.items = []
        self.waiting = None

    async def step(self, ctx):
        """Pass a cycle, and return the item that was taken in it, or None."""
        ready = not self.chance or self.rng.random() >= self.chance
        ctx.set(self.port.ready, ready)
        _, _, valid, item = await ctx.tick().sample(self.port.valid, self.port.payload)
        if self.waiting is not None:
            assert valid
            assert item == self.waiting, "the payload changed while it waited"
        self.waiting = item if valid and not ready else None
        return item if valid and ready else None

    async def next(self, ctx):
        """Return the next item."""
        for _ in range(MOST_IDLE):
            item = await self.step(ctx)
            if item is not None:
                return item
        pytest.fail("hangs")

    async def run(self, ctx):
        while len(self.items) < self.count:
            self.items.append(await self.next(ctx))
        await self.nothing_left(ctx)

    async def nothing_left(self, ctx):
        ctx.set(self.port.ready, 1)
        for _ in range(LAST_LOOK):
            _, _, valid = await ctx.tick().sample(self.port.valid)
            assert not valid, "an item is left over"


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
    words = [word for stream in streams for word in packet(words_of(stream))]
    source, sink = Source(dut.i, words, rng, source_pause), Sink(dut.o, rng, sink_pause)

    async def take(ctx):
        beats: list[list[int | None]] = []
        idle, seen = 0, 0
        while len(ended) < len(streams):
            payload = await sink.step(ctx)
            valid = payload is not None or sink.waiting is not None
            idle = 0 if valid or source.taken != seen else idle + 1
            seen = source.taken
            assert idle < MOST_IDLE, f"hangs in stream {len(ended)}"
            if payload is None:
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
        await sink.nothing_left(ctx)
        assert source.taken == len(words), "words are left over"

    run(dut, take, background=(source.run,))
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
