"""The ``line`` codec: reference against fast, what is damaged, and how fast it is."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.codec import CodecOptions, CodeTensor, decode_tensor, encode_network, fast, reference
from dnnzip.codec.line import fast as line_fast
from dnnzip.codec.line import reference as line_reference
from dnnzip.format import (
    MAX_SEGMENT,
    SEGMENT_GROUP,
    WORD_BYTES,
    Codec,
    Limits,
    Verdict,
    WeightHeader,
    group_words,
)
from dnnzip_sim.stimulus.damage import any_damage, payload_of, resealed, rewritten
from dnnzip_sim.stimulus.streams import line_codes, line_stream


def wrapped(number):
    """Return a number as a signed one of 16 bits."""
    return (number + (1 << 15)) % (1 << 16) - (1 << 15)


@st.composite
def lines(draw):
    """(codes in storage order, channels): segments of all lengths, steep ones that wrap, and noise."""
    channels = draw(st.integers(1, 5))
    count = channels * draw(st.integers(1, 200))
    rng = random.Random(draw(st.integers(0, 1 << 20)))
    codes = []
    while len(codes) < count:
        codes += line_codes(rng, [rng.choice((1, 1, 2, 3, 20, 256, 257, 600))])
    return codes[:count], channels


def segments_of(stream):
    """Return (length, intercept, slope) of each segment, taken apart here with nothing of the codec's."""
    words = np.frombuffer(payload_of(stream), "<u2").astype(int)
    found = []
    for start in range(0, words.size, 5):
        group = words[start : start + 5]
        for number in range((group.size - 1) // 2):
            found.append(((group[0] >> 8 * number & 255) + 1, *group[1 + 2 * number : 3 + 2 * number]))
    return [tuple(int(part) for part in segment) for segment in found]


def agree(data, limits=None):
    """Decode with both decoders; return what the reference makes of it."""
    slow, quick = reference.decode(data, None, limits), fast.decode(data, None, limits)
    assert quick.verdict == slow.verdict
    assert quick.header == slow.header
    assert (quick.codes is None) == (slow.verdict != Verdict.OK)
    if quick.codes is not None:
        assert quick.codes.tolist() == slow.codes
    return slow


@settings(derandomize=True, deadline=None, max_examples=200)
@given(lines())
def test_streams_are_equal_and_come_back(case):
    codes, channels = case
    stream = line_reference.encode(codes, channels)
    assert line_fast.encode(np.array(codes, np.int16), channels) == stream
    decoded = agree(stream)
    assert decoded.verdict == Verdict.OK
    assert [code for row in decoded.codes for code in row] == codes
    assert len(decoded.codes) == channels


@settings(derandomize=True, deadline=None, max_examples=200)
@given(lines())
def test_segments_are_the_longest(case):
    codes, channels = case
    start = 0
    for length, intercept, slope in segments_of(line_reference.encode(codes, channels)):
        assert [wrapped(intercept + n * slope) for n in range(length)] == codes[start : start + length]
        start += length
        if start < len(codes) and 1 < length < MAX_SEGMENT:
            assert wrapped(intercept + length * slope) != codes[start]
    assert start == len(codes)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(lines(), st.integers(0, 1 << 20))
def test_damaged_streams_get_the_same_verdict(case, seed):
    rng = random.Random(seed)
    data = line_reference.encode(*case)
    for _ in range(rng.randrange(1, 4)):
        data = any_damage(rng, data, data)
    agree(data[: len(data) - (rng.random() < 0.2)])


def test_declared_counts_that_do_not_suit_the_segments():
    stream = line_stream(random.Random(3), (3, 2, 4, 2, 30))
    assert [length for length, *_ in segments_of(stream)] == [3, 2, 4, 2, 30]
    ends = {3, 5, 9, 11}  # a whole number of segments, and words after them
    wanted = {count: Verdict.TRAILING if count in ends else Verdict.BAD_CODE for count in range(1, 41)}
    wanted |= {41: Verdict.OK, 42: Verdict.TRUNCATED, 43: Verdict.TRUNCATED}
    assert {count: agree(rewritten(stream, length=count)).verdict for count in wanted} == wanted


SMALL = line_reference.encode([5, 6, 7, 8, 100, 90, 80, -1], 2)
"""Segments of 4, 3 and 1 codes in 8 payload words."""


def test_the_small_stream():
    assert segments_of(SMALL) == [(4, 5, 1), (3, 100, (1 << 16) - 10), (1, (1 << 16) - 1, 0)]
    assert agree(SMALL).codes == [[5, 6, 7, 8], [100, 90, 80, -1]]


@pytest.mark.parametrize(
    ("damage", "verdict"),
    [
        (lambda s: rewritten(s, length=3), Verdict.BAD_CODE),  # six weights: the second segment runs past them
        (lambda s: rewritten(s, channels=1, length=7), Verdict.TRAILING),  # the last group is left over
        (lambda s: rewritten(s, channels=1, length=9), Verdict.TRUNCATED),
        (lambda s: rewritten(s, payload_words=7), Verdict.TRUNCATED),
        (lambda s: rewritten(s, payload_words=4, length=3), Verdict.TRUNCATED),  # its words come before its length
        (lambda s: rewritten(s, payload_words=9), Verdict.TRAILING),
        (lambda s: rewritten(s, wide=0), Verdict.BAD_HEADER),
        (lambda s: rewritten(s, log2_lanes=1), Verdict.UNSUPPORTED),
        (lambda s: s[:-2], Verdict.TRUNCATED),
        (lambda s: s + b"\0\0", Verdict.TRAILING),
        (lambda s: s[:-1] + bytes([s[-1] ^ 1]), Verdict.BAD_CRC),
        (lambda s: rewritten(s, context=1, columns=1, class_per_channel=1, klass=7, raw_width=3), Verdict.OK),
        # The length that a last segment does not share with another is not looked at.
        (lambda s: resealed(s[:27] + b"\xff" + s[28:]), Verdict.OK),
    ],
)
def test_verdicts(damage, verdict):
    assert agree(damage(SMALL)).verdict == verdict


def test_a_decoder_without_lines_says_so():
    for words in (1, 2, len(SMALL) // 2):
        assert agree(SMALL[: 2 * words], Limits(line=False)).verdict == Verdict.UNSUPPORTED
    assert agree(SMALL, Limits(code_bits=8)).verdict == Verdict.UNSUPPORTED
    assert agree(SMALL[:2], Limits(code_bits=8)).verdict == Verdict.TRUNCATED


def test_counts_that_the_payload_cannot_hold_take_no_memory():
    huge = rewritten(SMALL, channels=1 << 21, length=1 << 20)
    assert fast.decode(huge).verdict == Verdict.BAD_HEADER


def test_the_payload_is_as_long_as_its_segments():
    assert [group_words(count) for count in range(6)] == [0, 3, 5, 8, 10, 13]
    assert group_words(2) == SEGMENT_GROUP.words
    assert len(payload_of(SMALL)) == WORD_BYTES * group_words(3)


def test_a_network_of_lines_has_no_tables():
    rng = np.random.default_rng(5)
    codes = np.cumsum(rng.integers(-3, 4, (7, 33)), axis=1).astype(np.int16)
    for groups in (1, 3):
        encoded = encode_network([CodeTensor("w", codes, (3, 3))], CodecOptions("line", groups=groups))
        assert (encoded.tables, encoded.codecs) == (b"", ["line"])
        assert WeightHeader.unpack(encoded.streams[0]).codec == Codec.LINE
        assert np.array_equal(decode_tensor(encoded.streams[0], b""), codes)


def test_millions_of_codes():
    codes = np.random.default_rng(1).integers(-(1 << 15), 1 << 15, (4, 1_000_000)).astype(np.int16)
    decoded = fast.decode(line_fast.encode(codes, 4))
    assert decoded.verdict == Verdict.OK
    assert np.array_equal(decoded.codes, codes)
