"""Damage to streams: each header field, bits, words, lengths and merges; in much of it the checks are right again."""

import random
from collections.abc import Callable, Iterator, Sequence

from dnnzip.format import (
    CRC_WORDS,
    TABLE_HEADER,
    TABLES_MAGIC,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    HeaderLayout,
    WeightHeader,
    crc8,
)
from dnnzip.format.crc import crc32

MOST_WEIGHTS = 1 << 13
"""The most weights that a damaged stream declares with a sound header: weights of no bits need no words to go on."""

CRC_BYTES = CRC_WORDS * WORD_BYTES

Words = list[int]


def words_of(stream: bytes) -> Words:
    """Return the 16-bit words of a stream; half a last word is filled with zeros."""
    return [int.from_bytes(stream[at : at + WORD_BYTES], "little") for at in range(0, len(stream), WORD_BYTES)]


def stream_of(words: Sequence[int]) -> bytes:
    """Return the stream of these words."""
    return b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)


def layout_of(stream: bytes) -> HeaderLayout:
    """Return the layout of a stream's header, which its first byte tells."""
    return TABLE_HEADER if stream[:1] == bytes([TABLES_MAGIC]) else WEIGHT_HEADER


def payload_of(stream: bytes) -> bytes:
    """Return the bytes between a stream's header and its CRC-32."""
    return stream[layout_of(stream).bytes : -CRC_BYTES]


def with_fields(stream: bytes, **values: int) -> bytes:
    """Return a stream with other values in its header; its checks are left as they were."""
    layout = layout_of(stream)
    return layout.pack(layout.unpack(stream) | values) + stream[layout.bytes :]


def resealed(stream: bytes, layout: HeaderLayout | None = None) -> bytes:
    """Return a stream with its header's check and its CRC-32 made right again, as far as it is long enough.

    Parameters
    ----------
    stream
        The stream.
    layout
        Of its header, where its first byte was changed.
    """
    layout = layout or layout_of(stream)
    if len(stream) < layout.bytes:
        return stream
    header = stream[: layout.bytes - 1]
    data = header + bytes([crc8(header)]) + stream[layout.bytes :]
    if len(data) < layout.bytes + CRC_BYTES:
        return data
    return data[:-CRC_BYTES] + crc32(data[:-CRC_BYTES])


def rewritten(stream: bytes, **values: int) -> bytes:
    """Return a stream with other values in its header and checks that are right."""
    return resealed(with_fields(stream, **values), layout_of(stream))


