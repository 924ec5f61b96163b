"""The fast codec against the reference: byte for byte and verdict for verdict, on whatever hypothesis thinks of."""

import random

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dnnzip.codec import fast, reference
from dnnzip.codec.ans import fast as ans_fast
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import fast as raw_fast
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    ESCAPE,
    RAW_WIDTHS,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WEIGHTS_MAGIC,
    Codec,
    TableSet,
    Verdict,
    WeightHeader,
    WeightStream,
)
from dnnzip_sim.stimulus.damage import DAMAGE, any_damage, damaged
from dnnzip_sim.stimulus.streams import KERNELS, any_shape, any_stream, random_codes, random_tensor, raw_stream
from dnnzip_sim.stimulus.table_sets import any_table_set, random_table_set, single_token, tokens_up_to

SEEDS = st.integers(0, 1 << 20)


def tensor_of(seed):
    """Return all that a random ``ans`` stream is made of."""
    rng = random.Random(seed)
    tables = any_table_set(rng)
    return random_tensor(rng, tables, any_shape(rng, tables))


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


@settings(derandomize=True, max_examples=100)
@given(SEEDS)
def test_ans_streams_are_equal_and_come_back(seed):
    tensor = tensor_of(seed)
    array = np.array(tensor.codes, np.int16)
    assert ans_fast.encode(array, tensor.kernel, tensor.tables, tensor.choices) == tensor.stream
    decoded = agree(tensor.stream, tensor.tables)
    assert decoded.verdict == Verdict.OK
    assert decoded.codes == tensor.codes
    assert decoded.header.words * 2 == len(tensor.stream)
    assert decoded.header.wide == int(ans_fast.is_wide(array))
    event(f"lanes {decoded.header.lanes}, wide {decoded.header.wide}")


@settings(derandomize=True, max_examples=150)
@given(SEEDS)
def test_raw_streams_are_equal_and_come_back(seed):
    stream = raw_stream(random.Random(seed))
    decoded = agree(stream)
    assert decoded.verdict == Verdict.OK
    width = RAW_WIDTHS[decoded.header.raw_width]
    items = [item for row in decoded.codes for item in row]
    assert raw_reference.encode(items, decoded.header.channels, width) == stream
    assert raw_fast.encode(np.array(items, np.int16), decoded.header.channels, width) == stream


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
        stream = ans_reference.encode(codes, (1, 1), tables, choices)
        assert ans_fast.encode(np.array(codes, np.int16), (1, 1), tables, choices) == stream
        assert agree(stream, tables).codes == codes


@settings(derandomize=True, max_examples=100)
@given(SEEDS)
def test_what_a_table_cannot_express_is_refused_by_both(seed):
    rng = random.Random(seed)
    tables = random_table_set(rng, tokens=tokens_up_to(rng.randrange(32), escape=False))
    codes = random_codes(rng, 3, 6, 20)
    choices = AnsChoices(1, [rng.randrange(8)])
    try:
        stream = ans_reference.encode(codes, (1, 1), tables, choices)
    except ValueError as error:
        message = str(error)
        assert message.startswith("table ")
        with pytest.raises(ValueError, match=r"^table \d has no token -32$"):
            ans_fast.encode(np.array(codes, np.int16), (1, 1), tables, choices)
    else:
        assert ans_fast.encode(np.array(codes, np.int16), (1, 1), tables, choices) == stream


@pytest.mark.parametrize("encode", [ans_reference.encode, ans_fast.encode])
def test_more_lanes_than_channels_are_refused(encode):
    codes = np.zeros((3, 2), np.int16)
    with pytest.raises(ValueError, match=r"virtual lanes need as many channels|fields contradict each other"):
        encode(codes if encode is ans_fast.encode else codes.tolist(), (1, 1), single_token(0), AnsChoices(2, [0]))


