"""Sound streams, and the ways in which they are broken.

All randomness comes from the generator that is passed in. However a stream is broken, its final word carries ``last``,
as the harness marks it.
"""

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CLASSES,
    CRC_WORDS,
    ESCAPE,
    NARROW_BITS,
    TABLE_HEADER,
    TABLES_MAGIC,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    HeaderLayout,
    Limits,
    TableSet,
    WeightHeader,
    crc8,
)
from dnnzip_sim.cases import random_codes, random_line_stream, random_stream, random_table_set, single_token

MOST_WEIGHTS = 1 << 15
"""The most weights that a broken stream declares with a sound header: weights of no bits need no words to go on."""

KERNELS = ((1, 1), (1, 1), (3, 3), (5, 5), (1, 3), (2, 1), (8, 8))

Words = list[int]


@dataclass(frozen=True)
class Family:
    """A sound table set and sound weight streams for it, raw and line streams among them.

    Parameters
    ----------
    tables
        The table set stream.
    table_cycles
        About how many cycles it takes.
    weights
        The weight streams.
    """

    tables: bytes
    table_cycles: int
    weights: tuple[bytes, ...]


def families(rng: random.Random, limits: Limits, count: int, streams: int) -> list[Family]:
    """Return families for a decoder with these limits, every third with degenerate tables."""
    return [_family(rng, limits, streams, degenerate=number % 3 == 2) for number in range(count)]


def _family(rng: random.Random, limits: Limits, streams: int, *, degenerate: bool) -> Family:
    log2_states = rng.randrange(8, limits.log2_states + 1)
    if degenerate:
        token = rng.choice((0, 0, 1, -3, ESCAPE))
        shift = rng.randrange(min(limits.low_bits, 2) + 1)
        tables = single_token(token, log2_states=log2_states, shift=shift)
        made = [_single_token_stream(rng, limits, tables, token) for _ in range(streams)]
    else:
        tables = random_table_set(
            rng,
            log2_states=log2_states,
            tables=rng.choice((1, 1, 2, 3, 8)),
            shifts=range(rng.randrange(1, limits.low_bits + 2)),
            largest=rng.choice((0, 1, 2, 8, 31)),
        )
        made = [_stream(rng, limits, tables) for _ in range(streams)]
    cycles = len(tables.counts) * (5 << log2_states) // 2 + 500
    return Family(tables.to_bytes(), cycles, tuple(made))


