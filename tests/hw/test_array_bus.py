"""The PE array's bursts from memory and the bus behind them, unit by unit in Amaranth's simulator."""

import random
from dataclasses import replace

import pytest
from array_parts import PARAMETERS
from simulated import Sink, Source, run

from dnnzip_hw.array.bursts import BurstReader
from dnnzip_hw.array.hops import Hops
from dnnzip_hw.array.parameters import PAGE_BYTES


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
    asked, bursts = [], []
    sources = [
        Source(getattr(dut, f"fetch_{reader}"), [{"address": address, "words": count} for address, count in own])
        for reader, own in enumerate(fetches)
    ]
    sinks = [Sink(getattr(dut, f"o_{buffer}"), rng, 0.6, len(own)) for buffer, own in enumerate(wanted)]

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

    run(dut, *(sink.run for sink in sinks), background=(memory, *(source.run for source in sources)))
    assert [sorted(sink.items) for sink in sinks] == [sorted(own) for own in wanted], f"seed {seed}"
    assert sinks[2].items == wanted[2]
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
