"""The way of weights into the PE array: words, beats and tiles, unit by unit in Amaranth's simulator."""

import random
from dataclasses import replace

import pytest
from array_parts import DECOMPRESSOR, PARAMETERS, SIZES, part, part_entry
from simulated import Sink, Source, give, packet, pulse, run

from dnnzip.format import Verdict
from dnnzip.format.array import MISPLACED
from dnnzip.format.schedule import beats
from dnnzip_hw.array.feed import WordFeed
from dnnzip_hw.array.interface import PEArrayInterface
from dnnzip_hw.array.order import PartOrder
from dnnzip_hw.array.plain import PlainWeights
from dnnzip_hw.parameters import DecompressorParameters


@pytest.mark.parametrize("size", SIZES)
def test_order_of_a_part(size):
    dut = PartOrder(DECOMPRESSOR)
    seen = []

    async def bench(ctx):
        ctx.set(dut.part, part(*size))
        await pulse(ctx, dut.start)
        ctx.set(dut.step, 1)
        while ctx.get(dut.active):
            seen.append((ctx.get(dut.slot), ctx.get(dut.weights), ctx.get(dut.ends_position), ctx.get(dut.ends_pass)))
            await ctx.tick()

    run(dut, bench)
    assert seen == list(beats(part_entry(*size), DECOMPRESSOR.lanes))


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_plain_weights_become_beats(lanes, seed):
    """Parts back to back, odd numbers of weights and words behind the last one included, with pauses on both sides."""
    rng = random.Random(seed)
    parameters = DecompressorParameters(lanes, 4, 8, 8)
    dut = PlainWeights(parameters)
    parts = [(rng.randint(1, 19), rng.randint(1, 6), rng.choice([1, 2, 4, 4 * lanes])) for _ in range(6)]
    wanted, words = [], []
    for channels, length, virtual_lanes in parts:
        weights = [rng.randint(-128, 127) for _ in range(channels * length)]
        data = [weight & 0xFF for weight in weights] + [0] * (len(weights) % 2 + 2 * rng.randint(0, 3))
        words += packet([data[at] | data[at + 1] << 8 for at in range(0, len(data), 2)])
        given = iter(weights)
        for beat in beats(part_entry(channels, length, virtual_lanes), lanes):
            wanted.append([next(given) for _ in range(beat.weights)])
        wanted.append(None)
    sources = (Source(dut.parts, [part(*own, plain=1) for own in parts]), Source(dut.i, words, rng, 0.3))
    sink = Sink(dut.o, rng, 0.3, len(wanted))
    run(dut, sink.run, background=[source.run for source in sources])
    seen = []
    for beat in sink.items:
        seen.append([int(beat.weights[lane]) for lane in range(lanes) if beat.mask >> lane & 1])
        if beat.last:
            assert seen.pop() == []
            assert beat.cause == Verdict.OK
            seen.append(None)
    assert seen == wanted, f"seed {seed}"


@pytest.mark.parametrize("bus_bits", [16, 32, 128])
def test_bus_words_become_words(bus_bits):
    rng = random.Random(bus_bits)
    parameters = replace(PARAMETERS, bus_bits=bus_bits)
    dut = WordFeed(parameters)
    count = parameters.beat_words
    sizes = [1, count, count + 1, 3 * count - 1 or 1, 5]
    parts = [[rng.getrandbits(16) for _ in range(size)] for size in sizes]

    async def offer(ctx):
        for number, words in enumerate(parts):
            await give(ctx, dut.parts, part(1, 1, 1, words=len(words), plain=number % 2))
            filled = words + [0xDEAD] * (-len(words) % count)
            for at in range(0, len(filled), count):
                await give(ctx, dut.i, sum(word << 16 * place for place, word in enumerate(filled[at : at + count])))

    sink = Sink(dut.o, rng, 0.3, sum(sizes))
    run(dut, sink.run, background=(offer,))
    assert [(word.data, word.last, word.plain) for word in sink.items] == [
        (word, place == len(words) - 1, number % 2)
        for number, words in enumerate(parts)
        for place, word in enumerate(words)
    ]


@pytest.mark.parametrize("size", SIZES)
def test_beats_become_tiles(size):
    """Every weight goes to its row and column; a complete tile stops the beats until it is taken."""
    rng = random.Random(str(size))
    dut = PEArrayInterface(PARAMETERS)
    channels, length, virtual_lanes = size
    lanes, columns = DECOMPRESSOR.lanes, PARAMETERS.columns
    weights = [[rng.randint(-128, 127) for _ in range(length)] for _ in range(channels)]
    tiles = []
    for first in range(0, channels, virtual_lanes):
        rows = weights[first : first + virtual_lanes]
        for block in range(0, length, columns):
            tiles.append({(r, c): w for r, row in enumerate(rows) for c, w in enumerate(row[block : block + columns])})
    taken = []

    async def offer(ctx):
        await give(ctx, dut.parts, part(*size))
        for first in range(0, channels, virtual_lanes):
            rows = weights[first : first + virtual_lanes]
            for position in range(length):
                for start in range(0, len(rows), lanes):
                    beat = [row[position] for row in rows[start : start + lanes]]
                    padded = beat + [99] * (lanes - len(beat))
                    await give(ctx, dut.i, {"weights": padded, "mask": (1 << len(beat)) - 1, "last": 0, "cause": 0})
        await give(ctx, dut.i, {"weights": [0] * lanes, "mask": 0, "last": 1, "cause": Verdict.OK})

    async def take(ctx):
        written = {}
        while len(taken) < len(tiles):
            takes = ctx.get(dut.complete) and rng.random() < 0.5
            ctx.set(dut.take, takes)
            if takes:
                taken.append(dict(written))
            _, _, enabled, write = await ctx.tick().sample(dut.write_en, dut.write)
            if enabled:
                for lane in range(lanes):
                    written[write.slot * lanes + lane, write.column] = int(write.weights[lane])
        ctx.set(dut.take, 0)
        await ctx.tick().repeat(6)
        assert not ctx.get(dut.complete)
        assert ctx.get(dut.cause) == 0
        assert ctx.get(dut.parts.ready), "the part has not ended"

    run(dut, take, background=(offer,))
    for number, (tile, got) in enumerate(zip(tiles, taken, strict=True)):
        assert {place: got[place] for place in tile} == tile, f"tile {number}"


@pytest.mark.parametrize(
    ("beats", "end", "cause"),
    [
        (6, Verdict.BAD_CRC, Verdict.BAD_CRC),
        (4, Verdict.TRUNCATED, Verdict.TRUNCATED),
        (4, Verdict.OK, MISPLACED),
        (7, None, MISPLACED),
    ],
)
def test_a_stream_that_is_not_what_its_entry_says_stops_the_interface(beats, end, cause):
    dut = PEArrayInterface(replace(PARAMETERS, columns=8))

    async def bench(ctx):
        await give(ctx, dut.parts, part(2, 6, 2))
        for _ in range(beats):
            await give(ctx, dut.i, {"weights": [1, 2], "mask": 3, "last": 0, "cause": 0})
        if end is not None:
            await give(ctx, dut.i, {"weights": [0, 0], "mask": 0, "last": 1, "cause": end})
        ctx.set(dut.parts.valid, 1)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.cause) == cause
        assert not ctx.get(dut.i.ready)
        assert not ctx.get(dut.parts.ready)

    run(dut, bench)