def _stream(rng: random.Random, limits: Limits, tables: TableSet) -> bytes:
    narrow = limits.code_bits == NARROW_BITS
    kind = rng.random()
    if kind < 0.15:
        return _raw_stream(rng, narrow)
    if kind < 0.35 and limits.line:
        return random_line_stream(rng, [rng.choice((1, 2, 3, 9, 40)) for _ in range(rng.randrange(1, 20))], 1)
    log2_lanes = rng.randrange(limits.log2_lanes + 1)
    channels = rng.choice((1 << log2_lanes, rng.randrange(1 << log2_lanes, 3 * (1 << log2_lanes) + 1)))
    return random_stream(
        rng,
        tables,
        channels=channels,
        length=rng.randrange(1, max(2, 240 // channels)),
        kernel=rng.choice(KERNELS),
        log2_lanes=log2_lanes,
        largest=rng.choice((0, 1, 5, 40, 120 if narrow else 900)),
        wild=0.0 if narrow else rng.choice((0.0, 0.02, 0.4)),
        columns=rng.choice((0, 0, 1, 3, 17)),
        column_shift=rng.randrange(3),
        context=rng.random() < 0.7,
        class_per_channel=rng.random() < 0.5,
    )


def _raw_stream(rng: random.Random, narrow: bool) -> bytes:
    width = rng.choice((4, 8) if narrow else (4, 8, 16))
    channels, length = rng.randrange(1, 9), rng.randrange(1, 30)
    half = 1 << width - 1
    return raw_reference.encode([rng.randrange(-half, half) for _ in range(channels * length)], channels, width)


def _single_token_stream(rng: random.Random, limits: Limits, tables: TableSet, token: int) -> bytes:
    """Return a stream for a set of one token: its weights take no state bits, and all or none of them are escapes."""
    log2_lanes = rng.randrange(limits.log2_lanes + 1)
    channels, length = rng.randrange(1 << log2_lanes, 3 * (1 << log2_lanes) + 1), rng.randrange(1, 12)
    low = 1 << tables.shifts[0]
    if token == ESCAPE:
        narrow = limits.code_bits == NARROW_BITS
        codes = random_codes(rng, channels, length, 100, wild=0.0 if narrow else 0.5)
    else:
        codes = [[token * low + rng.randrange(low) for _ in range(length)] for _ in range(channels)]
    classes = [rng.randrange(CLASSES) for _ in range(channels)]
    return ans_reference.encode(codes, (1, 1), tables, AnsChoices(log2_lanes, classes, context=False))


# --- faults ----------------------------------------------------------------------------------------------------------


def _flipped_bit(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001 - all faults look alike
    words[rng.randrange(len(words))] ^= 1 << rng.randrange(WORD_BITS)
    return words


def _flipped_bits(rng: random.Random, words: Words, other: Words) -> Words:
    for _ in range(rng.randrange(2, 7)):
        words = _flipped_bit(rng, words, other)
    return words


def _flipped_payload_bit(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    head = _layout(words).words
    if len(words) > head:
        words[rng.randrange(head, len(words))] ^= 1 << rng.randrange(WORD_BITS)
    return _sealed(words)


def _dropped_word(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    del words[rng.randrange(len(words))]
    return words


def _dropped_payload_word(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    head = _layout(words).words
    if len(words) > head + CRC_WORDS:
        del words[rng.randrange(head, len(words) - CRC_WORDS)]
        words = _with_field(words, "payload_words", len(words) - head - CRC_WORDS)
    return _sealed(words)


def _repeated_word(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    place = rng.randrange(len(words))
    return [*words[: place + 1], *words[place:]]


def _swapped_words(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    place = rng.randrange(len(words) - 1)
    words[place : place + 2] = reversed(words[place : place + 2])
    return words


def _truncated(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    return words[: rng.randrange(1, len(words))]


def _header_field(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    layout = _layout(words)
    field = rng.choice(layout.fields)
    old = layout.unpack(_bytes(words[: layout.words]))[field.name] - field.bias
    stored = rng.choice((0, 1, (1 << field.width) - 1, old + 1, old - 1, rng.randrange(1 << field.width)))
    return _sealed(_with_field(words, field.name, stored % (1 << field.width)))


def _random_payload(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    head = _layout(words).words
    return _sealed(words[:head] + [rng.randrange(1 << WORD_BITS) for _ in words[head:]])


def _random_words(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    return [rng.randrange(1 << WORD_BITS) for _ in range(rng.randrange(1, 40))]


def _merged(rng: random.Random, words: Words, other: Words) -> Words:  # noqa: ARG001
    return words + other


FAULTS: dict[str, Callable[[random.Random, Words, Words], Words]] = {
    "flipped bit": _flipped_bit,
    "flipped bits": _flipped_bits,
    "flipped payload bit, checks made to match": _flipped_payload_bit,
    "dropped word": _dropped_word,
    "dropped payload word, checks made to match": _dropped_payload_word,
    "repeated word": _repeated_word,
    "swapped words": _swapped_words,
    "truncated": _truncated,
    "changed header field, checks made to match": _header_field,
    "random payload, checks made to match": _random_payload,
    "random words": _random_words,
    "two merged streams": _merged,
}
"""What is done to a stream's words, given another stream's."""


def broken(rng: random.Random, kind: str, stream: bytes, other: bytes) -> bytes:
    """Return ``stream`` with a fault of this kind; one that would give more weights than any test waits for, as it is.

    Parameters
    ----------
    rng
        Source of randomness.
    kind
        A key of ``FAULTS``.
    stream, other
        A sound stream, and another one that may follow without a ``last`` between them.
    """
    made = _bytes(FAULTS[kind](rng, _words(stream), _words(other)))
    return made if _decodes_soon(made) else stream


def _decodes_soon(stream: bytes) -> bool:
    if len(stream) < WEIGHT_HEADER.bytes or stream[0] == TABLES_MAGIC or crc8(stream[: WEIGHT_HEADER.bytes]):
        return True
    return WeightHeader.unpack(stream[: WEIGHT_HEADER.bytes]).weights <= MOST_WEIGHTS


def _layout(words: Sequence[int]) -> HeaderLayout:
    return TABLE_HEADER if words[0] & 0xFF == TABLES_MAGIC else WEIGHT_HEADER


def _words(stream: bytes) -> Words:
    return [int.from_bytes(stream[at : at + WORD_BYTES], "little") for at in range(0, len(stream), WORD_BYTES)]


def _bytes(words: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)


def _with_field(words: Words, name: str, stored: int) -> Words:
    layout = _layout(words)
    head = int.from_bytes(_bytes(words[: layout.words]), "little")
    mask = (1 << layout[name].width) - 1 << layout.offset(name)
    head = head & ~mask | stored << layout.offset(name) & mask
    return _words(head.to_bytes(layout.bytes, "little")) + words[layout.words :]


def _sealed(words: Words) -> Words:
    """Return the words with the header's check and the CRC-32 made to match."""
    layout = _layout(words)
    data = bytearray(_bytes(words))
    if len(data) >= layout.bytes:
        data[layout.bytes - 1] = crc8(bytes(data[: layout.bytes - 1]))
    body = len(data) - CRC_WORDS * WORD_BYTES
    if body >= layout.bytes:
        data[body:] = zlib.crc32(bytes(data[:body])).to_bytes(CRC_WORDS * WORD_BYTES, "little")
    return _words(bytes(data))
