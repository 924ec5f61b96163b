"""Streams to decode, and what a decoder has to make of them: one list for every decoder.

A case is a sequence of streams, table sets and weights, as a decoder meets them one after the other. ``outcomes`` plays
it through the reference codec; the fast codec, the RTL in Amaranth's simulator and the RTL in Verilator must give the
same. Everything random comes from the seed, so a case is named completely by its name and its seed.
"""

import functools
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dnnzip.codec import reference
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CLASSES,
    CODECS,
    CONTEXTS,
    CRC_WORDS,
    ESCAPE,
    TABLE_HEADER,
    TABLES_MAGIC,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WORD_BYTES,
    Codec,
    HeaderLayout,
    Limits,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    crc8,
    signed,
)

RTL_LIMITS = Limits(log2_lanes=4, log2_states=9, code_bits=16, line=False)
"""What the decompressor with its default parameters was built for."""

LINE_LIMITS = replace(RTL_LIMITS, line=True)
"""The same with the core for ``line`` streams."""

Codes = list[list[int]]


@dataclass(frozen=True)
class Case:
    """Streams that are offered one after the other.

    Parameters
    ----------
    name
        Unique in the list.
    streams
        Table set streams and weight streams; none is empty, all are whole words.
    """

    name: str
    streams: tuple[bytes, ...]


@dataclass(frozen=True)
class Outcome:
    """How a stream ends.

    Parameters
    ----------
    verdict
        The cause of its end beat.
    weights
        The codes in the order in which a decoder gives them; empty for a table set, and where the verdict is not ok.
    declared
        The most weights that may leave, whatever the verdict: as many as a sound header declares.
    """

    verdict: Verdict
    weights: tuple[int, ...] = ()
    declared: int = 0


class SoftwareResult(Protocol):
    """What a software decoder returns: the reference's ``Decoded`` and the fast one's."""

    @property
    def verdict(self) -> Verdict:
        """How the stream ended."""

    @property
    def codes(self) -> Any:
        """The codes, channel by channel, where the verdict is ok."""

    @property
    def header(self) -> WeightHeader | None:
        """The header, where it was whole and sound."""


SoftwareDecoder = Callable[[bytes, TableSet | None, Limits], SoftwareResult]


class SoftwareRow:
    """A software decoder that meets streams one after the other, and keeps the table set from one to the next.

    A table set whose header is sound replaces the one before, whatever comes after the header; it is loaded from its
    verdict ``ok`` on.

    Parameters
    ----------
    limits
        Of the hardware that it stands for.
    decode
        The decoder of weight streams.
    """

    def __init__(self, limits: Limits = RTL_LIMITS, decode: SoftwareDecoder = reference.decode) -> None:
        self.limits = limits
        self.loaded: TableSet | None = None
        self._decode = decode

    def take(self, stream: bytes) -> tuple[Verdict, SoftwareResult | None]:
        """Return the verdict on the next stream, and for a weight stream all that the decoder made of it."""
        if stream[0] != TABLES_MAGIC:
            decoded = self._decode(stream, self.loaded, self.limits)
            return decoded.verdict, decoded
        verdict, tables = _table_set(stream, self.limits.log2_states, self.limits.low_bits)
        if TableSet.takes_over(stream, self.limits.log2_states):
            self.loaded = tables
        return verdict, None


@functools.lru_cache(maxsize=256)  # in a long run the same sets come again and again
def _table_set(stream: bytes, log2_states: int, low_bits: int) -> tuple[Verdict, TableSet | None]:
    """Return the verdict on a table set stream, and the set where that is ``ok``."""
    try:
        return Verdict.OK, TableSet.from_bytes(stream, log2_states, low_bits)
    except VerdictError as error:
        return error.verdict, None


