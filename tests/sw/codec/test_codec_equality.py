"""The fast codec against the reference: byte for byte and verdict for verdict, on whatever hypothesis thinks of."""

import random
import zlib

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dnnzip.codec import fast, reference
from dnnzip.codec.reference import AnsChoices
from dnnzip.format import (
    ESCAPE,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WEIGHTS_MAGIC,
    Codec,
    TableSet,
    Verdict,
    WeightHeader,
    crc8,
)
from dnnzip_sim.stimulus.streams import random_codes
from dnnzip_sim.stimulus.table_sets import random_table_set, single_token

KERNELS = ((1, 1), (1, 1), (3, 3), (1, 3), (3, 1), (1, 8), (8, 1), (2, 3), (5, 5), (8, 8), (7, 2))
REFERENCE_WEIGHTS = 20_000
"""The reference decoder is not asked for more: it is slow, and takes a header at its word."""


@st.composite
def table_sets(draw, escape=True):
    rng = random.Random(draw(st.integers(0, 1 << 20)))
    log2_states = draw(st.sampled_from((8, 9, 10)))
    shifts = range(draw(st.integers(1, min(8, 17 - log2_states))))
    return random_table_set(
        rng,
        log2_states=log2_states,
        tables=draw(st.integers(1, 8)),
        shifts=shifts,
        largest=draw(st.integers(0, 31)),
        escape=escape,
    )


@st.composite
def tensors(draw):
    """Codes, a kernel, a table set, and an encoder's choices: all that an ``ans`` stream is made of."""
    tables = draw(table_sets())
    rng = random.Random(draw(st.integers(0, 1 << 20)))
    log2_lanes = draw(st.integers(0, 4))
    channels = draw(st.integers(1 << log2_lanes, (1 << log2_lanes) + 20))
    # Codes are decoded in tiles of 64 rounds.
    length = draw(st.one_of(st.integers(1, 40), st.sampled_from((63, 64, 65, 130))))
    largest = draw(st.sampled_from((0, 1, 4, 40, 128, 5000)))
    codes = random_codes(rng, channels, length, largest, draw(st.sampled_from((0.0, 0.0, 0.02, 0.5))))
    columns = draw(st.sampled_from((0, 0, 1, 3, 8, 9, 50)))
    choices = AnsChoices(
        log2_lanes,
        [rng.randrange(8) for _ in range(draw(st.sampled_from((1, channels))))],
        draw(st.sampled_from((0, 1, 2, 15))) if columns else 0,
        [rng.randrange(4) for _ in range(columns)],
        draw(st.booleans()),
    )
    return codes, draw(st.sampled_from(KERNELS)), tables, choices


def agree(data, tables=None):
    """Decode with both; return what the reference makes of it."""
    slow = reference.decode(data, tables)
    quick = fast.decode(data, tables)
    assert quick.verdict == slow.verdict
    assert quick.header == slow.header
    if slow.verdict == Verdict.OK:
        assert quick.codes.dtype == np.int16
        assert quick.codes.tolist() == slow.codes
    else:
        assert quick.codes is None
    return slow


@settings(derandomize=True, deadline=None, max_examples=150)
@given(tensors())
def test_ans_streams_are_equal_and_come_back(tensor):
    codes, kernel, tables, choices = tensor
    stream = reference.encode_ans(codes, kernel, tables, choices)
    assert fast.encode_ans(np.array(codes, np.int16), kernel, tables, choices) == stream
    decoded = agree(stream, tables)
    assert decoded.verdict == Verdict.OK
    assert decoded.codes == codes
    assert decoded.header.words * 2 == len(stream)
    assert decoded.header.wide == int(max(max(map(abs, row)) for row in codes) > 127 and fast.is_wide(np.array(codes)))
    event(f"lanes {decoded.header.lanes}, wide {decoded.header.wide}")


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 1 << 20), st.integers(1, 20), st.integers(1, 60), st.sampled_from((4, 8, 16)))
def test_raw_streams_are_equal_and_come_back(seed, channels, length, width):
    rng = random.Random(seed)
    items = [rng.randrange(-(1 << width - 1), 1 << width - 1) for _ in range(channels * length)]
    stream = reference.encode_raw(items, channels, width)
    assert fast.encode_raw(np.array(items, np.int16), channels, width) == stream
    decoded = agree(stream)
    assert [item for row in decoded.codes for item in row] == items


@pytest.mark.parametrize("token", TOKEN_ORDER)
@pytest.mark.parametrize("log2_states", [8, 10])
def test_tables_of_one_token(token, log2_states):
    shift = 0 if token == ESCAPE else abs(token) % 4
    tables = single_token(token, log2_states=log2_states, shift=shift)
    rng = random.Random(token)
    for log2_lanes, context in ((0, False), (2, False), (4, True)):
        if token == ESCAPE:
            codes = random_codes(rng, 17, 5, 0, wild=1.0)
        else:
            codes = [[(token << shift) + rng.randrange(1 << shift) for _ in range(5)] for _ in range(17)]
        choices = AnsChoices(log2_lanes, [0], context=context and token in (0, ESCAPE) and shift == 0)
        stream = reference.encode_ans(codes, (1, 1), tables, choices)
        assert fast.encode_ans(np.array(codes, np.int16), (1, 1), tables, choices) == stream
        assert agree(stream, tables).codes == codes


