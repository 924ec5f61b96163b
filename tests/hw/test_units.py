"""The decompressor's parts, each on its own in Amaranth's simulator."""

import random

import pytest
from dnnzip_hw.positions import PER_WORD, Positions
from random_streams import table_set, to_words
from simulated import run

from dnnzip.format import (
    CLASSES,
    CONTEXTS,
    TABLE_HEADER,
    TOKEN_ORDER,
    TableSet,
    column_of,
    neighbours,
)
from dnnzip_hw.distributor import Distributor
from dnnzip_hw.history import History, Sign
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.raw import RawDecoder
from dnnzip_hw.ring import Passes
from dnnzip_hw.tables import TableBuilder


def build_tables(tables, most):
    """Return what the builder writes for a table set: entries, class map, shifts, threshold, cycles."""
    dut = TableBuilder(most)
    payload = to_words(tables.to_bytes())[TABLE_HEADER.words : -2]
    entries, class_map, result = {}, {}, {}

    async def source(ctx):
        for word in payload:
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, word)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        ctx.set(dut.log2_states, tables.log2_states)
        ctx.set(dut.tables, len(tables.counts) - 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        cycles = 0
        while not ctx.get(dut.done):
            assert not ctx.get(dut.bad)
            write = ctx.get(dut.write)
            if write.entry_en:
                entry = write.entry
                token = int(entry.token) - (64 if entry.token >= 32 else 0)
                entries[write.table, write.state] = (token, entry.bits, entry.base)
            if write.map_en:
                class_map[write.map_klass, write.map_context] = write.map_table
            await ctx.tick()
            cycles += 1
            assert cycles < 20_000
        await ctx.tick()
        result.update(shifts=[int(shift) for shift in ctx.get(dut.shifts)], threshold=ctx.get(dut.threshold))
        result["cycles"] = cycles

    run(dut, watch, background=(source,))
    return entries, class_map, result


def single_token(token, log2_states=8):
    counts = tuple((1 << log2_states) * (each == token) for each in TOKEN_ORDER)
    return TableSet(log2_states, tuple((0,) * CONTEXTS for _ in range(CLASSES)), (7,), (counts,))


@pytest.mark.parametrize(
    "tables",
    [
        table_set(random.Random(1), 8, 2),
        table_set(random.Random(2), 8, 3),
        table_set(random.Random(3), 9, 2),
        table_set(random.Random(4), 10, 1),
        single_token(0),
        single_token(-32),
        single_token(31),
    ],
    ids=lambda tables: f"{len(tables.counts)}x{tables.states}",
)
def test_builder_writes_the_entries_of_the_table_set(tables):
    entries, class_map, result = build_tables(tables, max(9, tables.log2_states))
    for table in range(len(tables.counts)):
        expected = [(entry.token, entry.bits, entry.base) for entry in tables.entries(table)]
        assert [entries[table, state] for state in range(tables.states)] == expected
    assert len(entries) == tables.states * len(tables.counts)
    assert class_map == {
        (klass, number): table for klass, row in enumerate(tables.class_map) for number, table in enumerate(row)
    }
    assert result["shifts"][: len(tables.shifts)] == list(tables.shifts)
    assert result["threshold"] == tables.refill_threshold
    assert result["cycles"] < len(tables.counts) * (2 * tables.states + 1200)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 3), (3, 1), (2, 8)])
@pytest.mark.parametrize("columns", [0, 1, 5, 11])
def test_positions_are_the_format_s(kernel, columns):
    rng = random.Random(f"{kernel} {columns}")
    height, width = kernel
    taps, shift, length = height * width, rng.randrange(3), rng.randrange(1, 60)
    offsets = [rng.randrange(4) for _ in range(columns)]
    dut = Positions()

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
        ctx.set(dut.restart, 1)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        lines = {}
        for position in [*range(length), *range(min(length, 5))]:
            await ctx.tick().repeat(3)
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
            ctx.set(dut.step, 1)
            await ctx.tick()
            ctx.set(dut.step, 0)

    run(dut, test)