def outcomes(case: Case, limits: Limits = RTL_LIMITS, decode: SoftwareDecoder = reference.decode) -> list[Outcome]:
    """Return what a software decoder, by default the reference, makes of the case's streams."""
    row = SoftwareRow(limits, decode)
    result = []
    for stream in case.streams:
        verdict, decoded = row.take(stream)
        if decoded is None or decoded.header is None:
            result.append(Outcome(verdict))
            continue
        weights = _leaving_order(decoded.codes, decoded.header) if verdict == Verdict.OK else ()
        result.append(Outcome(verdict, weights, decoded.header.weights))
    return result


def _leaving_order(codes: Sequence[Sequence[int]], header: WeightHeader) -> tuple[int, ...]:
    """Return the codes by channel as a decoder gives them: the inverse of `codes_from_beats`."""
    if not CODECS[header.codec].has_lanes:
        return tuple(int(code) for channel in codes for code in channel)
    passes = (codes[first : first + header.lanes] for first in range(0, len(codes), header.lanes))
    return tuple(int(code) for channels in passes for taps in zip(*channels, strict=True) for code in taps)


# --- table sets and weights ------------------------------------------------------------------------------------------


def random_table_set(
    rng: random.Random,
    *,
    log2_states: int = 8,
    tables: int = 2,
    shifts: Sequence[int] = (0,),
    largest: int = 31,
    escape: bool = True,
) -> TableSet:
    """Return a set of random tables.

    Parameters
    ----------
    rng
        Source of randomness.
    log2_states, tables
        As in ``TableSet``.
    shifts
        What a table's shift is drawn from.
    largest
        Every table has all tokens from ``-largest`` to ``largest``, and no others.
    escape
        Whether every table has the escape.
    """
    allowed = [(token == ESCAPE and escape) or abs(token) <= largest for token in TOKEN_ORDER]
    allowed[-1] = escape
    counts = tuple(_random_counts(rng, 1 << log2_states, allowed) for _ in range(tables))
    class_map = tuple(tuple(rng.randrange(tables) for _ in range(CONTEXTS)) for _ in range(CLASSES))
    return TableSet(log2_states, class_map, tuple(rng.choice(shifts) for _ in range(tables)), counts)


def _random_counts(rng: random.Random, states: int, allowed: Sequence[bool]) -> tuple[int, ...]:
    """Return counts that add up to ``states``, one at least for each allowed token, mostly falling with its size."""
    decay = rng.uniform(0.6, 1.0)
    shares = [rng.random() * decay**index if ok else 0.0 for index, ok in enumerate(allowed)]
    spare = states - sum(allowed)
    counts = [int(ok) + int(spare * share / sum(shares)) for ok, share in zip(allowed, shares, strict=True)]
    counts[rng.choice([index for index, ok in enumerate(allowed) if ok])] += states - sum(counts)
    return tuple(counts)


def single_token(token: int, *, log2_states: int = 8, shift: int = 0) -> TableSet:
    """Return a set with one table that has ``token`` alone, whose state takes no bits."""
    counts = tuple((1 << log2_states) * int(other == token) for other in TOKEN_ORDER)
    return TableSet(log2_states, ((0,) * CONTEXTS,) * CLASSES, (shift,), (counts,))


def random_codes(rng: random.Random, channels: int, length: int, largest: int, wild: float = 0.0) -> Codes:
    """Return codes of a two-sided geometric look, up to ``largest``; a share ``wild`` of them takes all 16 bits."""

    def code() -> int:
        if rng.random() < wild:
            return rng.randrange(-(1 << 15), 1 << 15)
        return max(-largest, min(largest, round(rng.gauss(0, largest / 4)))) if largest else 0

    return [[code() for _ in range(length)] for _ in range(channels)]


def random_stream(
    rng: random.Random,
    table_set: TableSet,
    *,
    channels: int,
    length: int,
    kernel: tuple[int, int] = (1, 1),
    log2_lanes: int = 2,
    largest: int = 40,
    wild: float = 0.02,
    columns: int = 0,
    column_shift: int = 0,
    context: bool = True,
    class_per_channel: bool = True,
) -> bytes:
    """Return an ``ans`` stream of random weights."""
    classes = [rng.randrange(CLASSES) for _ in range(channels if class_per_channel else 1)]
    choices = AnsChoices(
        log2_lanes=log2_lanes,
        classes=classes,
        column_shift=column_shift,
        column_offsets=[rng.randrange(4) for _ in range(columns)],
        context=context,
    )
    return ans_reference.encode(random_codes(rng, channels, length, largest, wild), kernel, table_set, choices)


