"""The core of the ``line`` codec on its own, and in the decompressor against the reference codec."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from random_streams import ans_stream, damaged, raw_stream, sealed, to_words, with_field
from simulated import PAUSE_CASES, PAUSES, decompress, run
from test_decompressor import check, check_compiled, simple_tables

from dnnzip.codec.line import reference as line_reference
from dnnzip.format import CRC_WORDS, WEIGHT_HEADER, Verdict, WeightHeader, signed
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.line import LineDecoder

WITH_LINE = DecompressorParameters(log2_states=8, line=True)
COMPILED = DecompressorParameters(line=True)
"""For Verilator, which has no trouble with more states; other tests have it compiled too."""


def on_lines(rng, lengths):
    """Return codes on random lines of these lengths; steep ones wrap."""
    codes = []
    for length in lengths:
        intercept, slope = rng.randrange(1 << 16), rng.choice((0, 1, -3, 9999, rng.randrange(1 << 16)))
        codes += [(intercept + n * slope + (1 << 15)) % (1 << 16) - (1 << 15) for n in range(length)]
    return codes


def line_stream(rng, most_segments=20):
    """Return the words of a random ``line`` stream."""
    lengths = [rng.choice((1, 1, 2, 3, 7, 40)) for _ in range(rng.randrange(1, most_segments))]
    codes = on_lines(rng, lengths)
    channels = rng.choice([count for count in range(1, len(codes) + 1) if len(codes) % count == 0])
    return to_words(line_reference.encode(codes, channels))


def line_words(stream):
    """Return header fields as the hardware holds them, and the payload's words."""
    header = WeightHeader.unpack(stream)
    words = to_words(stream)[WEIGHT_HEADER.words : -CRC_WORDS]
    return {"channels": header.channels - 1, "length": header.length - 1}, words


def draw(stream, pauses, cycles=4000):
    """Return what the line decoder gives: weights, whether it ended or found the stream bad, cycles, words left."""
    source_pause, sink_pause = PAUSES[pauses]
    dut = LineDecoder()
    rng = random.Random(pauses)
    fields, words = line_words(stream)
    got, taken, end = [], [0], {}

    async def source(ctx):
        for word in words:
            while rng.random() < source_pause:
                await ctx.tick()
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, word)
            ready = False
            while not ready:
                if end:
                    return
                _, _, ready = await ctx.tick().sample(dut.i.ready)
            taken[0] += 1
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        ctx.set(dut.header, fields)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        waiting, first = None, None
        for cycle in range(cycles):
            if ctx.get(dut.done) or ctx.get(dut.bad):
                end.update(done=ctx.get(dut.done), bad=ctx.get(dut.bad), cycles=cycle - (first or 0))
                break
            ready = rng.random() >= sink_pause
            ctx.set(dut.o.ready, ready)
            _, _, valid, weight = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert waiting is None or (valid and weight == waiting), "the payload changed while it waited"
            waiting = weight if valid and not ready else None
            if valid and ready:
                first = cycle if first is None else first
                got.append(signed(weight, 16))
        assert end, "hangs"

    run(dut, sink, source)
    return got, end, len(words) - taken[0]


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("lengths", [(1,), (1, 1), (2, 3, 1), (256, 255, 256), (7, 1, 1, 1, 30, 2, 2, 2, 2, 2, 1)])
def test_line_draws_the_segments(lengths, pauses):
    rng = random.Random(f"{lengths}")
    codes = on_lines(rng, lengths)
    got, end, left = draw(line_reference.encode(codes, 1), pauses)
    assert got == codes
    assert (end["done"], end["bad"], left) == (1, 0, 0)


