"""The builder of the decompressor's tables: what it writes is the table set."""

import random

import pytest
from simulated import Source, pulse, run

from dnnzip.format import CLASSES, CONTEXTS, TOKEN_ORDER, TableSet, Verdict
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.tables import TableBuilder
from dnnzip_sim.stimulus.damage import payload_of, words_of
from dnnzip_sim.stimulus.table_sets import any_table_set, single_token


def build_tables(tables, most):
    """Return the builder's output for a table set: entries, class map, shifts, cycles."""
    dut = TableBuilder(DecompressorParameters(log2_states=most))
    payload = words_of(payload_of(tables.to_bytes()))
    entries, class_map, shifts, result = {}, {}, {}, {}

    async def watch(ctx):
        ctx.set(dut.log2_states, tables.log2_states)
        ctx.set(dut.tables, len(tables.counts) - 1)
        await pulse(ctx, dut.start)
        cycles = 0
        while not ctx.get(dut.done):
            assert ctx.get(dut.verdict) == Verdict.OK
            write = ctx.get(dut.write)
            if write.entry_en:
                entry = write.entry
                token = int(entry.token) - (64 if entry.token >= 32 else 0)
                entries[write.table, write.state] = (token, entry.bits, entry.base)
            if write.row_en:
                for number, row in enumerate(write.row):
                    class_map[write.klass, number] = row.table
                    shifts[row.table] = row.shift
            await ctx.tick()
            cycles += 1
            assert cycles < 20_000
        result["cycles"] = cycles

    run(dut, watch, background=(Source(dut.i, payload).run,))
    return entries, class_map, shifts, result


def alternating_tokens():
    """Return a table in which a state's token is often that of the state two before, but not that of the one before."""
    counts = tuple({0: 250, 1: 262}.get(token, 0) for token in TOKEN_ORDER)
    tables = TableSet(9, tuple((0,) * CONTEXTS for _ in range(CLASSES)), (7,), (counts,))
    tokens = [entry.token for entry in tables.entries(0)]
    assert sum(first == third != second for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False))
    return tables


@pytest.mark.parametrize(
    "tables",
    [
        any_table_set(random.Random(1), None, 2, 8),
        any_table_set(random.Random(2), None, 3, 8),
        any_table_set(random.Random(3), None, 2, 9),
        any_table_set(random.Random(4), None, 1, 10),
        single_token(0, shift=7),
        single_token(-32, shift=7),
        single_token(31, shift=7),
        alternating_tokens(),
    ],
    ids=lambda tables: f"{len(tables.counts)}x{tables.states}",
)
def test_builder_writes_the_entries_of_the_table_set(tables):
    entries, class_map, shifts, result = build_tables(tables, max(9, tables.log2_states))
    for table in range(len(tables.counts)):
        expected = [(entry.token, entry.bits, entry.base) for entry in tables.entries(table)]
        assert [entries[table, state] for state in range(tables.states)] == expected
    assert len(entries) == tables.states * len(tables.counts)
    assert class_map == {
        (klass, number): table for klass, row in enumerate(tables.class_map) for number, table in enumerate(row)
    }
    assert shifts == dict(enumerate(tables.shifts))
    assert result["cycles"] < len(tables.counts) * (2 * tables.states + 1200)