# --- sound streams ---------------------------------------------------------------------------------------------------


def sound_cases(seed: int) -> list[Case]:
    """Return the cases in which every stream ends with ``ok``."""
    makers = (
        _every_lane_count,
        _shapes,
        _columns,
        _raw,
        _escapes,
        _single_tokens,
        _low_bits,
        _largest_table_set,
        _short_streams,
    )
    return [Case(maker.__name__.strip("_"), tuple(maker(_rng(seed, maker.__name__)))) for maker in makers]


def _rng(seed: int, name: str) -> random.Random:
    return random.Random(f"{name} {seed}")


def _every_lane_count(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng)
    yield tables.to_bytes()
    for log2_lanes in range(RTL_LIMITS.log2_lanes + 1):
        lanes = 1 << log2_lanes
        for channels in sorted({lanes, lanes + 1, 2 * lanes - 1, 3 * lanes, rng.randrange(lanes, 40)}):
            yield random_stream(rng, tables, channels=channels, length=rng.randrange(1, 12), log2_lanes=log2_lanes)


def _shapes(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, log2_states=9, tables=3)
    yield tables.to_bytes()
    for kernel in ((1, 1), (1, 7), (7, 1), (2, 3), (3, 3), (5, 5), (8, 8)):
        taps = kernel[0] * kernel[1]
        # Not only whole kernels: the format asks for no multiple.
        for channels, length in ((1, 1), (3, 2 * taps), (6, taps + rng.randrange(1, 9))):
            log2_lanes = rng.randrange(0, channels.bit_length())
            yield random_stream(
                rng,
                tables,
                channels=channels,
                length=length,
                kernel=kernel,
                log2_lanes=log2_lanes,
                context=rng.random() < 0.8,
                class_per_channel=rng.random() < 0.5,
            )


def _columns(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, tables=8)
    yield tables.to_bytes()
    for columns, shift, kernel, length in (
        (1, 0, (1, 1), 5),
        (16, 0, (1, 1), 16),
        (9, 1, (3, 3), 150),
        (3, 0, (2, 2), 40),
        (33, 3, (1, 1), 260),
        (2, 15, (1, 1), 9),
        (300, 0, (1, 1), 300),
    ):
        yield random_stream(rng, tables, channels=5, length=length, kernel=kernel, columns=columns, column_shift=shift)


def _raw(rng: random.Random) -> Iterator[bytes]:
    for width in (4, 8, 16):
        for channels, length in ((1, 1), (1, 4), (3, 5), (7, 9), (4, 64)):
            half = 1 << width - 1
            items = [rng.randrange(-half, half) for _ in range(channels * length)]
            yield raw_reference.encode(items, channels, width)


def _escapes(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, largest=3)
    yield tables.to_bytes()
    for log2_lanes in range(5):
        yield random_stream(
            rng, tables, channels=18, length=7, kernel=(1, 3), log2_lanes=log2_lanes, largest=20, wild=0.5
        )
    yield random_stream(rng, tables, channels=16, length=9, log2_lanes=4, wild=1.0)


def _single_tokens(rng: random.Random) -> Iterator[bytes]:
    for token in (0, 5, ESCAPE):
        tables = single_token(token, shift=rng.randrange(3) if token else 0)
        yield tables.to_bytes()
        for log2_lanes in (0, 2, 4):
            classes = [rng.randrange(CLASSES) for _ in range(17)]
            choices = AnsChoices(log2_lanes, classes, context=False)
            low = 1 << tables.shifts[0]
            codes = (
                random_codes(rng, 17, 5, 0, wild=1.0)
                if token == ESCAPE
                else [[token * low + rng.randrange(low) for _ in range(5)] for _ in range(17)]
            )
            yield ans_reference.encode(codes, (1, 1), tables, choices)


