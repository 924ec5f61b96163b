"""Cases: sound and damaged streams in a row, one list for every decoder.

A case is a sequence of streams, table sets and weights, as a decoder meets them one after the other. ``outcomes`` plays
it through the reference codec; the fast codec, the decoder in C and the RTL must return the same. Everything random
comes from the seed, so a case is named completely by its name and its seed.
"""

import random
from collections.abc import Callable, Iterator

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import CLASSES, CONTEXTS, ESCAPE, TOKEN_ORDER, WEIGHT_HEADER, WORD_BYTES, Codec, Limits, TableSet
from dnnzip_sim.stimulus.damage import (
    any_damage,
    bits_flipped,
    crc_flipped,
    dropped_repeated_and_swapped,
    header_fields,
    layout_of,
    resealed,
    rewritten,
    truncated,
    zeroed_tails,
)
from dnnzip_sim.stimulus.outcomes import RTL_LIMITS, Case
from dnnzip_sim.stimulus.streams import (
    MOST_WEIGHTS,
    AnsShape,
    any_stream,
    line_stream,
    random_codes,
    random_stream,
    raw_stream,
)
from dnnzip_sim.stimulus.table_sets import any_table_set, random_table_set, single_token, tokens_up_to

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
            shape = AnsShape(channels, rng.randrange(1, 12), log2_lanes=log2_lanes)
            yield random_stream(rng, tables, shape)


def _shapes(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, log2_states=9, tables=3)
    yield tables.to_bytes()
    for kernel in ((1, 1), (1, 7), (7, 1), (2, 3), (3, 3), (5, 5), (8, 8)):
        taps = kernel[0] * kernel[1]
        # Not only whole kernels: the format asks for no multiple.
        for channels, length in ((1, 1), (3, 2 * taps), (6, taps + rng.randrange(1, 9))):
            log2_lanes = rng.randrange(0, channels.bit_length())
            flags = {"context": rng.random() < 0.8, "class_per_channel": rng.random() < 0.5}
            yield random_stream(rng, tables, AnsShape(channels, length, kernel, log2_lanes, **flags))


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
        (4096, 0, (1, 1), 20),
    ):
        yield random_stream(rng, tables, AnsShape(5, length, kernel, columns=columns, column_shift=shift))


def _raw(rng: random.Random) -> Iterator[bytes]:
    for width in (4, 8, 16):
        for channels, length in ((1, 1), (1, 4), (3, 5), (7, 9), (4, 64)):
            half = 1 << width - 1
            items = [rng.randrange(-half, half) for _ in range(channels * length)]
            yield raw_reference.encode(items, channels, width)


def _escapes(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, tokens=tokens_up_to(3))
    yield tables.to_bytes()
    for log2_lanes in range(5):
        yield random_stream(rng, tables, AnsShape(18, 7, (1, 3), log2_lanes, largest=20, wild=0.5))
    yield random_stream(rng, tables, AnsShape(channels=16, length=9, log2_lanes=4, wild=1.0))


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
            yield random_stream(rng, tables, AnsShape(19, 9, (3, 1), log2_lanes, largest=2000))
    # Half of the tokens are 0, so that a weight is often zero or not by its lowest bit, and the next table by that.
    counts = tuple({0: 128, -1: 64, 1: 64}.get(token, 0) for token in TOKEN_ORDER)
    contexts = tuple(tuple(rng.sample(range(7), CONTEXTS)) for _ in range(CLASSES))
    tables = TableSet(8, contexts, tuple(range(1, 8)), (counts,) * 7)
    yield tables.to_bytes()
    yield random_stream(rng, tables, AnsShape(channels=16, length=30, kernel=(1, 3), log2_lanes=4, largest=None))


def _largest_table_set(rng: random.Random) -> Iterator[bytes]:
    tables = random_table_set(rng, log2_states=9, tables=8, shifts=range(8))
    yield tables.to_bytes()
    yield random_stream(rng, tables, AnsShape(37, 75, (5, 5), log2_lanes=4, columns=3, largest=900))


def _short_streams(rng: random.Random) -> Iterator[bytes]:
    first, second = random_table_set(rng, tables=1), random_table_set(rng, tables=2)
    for tables in (first, second, first, first):
        yield tables.to_bytes()
        for _ in range(4):
            yield random_stream(rng, tables, AnsShape(channels=1, length=1, log2_lanes=0))
            yield raw_reference.encode([rng.randrange(16)], 1, 4)


