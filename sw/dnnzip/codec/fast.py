"""The fast decoder: the reference's verdicts and codes, from the arrays and compiled loops of each codec."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.registry import codec_of
from dnnzip.format import (
    MAX_WEIGHTS_PER_BIT,
    WORD_BITS,
    WORD_BYTES,
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    check_weight_header,
    take_header,
)

ALWAYS_DECODED = 1 << 20
"""A stream that declares more weights than both limits say is not decoded: no memory is taken for it."""


@dataclass(frozen=True)
class Decoded:
    """Result of the fast decoder for a stream."""

    verdict: Verdict
    # int16 [channels, length], each channel in storage order; None where the verdict is not ok.
    codes: NDArray[np.int16] | None = None
    header: WeightHeader | None = None  # the header, where it was whole and sound


def _words(data: bytes) -> NDArray[np.uint16]:
    padded = data + b"\0" if len(data) % WORD_BYTES else data
    return np.frombuffer(padded, "<u2")


def decode(data: bytes, table_set: TableSet | None = None, limits: Limits | None = None) -> Decoded:
    """Decode a weight stream.

    Parameters
    ----------
    limits
        Limits of the decoder that it represents; by default all that the format allows.

    Returns
    -------
    Decoded
        The verdict, and the codes where it is ok. A stream that declares more than 2**20 weights and more than 4096
        per bit that it has is ``bad header`` here, before memory is taken.
    """
    header = None
    try:
        words = StreamWords(data)
        declared = take_header(words, limits or Limits())
        check_weight_header(declared, table_set)
        header = declared
        payload_bits = WORD_BITS * (words.count - words.position)
        if header.weights > max(ALWAYS_DECODED, MAX_WEIGHTS_PER_BIT * payload_bits):
            raise VerdictError(Verdict.BAD_HEADER)
        payload = _words(data)[words.position :][: header.payload_words]
        codes, taken = codec_of(header).decode_fast(payload, header, table_set)
        words.position += taken
        words.payload_left = header.payload_words - taken
        words.finish()
    except VerdictError as error:
        return Decoded(error.verdict, None, header)
    return Decoded(Verdict.OK, codes, header)