@pytest.mark.parametrize("channels", [1, 4, 5, 16, 17, 40])
def test_passes(channels):
    log2_lanes = min(4, channels.bit_length() - 1)
    lanes = 1 << log2_lanes
    dut = Passes(16, 16)

    async def test(ctx):
        ctx.set(dut.header, {"channels": channels - 1, "log2_lanes": log2_lanes})
        ctx.set(dut.restart, 1)
        await ctx.tick()
        ctx.set(dut.restart, 0)
        await ctx.tick().repeat(3)
        for first in range(0, channels, lanes):
            assert ctx.get(dut.active) == (1 << min(lanes, channels - first)) - 1
            assert ctx.get(dut.following) == (1 << max(0, min(lanes, channels - first - lanes))) - 1
            ctx.set(dut.step, 1)
            await ctx.tick()
            ctx.set(dut.step, 0)
            await ctx.tick()

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
        {"slot": rng.randrange(4), "escape": rng.randrange(16) & rng.randrange(16), "refill": rng.randrange(16)}
        for _ in range(60)
    ]
    requests = [request for request in requests if request["escape"] or request["refill"]]
    expected = []
    for request in requests:
        for lane in range(4):
            for kind in ("escape", "refill"):
                if request[kind] >> lane & 1:
                    expected.append((kind, request["slot"] if kind == "refill" else None, lane, len(expected)))
    got = []

    async def ask(ctx):
        for request in requests:
            while not ctx.get(dut.room):
                await ctx.tick()
            ctx.set(dut.request, {**request, "bad": 0})
            ctx.set(dut.request_en, 1)
            await ctx.tick()
            ctx.set(dut.request_en, 0)
            await ctx.tick().repeat(rng.randrange(1, 6))

    async def serve(ctx):
        ctx.set(dut.wide, 1)
        while len(got) < len(expected):
            ctx.set(dut.i.valid, rng.random() < 0.7)
            ctx.set(dut.i.payload, len(got))
            ctx.set(dut.escape_waits, 15 if rng.random() < 0.7 else 0)
            _, _, lanes, escapes, slot, word = await ctx.tick().sample(dut.lane_en, dut.escape_en, dut.slot, dut.word)
            assert not (lanes and escapes)
            if lanes:
                got.append(("refill", slot, lanes.bit_length() - 1, word))
            if escapes:
                got.append(("escape", None, escapes.bit_length() - 1, word))
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.idle)

    run(dut, serve, background=(ask,))
    assert got == expected


def test_distributor_finds_bad_codes_in_their_place():
    dut = Distributor(DecompressorParameters())

    async def test(ctx):
        ctx.set(dut.request, {"slot": 2, "escape": 0, "bad": 0b0010, "refill": 0b0011})
        ctx.set(dut.request_en, 1)
        await ctx.tick()
        ctx.set(dut.request_en, 0)
        assert not ctx.get(dut.bad)
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.lane_en) == 1
        await ctx.tick()
        assert ctx.get(dut.bad)
        assert not ctx.get(dut.i.ready)
        ctx.set(dut.flush, 1)
        await ctx.tick()
        ctx.set(dut.flush, 0)
        assert ctx.get(dut.idle)
        for word, bad in ((0x007F, 0), (0xFF80, 0), (0x0080, 1), (0xFF7F, 1)):
            ctx.set(dut.request, {"slot": 0, "escape": 8, "bad": 0, "refill": 0})
            ctx.set(dut.request_en, 1)
            ctx.set(dut.i.valid, 0)
            await ctx.tick()
            ctx.set(dut.request_en, 0)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.escape_waits, 8)
            ctx.set(dut.i.payload, word)
            assert ctx.get(dut.bad) == bad
            await ctx.tick()

    run(dut, test)


@pytest.mark.parametrize(("lanes", "width"), [(1, 4), (2, 4), (4, 4), (8, 8), (4, 16)])
def test_raw_gives_every_item(lanes, width):
    dut = RawDecoder(DecompressorParameters(lanes, 16 // lanes))
    rng = random.Random(f"{lanes} {width}")
    channels, length = 7, 5
    items = [rng.randrange(1 << width) for _ in range(channels * length)]
    packed = sum(item << width * number for number, item in enumerate(items))
    words = [packed >> 16 * number & 0xFFFF for number in range(-(-len(items) * width // 16))]
    got = []

    async def source(ctx):
        for word in words:
            while rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, word)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        ctx.set(dut.header, {"channels": channels - 1, "length": length - 1, "raw_width": (4, 8, 16).index(width)})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        while not ctx.get(dut.done):
            ready = rng.random() < 0.6
            ctx.set(dut.o.ready, ready)
            _, _, valid, beat = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                count = int(beat.mask).bit_length()
                assert int(beat.mask) == (1 << count) - 1
                got.extend(int(beat.weights[lane]) & (1 << width) - 1 for lane in range(count))

    run(dut, sink, background=(source,))
    assert got == items