def test_line_gives_a_weight_per_cycle():
    codes = [1000 * (n // 3 % 5) + n % 3 for n in range(300)]
    stream = line_reference.encode(codes, 4)
    assert len(line_words(stream)[1]) == 250  # segments of three weights
    got, end, _ = draw(stream, "no pauses")
    assert got == codes
    assert end["cycles"] == 300


@pytest.mark.parametrize("pauses", PAUSES)
def test_line_stops_at_a_segment_that_is_too_long(pauses):
    codes = [5, 6, 7, 8, 100, 90, 80, 0]
    stream = line_reference.encode(codes, 1)
    short = WEIGHT_HEADER.pack(WEIGHT_HEADER.unpack(stream) | {"length": 6}) + stream[WEIGHT_HEADER.bytes :]
    got, end, left = draw(short, pauses)
    assert got == codes[: len(got)]
    assert len(got) <= 4
    assert (end["done"], end["bad"]) == (0, 1)
    assert left >= 2  # of the group after it at most one word


def all_codecs(rng, turns):
    """Return random streams of all codecs in turn, behind a table set."""
    tables = simple_tables()
    streams = [to_words(tables.to_bytes())]
    for _ in range(turns):
        streams.append(line_stream(rng))
        streams.append(to_words(ans_stream(rng, tables, WITH_LINE.limits, 60)[0]))
        streams.append(line_stream(rng))
        streams.append(to_words(raw_stream(rng, WITH_LINE.limits, 30)[0]))
    return streams


@pytest.mark.parametrize("pauses", PAUSE_CASES)
def test_streams_of_all_codecs_in_turn(pauses):
    rng = random.Random(f"all codecs {pauses}")
    assert set(check(all_codecs(rng, 3), WITH_LINE, pauses)) == {Verdict.OK}


@pytest.mark.slow
@pytest.mark.parametrize("pauses", [0, 1])
def test_many_streams_of_all_codecs_in_turn(pauses):
    rng = random.Random(f"many of all codecs {pauses}")
    assert set(check_compiled(all_codecs(rng, 30), COMPILED, pauses)) == {Verdict.OK}


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_other_lanes(lanes, rng):
    parameters = DecompressorParameters(lanes=lanes, slots=2, log2_states=8, line=True)
    assert check([line_stream(rng) for _ in range(6)], parameters, "both") == [Verdict.OK] * 6


@pytest.mark.slow
@pytest.mark.parametrize("pauses", [0, 1])
def test_damaged_streams(pauses):
    rng = random.Random(f"damaged lines {pauses}")
    streams = []
    for _ in range(4):
        good = line_stream(rng)
        streams += [part for made in damaged(rng, good, 8) for part in (made, good)]
    verdicts = set(check_compiled(streams, COMPILED, pauses))
    assert {Verdict.OK, Verdict.TRUNCATED} < verdicts
    assert len(verdicts) >= 5, verdicts


@pytest.mark.slow
def test_truncation_at_every_word(rng):
    good = to_words(line_reference.encode(on_lines(rng, (3, 1, 5, 2, 30)), 1))
    streams = [part for end in range(1, len(good)) for part in (good[:end], good)]
    verdicts = check_compiled(streams, COMPILED, pauses=1)
    assert verdicts == [Verdict.TRUNCATED, Verdict.OK] * (len(good) - 1)


@pytest.mark.slow
def test_declared_counts_that_do_not_suit_the_segments(rng):
    lengths = (3, 2, 4, 2, 30)
    good = to_words(line_reference.encode(on_lines(rng, lengths), 1))
    streams = [sealed(with_field(good, WEIGHT_HEADER, "length", count - 1)) for count in range(1, 44)]
    payload = WeightHeader.unpack(b"".join(word.to_bytes(2, "little") for word in good)).payload_words
    streams += [sealed(with_field(good, WEIGHT_HEADER, "payload_words", words)) for words in range(payload + 3)]
    verdicts = check_compiled(streams, COMPILED)
    found = [verdicts[count - 1] for count in range(1, 44)]
    ends = {3, 5, 9, 11}  # a whole number of segments, and words after them
    wanted = {count: Verdict.TRAILING if count in ends else Verdict.BAD_CODE for count in range(1, 41)}
    wanted |= {41: Verdict.OK, 42: Verdict.TRUNCATED, 43: Verdict.TRUNCATED}
    assert dict(zip(range(1, 44), found, strict=True)) == wanted


@pytest.mark.slow
def test_every_field_of_the_header(rng):
    good = line_stream(rng)
    values = WEIGHT_HEADER.unpack(b"".join(word.to_bytes(2, "little") for word in good))
    streams = []
    for field in WEIGHT_HEADER.fields:
        stored = values[field.name] - field.bias
        for other in {stored ^ 1, stored ^ 1 << field.width - 1}:
            changed = with_field(good, WEIGHT_HEADER, field.name, other)
            streams += [changed, sealed(changed), good]
    verdicts = check_compiled(streams, COMPILED)
    assert {Verdict.UNSUPPORTED, Verdict.BAD_HEADER, Verdict.TRUNCATED} < set(verdicts)
    assert set(verdicts[2::3]) == {Verdict.OK}


def test_frozen_streams():
    folder = Path(__file__).parents[1] / "vectors" / "v1"
    facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))["streams"]
    names = [name for name in facts if name.startswith("line_")]
    assert len(names) == 13
    streams = [to_words((folder / f"{name}.bin").read_bytes()) for name in names]
    results = decompress(WITH_LINE, streams, "both")
    for name, result in zip(names, results, strict=True):
        assert result.verdict.label == facts[name]["verdict"], name
        if result.verdict == Verdict.OK:
            codes = b"".join((beat[0] & 0xFFFF).to_bytes(2, "little") for beat in result.beats)
            assert hashlib.sha256(codes).hexdigest() == facts[name]["sha256"], name
    # The stream that was frozen as unsupported stays so, with the core as without it.
    frozen = to_words((folder / "unsupported_line.bin").read_bytes())
    for parameters in (WITH_LINE, DecompressorParameters(log2_states=8)):
        assert [result.verdict for result in decompress(parameters, [frozen])] == [Verdict.UNSUPPORTED]


def test_without_the_core_lines_are_unsupported(rng):
    streams = [line_stream(rng), to_words(raw_stream(rng)[0]), line_stream(rng)[:1]]
    assert check(streams) == [Verdict.UNSUPPORTED, Verdict.OK, Verdict.UNSUPPORTED]


def test_a_wrong_slope_would_be_seen(rng, monkeypatch):
    """The comparison sees a decoder whose slope is off by one."""
    good = to_words(line_reference.encode(on_lines(rng, (9, 9)), 2))
    monkeypatch.setattr(line_reference, "signed", lambda value, width: signed(value + (width == 16), width))
    with pytest.raises(AssertionError, match="stream 0"):
        check([good], WITH_LINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"line": 1}, "line must be True or False, not 1"),
        ({"line": True, "weight_bits": 8}, "line must be False where weight_bits is 8: its codes are wide"),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        DecompressorParameters(**arguments)