@settings(derandomize=True, deadline=None, max_examples=100)
@given(table_sets(escape=False), st.integers(0, 1 << 20))
def test_what_a_table_cannot_express_is_refused_by_both(tables, seed):
    rng = random.Random(seed)
    codes = random_codes(rng, 3, 6, 20)
    choices = AnsChoices(1, [rng.randrange(8)])
    try:
        stream = reference.encode_ans(codes, (1, 1), tables, choices)
    except ValueError as error:
        message = str(error)
        assert message.startswith("table ")
        with pytest.raises(ValueError, match=r"^table \d has no token -32$"):
            fast.encode_ans(np.array(codes, np.int16), (1, 1), tables, choices)
    else:
        assert fast.encode_ans(np.array(codes, np.int16), (1, 1), tables, choices) == stream


@pytest.mark.parametrize("encode", [reference.encode_ans, fast.encode_ans])
def test_more_lanes_than_channels_are_refused(encode):
    codes = np.zeros((3, 2), np.int16)
    with pytest.raises(ValueError, match=r"virtual lanes need as many channels|fields contradict each other"):
        encode(codes if encode is fast.encode_ans else codes.tolist(), (1, 1), single_token(0), AnsChoices(2, [0]))


@pytest.mark.parametrize("encode", [reference.encode_ans, fast.encode_ans])
def test_a_kernel_that_the_header_does_not_hold_is_refused(encode):
    codes = np.zeros((3, 9), np.int16)
    with pytest.raises(ValueError, match=r"^weight stream header: kernel_width must be 1 to 8, not 9$"):
        encode(codes if encode is fast.encode_ans else codes.tolist(), (1, 9), single_token(0), AnsChoices(0, [0]))


def resealed(stream):
    """Make the header's check and the CRC-32 right again."""
    header = stream[: WEIGHT_HEADER.bytes - 1]
    data = header + bytes([crc8(header)]) + stream[WEIGHT_HEADER.bytes : -4]
    return data + zlib.crc32(data).to_bytes(4, "little")


def damaged(rng, stream):
    """Do one thing to a stream that lines, memories and people do."""
    words = [stream[place : place + 2] for place in range(0, len(stream), 2)]
    place = rng.randrange(len(words))
    kind = rng.choice(("flip", "flip", "flip payload", "cut", "drop", "repeat", "swap", "noise", "field", "odd"))
    if kind.startswith("flip"):
        data = bytearray(stream)
        first = WEIGHT_HEADER.bytes if kind == "flip payload" else 0
        data[rng.randrange(first, len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)
    if kind == "field":
        name = rng.choice([field.name for field in WEIGHT_HEADER.fields])
        field = WEIGHT_HEADER[name]
        value = rng.choice(
            (field.bias, field.limit, rng.randint(field.bias, field.limit), rng.randint(0, 8) + field.bias)
        )
        values = WEIGHT_HEADER.unpack(stream) | {name: min(value, field.limit)}
        return WEIGHT_HEADER.pack(values) + stream[WEIGHT_HEADER.bytes :]
    if kind == "cut":
        words = words[:place]
    elif kind == "drop":
        del words[place]
    elif kind == "repeat":
        words.insert(place, words[place])
    elif kind == "swap":
        other = rng.randrange(len(words))
        words[place], words[other] = words[other], words[place]
    elif kind == "noise":
        for other in range(place, min(place + 4, len(words))):
            words[other] = rng.randbytes(2)
    else:
        return stream[: rng.randrange(len(stream))]
    return b"".join(words)


def declared_weights(data):
    return WeightHeader.unpack(data).weights if len(data) >= WEIGHT_HEADER.bytes else 0


@settings(derandomize=True, deadline=None, max_examples=60)
@given(tensors(), st.integers(0, 1 << 20), st.booleans())
def test_damaged_ans_streams_end_alike(tensor, seed, seal):
    codes, kernel, tables, choices = tensor
    rng = random.Random(seed)
    stream = fast.encode_ans(np.array(codes, np.int16), kernel, tables, choices)
    for _ in range(12):
        bad = damaged(rng, stream)
        if seal and len(bad) > WEIGHT_HEADER.bytes + 4:
            bad = resealed(bad)
        if declared_weights(bad) > REFERENCE_WEIGHTS:
            fast.decode(bad, tables)  # It stops, and that is all that is asked here.
            continue
        decoded = agree(bad, tables)
        event(decoded.verdict.label)
        if not seal and bad != stream and len(bad) % 2 == 0:
            assert decoded.verdict != Verdict.OK


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 1 << 20), st.sampled_from((4, 8, 16)), st.booleans())
def test_damaged_raw_streams_end_alike(seed, width, seal):
    rng = random.Random(seed)
    channels, length = rng.randrange(1, 5), rng.randrange(1, 20)
    items = [rng.randrange(-(1 << width - 1), 1 << width - 1) for _ in range(channels * length)]
    stream = reference.encode_raw(items, channels, width)
    for _ in range(12):
        bad = damaged(rng, stream)
        if seal and len(bad) > WEIGHT_HEADER.bytes + 4:
            bad = resealed(bad)
        if declared_weights(bad) <= REFERENCE_WEIGHTS:
            agree(bad, single_token(0))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=80), table_sets(), st.booleans())