def _low_bits(rng: random.Random) -> Iterator[bytes]:
    for log2_states, shift in ((9, 7), (8, 7), (9, 1)):
        tables = random_table_set(rng, log2_states=log2_states, tables=3, shifts=(0, shift))
        yield tables.to_bytes()
        for log2_lanes in (0, 2, 4):
            yield random_stream(rng, tables, channels=19, length=9, kernel=(3, 1), log2_lanes=log2_lanes, largest=2000)


def _largest_table_set(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, log2_states=9, tables=8, shifts=range(8))
    yield tables.to_bytes()
    yield random_stream(rng, tables, channels=37, length=75, kernel=(5, 5), log2_lanes=4, columns=3, largest=900)


def _short_streams(rng: random.Random) -> Iterator[bytes]:
    first, second = random_table_set(rng, tables=1), random_table_set(rng, tables=2)
    for tables in (first, second, first, first):
        yield tables.to_bytes()
        for _ in range(4):
            yield random_stream(rng, tables, channels=1, length=1, log2_lanes=0)
            yield raw_reference.encode([rng.randrange(16)], 1, 4)


def random_case(seed: int) -> Case:
    """Return a case of a random table set and random streams: whatever the list forgets."""
    rng = _rng(seed, "random")
    log2_states = rng.choice((8, 9))
    tables = random_table_set(
        rng,
        log2_states=log2_states,
        tables=rng.randrange(1, 9),
        shifts=range(rng.randrange(1, 8)),
        largest=rng.randrange(0, 32),
    )
    streams = [tables.to_bytes()]
    for _ in range(rng.randrange(1, 6)):
        log2_lanes = rng.randrange(5)
        columns = rng.choice((0, rng.randrange(1, 20)))
        streams.append(
            random_stream(
                rng,
                tables,
                channels=rng.randrange(1 << log2_lanes, 48),
                length=rng.randrange(1, 40),
                kernel=(rng.randrange(1, 9), rng.randrange(1, 9)),
                log2_lanes=log2_lanes,
                largest=rng.choice((0, 1, 5, 40, 3000)),
                wild=rng.choice((0.0, 0.01, 0.3)),
                columns=columns,
                column_shift=rng.randrange(4),
                context=rng.random() < 0.7,
                class_per_channel=rng.random() < 0.5,
            )
        )
    return Case(f"random_{seed}", tuple(streams))


# --- damaged streams -------------------------------------------------------------------------------------------------


def damaged_cases(seed: int) -> list[Case]:
    """Return the cases of damaged streams; a sound one follows each, and has to be decoded."""
    rng = _rng(seed, "damaged")
    tables = random_table_set(rng)
    other = random_table_set(rng, log2_states=9, tables=1)
    ans = random_stream(rng, tables, channels=6, length=20, kernel=(2, 2), columns=3)
    narrow = random_stream(rng, tables, channels=4, length=9, largest=30, wild=0.0)
    raw = raw_reference.encode([rng.randrange(-128, 128) for _ in range(21)], 3, 8)
    sound = random_stream(rng, tables, channels=5, length=4)
    set_up = tables.to_bytes()
    quick = random_table_set(rng, tables=1)  # takes half the cycles to build
    quick_sound = random_stream(rng, quick, channels=5, length=4)

    def weights(name: str, bad: Iterator[bytes]) -> Case:
        return Case(name, (set_up, *(stream for damaged in bad for stream in (damaged, sound))))

    def sets(name: str, damage: Callable[[bytes], Iterator[bytes]]) -> Case:
        good = quick.to_bytes()
        after = (quick_sound, raw, good, quick_sound)
        return Case(name, tuple(stream for damaged in damage(good) for stream in (damaged, *after)))

    return [
        weights("weight_header_fields", _header_fields(ans, WEIGHT_HEADER)),
        weights("raw_header_fields", _header_fields(raw, WEIGHT_HEADER)),
        sets("table_header_fields", lambda good: _header_fields(good, TABLE_HEADER)),
        weights("contradictions", _contradictions(ans, raw)),
        weights("truncated_weights", _truncated(rng, ans, WEIGHT_HEADER.words)),
        weights("truncated_raw", _truncated(rng, raw, WEIGHT_HEADER.words)),
        sets("truncated_tables", lambda good: _truncated(rng, good, TABLE_HEADER.words)),
        weights("flipped_bits", _flipped(rng, ans, 24)),
        weights("resealed_bits", (_resealed(bad, WEIGHT_HEADER) for bad in _flipped(rng, ans, 24, 16))),
        weights("narrow_codes", _narrow_codes(rng, narrow, tables)),
        sets("resealed_tables", lambda good: (_resealed(bad, TABLE_HEADER) for bad in _flipped(rng, good, 16, 8))),
        weights("dropped_and_repeated_words", _dropped_and_repeated(rng, ans)),
        weights("merged", iter((ans + sound, raw + sound, sound + set_up, raw + raw))),
        Case(
            "wrong_tables",
            (ans, raw, set_up, ans, other.to_bytes(), ans, raw, sound, set_up, sound, other.to_bytes(), set_up, ans),
        ),
    ]


