"""A weight stream whose header has been read: the one place where headers are parsed."""

from dataclasses import dataclass

from dnnzip.format.crc import crc32
from dnnzip.format.fields import WORD_BYTES
from dnnzip.format.header import TABLES_MAGIC, WEIGHT_HEADER, WeightHeader
from dnnzip.format.limits import Limits
from dnnzip.format.payload import check_supported
from dnnzip.format.verdict import Verdict
from dnnzip.format.words import StreamWords, VerdictError


def take_header(words: StreamWords, limits: Limits) -> WeightHeader:
    """Take the header of a weight stream; its fields may still contradict each other.

    Raises
    ------
    VerdictError
        ``truncated``, ``bad magic``, ``version``, ``unsupported`` or ``bad header``.
    """
    if words.kind() & 0xFF == TABLES_MAGIC:
        raise VerdictError(Verdict.BAD_MAGIC)
    check_supported(words.data[: words.position * WORD_BYTES], limits)
    words.word()
    check_supported(words.data[: words.position * WORD_BYTES], limits)
    return WeightHeader.unpack(words.rest_of_header(WEIGHT_HEADER))


@dataclass(frozen=True)
class WeightStream:
    """A weight stream with a sound header; its payload has not been looked at."""

    header: WeightHeader
    data: bytes  # the whole stream, header and CRC-32 included

    @classmethod
    def from_bytes(cls, data: bytes) -> "WeightStream":
        """Read the header of a stream; raises as ``take_header`` does."""
        return cls(take_header(StreamWords(data[: WEIGHT_HEADER.bytes]), Limits()), data)

    @classmethod
    def sealed(cls, header: WeightHeader, payload: bytes) -> "WeightStream":
        """Return the stream of a header and a payload, with its CRC-32; raises as ``WeightHeader.pack`` does."""
        data = header.pack() + payload
        return cls(header, data + crc32(data))

    @classmethod
    def split(cls, data: bytes) -> "list[WeightStream]":
        """Return the streams, at least one, that stand one after the other in ``data``.

        Raises
        ------
        VerdictError
            The verdict on the first header that is not sound; ``truncated`` where the last stream is not whole.
        """
        streams: list[WeightStream] = []
        position = 0
        while position < len(data) or not streams:
            header = cls.from_bytes(data[position : position + WEIGHT_HEADER.bytes]).header
            end = position + header.words * WORD_BYTES
            if end > len(data):
                raise VerdictError(Verdict.TRUNCATED)
            streams.append(cls(header, data[position:end]))
            position = end
        return streams
