"""The parts of the PE array, each on its own in Amaranth's simulator."""

import random
import re
from dataclasses import replace

import pytest
from simulated import run

from dnnzip.format import ImageEntry, ImageKind, Verdict
from dnnzip.format.array import MISPLACED, Placement
from dnnzip.format.schedule import beats
from dnnzip_hw.array.bursts import BurstReader
from dnnzip_hw.array.feed import WordFeed
from dnnzip_hw.array.hops import Hops
from dnnzip_hw.array.interface import PEArrayInterface
from dnnzip_hw.array.order import PartOrder
from dnnzip_hw.array.parameters import PAGE_BYTES, ArrayParameters
from dnnzip_hw.array.pe_array import PEArray, adder_levels
from dnnzip_hw.array.plain import PlainWeights
from dnnzip_hw.array.runs import RunControl
from dnnzip_hw.array.sums import SPACING
from dnnzip_hw.parameters import DecompressorParameters

DECOMPRESSOR = DecompressorParameters(2, 4, 8, 8)
PARAMETERS = ArrayParameters(DECOMPRESSOR, columns=3, vectors=16, burst=4, buffer=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 3}, "groups must be a power of two from 1 to 16, not 3"),
        ({"groups": True}, "groups must be a power of two from 1 to 16, not True"),
        ({"columns": 0}, "columns must be 1 to 64, not 0"),
        ({"columns": 65}, "columns must be 1 to 64, not 65"),
        ({"vectors": 8}, "vectors must be a power of two from 16 to 32768, not 8"),
        ({"bus_bits": 8}, "bus_bits must be a power of two from 16 to 256, not 8"),
        ({"bus_bits": 512}, "bus_bits must be a power of two from 16 to 256, not 512"),
        ({"burst": 257}, "burst must be 1 to 256, not 257"),
        ({"burst": 33}, "buffer must be two bursts at least, 66, not 64"),
        ({"buffer": 48}, "buffer must be a power of two from 2 to 4096, not 48"),
        ({"hops": -1}, "hops must be 0 to 16, not -1"),
        ({"placement": "here"}, "placement must be pe or memory-interface, not 'here'"),
        ({"decompressor": DecompressorParameters()}, "decompressor.weight_bits must be 8, not 16"),
        ({"decompressor": 4}, "decompressor must be DecompressorParameters, not 4"),
    ],
)
def test_parameters_are_checked(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(ArrayParameters(), **change)


def test_what_follows_from_the_parameters():
    parameters = ArrayParameters(groups=4, bus_bits=64, placement="memory-interface")
    assert (parameters.rows, parameters.rows_per_group) == (64, 16)
    assert (parameters.bus_bytes, parameters.beat_words) == (8, 4)
    assert parameters.placement is Placement.MEMORY_INTERFACE


def part(channels, length, virtual_lanes, *, words=1, plain=0, tables=0):
    return {
        "tables": tables,
        "plain": plain,
        "words": words,
        "channels": channels,
        "length": length,
        "virtual_lanes": virtual_lanes,
    }


def part_entry(channels, length, virtual_lanes):
    """Return the entry of a part, without its place."""
    return ImageEntry(0, 0, 0, 0, 0, 0, channels, length, ImageKind.PLAIN, virtual_lanes)


SIZES = [(1, 1, 1), (2, 1, 2), (8, 3, 8), (9, 2, 8), (17, 5, 8), (5, 4, 2), (7, 1, 4), (3, 6, 8), (40, 1, 1)]


@pytest.mark.parametrize("size", SIZES)
def test_order_of_a_part(size):
    dut = PartOrder(DECOMPRESSOR)
    seen = []

    async def bench(ctx):
        ctx.set(dut.part, part(*size))
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
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
        pairs = [data[at] | data[at + 1] << 8 for at in range(0, len(data), 2)]
        words += [(word, number == len(pairs) - 1) for number, word in enumerate(pairs)]
        given = iter(weights)
        for beat in beats(part_entry(channels, length, virtual_lanes), lanes):
            wanted.append([next(given) for _ in range(beat.weights)])
        wanted.append(None)
    seen = []

    async def offer_parts(ctx):
        for own in parts:
            ctx.set(dut.parts.payload, part(*own, plain=1))
            ctx.set(dut.parts.valid, 1)
            await ctx.tick().until(dut.parts.ready)
        ctx.set(dut.parts.valid, 0)

    async def offer_words(ctx):
        for word, last in words:
            while rng.random() < 0.3:
                ctx.set(dut.i.valid, 0)
                await ctx.tick()
            ctx.set(dut.i.payload, {"data": word, "last": last})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def take(ctx):
        while len(seen) < len(wanted):
            ready = rng.random() < 0.7
            ctx.set(dut.o.ready, ready)
            _, _, valid, beat = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready and beat.last:
                assert beat.mask == 0
                assert beat.cause == Verdict.OK
                seen.append(None)
            elif valid and ready:
                seen.append([int(beat.weights[lane]) for lane in range(lanes) if beat.mask >> lane & 1])

    run(dut, take, background=(offer_parts, offer_words))
    assert seen == wanted, f"seed {seed}"


@pytest.mark.parametrize("bus_bits", [16, 32, 128])
def test_bus_words_become_words(bus_bits):
    rng = random.Random(bus_bits)
    parameters = replace(PARAMETERS, bus_bits=bus_bits)
    dut = WordFeed(parameters)
    count = parameters.beat_words
    sizes = [1, count, count + 1, 3 * count - 1 or 1, 5]
    parts = [[rng.getrandbits(16) for _ in range(size)] for size in sizes]
    seen = []

    async def offer(ctx):
        for number, words in enumerate(parts):
            ctx.set(dut.parts.payload, part(1, 1, 1, words=len(words), plain=number % 2))
            ctx.set(dut.parts.valid, 1)
            await ctx.tick().until(dut.parts.ready)
            ctx.set(dut.parts.valid, 0)
            filled = words + [0xDEAD] * (-len(words) % count)
            for at in range(0, len(filled), count):
                value = sum(word << 16 * place for place, word in enumerate(filled[at : at + count]))
                ctx.set(dut.i.payload, value)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def take(ctx):
        while len(seen) < sum(sizes):
            ready = rng.random() < 0.7
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                seen.append((word.data, word.last, word.plain))

    run(dut, take, background=(offer,))
    assert seen == [
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
        ctx.set(dut.parts.payload, part(*size))
        ctx.set(dut.parts.valid, 1)
        await ctx.tick().until(dut.parts.ready)
        ctx.set(dut.parts.valid, 0)
        for first in range(0, channels, virtual_lanes):
            rows = weights[first : first + virtual_lanes]
            for position in range(length):
                for start in range(0, len(rows), lanes):
                    beat = [row[position] for row in rows[start : start + lanes]]
                    padded = beat + [99] * (lanes - len(beat))
                    ctx.set(dut.i.payload, {"weights": padded, "mask": (1 << len(beat)) - 1, "last": 0, "cause": 0})
                    ctx.set(dut.i.valid, 1)
                    await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.payload, {"weights": [0] * lanes, "mask": 0, "last": 1, "cause": Verdict.OK})
        await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

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
        ctx.set(dut.parts.payload, part(2, 6, 2))
        ctx.set(dut.parts.valid, 1)
        await ctx.tick().until(dut.parts.ready)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"weights": [1, 2], "mask": 3, "last": 0, "cause": 0})
        for _ in range(beats):
            await ctx.tick().until(dut.i.ready)
        if end is not None:
            ctx.set(dut.i.payload, {"weights": [0, 0], "mask": 0, "last": 1, "cause": end})
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.cause) == cause
        assert not ctx.get(dut.i.ready)
        assert not ctx.get(dut.parts.ready)

    run(dut, bench)