# --- line streams ----------------------------------------------------------------------------------------------------


def line_cases(seed: int) -> list[Case]:
    """Return the cases of ``line`` streams, sound and damaged, for decoders with ``LINE_LIMITS``."""
    rng = _rng(seed, "line")
    tables = random_table_set(rng)
    small = random_line_stream(rng, (3, 1, 5, 2, 30), 1)
    sound = random_line_stream(rng, (2, 2, 1), 1)

    def each(name: str, bad: Iterator[bytes]) -> Case:
        return Case(name, tuple(stream for damaged in bad for stream in (damaged, sound)))

    return [
        Case(
            "line_lengths", tuple(random_line_stream(rng, (length,) * 3, 1) for length in (1, 2, 3, 4, 255, 256, 300))
        ),
        Case("line_shapes", tuple(_line_shapes(rng))),
        Case("line_among_others", tuple(_line_among_others(rng, tables))),
        each("line_header_fields", _header_fields(small, WEIGHT_HEADER)),
        each("line_truncated", _truncated(rng, small, WEIGHT_HEADER.words)),
        each("line_flipped", _flipped(rng, small, 24)),
        each("line_resealed", (_resealed(bad, WEIGHT_HEADER) for bad in _flipped(rng, small, 40, WEIGHT_HEADER.bytes))),
        each("line_counts", (_rewritten(small, length=length) for length in range(1, 60))),
        each("line_payloads", (_rewritten(small, payload_words=words) for words in range(20))),
        each("line_dropped_and_repeated", _dropped_and_repeated(rng, small)),
        each("line_merged", iter((small + sound, sound + tables.to_bytes()))),
    ]


