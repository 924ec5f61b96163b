"""Parts of the AXI top, each alone in Amaranth's simulator."""

import random

import pytest
from simulated import PAUSES, Sink, run

from dnnzip_hw.axi.counters import TURNS, Counters
from dnnzip_hw.axi.pair import PairQueue
from dnnzip_hw.axi.registers import COUNTERS
from dnnzip_hw.memory import TARGETS

SEED = 20240611
LATE = 4
"""Cycles after which an event is in what is told."""


def counted(dut, events, bits):
    """Drive ``events``, each (steps by name, count, clear), and compare every value that is told with a plain count."""
    largest = (1 << bits) - 1
    values = dict.fromkeys(COUNTERS, 0)
    expected = []  # after each cycle
    before = dict.fromkeys(COUNTERS, 0)
    for steps, count, clear in events:
        # What came in the cycle before is in a register when the counters are cleared.
        values = {name: 0 if clear else min(largest, values[name] + before[name]) for name in COUNTERS}
        before = steps if count else dict.fromkeys(COUNTERS, 0)
        expected.append(dict(values))
    told = []

    async def bench(ctx):
        for cycle, (steps, count, clear) in enumerate(events):
            for name, step in steps.items():
                ctx.set(getattr(dut, name), step)
            ctx.set(dut.count, count)
            ctx.set(dut.clear, clear)
            if cycle > LATE:
                number, value = ctx.get(dut.o.number), ctx.get(dut.o.value)
                if number < len(COUNTERS):
                    name = COUNTERS[number]
                    wanted = expected[cycle - LATE + 1][name]
                    assert value == wanted, f"cycle {cycle}, {name}: expected {wanted}, got {value}"
                    told.append(name)
            await ctx.tick()

    run(dut, bench)
    return told


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bits", [7, 32])
def test_counters_count_stand_still_and_are_cleared(target, bits):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    most = {name: rng.choice([1, 1, 4]) for name in COUNTERS}
    events = [
        (
            {name: rng.randrange(largest + 1) for name, largest in most.items()},
            rng.random() < 0.8,
            rng.random() < 0.01,
        )
        for _ in range(1500)
    ]
    told = counted(Counters(most, target, bits), events, bits)
    assert all(told.count(name) >= len(events) // TURNS - 1 for name in COUNTERS)


def test_the_largest_value_stays():
    """Seven bits, and the most in every cycle: with a carry in each turn after the first ones."""
    most = dict.fromkeys(COUNTERS, 3)
    events = [(most, 1, 0)] * 100 + [(dict.fromkeys(COUNTERS, 0), 1, 0)] * 20 + [(most, 1, 0)] * 20
    counted(Counters(most, bits=7), events, 7)


@pytest.mark.parametrize("pauses", PAUSES)
def test_a_pair_queue_keeps_order_and_rate(pauses):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    idle, stalled = PAUSES[pauses]
    items = [rng.randrange(1 << 9) for _ in range(300)]
    dut = PairQueue(9)
    got, cycles = [], [0]
    sink = Sink(dut.o, rng, stalled)

    async def source(ctx):
        for item in items:
            while rng.random() < idle:
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.i.payload, rng.randrange(1 << 9))

    async def take(ctx):
        while len(got) < len(items):
            item = await sink.step(ctx)
            cycles[0] += 1
            if item is not None:
                got.append(item)
        await sink.nothing_left(ctx)

    run(dut, source, take)
    wrong = next((at for at, (one, other) in enumerate(zip(got, items, strict=True)) if one != other), None)
    assert wrong is None, f"item {wrong}: expected {items[wrong]}, got {got[wrong]}"
    if pauses == "no pauses":
        assert cycles[0] <= len(items) + 2
