"""The reference ``raw`` codec: plain Python, slow, and the norm that every other encoder and decoder equals."""

from collections.abc import Sequence

from dnnzip.format import (
    RAW_WIDTHS,
    WORD_BITS,
    WORD_BYTES,
    BitReader,
    BitWriter,
    Codec,
    StreamWords,
    TableSet,
    WeightHeader,
    WeightStream,
    signed,
)


def encode(items: Sequence[int], channels: int, width: int) -> bytes:
    """Return the ``raw`` weight stream of ``items`` (of 4, 8 or 16 bits, signed or not) in storage order."""
    writer = BitWriter()
    for item in items:
        writer.write(item & (1 << width) - 1, width)
    payload = writer.to_bytes()
    header = WeightHeader(
        codec=Codec.RAW,
        channels=channels,
        length=len(items) // channels,
        payload_words=len(payload) // WORD_BYTES,
        log2_states=8,
        wide=int(width == WORD_BITS),
        raw_width=RAW_WIDTHS.index(width),
    )
    return WeightStream.sealed(header, payload).data


def decode(words: StreamWords, header: WeightHeader, _table_set: TableSet | None) -> list[list[int]]:
    """Decode a payload; return the codes of each channel."""
    width = RAW_WIDTHS[header.raw_width]
    reader = BitReader(words.payload_word)
    return [[signed(reader.read(width), width) for _ in range(header.length)] for _ in range(header.channels)]
