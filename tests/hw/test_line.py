"""The core of the ``line`` codec on its own, and in the decompressor against the reference codec."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from simulated import PAUSE_CASES, PAUSES, Sink, check, decompress, pulse, run

from dnnzip.codec.line import reference as line_reference
from dnnzip.format import Verdict, WeightHeader, signed
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.line import LineDecoder
from dnnzip_sim.stimulus.damage import any_damage, payload_of, with_fields, words_of
from dnnzip_sim.stimulus.streams import any_line_stream, any_shape, line_codes, line_stream, random_stream, raw_stream
from dnnzip_sim.stimulus.table_sets import random_table_set

WITH_LINE = DecompressorParameters(log2_states=8, line=True)
MOST_WEIGHTS = 50


def line_words(stream):
    """Return header fields as the hardware holds them, and the payload's words."""
    header = WeightHeader.unpack(stream)
    words = words_of(payload_of(stream))
    return {"channels": header.channels - 1, "length": header.length - 1}, words


def draw(stream, pauses, cycles=4000):
    """Return the line decoder's output: weights, whether it ended or found the stream bad, cycles, words left."""
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

    async def take(ctx):
        ctx.set(dut.header, fields)
        await pulse(ctx, dut.start)
        sink, first = Sink(dut.o, rng, sink_pause), None
        for cycle in range(cycles):
            if ctx.get(dut.done) or ctx.get(dut.bad):
                end.update(done=ctx.get(dut.done), bad=ctx.get(dut.bad), cycles=cycle - (first or 0))
                break
            weight = await sink.step(ctx)
            if weight is not None:
                first = cycle if first is None else first
                got.append(signed(weight, 16))
        assert end, "hangs"

    run(dut, take, source)
    return got, end, len(words) - taken[0]


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("lengths", [(1,), (1, 1), (2, 3, 1), (256, 255, 256), (7, 1, 1, 1, 30, 2, 2, 2, 2, 2, 1)])
def test_line_draws_the_segments(lengths, pauses):
    rng = random.Random(f"{lengths}")
    codes = line_codes(rng, lengths)
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
    short = with_fields(stream, length=6)
    got, end, left = draw(short, pauses)
    assert got == codes[: len(got)]
    assert len(got) <= 4
    assert (end["done"], end["bad"]) == (0, 1)
    assert left >= 2  # of the group after it at most one word


@pytest.mark.parametrize("pauses", PAUSE_CASES)
def test_streams_of_all_codecs_in_turn(pauses, rng):
    tables = random_table_set(rng, tables=1)
    streams = [tables.to_bytes()]
    for _ in range(2):
        streams += [
            any_line_stream(rng, MOST_WEIGHTS),
            random_stream(rng, tables, any_shape(rng, tables, WITH_LINE.limits, MOST_WEIGHTS)),
        ]
        streams += [any_line_stream(rng, MOST_WEIGHTS), raw_stream(rng, WITH_LINE.limits, MOST_WEIGHTS)]
    assert set(check(streams, WITH_LINE, pauses)) == {Verdict.OK}


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_other_lanes(lanes, rng):
    parameters = DecompressorParameters(lanes=lanes, slots=2, log2_states=8, line=True)
    assert check([any_line_stream(rng, MOST_WEIGHTS) for _ in range(6)], parameters, "both") == [Verdict.OK] * 6


def test_damage(rng):
    good = line_stream(rng, (3, 1, 5, 2, 30))
    streams = [one for _ in range(8) for one in (any_damage(rng, good, good), good)]
    verdicts = check(streams, WITH_LINE, "both")
    assert set(verdicts[1::2]) == {Verdict.OK}
    assert len(set(verdicts)) >= 4


def test_frozen_streams():
    folder = Path(__file__).parents[1] / "vectors" / "v1"
    facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))["streams"]
    names = [name for name in facts if name.startswith("line_")]
    assert len(names) == 13
    streams = [(folder / f"{name}.bin").read_bytes() for name in names]
    results = decompress(WITH_LINE, streams, "both")
    for name, result in zip(names, results, strict=True):
        assert result.verdict.label == facts[name]["verdict"], name
        if result.verdict == Verdict.OK:
            codes = b"".join((beat[0] & 0xFFFF).to_bytes(2, "little") for beat in result.beats)
            assert hashlib.sha256(codes).hexdigest() == facts[name]["sha256"], name
    # The stream that was frozen as unsupported stays so, with the core as without it.
    frozen = (folder / "unsupported_line.bin").read_bytes()
    for parameters in (WITH_LINE, DecompressorParameters(log2_states=8)):
        assert [result.verdict for result in decompress(parameters, [frozen])] == [Verdict.UNSUPPORTED]


def test_without_the_core_lines_are_unsupported(rng):
    streams = [any_line_stream(rng, MOST_WEIGHTS), raw_stream(rng), any_line_stream(rng, MOST_WEIGHTS)[:2]]
    assert check(streams) == [Verdict.UNSUPPORTED, Verdict.OK, Verdict.UNSUPPORTED]


def test_a_wrong_slope_would_be_seen(rng, monkeypatch):
    """The comparison sees a decoder whose slope is off by one."""
    good = line_stream(rng, (9, 9), 2)
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
