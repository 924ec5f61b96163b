"""Random table sets, weight streams and damaged streams, for every decoder alike.

All randomness comes from the generator that is passed in, so a failing case is its seed.
"""

import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields as dataclass_fields

from dnnzip.codec import reference
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CLASSES,
    CONTEXTS,
    CRC_WORDS,
    ESCAPE,
    MAX_LOG2_LANES,
    MAX_LOG2_STATES,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    MIN_LOG2_STATES,
    SHIFT_BITS,
    TABLE_HEADER,
    TABLES_MAGIC,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    HeaderLayout,
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    column_of,
    context,
    crc8,
    neighbours,
    scale_class,
)

KERNELS = ((1, 1), (1, 1), (3, 3), (5, 5), (1, 3), (3, 1), (2, 3), (8, 8), (1, 8), (8, 1), (2, 1))

MOST_WEIGHTS = 5_000
"""The most weights that a damaged stream declares with a sound header."""


def to_words(data: bytes) -> list[int]:
    """Return the 16-bit words of a stream."""
    return [int.from_bytes(data[start : start + WORD_BYTES], "little") for start in range(0, len(data), WORD_BYTES)]


def to_bytes(words: Sequence[int]) -> bytes:
    """Return the stream of these words."""
    return b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)


def _counts(rng: random.Random, states: int) -> tuple[int, ...]:
    """Return counts of one of several kinds: bell shaped, one token, few tokens, even, or anything."""
    kind = rng.random()
    if kind < 0.1:
        weights = {rng.choice(TOKEN_ORDER): 1.0}
    elif kind < 0.25:
        weights = {rng.choice(TOKEN_ORDER): rng.random() for _ in range(rng.randrange(2, 6))}
    elif kind < 0.35:
        weights = dict.fromkeys(TOKEN_ORDER, 1.0)
    elif kind < 0.45:
        weights = {token: rng.random() ** 3 for token in TOKEN_ORDER}
    else:
        spread = rng.choice((0.2, 0.5, 1, 2, 4, 8))
        weights = {token: 2.0 ** (-abs(token) / spread) * rng.uniform(0.7, 1.3) for token in TOKEN_ORDER}
        weights[ESCAPE] = rng.choice((0.0, 0.002, 0.02, 0.2))
    total = sum(weights.values())
    counts = {token: int(weight / total * states) for token, weight in weights.items()}
    if ESCAPE in weights and weights[ESCAPE] and not counts[ESCAPE]:
        counts[ESCAPE] = 1
    largest = max(counts, key=lambda token: counts[token])
    counts[largest] += states - sum(counts.values())
    return tuple(counts.get(token, 0) for token in TOKEN_ORDER)


def table_set(rng: random.Random, log2_states: int | None = None, tables: int | None = None) -> TableSet:
    """Return a table set, often with degenerate tables; some sets declare a foreign id."""
    log2_states = log2_states or rng.randrange(MIN_LOG2_STATES, MAX_LOG2_STATES + 1)
    tables = tables or rng.randrange(1, MAX_TABLES + 1)
    highest = min(MAX_WEIGHT_BITS - log2_states, (1 << SHIFT_BITS) - 1)
    top = rng.choice((0, 1, 2, highest))
    return TableSet(
        log2_states,
        tuple(tuple(rng.randrange(tables) for _ in range(CONTEXTS)) for _ in range(CLASSES)),
        tuple(rng.randrange(top + 1) for _ in range(tables)),
        tuple(_counts(rng, 1 << log2_states) for _ in range(tables)),
        rng.randrange(1 << 16) if rng.random() < 0.2 else None,
    )


def _draw(rng: random.Random, tables: TableSet, table: int, negate: bool) -> tuple[int, int]:
    """Return a code that ``table`` can code, drawn by its counts, and the sign that its history keeps."""
    counts, shift = tables.counts[table], tables.shifts[table]
    token = rng.choices(TOKEN_ORDER, counts)[0]
    if token == ESCAPE:
        half = 1 << rng.choice((7, 7, WORD_BITS - 1))
        code = rng.randrange(-half, half)
        coded = -code if negate else code
        other = coded >> shift
        escapes = not (ESCAPE < other < -ESCAPE and counts[TOKEN_ORDER.index(other)])
        return code, 0 if escapes else ans_reference.sign(code)
    coded = token << shift | rng.randrange(1 << shift)
    code = -coded if negate else coded
    return code, ans_reference.sign(code)


