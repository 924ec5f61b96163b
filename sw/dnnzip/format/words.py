"""A stream as the decoder meets it: word by word, with the checks that every stream shares."""

from dnnzip.format.crc import crc8, crc32
from dnnzip.format.fields import WORD_BYTES, HeaderLayout
from dnnzip.format.header import CRC_WORDS, TABLES_MAGIC, VERSION, WEIGHTS_MAGIC
from dnnzip.format.verdict import Verdict


class VerdictError(Exception):
    """A stream broke a rule of the format; ``verdict`` says which one it broke first."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.sentence)
        self.verdict = verdict


class StreamWords:
    """The words of one stream, taken in order; what is wrong with them is a ``VerdictError`` with the verdict.

    An odd last byte counts as a word with a zero above it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.payload_left = 0

    @property
    def count(self) -> int:
        """Words of the stream."""
        return (len(self.data) + 1) // WORD_BYTES

    def word(self) -> int:
        """Take the next word; ``truncated`` where there is none."""
        if self.position >= self.count:
            raise VerdictError(Verdict.TRUNCATED)
        start = self.position * WORD_BYTES
        self.position += 1
        return int.from_bytes(self.data[start : start + WORD_BYTES], "little")

    def payload_word(self) -> int:
        """Take the next word of the payload; ``truncated`` where the stream or its declared payload has no more."""
        if not self.payload_left:
            raise VerdictError(Verdict.TRUNCATED)
        self.payload_left -= 1
        return self.word()

    def kind(self) -> int:
        """Take and return the first word, checked for ``bad magic`` and ``version``."""
        first = self.word()
        if first & 0xFF not in (WEIGHTS_MAGIC, TABLES_MAGIC):
            raise VerdictError(Verdict.BAD_MAGIC)
        if first >> 8 & 7 != VERSION:
            raise VerdictError(Verdict.VERSION)
        return first

    def rest_of_header(self, layout: HeaderLayout) -> bytes:
        """Take the words up to the end of the header and return its bytes, checked: ``truncated`` or ``bad header``."""
        while self.position < layout.words:
            self.word()
        header = self.data[: layout.bytes]
        if len(header) < layout.bytes:
            raise VerdictError(Verdict.TRUNCATED)
        if crc8(header) or layout.unpack(header)["reserved"]:
            raise VerdictError(Verdict.BAD_HEADER)
        return header

    def finish(self) -> None:
        """Take the CRC-32 and check that the stream ends with it: ``trailing``, ``truncated`` or ``bad crc``."""
        if self.payload_left:
            raise VerdictError(Verdict.TRAILING)
        covered = self.position * WORD_BYTES
        stored = b"".join(self.word().to_bytes(WORD_BYTES, "little") for _ in range(CRC_WORDS))
        if self.position < self.count:
            raise VerdictError(Verdict.TRAILING)
        if stored != crc32(self.data[:covered]):
            raise VerdictError(Verdict.BAD_CRC)
