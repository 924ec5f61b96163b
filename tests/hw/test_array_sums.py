"""The sums of the PE array and the runs that make them, unit by unit in Amaranth's simulator."""

import random
from dataclasses import replace

import pytest
from array_parts import DECOMPRESSOR, PARAMETERS
from simulated import Source, run

from dnnzip_hw.array.pe_array import PEArray, adder_levels
from dnnzip_hw.array.runs import RunControl
from dnnzip_hw.array.sums import SPACING


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

    fixed = {"take": 1, "zero_point": 0, "signed": 0, "reserved": 0}
    given = [dict(zip(("vectors", "base", "first", "last"), one, strict=True)) | fixed for one in runs]

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

    run(dut, bench, background=(Source(dut.i_runs, given).run,))
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
