"""A weight stream with its header: made, read, split, and refused."""

import pytest

from dnnzip.format import WEIGHT_HEADER, Codec, Verdict, VerdictError, WeightHeader, WeightStream

HEADER = WeightHeader(Codec.RAW, channels=2, length=4, payload_words=4, log2_states=8, raw_width=1)
STREAM = WeightStream.sealed(HEADER, bytes(range(8)))


def verdict_of(data, read=WeightStream.from_bytes):
    with pytest.raises(VerdictError) as caught:
        read(data)
    return caught.value.verdict


def test_a_sealed_stream_is_read_back():
    assert len(STREAM.data) == 2 * HEADER.words
    assert WeightStream.from_bytes(STREAM.data) == STREAM
    assert WeightStream.split(3 * STREAM.data) == [STREAM] * 3


def test_a_header_that_contradicts_itself_is_not_sealed():
    with pytest.raises(ValueError, match=r"^weight stream header: fields contradict each other: "):
        WeightStream.sealed(WeightHeader(Codec.LINE, 1, 1, 1, wide=0), b"")


def test_a_damaged_header_is_refused_and_a_payload_is_not_looked_at():
    early = {0: {Verdict.BAD_MAGIC}, 1: {Verdict.VERSION, Verdict.UNSUPPORTED}, 2: {Verdict.UNSUPPORTED}}
    for position in range(WEIGHT_HEADER.bytes):
        # One byte alone is a word without a version.
        assert verdict_of(STREAM.data[:position]) == (Verdict.VERSION if position == 1 else Verdict.TRUNCATED)
        for bit in range(8):
            harmed = bytearray(STREAM.data)
            harmed[position] ^= 1 << bit
            assert verdict_of(bytes(harmed)) in early.get(position, set()) | {Verdict.BAD_HEADER}
    assert WeightStream.from_bytes(STREAM.data[: WEIGHT_HEADER.bytes]).header == HEADER


def test_what_is_no_row_of_streams_is_refused():
    assert verdict_of(b"", WeightStream.split) == Verdict.TRUNCATED
    assert verdict_of(STREAM.data + STREAM.data[:-2], WeightStream.split) == Verdict.TRUNCATED
    assert verdict_of(STREAM.data + bytes(20), WeightStream.split) == Verdict.BAD_MAGIC
