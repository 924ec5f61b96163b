"""The decompressor as a function from words to weights and a verdict, against the reference codec."""

import random

import pytest
from random_streams import (
    Expectation,
    ans_codes,
    ans_stream,
    beats_of,
    damaged,
    raw_stream,
    sealed,
    table_set,
    to_words,
    with_field,
)
from simulated import PAUSE_CASES, decompress, decompress_compiled, run

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CLASSES,
    CONTEXTS,
    CRC_WORDS,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    TABLE_HEADER,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    TableSet,
    Verdict,
)
from dnnzip_hw import Decompressor, DecompressorParameters

DEFAULT = DecompressorParameters()


def simple_tables(log2_states=8, tables=1):
    """Return a small table set with an escape, quick to load."""
    states = 1 << log2_states
    counts = {0: states // 2, -1: states // 8, 1: states // 8, 2: states // 8, -2: states // 16, -32: states // 16}
    return TableSet(
        log2_states,
        tuple((0,) * CONTEXTS for _ in range(CLASSES)),
        (0,) * tables,
        (tuple(counts.get(token, 0) for token in TOKEN_ORDER),) * tables,
    )


def check(streams, parameters=DEFAULT, pauses="no pauses", seed=0):
    """Decode the streams one after the other in hardware and by the reference, compare, return the verdicts."""
    expectation = Expectation(parameters.limits)
    results = decompress(parameters, streams, pauses, seed)
    assert len(results) == len(streams)
    for number, (words, result) in enumerate(zip(streams, results, strict=True)):
        verdict, header, codes = expectation.take(words)
        assert result.verdict == verdict, f"stream {number}"
        weights = sum(weight is not None for beat in result.beats for weight in beat)
        if verdict == Verdict.OK:
            beats = list(beats_of(header, codes, parameters.lanes)) if header else []
            assert result.beats == beats, f"stream {number}"
        elif header is None:
            assert weights == 0, f"stream {number}"
        else:
            assert weights <= header.weights, f"stream {number}"
    return [result.verdict for result in results]


def check_compiled(streams, parameters=DEFAULT, pauses=0):
    """As `check`, in Verilator; for many streams."""
    expectation = Expectation(parameters.limits)
    results = decompress_compiled(parameters, streams, pauses)
    for number, (words, result) in enumerate(zip(streams, results, strict=True)):
        verdict, header, codes = expectation.take(words)
        assert result.verdict == verdict, f"stream {number}"
        if header is None:
            assert result.weights.size == 0, f"stream {number}"
        elif verdict == Verdict.OK:
            beats = beats_of(header, codes, parameters.lanes)
            expected = [weight for beat in beats for weight in beat if weight is not None]
            assert result.weights.tolist() == expected, f"stream {number}"
        else:
            assert result.weights.size <= header.weights, f"stream {number}"
    return [result.verdict for result in results]


@pytest.mark.parametrize("pauses", PAUSE_CASES)
def test_random_streams(pauses):
    seed = f"random streams {pauses}"
    rng = random.Random(seed)
    tables = table_set(rng, 8, 3)
    streams = [to_words(tables.to_bytes())]
    for _ in range(4):
        streams.append(to_words(ans_stream(rng, tables, DEFAULT.limits, 100)[0]))
        streams.append(to_words(raw_stream(rng, DEFAULT.limits, 40)[0]))
    assert set(check(streams, pauses=pauses, seed=seed)) == {Verdict.OK}


@pytest.mark.parametrize("pauses", [0, 1])
def test_many_random_streams(pauses):
    seed = f"many random streams {pauses}"
    rng = random.Random(seed)
    streams = []
    for log2_states in (8, 9):
        tables = table_set(rng, log2_states, 3)
        streams.append(to_words(tables.to_bytes()))
        for _ in range(20):
            streams.append(to_words(ans_stream(rng, tables, DEFAULT.limits, 100)[0]))
            streams.append(to_words(raw_stream(rng, DEFAULT.limits, 40)[0]))
    assert set(check_compiled(streams, pauses=pauses)) == {Verdict.OK}, seed


@pytest.mark.parametrize("weight_bits", [8, 16])
def test_low_bits_alone_decide_the_sign(weight_bits):
    """Half of the tokens are 0, so that a weight is often zero or not by its lowest bit, and the next table by that."""
    seed = f"low bits {weight_bits}"
    rng = random.Random(seed)
    parameters = DecompressorParameters(weight_bits=weight_bits)
    shifts = tuple(range(1, min(parameters.low_bits, MAX_WEIGHT_BITS - 8, MAX_TABLES) + 1))
    counts = {0: 128, -1: 64, 1: 64}
    tables = TableSet(
        8,
        tuple(tuple(rng.sample(range(len(shifts)), CONTEXTS)) for _ in range(CLASSES)),
        shifts,
        tuple(tuple(counts.get(token, 0) for token in TOKEN_ORDER) for _ in shifts),
    )
    choices = AnsChoices(
        log2_lanes=4, classes=list(range(CLASSES)) * 2, column_shift=0, column_offsets=[], context=True
    )
    codes = ans_codes(rng, tables, (2 * CLASSES, 30), (1, 3), choices, weight_bits == 8)
    streams = [to_words(tables.to_bytes()), to_words(ans_reference.encode(codes, (1, 3), tables, choices))]
    decode = check_compiled if parameters == DEFAULT else check
    assert decode(streams, parameters) == [Verdict.OK] * 2, seed


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
def test_other_parameters(parameters, rng):
    tables = table_set(rng, parameters.log2_states, 1)
    streams = [to_words(tables.to_bytes())]
    for _ in range(2):
        streams.append(to_words(ans_stream(rng, tables, parameters.limits, 60)[0]))
        streams.append(to_words(raw_stream(rng, parameters.limits, 40)[0]))
    streams.append(to_words(ans_stream(rng, table_set(rng, 8, 1), None, 60)[0]))
    assert check(streams, parameters, "both")[:5] == [Verdict.OK] * 5


def test_damaged_streams(rng):
    tables = simple_tables()
    streams = [to_words(tables.to_bytes())]
    for _ in range(2):
        for data, _ in (ans_stream(rng, tables, DEFAULT.limits, 40), raw_stream(rng, DEFAULT.limits, 20)):
            words = to_words(data)
            streams += [*damaged(rng, words, 6), words]
    verdicts = set(check_compiled(streams, pauses=1))
    assert len(verdicts) >= 6, verdicts


def test_truncation_at_every_word(rng):
    tables = simple_tables()
    load = to_words(tables.to_bytes())
    streams = [load]
    stream = to_words(ans_stream(rng, tables, DEFAULT.limits, 40)[0])
    raw = to_words(raw_stream(rng, DEFAULT.limits, 12)[0])
    streams += [stream[:end] for end in range(1, len(stream))]
    streams += [raw[:end] for end in range(1, len(raw))]
    streams += [stream, raw]
    verdicts = check_compiled(streams, pauses=1)
    assert set(verdicts[1:-2]) == {Verdict.TRUNCATED}
    assert verdicts[-2:] == [Verdict.OK, Verdict.OK]


@pytest.mark.parametrize("lanes", [1, 2])
def test_raw_stream_begins_with_its_first_item_after_a_truncated_one(lanes, rng):
    """Items of a word leave in several beats where lanes are few; a stream may be given up between two of them."""
    raw = to_words(raw_reference.encode([rng.randrange(-8, 8) for _ in range(22)], 2, 4))
    streams = []
    for end in range(WEIGHT_HEADER.words + 1, len(raw)):
        streams += [raw[:end], raw]
    verdicts = check(streams, DecompressorParameters(lanes, 4 // lanes, 8, 16), "stalled sink")
    assert set(verdicts[0::2]) == {Verdict.TRUNCATED}
    assert set(verdicts[1::2]) == {Verdict.OK}


def test_every_field_of_the_weight_header(rng):
    tables = simple_tables()
    streams = [to_words(tables.to_bytes())]
    good = to_words(ans_stream(rng, tables, DEFAULT.limits, 20)[0])
    values = WEIGHT_HEADER.unpack(b"".join(word.to_bytes(2, "little") for word in good))
    for field in WEIGHT_HEADER.fields:
        stored = values[field.name] - field.bias
        for other in {stored ^ 1, stored ^ 1 << field.width - 1}:
            changed = with_field(good, WEIGHT_HEADER, field.name, other)
            streams += [changed, sealed(changed)]
    streams.append(good)
    verdicts = check_compiled(streams)
    assert verdicts[-1] == Verdict.OK
    assert {Verdict.BAD_MAGIC, Verdict.VERSION, Verdict.UNSUPPORTED, Verdict.BAD_HEADER, Verdict.WRONG_TABLES} < set(
        verdicts
    )


def test_every_field_of_the_table_header_and_what_stays_loaded(rng):
    tables = simple_tables()
    load = to_words(tables.to_bytes())
    weights = to_words(ans_stream(rng, tables, DEFAULT.limits, 10)[0])
    values = TABLE_HEADER.unpack(tables.to_bytes())
    streams = [load, weights]
    for field in TABLE_HEADER.fields:
        changed = with_field(load, TABLE_HEADER, field.name, (values[field.name] - field.bias) ^ 1)
        streams += [changed, weights, sealed(changed), weights, load]
    verdicts = check_compiled(streams)
    assert {Verdict.WRONG_TABLES, Verdict.VERSION, Verdict.BAD_HEADER} < set(verdicts)


def test_damaged_tables(rng):
    tables = simple_tables()
    load = to_words(tables.to_bytes())
    weights = to_words(raw_stream(rng, DEFAULT.limits, 4)[0])
    streams = [load[:end] for end in range(1, len(load))]
    streams.append([*load[:-1], load[-1] ^ 1])
    for made in damaged(rng, load, 6):
        streams += [made, weights]
    assert {Verdict.BAD_CODE, Verdict.TRUNCATED, Verdict.BAD_CRC} < set(check_compiled(streams))


def test_merged_streams(rng):
    tables = simple_tables()
    load = to_words(tables.to_bytes())
    one = to_words(ans_stream(rng, tables, DEFAULT.limits, 40)[0])
    two = to_words(raw_stream(rng, DEFAULT.limits, 20)[0])
    verdicts = check_compiled([load + load, load, one + two, two + one, one, load + one, one])
    trailing = Verdict.TRAILING
    assert verdicts == [trailing, Verdict.OK, trailing, trailing, Verdict.OK, trailing, Verdict.WRONG_TABLES]


def test_largest_column_block():
    tables = simple_tables()
    rng = random.Random(7)
    choices = AnsChoices(0, [2], 0, [rng.randrange(4) for _ in range(4096)], False)
    codes = [[rng.choice((0, 1, -1, 2)) for _ in range(50)]]
    check([to_words(tables.to_bytes()), to_words(ans_reference.encode(codes, (1, 1), tables, choices))])


def test_throughput():
    """A thousand weights of about three bits, V = 16: nearly four per cycle."""
    tables = simple_tables()
    rng = random.Random(3)
    codes = [rng.choices((0, -1, 1, 2, -2), (8, 2, 2, 2, 1), k=40) for _ in range(32)]
    stream = ans_reference.encode(codes, (1, 1), tables, AnsChoices(4, [0], context=False))
    dut = Decompressor(DEFAULT)
    words = [(word, part) for part in (tables.to_bytes(), stream) for word in to_words(part)]
    ends = {len(to_words(tables.to_bytes())) - 1, len(words) - 1}
    cycles = []

    async def source(ctx):
        ctx.set(dut.i.valid, 1)
        for number, (word, _) in enumerate(words):
            ctx.set(dut.i.payload, {"data": word, "last": number in ends})
            await ctx.tick().until(dut.i.ready)

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        cycle, over = 0, 0
        while over < 2:
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            cycle += 1
            if valid and payload.last:
                over += 1
            elif valid:
                cycles.append(cycle)

    run(dut, sink, background=(source,))
    assert len(cycles) == 32 * 40 / 4
    assert len(cycles) / (cycles[-1] - cycles[0] + 1) >= 0.97


def test_crc_words_are_checked_one_by_one(rng):
    stream = to_words(raw_stream(rng, DEFAULT.limits, 9)[0])
    flipped = []
    for word in range(1, CRC_WORDS + 1):
        flipped.append([*stream[:-word], stream[-word] ^ 1, *stream[len(stream) - word + 1 :]])
    assert check([*flipped, stream]) == [Verdict.BAD_CRC] * CRC_WORDS + [Verdict.OK]