def random_case(
    seed: int,
    limits: Limits = RTL_LIMITS,
    *,
    tables: int | None = None,
    most_weights: int = MOST_WEIGHTS,
    damage: bool = True,
) -> Case:
    """Return a case of any table set and any streams, a sound one last: all that the list forgets.

    Parameters
    ----------
    seed
        Of all that is random.
    limits
        Of the decoder, which takes all that is sound.
    tables
        Number of tables; random where not given.
    most_weights
        Of a stream.
    damage
        Whether damaged streams and table sets stand among the sound ones.
    """
    rng = _rng(seed, f"random {limits}")
    table_set = any_table_set(rng, limits, tables)
    set_up = table_set.to_bytes()
    sound = [any_stream(rng, table_set, limits, most_weights) for _ in range(rng.randrange(1, 6))]
    streams = [set_up]
    for stream in sound:
        if damage and rng.random() < 0.2:
            streams += [any_damage(rng, set_up, stream), stream, set_up]
        if damage and rng.random() < 0.8:
            made = any_damage(rng, stream, rng.choice((*sound, set_up)))
            streams += [made] if layout_of(made) is WEIGHT_HEADER else [made, set_up]
        streams.append(stream)
    return Case(f"random_{seed}", tuple(streams))


# --- damaged streams -------------------------------------------------------------------------------------------------


def damaged_cases(seed: int) -> list[Case]:
    """Return the cases of damaged streams; a sound one follows each, and has to be decoded."""
    rng = _rng(seed, "damaged")
    tables = random_table_set(rng)
    other = random_table_set(rng, log2_states=9, tables=1)
    ans = random_stream(rng, tables, AnsShape(channels=6, length=20, kernel=(2, 2), columns=3))
    narrow = random_stream(rng, tables, AnsShape(channels=4, length=9, largest=30, wild=0.0))
    raw = raw_reference.encode([rng.randrange(-128, 128) for _ in range(21)], 3, 8)
    sound = random_stream(rng, tables, AnsShape(channels=5, length=4))
    set_up = tables.to_bytes()
    quick = random_table_set(rng, tables=1)  # takes half the cycles to build
    quick_sound = random_stream(rng, quick, AnsShape(channels=5, length=4))

    def weights(name: str, bad: Iterator[bytes]) -> Case:
        return Case(name, (set_up, *_each_with(bad, sound)))

    def sets(name: str, damage: Callable[[bytes], Iterator[bytes]]) -> Case:
        good = quick.to_bytes()
        return Case(name, tuple(_each_with(damage(good), quick_sound, raw, good, quick_sound)))

    return [
        weights("weight_header_fields", header_fields(ans)),
        weights("raw_header_fields", header_fields(raw)),
        sets("table_header_fields", header_fields),
        weights("contradictions", _contradictions(ans, raw)),
        weights("truncated_weights", truncated(ans)),
        weights("truncated_raw", truncated(raw)),
        sets("truncated_tables", truncated),
        weights("wrong_crc", (bad for good in (ans, raw) for bad in crc_flipped(good))),
        sets("wrong_crc_of_tables", crc_flipped),
        weights("flipped_bits", bits_flipped(rng, ans, 24)),
        weights("resealed_bits", (resealed(bad) for bad in bits_flipped(rng, ans, 24, 16))),
        weights("narrow_codes", _narrow_codes(rng, narrow, tables)),
        sets("resealed_tables", lambda good: (resealed(bad) for bad in bits_flipped(rng, good, 16, 8))),
        weights("dropped_and_repeated_words", dropped_repeated_and_swapped(ans, _some_places(rng, ans))),
        weights("merged", iter((ans + sound, raw + sound, sound + set_up, raw + raw))),
        Case(
            "wrong_tables",
            (ans, raw, set_up, ans, other.to_bytes(), ans, raw, sound, set_up, sound, other.to_bytes(), set_up, ans),
        ),
    ]


