"""The decompressor's parts, each on its own in Amaranth's simulator."""

import random

import pytest
from amaranth.hdl import Module
from simulated import Sink, pulse, run

from dnnzip.format import column_of, neighbours
from dnnzip_hw.distributor import Distributor
from dnnzip_hw.history import History, Sign
from dnnzip_hw.memory import GENERIC, TARGETS
from dnnzip_hw.output import Output
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.queue import DEPTH, Queue
from dnnzip_hw.raw import RawSize
from dnnzip_hw.rounds import PER_WORD, SETTLING, Kind, Positions, Rounds


def test_a_queue_behaves_alike_whatever_its_rows_are():
    """All kinds side by side, cycle by cycle, with random writes, reads and flushes."""
    rng = random.Random(11)
    m = Module()
    queues = [Queue(5, target) for target in TARGETS]
    for target, queue in zip(TARGETS, queues, strict=True):
        m.submodules[target] = queue
    reads = 0

    async def bench(ctx):
        nonlocal reads
        used = 0
        for cycle in range(4000):
            seen = [
                (ctx.get(queue.r_rdy), ctx.get(queue.room), ctx.get(queue.r_rdy) and ctx.get(queue.r_data))
                for queue in queues
            ]
            assert len(set(seen)) == 1, f"cycle {cycle}: {dict(zip(TARGETS, seen, strict=True))}"
            ready = seen[0][0]
            writes, takes = rng.random() < 0.5 and used < DEPTH - 1, ready and rng.random() < 0.5
            flushes, row = rng.random() < 0.02, rng.getrandbits(5)
            for queue in queues:
                ctx.set(queue.w_en, writes)
                ctx.set(queue.w_data, row)
                ctx.set(queue.r_en, takes)
                ctx.set(queue.flush, flushes)
            used = 0 if flushes else used + writes - takes
            reads += takes
            await ctx.tick()

    run(m, bench)
    assert reads > 1000


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 3), (3, 1), (2, 8)])
@pytest.mark.parametrize("columns", [0, 1, 5, 11])
def test_positions_are_the_format_s(kernel, columns):
    rng = random.Random(f"{kernel} {columns}")
    height, width = kernel
    taps, shift, length = height * width, rng.randrange(3), rng.randrange(1, 60)
    offsets = [rng.randrange(4) for _ in range(columns)]
    dut = Positions(GENERIC)

    async def test(ctx):
        ctx.set(
            dut.header,
            {"length": length - 1, "kernel_width": width - 1, "kernel_height": height - 1, "context": 1,
             "columns": int(columns > 0)},
        )  # fmt: skip
        ctx.set(dut.block, {"columns": max(columns, 1) - 1, "shift": shift})
        for address in range(0, columns, PER_WORD):
            ctx.set(dut.write, 1)
            ctx.set(dut.address, address // PER_WORD)
            ctx.set(dut.word, sum(value << 2 * n for n, value in enumerate(offsets[address : address + PER_WORD])))
            await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick()
        await pulse(ctx, dut.restart)
        lines = {}
        for position in [*range(length), *range(min(length, 5))]:
            await ctx.tick().repeat(SETTLING)
            tap = ctx.get(dut.tap)
            left, above = neighbours(position, width, height)
            column = column_of(position, taps, shift)
            assert tap.last == (position == length - 1)
            assert tap.left == (left is not None)
            assert tap.above == (above is not None)
            assert tap.offset == (offsets[column] if column < columns else 0)
            if above is not None:
                assert lines[int(tap.line)] == above
            lines[int(tap.line)] = position
            await pulse(ctx, dut.restart if tap.last else dut.step)

    run(dut, test)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("channels", [1, 4, 5, 16, 17, 40])
def test_rounds_are_the_format_s(channels, per_channel):
    """First words, states, then for each pass the classes, where channels have them, and the positions."""
    rng = random.Random(f"{channels} {per_channel}")
    log2_lanes = min(4, channels.bit_length() - 1)
    lanes = 1 << log2_lanes
    length, (height, width) = rng.randrange(1, 12), rng.choice([(1, 1), (2, 3), (3, 1)])
    dut = Rounds(DecompressorParameters())
    passes = -(-channels // lanes)
    expected = [(Kind.FIRST, 0, 0, -1), (Kind.START, 0, 0, -1)]
    for number in range(passes):
        if per_channel:
            expected.append((Kind.KLASS, 0, number, -1))
        expected += [(Kind.WEIGHT, int(at == length - 1), number, at) for at in range(length)]

    async def test(ctx):
        ctx.set(
            dut.header,
            {"channels": channels - 1, "log2_lanes": log2_lanes, "length": length - 1, "context": 1,
             "class_per_channel": per_channel, "kernel_width": width - 1, "kernel_height": height - 1},
        )  # fmt: skip
        await pulse(ctx, dut.restart)
        await ctx.tick().until(dut.ready)
        await ctx.tick().repeat(SETTLING)
        assert ctx.get(dut.bound) == lanes - 1
        assert ctx.get(dut.last_bound) == (channels - 1) % lanes
        lines = {}
        for number, (kind, ends, of_pass, at) in enumerate(expected):
            here = ctx.get(dut.here)
            assert (Kind(here.kind), here.ends) == (kind, ends), number
            if of_pass:
                assert here.final == (of_pass == passes - 1), number
                assert here.before_final == (of_pass == passes - 2), number
            if number + 1 < len(expected):
                assert ctx.get(dut.following).kind == expected[number + 1][0].value
                following = (at + 1) % length
                left, above = neighbours(following, width, height)
                assert (here.left, here.above) == (left is not None, above is not None), number
                lines[int(here.line)] = at
                if above is not None:
                    assert lines[int(here.next_line)] == above
                    assert here.same_line == (above == at)
            await pulse(ctx, dut.step)
            await ctx.tick().repeat(SETTLING - 1)

    run(dut, test)


def test_history_gives_what_was_written():
    dut = History(lanes=2, ring=4)
    rng = random.Random(5)
    kept = {}

    async def test(ctx):
        for _ in range(200):
            key = rng.randrange(4), rng.randrange(8)
            signs = [rng.choice(list(Sign)).value for _ in range(2)]
            read = rng.choice(list(kept) or [(0, 0)])
            expected = kept.get(read)
            ctx.set(dut.write_slot, key[0])
            ctx.set(dut.write_line, key[1])
            ctx.set(dut.signs, signs)
            ctx.set(dut.write_en, 1)
            ctx.set(dut.read_slot, read[0])
            ctx.set(dut.read_line, read[1])
            await ctx.tick()
            if expected is not None:
                assert [int(sign) for sign in ctx.get(dut.above)] == expected
            kept[key] = signs

    run(dut, test)


def test_distributor_keeps_the_order_of_the_format():
    dut = Distributor(DecompressorParameters())
    rng = random.Random(6)
    requests = [
        {"slot": rng.randrange(4), "escape": rng.randrange(16) & rng.randrange(16), "refill": rng.randrange(16),
         "half": rng.randrange(16)}
        for _ in range(60)
    ]  # fmt: skip
    requests = [request for request in requests if request["escape"] or request["refill"]]
    expected = []
    for request in requests:
        for lane in range(4):
            for kind in ("escape", "refill"):
                if request[kind] >> lane & 1:
                    where = (request["slot"], request["half"] >> lane & 1) if kind == "refill" else None
                    expected.append((kind, where, lane if kind == "refill" else None, len(expected)))
    got = []

    async def ask(ctx):
        for request in requests:
            while not ctx.get(dut.room):
                await ctx.tick()
            ctx.set(dut.request, request)
            await pulse(ctx, dut.request_en)
            await ctx.tick().repeat(rng.randrange(1, 6))

    async def serve(ctx):
        while len(got) < len(expected):
            ctx.set(dut.i.valid, rng.random() < 0.7)
            ctx.set(dut.i.payload, len(got))
            ctx.set(dut.escapes.ready, rng.random() < 0.7)
            _, _, taken, lanes, slot, half, escapes, ready, word = await ctx.tick().sample(
                dut.taken, dut.lane_en, dut.slot, dut.half, dut.escapes.valid, dut.escapes.ready, dut.escapes.payload
            )
            assert not (lanes and escapes)
            assert taken == bool(lanes or (escapes and ready))
            if lanes:
                lane = lanes.bit_length() - 1
                assert lanes == 1 << lane
                got.append(("refill", (slot, half >> lane & 1), lane, len(got)))
            if escapes and ready:
                got.append(("escape", None, None, word))
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.idle)

    run(dut, serve, background=(ask,))
    assert got == expected


def test_distributor_drops_what_is_asked_for():
    dut = Distributor(DecompressorParameters())

    async def test(ctx):
        for _ in range(3):
            ctx.set(dut.request, {"slot": 2, "escape": 0, "refill": 0b0011, "half": 0})
            ctx.set(dut.request_en, 1)
            await ctx.tick()
        ctx.set(dut.request_en, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.asks)
        ctx.set(dut.flush, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.flush, 0)
        await ctx.tick()
        assert ctx.get(dut.idle)
        assert not ctx.get(dut.asks)

    run(dut, test)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize(("channels", "length"), [(1, 1), (7, 5), (1, 1 << 20), (31, 4097), (1 << 21, 1), (255, 2)])
def test_raw_size_is_that_of_the_items(channels, length, width):
    dut = RawSize()
    words = -(-channels * length * width // 16)

    async def test(ctx):
        for declared in {words, words - 1, words + 1, words ^ 1 << 24, words ^ 1 << 12}:
            ctx.set(
                dut.header,
                {"channels": channels - 1, "length": length - 1, "raw_width": (4, 8, 16).index(width),
                 "payload_words": declared},
            )  # fmt: skip
            await pulse(ctx, dut.start)
            await ctx.tick().until(dut.done)
            assert ctx.get(dut.wrong) == (declared != words), declared
            assert ctx.get(dut.over) == channels * length % (16 // width)

    run(dut, test)


def test_raw_size_sees_sizes_beyond_the_field():
    dut = RawSize()

    async def test(ctx):
        # 2**41 items of 4 bits take 2**39 words, 0 modulo 2**25.
        ctx.set(dut.header, {"channels": (1 << 21) - 1, "length": (1 << 20) - 1, "payload_words": 0})
        await pulse(ctx, dut.start)
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.wrong)

    run(dut, test)


@pytest.mark.parametrize(("lanes", "width"), [(1, 4), (2, 4), (4, 4), (8, 8), (4, 16)])
def test_output_takes_words_of_items_apart(lanes, width):
    dut = Output(DecompressorParameters(lanes, 16 // lanes))
    rng = random.Random(f"{lanes} {width}")
    items = [rng.randrange(1 << width) for _ in range(37)]
    per_word = 16 // width
    words = [items[at : at + per_word] for at in range(0, len(items), per_word)]
    got = []

    async def source(ctx):
        for word in words:
            while rng.random() < 0.3:
                await ctx.tick()
            packed = sum(item << width * number for number, item in enumerate(word))
            while not ctx.get(dut.words_room):
                await ctx.tick()
            ctx.set(dut.words, {"data": packed, "full": len(word) == per_word, "items": len(word) % per_word})
            await pulse(ctx, dut.words_en)

    async def take(ctx):
        ctx.set(dut.direct, 1)
        ctx.set(dut.raw_width, (4, 8, 16).index(width))
        sink = Sink(dut.o, rng, 0.4)
        while len(got) < len(items):
            beat = await sink.next(ctx)
            count = int(beat.mask).bit_length()
            assert int(beat.mask) == (1 << count) - 1
            got.extend(int(beat.weights[lane]) & (1 << width) - 1 for lane in range(count))
        ctx.set(dut.end, 1)
        ctx.set(dut.o.ready, 1)
        (beat,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
        assert beat.last
        assert beat.mask == 0

    run(dut, take, background=(source,))
    assert got == items
