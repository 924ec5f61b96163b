"""The reference ``line`` codec: plain Python, slow, and the norm that every other encoder and decoder equals."""

from collections.abc import Sequence

from dnnzip.format import (
    MAX_SEGMENT,
    SEGMENT_GROUP,
    SEGMENTS_PER_GROUP,
    WORD_BITS,
    WORD_BYTES,
    BitReader,
    BitWriter,
    Codec,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    WeightStream,
    signed,
)


def encode(codes: Sequence[int], channels: int) -> bytes:
    """Return the ``line`` weight stream of ``codes`` (of 16 bits) in storage order.

    The encoder takes codes that lie on straight segments, and loses nothing: from the first code on, the longest
    segment that hits every code exactly, then the next. So there are no more segments than those that the codes were
    made of. A segment of one code has a slope of 0.
    """
    mask = (1 << WORD_BITS) - 1
    segments: list[tuple[int, int, int]] = []  # length, intercept, slope
    start = 0
    while start < len(codes):
        slope = codes[start + 1] - codes[start] & mask if start + 1 < len(codes) else 0
        end = start + 1
        while end < len(codes) and end - start < MAX_SEGMENT and codes[end] - codes[end - 1] & mask == slope:
            end += 1
        segments.append((end - start, codes[start] & mask, slope))
        start = end
    payload: list[int] = []
    for first in range(0, len(segments), SEGMENTS_PER_GROUP):
        group = segments[first : first + SEGMENTS_PER_GROUP]
        lengths = BitWriter()
        for place, (length, _, _) in zip(SEGMENT_GROUP.fields, group, strict=False):
            lengths.write(length - place.bias, place.width)
        payload += lengths.to_words()
        for _, intercept, slope in group:
            payload += [intercept, slope]
    header = WeightHeader(
        codec=Codec.LINE,
        channels=channels,
        length=len(codes) // channels,
        payload_words=len(payload),
        log2_states=8,
        wide=1,
    )
    return WeightStream.sealed(header, b"".join(word.to_bytes(WORD_BYTES, "little") for word in payload)).data


def decode(words: StreamWords, header: WeightHeader, _table_set: TableSet | None) -> list[list[int]]:
    """Decode a payload; return the codes of each channel."""
    codes: list[int] = []
    lengths: list[int] = []  # of the group's segments that are still to come
    while len(codes) < header.weights:
        if not lengths:
            reader = BitReader(words.payload_word)
            fields = SEGMENT_GROUP.fields[:SEGMENTS_PER_GROUP]
            lengths = [reader.read(field.width) + field.bias for field in fields]
        length = lengths.pop(0)
        intercept = words.payload_word()
        slope = words.payload_word()
        if length > header.weights - len(codes):
            raise VerdictError(Verdict.BAD_CODE)
        codes += [signed(intercept + number * slope, WORD_BITS) for number in range(length)]
    return [codes[start : start + header.length] for start in range(0, header.weights, header.length)]