def exhaustive_cases(seed: int) -> list[Case]:
    """Return long cases of damage at every place, for decoders that are quick: software, and RTL that is compiled."""
    rng = _rng(seed, "exhaustive")
    tables = random_table_set(rng)
    good, sound = tables.to_bytes(), random_stream(rng, tables, AnsShape(channels=5, length=4))
    raw = raw_stream(rng, RTL_LIMITS, 20)
    noise = [
        begin + rng.randbytes(WORD_BYTES * rng.randrange(1, 20))
        for begin in (b"", sound[:2], good[:2])
        for _ in range(500)
    ]

    def every_bit(stream: bytes) -> Iterator[bytes]:
        for bit in range(8 * layout_of(stream).bytes):
            flipped = bytearray(stream)
            flipped[bit // 8] ^= 1 << bit % 8
            yield from (bytes(flipped), resealed(bytes(flipped), layout_of(stream)))

    return [
        Case("every_header_bit", (good, *_each_with(every_bit(sound), sound))),
        Case("every_raw_header_bit", (good, *_each_with(every_bit(raw), sound))),
        Case("every_table_header_bit", tuple(_each_with(every_bit(good), sound))),
        Case("zeroed_tails", (*zeroed_tails(good), good, sound)),
        Case("noise", (good, *noise, good, sound)),
    ]


# --- line streams ----------------------------------------------------------------------------------------------------


def line_cases(seed: int) -> list[Case]:
    """Return the cases of ``line`` streams, sound and damaged, for decoders with ``LINE_LIMITS``."""
    rng = _rng(seed, "line")
    tables = random_table_set(rng)
    small = line_stream(rng, (3, 1, 5, 2, 30), 1)
    sound = line_stream(rng, (2, 2, 1), 1)

    def each(name: str, bad: Iterator[bytes]) -> Case:
        return Case(name, tuple(_each_with(bad, sound)))

    return [
        Case("line_lengths", tuple(line_stream(rng, (length,) * 3, 1) for length in (1, 2, 3, 4, 255, 256, 300))),
        Case("line_shapes", tuple(_line_shapes(rng))),
        Case("line_among_others", tuple(_line_among_others(rng, tables))),
        each("line_header_fields", header_fields(small)),
        each("line_truncated", truncated(small)),
        each("line_flipped", bits_flipped(rng, small, 24)),
        each("line_resealed", (resealed(bad) for bad in bits_flipped(rng, small, 40, WEIGHT_HEADER.bytes))),
        each("line_counts", (rewritten(small, length=length) for length in range(1, 60))),
        each("line_payloads", (rewritten(small, payload_words=words) for words in range(20))),
        each("line_dropped_and_repeated", dropped_repeated_and_swapped(small, _some_places(rng, small))),
        each("line_merged", iter((small + sound, sound + tables.to_bytes()))),
    ]


def _line_shapes(rng: random.Random) -> Iterator[bytes]:
    for channels in (1, 2, 5, 16, 100):
        lengths = [rng.choice((1, 2, 2, 3, 9, 40)) for _ in range(rng.randrange(channels, channels + 60))]
        yield line_stream(rng, lengths, channels)


def _line_among_others(rng: random.Random, tables: TableSet) -> Iterator[bytes]:
    yield tables.to_bytes()
    for _ in range(3):
        yield line_stream(rng, [rng.randrange(1, 9) for _ in range(5)], 1)
        yield random_stream(rng, tables, AnsShape(channels=6, length=7))
        yield line_stream(rng, [1], 1)
        yield raw_reference.encode([rng.randrange(16) for _ in range(9)], 3, 4)


def _contradictions(ans: bytes, raw: bytes) -> Iterator[bytes]:
    yield rewritten(ans, log2_lanes=4)  # more than the channels
    yield rewritten(ans, log2_lanes=5)  # more than the format knows
    yield rewritten(ans, log2_states=10)
    yield rewritten(ans, codec=Codec.LINE)
    yield rewritten(ans, payload_words=0)
    yield rewritten(ans, channels=4)
    yield rewritten(raw, log2_lanes=1)
    yield rewritten(raw, raw_width=2)  # wide items in a narrow stream
    yield rewritten(raw, raw_width=3)
    yield rewritten(raw, wide=1)  # allowed
    yield rewritten(raw, channels=4)
    yield rewritten(raw, channels=2)


def _narrow_codes(rng: random.Random, narrow: bytes, tables: TableSet) -> Iterator[bytes]:
    yield rewritten(narrow, wide=1)
    for log2_lanes in (0, 2):
        wide = random_stream(rng, tables, AnsShape(channels=5, length=7, log2_lanes=log2_lanes, wild=0.1))
        yield rewritten(wide, wide=0)
    for code in (-129, -128, 127, 128):
        edge = ans_reference.encode([[0, code]], (1, 1), tables, AnsChoices(0, [0]))
        yield rewritten(edge, wide=0)


def _each_with(damaged: Iterator[bytes], *after: bytes) -> Iterator[bytes]:
    """Yield each damaged stream and what comes after it."""
    for stream in damaged:
        yield from (stream, *after)


def _some_places(rng: random.Random, stream: bytes) -> list[int]:
    words = len(stream) // WORD_BYTES
    return sorted({0, 1, WEIGHT_HEADER.words, words - 1, *rng.sample(range(words), 4)})