def random_line_stream(rng: random.Random, lengths: Sequence[int], channels: int) -> bytes:
    """Return a ``line`` stream of random segments of about these lengths, cut to whole channels."""
    codes: list[int] = []
    for length in lengths:
        intercept, slope = rng.randrange(1 << 16), rng.choice((0, 1, -1, 300, rng.randrange(1 << 16)))
        codes += [signed(intercept + number * slope, 16) for number in range(length)]
    return line_reference.encode(codes[: len(codes) // channels * channels], channels)


def _line_shapes(rng: random.Random) -> Iterator[bytes]:
    for channels in (1, 2, 5, 16, 100):
        lengths = [rng.choice((1, 2, 2, 3, 9, 40)) for _ in range(rng.randrange(channels, channels + 60))]
        yield random_line_stream(rng, lengths, channels)


def _line_among_others(rng: random.Random, tables: TableSet) -> Iterator[bytes]:
    yield tables.to_bytes()
    for _ in range(3):
        yield random_line_stream(rng, [rng.randrange(1, 9) for _ in range(5)], 1)
        yield random_stream(rng, tables, channels=6, length=7)
        yield random_line_stream(rng, [1], 1)
        yield raw_reference.encode([rng.randrange(16) for _ in range(9)], 3, 4)


def _words(stream: bytes) -> list[bytes]:
    return [stream[start : start + WORD_BYTES] for start in range(0, len(stream), WORD_BYTES)]


def _header_fields(stream: bytes, layout: HeaderLayout) -> Iterator[bytes]:
    """Change the lowest and the highest bit of every field, with the old check and with a new one."""
    for field in layout.fields:
        for bit in sorted({0, field.width - 1}):
            number = int.from_bytes(stream[: layout.bytes], "little") ^ 1 << layout.offset(field.name) + bit
            damaged = number.to_bytes(layout.bytes, "little") + stream[layout.bytes :]
            yield damaged
            if field.name != "check":
                yield _resealed(damaged, layout)


def _resealed(stream: bytes, layout: HeaderLayout) -> bytes:
    """Return the stream with the header's check and the CRC-32 made right again."""
    header = stream[: layout.bytes - 1]
    data = header + bytes([crc8(header)]) + stream[layout.bytes : -CRC_WORDS * WORD_BYTES]
    return data + zlib.crc32(data).to_bytes(CRC_WORDS * WORD_BYTES, "little")


def _rewritten(stream: bytes, **changes: int) -> bytes:
    """Return the weight stream with other values in its header, resealed."""
    header = WEIGHT_HEADER.pack(WEIGHT_HEADER.unpack(stream) | changes)
    return _resealed(header + stream[WEIGHT_HEADER.bytes :], WEIGHT_HEADER)


def _contradictions(ans: bytes, raw: bytes) -> Iterator[bytes]:
    yield _rewritten(ans, log2_lanes=4)  # more than the channels
    yield _rewritten(ans, log2_lanes=5)  # more than the format knows
    yield _rewritten(ans, log2_states=10)
    yield _rewritten(ans, codec=Codec.LINE)
    yield _rewritten(ans, payload_words=0)
    yield _rewritten(ans, channels=4)
    yield _rewritten(raw, log2_lanes=1)
    yield _rewritten(raw, raw_width=2)  # wide items in a narrow stream
    yield _rewritten(raw, raw_width=3)
    yield _rewritten(raw, wide=1)  # allowed
    yield _rewritten(raw, channels=4)
    yield _rewritten(raw, channels=2)


def _truncated(rng: random.Random, stream: bytes, header_words: int) -> Iterator[bytes]:
    words = _words(stream)
    places = {*range(1, header_words + 3), len(words) - 2, len(words) - 1}
    places.update(rng.sample(range(header_words + 3, len(words) - 2), 3))
    for place in sorted(places):
        yield b"".join(words[:place])


def _flipped(rng: random.Random, stream: bytes, count: int, first_byte: int = 0) -> Iterator[bytes]:
    """Flip one bit, ``count`` times, anywhere from ``first_byte`` on."""
    for _ in range(count):
        damaged = bytearray(stream)
        damaged[rng.randrange(first_byte, len(stream))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def _narrow_codes(rng: random.Random, narrow: bytes, tables: TableSet) -> Iterator[bytes]:
    yield _rewritten(narrow, wide=1)
    for log2_lanes in (0, 2):
        wide = random_stream(rng, tables, channels=5, length=7, log2_lanes=log2_lanes, wild=0.1)
        yield _rewritten(wide, wide=0)
    for code in (-129, -128, 127, 128):
        edge = ans_reference.encode([[0, code]], (1, 1), tables, AnsChoices(0, [0]))
        yield _rewritten(edge, wide=0)


def _dropped_and_repeated(rng: random.Random, stream: bytes) -> Iterator[bytes]:
    words = _words(stream)
    for place in sorted({0, 1, WEIGHT_HEADER.words, len(words) - 1, *rng.sample(range(len(words)), 4)}):
        yield b"".join(words[:place] + words[place + 1 :])
        yield b"".join(words[: place + 1] + words[place:])
        if place:
            yield b"".join([*words[: place - 1], words[place], words[place - 1], *words[place + 1 :]])