@pytest.mark.parametrize("encode", [ans_reference.encode, ans_fast.encode])
def test_a_kernel_that_the_header_does_not_hold_is_refused(encode):
    codes = np.zeros((3, 9), np.int16)
    with pytest.raises(ValueError, match=r"^weight stream header: kernel_width must be 1 to 8, not 9$"):
        encode(codes if encode is ans_fast.encode else codes.tolist(), (1, 9), single_token(0), AnsChoices(0, [0]))


@settings(derandomize=True, max_examples=150)
@given(SEEDS)
def test_damaged_streams_end_alike(seed):
    """Of all codecs; some end within a word."""
    rng = random.Random(seed)
    tables = any_table_set(rng)
    stream, other = (any_stream(rng, tables, None, 200) for _ in range(2))
    for _ in range(12):
        kind = rng.choice(list(DAMAGE))
        bad = damaged(rng, kind, stream, other)
        bad = bad[: len(bad) - (rng.random() < 0.1)]
        verdict = agree(bad, tables).verdict
        event(verdict.label)
        if "checks" not in kind and bad != stream and len(bad) % 2 == 0:
            assert verdict != Verdict.OK, kind


def test_a_damaged_header_that_declares_too_much_ends_soon():
    rng = random.Random(1)
    tables = any_table_set(rng)
    for _ in range(200):
        fast.decode(any_damage(rng, any_stream(rng, tables), tables.to_bytes(), None), tables)


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=80), SEEDS, st.booleans())
def test_any_bytes_end_alike(data, seed, opened):
    if opened:
        data = bytes([WEIGHTS_MAGIC, 1]) + data
    agree(data, any_table_set(random.Random(seed)))


@settings(derandomize=True, max_examples=200)
@given(
    SEEDS,
    st.binary(max_size=120),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 4),
    st.sampled_from(KERNELS),
    st.integers(0, 15),
    st.integers(0, 7),
)
def test_any_payload_under_a_sound_header_ends_alike(seed, payload, channels, length, log2_lanes, kernel, flags, klass):
    """Every combination of flags, also those that our encoder does not choose."""
    tables = any_table_set(random.Random(seed))
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
    stream = WeightStream.sealed(header, payload + bytes(len(payload) % 2))
    event(agree(stream.data, tables).verdict.label)


def test_one_channel_with_a_class_of_its_own():
    """Our encoder writes such a class into the header; the format allows it in the payload as well."""
    base = random_table_set(random.Random(5), tables=2)
    tables = TableSet(8, ((0, 0, 0),) * 5 + ((1, 1, 1),) * 3, base.shifts, base.counts)
    for klass in (0, 6):
        plain = ans_reference.encode([[3]], (1, 1), tables, AnsChoices(0, [klass]))
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
        payload = np.array(words, "<u2").tobytes()
        decoded = agree(WeightStream.sealed(header, payload).data, tables)
        assert (decoded.verdict, decoded.codes) == (Verdict.OK, [[3]])


def test_a_header_that_lies_about_its_counts_takes_no_memory():
    import tracemalloc

    tables = single_token(0)
    for channels, length in ((1 << 21, 1 << 20), (1 << 21, 8), (1, 1 << 20), (2, 1 << 20)):
        header = WeightHeader(
            Codec.ANS, channels=channels, length=length, payload_words=2, log2_states=8, table_set=tables.table_set
        )
        stream = WeightStream.sealed(header, bytes(4)).data
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
    assert fast.decode(WeightStream.sealed(header, bytes(2)).data, tables).verdict == Verdict.BAD_HEADER
    raw = WeightHeader(Codec.RAW, channels=1 << 5, length=1 << 20, payload_words=1 << 24, raw_width=1)
    assert fast.decode(WeightStream.sealed(raw, bytes(2)).data, tables).verdict == Verdict.BAD_HEADER


def test_raw_streams_longer_than_their_payload_are_truncated_without_memory():
    raw = WeightHeader(Codec.RAW, channels=1, length=1 << 20, payload_words=1 << 19, raw_width=1)
    assert fast.decode(WeightStream.sealed(raw, bytes(2)).data).verdict == Verdict.TRUNCATED
