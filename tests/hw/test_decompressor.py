"""The decompressor as a function from words to weights and a verdict, against the reference codec.

In Amaranth's simulator, which is slow: many more cases go through the same RTL in Verilator, see ``tests/sim``.
"""

import random

import pytest
from simulated import PAUSE_CASES, Sink, Source, check, packet, run

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import CLASSES, CONTEXTS, CRC_WORDS, TOKEN_ORDER, WEIGHT_HEADER, WORD_BYTES, TableSet, Verdict
from dnnzip_hw import Decompressor, DecompressorParameters
from dnnzip_sim.stimulus.cases import random_case
from dnnzip_sim.stimulus.damage import crc_flipped, truncated, words_of
from dnnzip_sim.stimulus.streams import AnsShape, random_stream
from dnnzip_sim.stimulus.table_sets import random_table_set

DEFAULT = DecompressorParameters()
MOST_WEIGHTS = 40


def check_random_case(seed, parameters, pauses):
    """Check a random case with a table set that is soon loaded; return its verdicts."""
    case = random_case(seed, parameters.limits, tables=1, most_weights=MOST_WEIGHTS)
    verdicts = check(case.streams, parameters, pauses, seed)
    assert verdicts[-1] == Verdict.OK, f"seed {seed}"
    return verdicts


@pytest.mark.parametrize("pauses", PAUSE_CASES)
def test_random_case(pauses):
    assert set(check_random_case(2, DEFAULT, pauses)) > {Verdict.OK}


@pytest.mark.parametrize(
    "parameters",
    [
        DecompressorParameters(1, 4, 8, 16),
        DecompressorParameters(2, 2, 8, 8),
        DecompressorParameters(2, 8, 8, 16),
        pytest.param(DecompressorParameters(8, 2, 8, 16), marks=pytest.mark.slow),
        DecompressorParameters(1, 16, 8, 8),
        pytest.param(DecompressorParameters(4, 1, 10, 16), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_other_parameters(parameters):
    check_random_case(3, parameters, "both")


def test_low_bits_alone_decide_the_sign(rng):
    """As in the case ``low_bits``, for weights of eight bits."""
    parameters = DecompressorParameters(weight_bits=8)
    shifts = tuple(range(1, parameters.low_bits + 1))
    counts = tuple({0: 128, -1: 64, 1: 64}.get(token, 0) for token in TOKEN_ORDER)
    rows = tuple(tuple(rng.choice(range(len(shifts))) for _ in range(CONTEXTS)) for _ in range(CLASSES))
    tables = TableSet(8, rows, shifts, (counts,) * len(shifts))
    stream = random_stream(rng, tables, AnsShape(16, 30, (1, 3), log2_lanes=4, largest=None, narrow=True))
    assert check([tables.to_bytes(), stream], parameters) == [Verdict.OK] * 2


@pytest.mark.parametrize("lanes", [1, 2])
def test_raw_stream_begins_with_its_first_item_after_a_truncated_one(lanes, rng):
    """Items of a word leave in several beats where lanes are few; a stream may be given up between two of them."""
    raw = raw_reference.encode([rng.randrange(-8, 8) for _ in range(22)], 2, 4)
    cut = [bad for bad in truncated(raw) if len(bad) > WEIGHT_HEADER.bytes]
    streams = [stream for bad in cut for stream in (bad, raw)]
    verdicts = check(streams, DecompressorParameters(lanes, 4 // lanes, 8, 16), "stalled sink")
    assert verdicts == [Verdict.TRUNCATED, Verdict.OK] * (len(raw) // WORD_BYTES - WEIGHT_HEADER.words - 1)


def test_largest_column_block(rng):
    tables = random_table_set(rng, tables=1)
    stream = random_stream(rng, tables, AnsShape(1, 50, log2_lanes=0, columns=4096, largest=2, context=False))
    assert check([tables.to_bytes(), stream]) == [Verdict.OK] * 2


def test_throughput():
    """A thousand weights of about three bits, V = 16: nearly four per cycle."""
    rng = random.Random(3)
    counts = {0: 128, -1: 32, 1: 32, 2: 32, -2: 16, -32: 16}
    rows = ((0,) * CONTEXTS,) * CLASSES
    tables = TableSet(8, rows, (0,), (tuple(counts.get(token, 0) for token in TOKEN_ORDER),))
    codes = [rng.choices((0, -1, 1, 2, -2), (8, 2, 2, 2, 1), k=40) for _ in range(32)]
    stream = ans_reference.encode(codes, (1, 1), tables, AnsChoices(4, [0], context=False))
    dut = Decompressor(DEFAULT)
    source = Source(dut.i, [word for part in (tables.to_bytes(), stream) for word in packet(words_of(part))])
    sink = Sink(dut.o)
    cycles = []

    async def take(ctx):
        cycle, over = 0, 0
        while over < 2:
            payload = await sink.step(ctx)
            cycle += 1
            if payload is not None and payload.last:
                over += 1
            elif payload is not None:
                cycles.append(cycle)

    run(dut, take, background=(source.run,))
    assert len(cycles) == 32 * 40 / 4
    assert len(cycles) / (cycles[-1] - cycles[0] + 1) >= 0.97


def test_crc_words_are_checked_one_by_one(rng):
    stream = raw_reference.encode([rng.randrange(-8, 8) for _ in range(9)], 1, 4)
    assert check([*crc_flipped(stream), stream]) == [Verdict.BAD_CRC] * CRC_WORDS + [Verdict.OK]