@pytest.mark.parametrize("columns", [1, 2, 4, 5, 16, 17])
def test_sums_of_extreme_products(columns):
    """Every product at its most negative, most positive, and at random; each sum a fixed number of cycles later."""
    rng = random.Random(columns)
    dut = PEArray(replace(PARAMETERS, columns=columns))
    rows = PARAMETERS.rows
    tiles = [[[-128] * columns] * rows, [[127] * columns] * rows]
    tiles.append([[rng.randint(-128, 127) for _ in range(columns)] for _ in range(rows)])
    vectors = [[255] * columns, [-255] * columns, [rng.randint(-255, 255) for _ in range(columns)]]
    assert dut.latency == 1 + len(adder_levels(columns))

    async def bench(ctx):
        for tile in tiles:
            for slot in range(DECOMPRESSOR.slots):
                for column in range(columns):
                    weights = [tile[slot * DECOMPRESSOR.lanes + lane][column] for lane in range(DECOMPRESSOR.lanes)]
                    ctx.set(dut.write_0, {"slot": slot, "column": column, "weights": weights})
                    ctx.set(dut.write_en_0, 1)
                    await ctx.tick()
            ctx.set(dut.write_en_0, 0)
            for number, vector in enumerate(vectors):
                ctx.set(dut.take, number == 0)
                ctx.set(dut.operands, vector)
                await ctx.tick()
                ctx.set(dut.take, 0)
                ctx.set(dut.operands, [7] * columns)
                await ctx.tick().repeat(dut.latency - 1)
                got = [int(ctx.get(dut.sums[row])) for row in range(rows)]
                assert got == [sum(w * x for w, x in zip(row, vector, strict=True)) for row in tile]

    run(dut, bench)