def test_any_bytes_end_alike(data, tables, opened):
    if opened:
        data = bytes([WEIGHTS_MAGIC, 1]) + data
    agree(data, tables)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    table_sets(),
    st.binary(max_size=120),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 4),
    st.sampled_from(KERNELS),
    st.integers(0, 15),
    st.integers(0, 7),
)
def test_any_payload_under_a_sound_header_ends_alike(
    tables, payload, channels, length, log2_lanes, kernel, flags, klass
):
    """Every combination of flags, also those that our encoder does not choose."""
    payload += bytes(len(payload) % 2)
    header = WeightHeader(
        Codec.ANS,
        channels=max(channels, 1 << log2_lanes),
        length=length,
        payload_words=len(payload) // 2,
        log2_lanes=log2_lanes,
        log2_states=tables.log2_states,
        wide=flags & 1,
        context=flags >> 1 & 1,
        klass=klass,
        class_per_channel=flags >> 2 & 1,
        columns=flags >> 3,
        table_set=tables.table_set,
        kernel_height=kernel[0],
        kernel_width=kernel[1],
    )
    stream = reference.seal(
        header, [int.from_bytes(payload[at : at + 2], "little") for at in range(0, len(payload), 2)]
    )
    event(agree(stream, tables).verdict.label)


def test_one_channel_with_a_class_of_its_own():
    """Our encoder writes such a class into the header; the format allows it in the payload as well."""
    base = random_table_set(random.Random(5), tables=2)
    tables = TableSet(8, ((0, 0, 0),) * 5 + ((1, 1, 1),) * 3, base.shifts, base.counts)
    for klass in (0, 6):
        plain = reference.encode_ans([[3]], (1, 1), tables, AnsChoices(0, [klass]))
        payload = int.from_bytes(plain[WEIGHT_HEADER.bytes : -4], "little")
        state, rest = payload & 0xFF, payload >> 8
        moved = state | klass << 8 | rest << 11
        words = [moved & 0xFFFF, moved >> 16 & 0xFFFF]
        header = WeightHeader(
            Codec.ANS,
            channels=1,
            length=1,
            payload_words=2,
            log2_states=8,
            context=1,
            class_per_channel=1,
            table_set=tables.table_set,
        )
        decoded = agree(reference.seal(header, words), tables)
        assert (decoded.verdict, decoded.codes) == (Verdict.OK, [[3]])


def test_a_header_that_lies_about_its_counts_takes_no_memory():
    import tracemalloc

    tables = single_token(0)
    for channels, length in ((1 << 21, 1 << 20), (1 << 21, 8), (1, 1 << 20), (2, 1 << 20)):
        header = WeightHeader(
            Codec.ANS, channels=channels, length=length, payload_words=2, log2_states=8, table_set=tables.table_set
        )
        stream = reference.seal(header, [0, 0])
        fast.decode(stream, tables)
        tracemalloc.start()
        decoded = fast.decode(stream, tables)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        if channels * length <= fast.ALWAYS_DECODED:
            # So few are decoded whatever the payload says: a network of zeros is sound.
            assert decoded.verdict == Verdict.OK
            assert not decoded.codes.any()
        else:
            assert decoded.verdict == Verdict.BAD_HEADER
            assert peak < 100_000
    # The limit is on the words that are there, not on those that the header promises.
    header = WeightHeader(
        Codec.ANS, channels=1 << 21, length=1 << 20, payload_words=1 << 24, log2_states=8, table_set=tables.table_set
    )
    assert fast.decode(reference.seal(header, [0]), tables).verdict == Verdict.BAD_HEADER
    raw = WeightHeader(Codec.RAW, channels=1 << 5, length=1 << 20, payload_words=1 << 24, raw_width=1)
    assert fast.decode(reference.seal(raw, [0]), tables).verdict == Verdict.BAD_HEADER


def test_raw_streams_longer_than_their_payload_are_truncated_without_memory():
    raw = WeightHeader(Codec.RAW, channels=1, length=1 << 20, payload_words=1 << 19, raw_width=1)
    assert fast.decode(reference.seal(raw, [0])).verdict == Verdict.TRUNCATED
