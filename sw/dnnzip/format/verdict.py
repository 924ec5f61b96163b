"""Verdict of a decoder at the end of a stream, the same in software, in simulation and on a board."""

from enum import IntEnum
from typing import Self


class Reason(IntEnum):
    """Numbers that have a sentence each."""

    sentence: str

    def __new__(cls, value: int, sentence: str = "") -> Self:
        """Make the member with its number and its sentence."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member


class Verdict(Reason):
    """Reason why a stream ended; the value is the ``cause`` of the end beat.

    The first rule that a stream breaks, in the order of the stream, is its verdict.
    """

    OK = 0, "the stream ended as declared"
    BAD_MAGIC = 1, "not a dnnzip stream: the first byte is no known magic number"
    VERSION = 2, "a format version that this decoder does not know; a newer dnnzip is needed"
    UNSUPPORTED = 3, "a codec, state count, lane count or code width that this decoder was not built for"
    BAD_HEADER = 4, "the header's check does not match, or its fields contradict each other"
    WRONG_TABLES = 5, "the table set that the stream was coded with is not loaded"
    TRUNCATED = 6, "words are missing: the stream or its declared payload ends early"
    TRAILING = 7, "words are left over: the stream or its declared payload ends late"
    BAD_CODE = 8, "a code that no encoder writes: a weight outside the declared width, or counts that do not add up"
    BAD_STATE = 9, "a tANS state differs from the encoder's start state at the end"
    BAD_CRC = 10, "the CRC-32 of the stream does not match"

    @property
    def label(self) -> str:
        """The verdict as the documents and messages write it, for example ``bad crc``."""
        return self.name.lower().replace("_", " ")


CAUSE_BITS = max(Verdict).bit_length()
"""Width of a verdict."""