def test_runs_wait_for_what_they_need_and_keep_their_distance():
    """Vectors go in order, with the right accumulators; never two for the same ones within the spacing."""
    rng = random.Random(7)
    dut = RunControl(PARAMETERS)
    runs = [(rng.randint(1, 5), rng.randint(0, 3), rng.randint(0, 1), rng.randint(0, 1)) for _ in range(60)]
    wanted = [(base + n, first, last) for vectors, base, first, last in runs for n in range(vectors)]
    seen = []

    async def offer(ctx):
        for vectors, base, first, last in runs:
            payload = {"vectors": vectors, "base": base, "take": 1, "zero_point": 0, "signed": 0}
            ctx.set(dut.i_runs.payload, payload | {"first": first, "last": last, "reserved": 0})
            ctx.set(dut.i_runs.valid, 1)
            await ctx.tick().until(dut.i_runs.ready)
        ctx.set(dut.i_runs.valid, 0)

    async def bench(ctx):
        recent, takes = [None] * (SPACING - 1), 0
        while len(seen) < len(wanted):
            complete, room, valid = (rng.random() < 0.7 for _ in range(3))
            ctx.set(dut.complete, complete)
            ctx.set(dut.room, room)
            ctx.set(dut.i.valid, valid)
            _, _, goes, take, address, first, last = await ctx.tick().sample(
                dut.goes, dut.take, dut.address, dut.first, dut.last
            )
            if goes:
                assert valid
                assert room or not last
                assert complete or not take
                assert address not in recent, f"accumulators {address} are still in use"
                seen.append((address, first, last))
                takes += take
            recent = [*recent[1:], address if goes else None]
        assert takes == len(runs), "each run takes its tile once"

    run(dut, bench, background=(offer,))
    assert seen == wanted


@pytest.mark.parametrize(
    ("signed", "zero", "byte", "operand"), [(0, 255, 0, -255), (0, 0, 255, 255), (1, 127, 128, -255)]
)
def test_operands_are_activations_less_their_zero_point(signed, zero, byte, operand):
    dut = RunControl(PARAMETERS)

    async def bench(ctx):
        payload = {"vectors": 1, "base": 0, "take": 0, "zero_point": zero, "signed": signed, "first": 1, "last": 1}
        ctx.set(dut.i_runs.payload, payload | {"reserved": 0})
        ctx.set(dut.i_runs.valid, 1)
        ctx.set(dut.i.payload, [byte] * PARAMETERS.columns)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.room, 1)
        (operands,) = await ctx.tick().sample(dut.operands).until(dut.goes)
        assert [int(operands[column]) for column in range(PARAMETERS.columns)] == [operand] * PARAMETERS.columns

    run(dut, bench)