def with_payload(stream: bytes, payload: bytes) -> bytes:
    """Return a stream with another payload of whole words, which is declared, and checks that are right.

    Parameters
    ----------
    stream
        Its header must be whole.
    payload
        Bytes, a multiple of two; the declared count of words is at most what the header can hold.
    """
    layout = layout_of(stream)
    words = min(len(payload) // WORD_BYTES, layout["payload_words"].limit)
    return rewritten(stream[: layout.bytes] + payload + bytes(CRC_BYTES), payload_words=words)


# --- every place of one kind -----------------------------------------------------------------------------------------


def header_fields(stream: bytes) -> Iterator[bytes]:
    """Yield the stream with the lowest and the highest bit of every field changed, with the old checks and new ones."""
    layout = layout_of(stream)
    for field in layout.fields:
        for bit in sorted({0, field.width - 1}):
            number = int.from_bytes(stream[: layout.bytes], "little") ^ 1 << layout.offset(field.name) + bit
            damaged = number.to_bytes(layout.bytes, "little") + stream[layout.bytes :]
            yield damaged
            if field.name != "check":
                yield resealed(damaged, layout)


def truncated(stream: bytes) -> Iterator[bytes]:
    """Yield the stream cut after each of its words but the last."""
    for end in range(WORD_BYTES, len(stream), WORD_BYTES):
        yield stream[:end]


def dropped_repeated_and_swapped(stream: bytes, places: Sequence[int]) -> Iterator[bytes]:
    """Yield the stream with a word left out, given twice, or swapped with the one before, at each of the places.

    Parameters
    ----------
    places
        Numbers of words, from 0 up; word 0 is not swapped.
    """
    words = words_of(stream)
    for place in places:
        yield stream_of(words[:place] + words[place + 1 :])
        yield stream_of(words[: place + 1] + words[place:])
        if place:
            yield stream_of([*words[: place - 1], words[place], words[place - 1], *words[place + 1 :]])


def bits_flipped(rng: random.Random, stream: bytes, count: int, first_byte: int = 0) -> Iterator[bytes]:
    """Yield ``count`` versions of the stream with a bit flipped, anywhere from ``first_byte`` on.

    Parameters
    ----------
    count
        Versions to yield; two may be the same.
    first_byte
        Offset in bytes; bytes before it stay as they are.
    """
    for _ in range(count):
        damaged = bytearray(stream)
        damaged[rng.randrange(first_byte, len(stream))] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def crc_flipped(stream: bytes) -> Iterator[bytes]:
    """Yield the stream with a bit of each word of its CRC-32 flipped."""
    for place in range(len(stream) - CRC_BYTES, len(stream), WORD_BYTES):
        yield stream[:place] + bytes([stream[place] ^ 1]) + stream[place + 1 :]


def zeroed_tails(stream: bytes) -> Iterator[bytes]:
    """Yield table sets that go on with zeros from some bit near the end of a word on, and end with that word.

    A count's zeros then meet the end of the payload and the widest count at about the same bit.
    """
    payload = payload_of(stream)
    for words in range(2, len(payload) // WORD_BYTES):
        for bits in range(WORD_BITS * (words - 1) + 2, WORD_BITS * words + 1):
            cut = int.from_bytes(payload, "little") & (1 << bits) - 1
            yield with_payload(stream, cut.to_bytes(words * WORD_BYTES, "little"))


# --- anything, anywhere ----------------------------------------------------------------------------------------------


def _flipped_bit(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    return next(bits_flipped(rng, stream, 1))


def _flipped_bits(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    for _count in range(rng.randrange(2, 7)):
        (stream,) = bits_flipped(rng, stream, 1)
    return stream


def _flipped_payload_bit(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    head = layout_of(stream).bytes
    return resealed(next(bits_flipped(rng, stream, 1, head)) if len(stream) > head else stream)


def _dropped_word(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    words = words_of(stream)
    del words[rng.randrange(len(words))]
    return stream_of(words)


def _repeated_word(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    words = words_of(stream)
    place = rng.randrange(len(words))
    return stream_of([*words[: place + 1], *words[place:]])


def _swapped_words(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    words = words_of(stream)
    one = rng.randrange(len(words))
    other = rng.choice((rng.randrange(len(words)), (one + 1) % len(words)))
    words[one], words[other] = words[other], words[one]
    return stream_of(words)


def _replaced_words(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    words = words_of(stream)
    place = rng.randrange(len(words))
    for at in range(place, min(place + rng.choice((1, 4)), len(words))):
        words[at] = rng.choice((0, (1 << WORD_BITS) - 1, rng.randrange(1 << WORD_BITS)))
    return stream_of(words)


def _truncated(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    return stream[: WORD_BYTES * max(1, rng.randrange(len(stream) // WORD_BYTES))]


def _merged(rng: random.Random, stream: bytes, other: bytes) -> bytes:
    return stream + rng.choice((other, stream[: WORD_BYTES * rng.randrange(1, len(stream) // WORD_BYTES + 1)]))


def _header_field(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    layout = layout_of(stream)
    if len(stream) < layout.bytes:
        return stream
    field = rng.choice(layout.fields)
    largest = (1 << field.width) - 1
    old = layout.unpack(stream)[field.name] - field.bias
    near = (old + 1, old - 1, old ^ 1, old ^ 1 << field.width - 1)
    stored = rng.choice((0, 1, 2, largest, largest >> 1, *near, rng.randrange(largest + 1), 1 << rng.randrange(16)))
    return with_fields(stream, **{field.name: stored % (largest + 1) + field.bias})


def _sealed_header_field(rng: random.Random, stream: bytes, other: bytes) -> bytes:
    return resealed(_header_field(rng, stream, other), layout_of(stream))


def _payload_change(change: Callable[[random.Random, bytes, bytes], bytes]) -> "Change":
    """Return the damage that changes a payload of whole words, given that of another stream."""

    def damage(rng: random.Random, stream: bytes, other: bytes) -> bytes:
        if len(stream) < layout_of(stream).bytes + CRC_BYTES:
            return stream
        payload = change(rng, payload_of(stream), payload_of(other))
        return with_payload(stream, payload + bytes(len(payload) % WORD_BYTES))

    return damage


def _payload_word_dropped(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    place = WORD_BYTES * rng.randrange(len(payload) // WORD_BYTES + 1)
    return payload[:place] + payload[place + WORD_BYTES :]


def _payload_longer_or_shorter(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    words = rng.choice((-2, -1, 1, 2))
    return payload[: words * WORD_BYTES] if words < 0 else payload + rng.randbytes(words * WORD_BYTES)


def _payload_random(rng: random.Random, payload: bytes, _: bytes) -> bytes:
    return rng.randbytes(len(payload))


def scrambled(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """Return any bytes with some of them changed, cut out, put in, repeated or replaced by some of ``other``."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(7):
            case 0 | 1 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 2 if changed:
                changed[place % len(changed)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 3:
                changed[place:place] = rng.randbytes(rng.choice((1, 2, 2, 4, 16)))
            case 4:
                del changed[place : place + rng.choice((1, 2, 2, 4, 16))]
            case 5 if other:
                start = rng.randrange(len(other))
                piece = other[start : start + rng.choice((2, 4, 16, 64))]
                changed[place : place + len(piece)] = piece
            case _:
                repeated = changed[place : place + rng.choice((2, 4, 8))]
                changed[place:place] = repeated * rng.choice((1, 2, 8))
    return bytes(changed)


def _scrambled(rng: random.Random, stream: bytes, other: bytes) -> bytes:
    made = scrambled(rng, stream, other)
    return made + bytes(len(made) % WORD_BYTES)


def _random_words(rng: random.Random, stream: bytes, _: bytes) -> bytes:
    magic = rng.choice((b"", b"", stream[:2]))  # with the right start it goes further
    return magic + rng.randbytes(WORD_BYTES * rng.randrange(1, 40))


def renamed(stream: bytes, tables: bytes) -> bytes:
    """Return a weight stream that names a table set, where the headers of both are whole."""
    if len(stream) < WEIGHT_HEADER.bytes or len(tables) < TABLE_HEADER.bytes:
        return stream
    fields = TABLE_HEADER.unpack(tables)
    values = WEIGHT_HEADER.unpack(stream) | {"table_set": fields["table_set"], "log2_states": fields["log2_states"]}
    return resealed(WEIGHT_HEADER.pack(values) + stream[WEIGHT_HEADER.bytes :], WEIGHT_HEADER)


def _renamed(rng: random.Random, stream: bytes, other: bytes) -> bytes:
    if layout_of(other) is TABLE_HEADER and rng.random() < 0.5:
        return renamed(stream, other)
    return rewritten(stream, table_set=rng.randrange(1 << 16)) if len(stream) >= WEIGHT_HEADER.bytes else stream


Change = Callable[[random.Random, bytes, bytes], bytes]

DAMAGE: dict[str, Change] = {
    "flipped bit": _flipped_bit,
    "flipped bits": _flipped_bits,
    "flipped payload bit, checks made to match": _flipped_payload_bit,
    "dropped word": _dropped_word,
    "dropped payload word, checks made to match": _payload_change(_payload_word_dropped),
    "repeated word": _repeated_word,
    "swapped words": _swapped_words,
    "replaced words": _replaced_words,
    "truncated": _truncated,
    "changed header field": _header_field,
    "changed header field, checks made to match": _sealed_header_field,
    "longer or shorter payload, checks made to match": _payload_change(_payload_longer_or_shorter),
    "scrambled payload, checks made to match": _payload_change(scrambled),
    "random payload, checks made to match": _payload_change(_payload_random),
    "another table set's name, checks made to match": _renamed,
    "scrambled bytes": _scrambled,
    "random words": _random_words,
    "two merged streams": _merged,
}
"""Changes of a stream of whole words into another one, given a second stream."""


def damaged(
    rng: random.Random, kind: str, stream: bytes, other: bytes, most_weights: int | None = MOST_WEIGHTS
) -> bytes:
    """Return a stream with damage of one kind, in whole words; as it was where the damage would leave nothing of it.

    Parameters
    ----------
    rng
        Source of randomness.
    kind
        A key of ``DAMAGE``.
    stream, other
        A stream, and another one that takes part in merges and splices.
    most_weights
        The stream is left as it was where it would declare more with a sound header.
    """
    made = DAMAGE[kind](rng, stream, other)
    return stream if not made or (most_weights is not None and _declared(made) > most_weights) else made


def any_damage(rng: random.Random, stream: bytes, other: bytes, most_weights: int | None = MOST_WEIGHTS) -> bytes:
    """Return a stream with damage of any kind."""
    return damaged(rng, rng.choice(list(DAMAGE)), stream, other, most_weights)


def _declared(stream: bytes) -> int:
    """Return the weights that a sound header of a weight stream declares; 0 where there is none."""
    header = stream[: WEIGHT_HEADER.bytes]
    if len(header) < WEIGHT_HEADER.bytes or layout_of(header) is TABLE_HEADER or crc8(header):
        return 0
    return WeightHeader.unpack(header).weights
