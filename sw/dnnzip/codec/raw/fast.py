"""The fast ``raw`` codec: the reference's streams, byte for byte, from arrays."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import RAW_WIDTHS, WORD_BITS, Codec, TableSet, Verdict, VerdictError, WeightHeader, WeightStream


def decode(
    payload: NDArray[np.uint16], header: WeightHeader, _table_set: TableSet | None
) -> tuple[NDArray[np.int16], int]:
    """Decode a payload; return the codes, int16 [channels, length], and the words taken."""
    width = RAW_WIDTHS[header.raw_width]
    taken = -(-header.weights * width // WORD_BITS)
    if taken > payload.size:
        raise VerdictError(Verdict.TRUNCATED)
    spread = (payload[:taken, None] << np.arange(WORD_BITS - width, -1, -width, dtype=np.uint16)).astype(np.uint16)
    # Each item now stands at the top of its 16 bits; the shift back extends its sign.
    items = spread.view(np.int16).reshape(-1)[: header.weights] >> (WORD_BITS - width)
    return np.ascontiguousarray(items, np.int16).reshape(header.channels, header.length), taken


def encode(items: NDArray[np.signedinteger], channels: int, width: int) -> bytes:
    """Return the ``raw`` weight stream of items in storage order.

    Parameters
    ----------
    items
        Signed integers that fit the width; any shape, read in C order.
    channels
        Number of channels, which divides the number of items.
    width
        Bits of an item in the stream: 4, 8 or 16.
    """
    per_word = WORD_BITS // width
    padded = np.zeros(-(-items.size // per_word) * per_word, np.uint16)
    padded[: items.size] = items.reshape(-1).astype(np.uint16) & np.uint16((1 << width) - 1)
    words = np.zeros(padded.size // per_word, np.uint16)
    for index in range(per_word):
        words |= padded[index::per_word] << np.uint16(index * width)
    header = WeightHeader(
        codec=Codec.RAW,
        channels=channels,
        length=items.size // channels,
        payload_words=words.size,
        log2_states=8,
        wide=int(width == WORD_BITS),
        raw_width=RAW_WIDTHS.index(width),
    )
    return WeightStream.sealed(header, words.astype("<u2").tobytes()).data