@pytest.mark.parametrize("seed", range(3))
def test_bursts_stay_in_their_page_and_find_room(seed):
    """Two groups, the walker and the common reader fetch at once; each buffer gets its words, in order."""
    rng = random.Random(seed)
    parameters = replace(PARAMETERS, groups=2, bus_bits=32, burst=5, buffer=16)
    dut = BurstReader(parameters, 2)
    size = parameters.bus_bytes
    fetches = [
        [
            (PAGE_BYTES * rng.randint(0, 3) + size * rng.randint(0, PAGE_BYTES // size - 1), rng.randint(1, 40))
            for _ in range(4)
        ]
        for _ in range(dut.readers)
    ]
    words = [[at + size * n for at, count in own for n in range(count)] for own in fetches]
    wanted = [sorted(words[0] + words[3]), sorted(words[1] + words[3]), words[2]]
    got = [[], [], []]
    asked, bursts = [], []

    def offer(reader):
        port = getattr(dut, f"fetch_{reader}")

        async def bench(ctx):
            for address, count in fetches[reader]:
                ctx.set(port.payload, {"address": address, "words": count})
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

        return bench

    def take(buffer):
        port = getattr(dut, f"o_{buffer}")

        async def bench(ctx):
            while len(got[buffer]) < len(wanted[buffer]):
                ready = rng.random() < 0.4
                ctx.set(port.ready, ready)
                _, _, valid, word = await ctx.tick().sample(port.valid, port.payload)
                if valid and ready:
                    got[buffer].append(word)
            ctx.set(port.ready, 0)

        return bench

    async def memory(ctx):
        while True:
            ctx.set(dut.ar.ready, rng.random() < 0.5)
            offered = bool(asked) and rng.random() < 0.8
            ctx.set(dut.r.valid, offered)
            if offered:
                ctx.set(dut.r.payload, {"data": asked[0][0], "response": 0, "last": asked[0][1]})
            _, _, taken, ready, valid, request = await ctx.tick().sample(
                dut.r.ready, dut.ar.ready, dut.ar.valid, dut.ar.payload
            )
            if offered:
                assert taken, "data that was asked for has to wait"
                asked.pop(0)
            if ready and valid:
                beats = request.length + 1
                assert beats <= parameters.burst
                assert request.address // PAGE_BYTES == (request.address + beats * size - 1) // PAGE_BYTES
                bursts.append(beats)
                asked.extend((request.address + size * n, n == beats - 1) for n in range(beats))

    run(
        dut,
        *(take(buffer) for buffer in range(3)),
        background=(memory, *(offer(reader) for reader in range(dut.readers))),
    )
    assert [sorted(own) for own in got] == [sorted(own) for own in wanted], f"seed {seed}"
    assert got[2] == wanted[2]
    assert sum(bursts) == sum(count for own in fetches for _, count in own)


def test_an_error_of_the_memory_is_kept():
    dut = BurstReader(PARAMETERS, 1)

    async def bench(ctx):
        ctx.set(dut.fetch_0.payload, {"address": 0, "words": 2})
        ctx.set(dut.fetch_0.valid, 1)
        ctx.set(dut.ar.ready, 1)
        await ctx.tick().until(dut.ar.valid)
        ctx.set(dut.fetch_0.valid, 0)
        for response in (2, 0):
            ctx.set(dut.r.valid, 1)
            ctx.set(dut.r.payload, {"data": 0, "response": response, "last": response == 0})
            await ctx.tick().until(dut.r.ready)
        ctx.set(dut.r.valid, 0)
        assert ctx.get(dut.failed)

    run(dut, bench)


@pytest.mark.parametrize("count", [1, 3])
def test_the_bus_keeps_order_and_moves_an_item_per_cycle(count):
    dut = Hops(8, count)
    seen, moves = [], []

    async def bench(ctx):
        rng = random.Random(count)
        sent = cycles = 0
        while len(seen) < 200:
            stalls = 50 < len(seen) < 150
            ready, valid = not stalls or rng.random() < 0.5, not stalls or rng.random() < 0.5
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.payload, sent & 0xFF)
            _, _, taken, moved, given, item = await ctx.tick().sample(
                dut.i.ready, dut.moved, dut.o.valid, dut.o.payload
            )
            moves.append(moved)
            sent += taken and valid
            cycles += 1
            if given and ready:
                seen.append(item)
            if len(seen) == 50:
                assert cycles == 50 + count

    run(dut, bench)
    assert seen == [number & 0xFF for number in range(200)]
    assert sum(moves) >= 200