def ans_codes(
    rng: random.Random,
    tables: TableSet,
    shape: tuple[int, int],
    kernel: tuple[int, int],
    choices: AnsChoices,
    narrow: bool = False,
) -> list[list[int]]:
    """Return codes that ``tables`` can code, distributed as its tables say; ``narrow``: of 8 bits, if they can."""
    channels, length = shape
    height, width = kernel
    codes = []
    for channel in range(channels):
        channel_class = choices.classes[channel if len(choices.classes) > 1 else 0]
        signs: list[int] = []
        row = []
        for position in range(length):
            number, negate = 0, False
            if choices.context:
                left, above = neighbours(position, width, height)
                number, negate = context(
                    signs[left] if left is not None else 0, signs[above] if above is not None else 0
                )
            column = column_of(position, height * width, choices.column_shift)
            offset = choices.column_offsets[column] if column < len(choices.column_offsets) else 0
            table = tables.class_map[scale_class(channel_class, offset)][number]
            for _ in range(20 if narrow else 1):
                code, kept = _draw(rng, tables, table, negate)
                if -128 <= code < 128:
                    break
            row.append(code)
            signs.append(kept)
        codes.append(row)
    return codes


def ans_stream(
    rng: random.Random, tables: TableSet, limits: Limits | None = None, most_weights: int = 600
) -> tuple[bytes, list[list[int]]]:
    """Return an ``ans`` stream of any shape that the format has and its codes."""
    limits = limits or Limits()
    channels = rng.choice((1, 2, 3, 5, 8, 16, 17, rng.randrange(1, 50)))
    length = rng.choice((1, 2, 9, 25, rng.randrange(1, 60), max(1, most_weights // channels)))
    length = max(1, min(length, most_weights // channels))
    kernel = rng.choice(KERNELS)
    most_lanes = min(limits.log2_lanes, MAX_LOG2_LANES, channels.bit_length() - 1)
    choices = AnsChoices(
        log2_lanes=rng.choice((most_lanes, rng.randrange(most_lanes + 1))),
        classes=[rng.randrange(CLASSES) for _ in range(rng.choice((1, channels)))],
        column_shift=rng.choice((0, 0, 1, 2, 15)),
        column_offsets=[rng.randrange(4) for _ in range(rng.choice((0, 0, 1, 8, 9, 30)))],
        context=rng.random() < 0.7,
    )
    narrow = limits.code_bits < WORD_BITS or rng.random() < 0.6
    codes = ans_codes(rng, tables, (channels, length), kernel, choices, narrow)
    return ans_reference.encode(codes, kernel, tables, choices), codes


def raw_stream(
    rng: random.Random, limits: Limits | None = None, most_items: int = 200
) -> tuple[bytes, list[list[int]]]:
    """Return a ``raw`` stream and its items, channel by channel."""
    width = rng.choice((4, 8) if limits and limits.code_bits < WORD_BITS else (4, 8, 16))
    channels = rng.choice((1, 1, 2, 3, rng.randrange(1, 20)))
    length = rng.randrange(1, max(2, most_items // channels))
    items = [rng.randrange(-(1 << width - 1), 1 << width - 1) for _ in range(channels * length)]
    rows = [items[start : start + length] for start in range(0, len(items), length)]
    return raw_reference.encode(items, channels, width), rows


def sealed(words: Sequence[int]) -> list[int]:
    """Return the words of a stream with the check of its header and its CRC-32 made to match."""
    data = bytearray(to_bytes(words))
    layout = TABLE_HEADER if data and data[0] == TABLES_MAGIC else WEIGHT_HEADER
    if len(data) >= layout.bytes:
        data[layout.bytes - 1] = crc8(bytes(data[: layout.bytes - 1]))
    body = len(data) - CRC_WORDS * WORD_BYTES
    if body >= layout.bytes:
        data[body:] = zlib.crc32(bytes(data[:body])).to_bytes(CRC_WORDS * WORD_BYTES, "little")
    return to_words(bytes(data))


def with_field(words: Sequence[int], layout: HeaderLayout, name: str, stored: int) -> list[int]:
    """Return the words of a stream with one header field's stored number replaced; its checks are left as they were."""
    head = int.from_bytes(to_bytes(words[: layout.words]), "little")
    mask = (1 << layout[name].width) - 1 << layout.offset(name)
    head = head & ~mask | stored << layout.offset(name) & mask
    return to_words(head.to_bytes(layout.bytes, "little")) + list(words[layout.words :])


def damaged(rng: random.Random, words: Sequence[int], count: int) -> Iterator[list[int]]:
    """Yield ``count`` damaged versions of a stream: bits flipped, words dropped, repeated, replaced or added, streams
    cut and merged, header fields changed; in many of them the checks match all the same.
    """
    for _ in range(count):
        made = list(words)
        layout = TABLE_HEADER if made[0] & 0xFF == TABLES_MAGIC else WEIGHT_HEADER
        kind = rng.randrange(9)
        place = rng.randrange(len(made))
        if kind == 0:
            made[place] ^= 1 << rng.randrange(WORD_BITS)
        elif kind == 1:
            made = made[: max(1, place)]
        elif kind == 2:
            del made[place]
            made = made or [0]
        elif kind == 3:
            made.insert(place, made[place])
        elif kind == 4:
            made[place] = rng.randrange(1 << WORD_BITS)
        elif kind == 5:
            made += made[: rng.randrange(1, len(made) + 1)]
        elif kind == 6 and len(made) >= layout.words:
            field = rng.choice(layout.fields)
            old = layout.unpack(to_bytes(made))[field.name] - field.bias
            stored = rng.choice((0, 1, (1 << field.width) - 1, old + 1, old - 1, rng.randrange(1 << field.width)))
            made = with_field(made, layout, field.name, stored % (1 << field.width))
        elif kind == 7 and len(made) > layout.words:
            made[rng.randrange(layout.words, len(made))] ^= 1 << rng.randrange(WORD_BITS)
        elif len(made) > layout.words + CRC_WORDS:
            # The payload shorter or longer, and declared so.
            difference = rng.choice((-2, -1, 1, 2))
            end = len(made) - CRC_WORDS
            if difference < 0:
                end = max(layout.words, end + difference)
                made = made[:end] + made[-CRC_WORDS:]
            else:
                made[end:end] = [rng.randrange(1 << WORD_BITS) for _ in range(difference)]
            made = with_field(made, layout, "payload_words", max(0, len(made) - layout.words - CRC_WORDS))
        made = sealed(made) if rng.random() < 0.6 else made
        yield made if _decodes_soon(made) else list(words)


def _decodes_soon(words: Sequence[int]) -> bool:
    """Return whether a decoder is done with a stream before long; weights of no bits need no words to go on."""
    data = to_bytes(words[: WEIGHT_HEADER.words])
    if len(data) < WEIGHT_HEADER.bytes or data[0] == TABLES_MAGIC or crc8(data):
        return True
    return WeightHeader.unpack(data).weights <= MOST_WEIGHTS


class Expectation:
    """What a decoder has to make of a row of streams, one after the other, by the reference.

    Parameters
    ----------
    limits
        Of the decoder.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.loaded: TableSet | None = None

    def take(self, words: Sequence[int]) -> tuple[Verdict, WeightHeader | None, list[list[int]]]:
        """Return a stream's verdict, and for a weight stream that ends with ``ok`` its header and codes."""
        data = to_bytes(words)
        if words[0] & 0xFF == TABLES_MAGIC:
            return self._take_tables(data), None, []
        decoded = reference.decode(data, self.loaded, self.limits)
        return decoded.verdict, decoded.header, decoded.codes

    def _take_tables(self, data: bytes) -> Verdict:
        """Return a table set stream's verdict; a sound header drops the set that was loaded."""
        stream = StreamWords(data)
        try:
            first = TABLE_HEADER.unpack(stream.kind().to_bytes(TABLE_HEADER.bytes, "little"))
            if first["log2_states"] > self.limits.log2_states:
                return Verdict.UNSUPPORTED
            stream.rest_of_header(TABLE_HEADER)
        except VerdictError as error:
            return error.verdict
        self.loaded = None
        try:
            tables = TableSet.from_bytes(data, self.limits.log2_states, self.limits.low_bits)
        except VerdictError as error:
            return error.verdict
        self.loaded = tables
        return Verdict.OK


def beats_of(header: WeightHeader, codes: Sequence[Sequence[int]], lanes: int) -> Iterator[list[int | None]]:
    """Yield the beats that hardware of ``lanes`` lanes gives for a weight stream; None in lanes without a weight."""
    if header.codec == 0:
        items = [code for row in codes for code in row]
        count = min(lanes, WORD_BITS // (4, 8, 16)[header.raw_width])
        for start in range(0, len(items), count):
            beat = items[start : start + count]
            yield [*beat, *[None] * (lanes - len(beat))]
        return
    for first in range(0, header.channels, header.lanes):
        for position in range(header.length):
            for slot in range(0, header.lanes, lanes):
                channels = [
                    first + lane if lane < header.lanes and first + lane < header.channels else None
                    for lane in range(slot, slot + lanes)
                ]
                if any(channel is not None for channel in channels):
                    yield [None if channel is None else codes[channel][position] for channel in channels]


def header_values(header: WeightHeader) -> dict[str, int]:
    """Return the fields of a header by name."""
    return {field.name: getattr(header, field.name) for field in dataclass_fields(header)}
