"""The reference decoder: plain Python, slow, and the norm that every other decoder equals bit for bit.

It takes streams apart exactly in the order of ``dnnzip.format``; nothing in the references of the codecs is shared with
the fast ones.
"""

from dataclasses import dataclass, field

from dnnzip.codec.registry import codec_of
from dnnzip.format import (
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    check_weight_header,
    take_header,
)


@dataclass
class Decoded:
    """Result of a decoder for a stream."""

    verdict: Verdict
    # Where the verdict is ok: one list of codes per channel, in storage order.
    codes: list[list[int]] = field(default_factory=list)
    header: WeightHeader | None = None  # the header, where it was whole and sound


def decode(data: bytes, table_set: TableSet | None = None, limits: Limits | None = None) -> Decoded:
    """Decode a weight stream.

    Parameters
    ----------
    limits
        Limits that the decoder was built for; by default all that the format allows.

    Returns
    -------
    Decoded
        The verdict, and the codes where it is ok. Nothing is raised for any input.
    """
    result = Decoded(Verdict.OK)
    try:
        words = StreamWords(data)
        header = take_header(words, limits or Limits())
        check_weight_header(header, table_set)
        result.header = header
        words.payload_left = header.payload_words
        codes = codec_of(header).decode_reference(words, header, table_set)
        words.finish()
        result.codes = codes
    except VerdictError as error:
        result.verdict = error.verdict
    return result
