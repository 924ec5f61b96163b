"""Expected outcomes of streams that a decoder meets one after the other, by a decoder in software."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dnnzip.codec import reference
from dnnzip.format import TABLES_MAGIC, Codec, Limits, TableSet, Verdict, VerdictError, WeightHeader

RTL_LIMITS = Limits(log2_lanes=4, log2_states=9, code_bits=16, line=False)
"""Limits of the decompressor with its default parameters."""

LINE_LIMITS = replace(RTL_LIMITS, line=True)
"""The same limits with the core for ``line`` streams."""


@dataclass(frozen=True)
class Case:
    """Streams that are offered one after the other."""

    name: str  # unique in the list
    streams: tuple[bytes, ...]  # table set streams and weight streams; none is empty, all are whole words


@dataclass(frozen=True)
class Outcome:
    """End of a stream."""

    verdict: Verdict  # the cause of its end beat
    # The codes in the order in which a decoder returns them; empty for a table set, and where the verdict is not ok.
    weights: tuple[int, ...] = ()
    declared: int = 0  # the most weights that may leave, whatever the verdict: as many as a sound header declares


class SoftwareResult(Protocol):
    """Result of a software decoder: the reference's ``Decoded`` and the fast one's."""

    @property
    def verdict(self) -> Verdict:
        """Verdict on the stream."""

    @property
    def codes(self) -> Any:
        """The codes, channel by channel, where the verdict is ok."""

    @property
    def header(self) -> WeightHeader | None:
        """The header, where it was whole and sound."""


SoftwareDecoder = Callable[[bytes, TableSet | None, Limits], SoftwareResult]


class SoftwareRow:
    """A software decoder that meets streams one after the other, and keeps the table set from one to the next.

    A table set whose header is sound replaces the one before, whatever comes after the header; it is loaded from its
    verdict ``ok`` on.

    Parameters
    ----------
    limits
        Of the hardware that it represents.
    decode
        The decoder of weight streams.
    """

    def __init__(self, limits: Limits = RTL_LIMITS, decode: SoftwareDecoder = reference.decode) -> None:
        self.limits = limits
        self.loaded: TableSet | None = None
        self._decode = decode

    def take(self, stream: bytes) -> tuple[Verdict, SoftwareResult | None]:
        """Return the verdict on the next stream, and for a weight stream all that the decoder made of it."""
        if stream[:1] != bytes([TABLES_MAGIC]):
            decoded = self._decode(stream, self.loaded, self.limits)
            return decoded.verdict, decoded
        verdict, tables = _table_set(stream, self.limits.log2_states, self.limits.low_bits)
        if TableSet.takes_over(stream, self.limits.log2_states):
            self.loaded = tables
        return verdict, None


@functools.lru_cache(maxsize=256)  # in a long run the same sets come again and again
def _table_set(stream: bytes, log2_states: int, low_bits: int) -> tuple[Verdict, TableSet | None]:
    """Return the verdict on a table set stream, and the set where that is ``ok``."""
    try:
        return Verdict.OK, TableSet.from_bytes(stream, log2_states, low_bits)
    except VerdictError as error:
        return error.verdict, None


def outcomes(case: Case, limits: Limits = RTL_LIMITS, decode: SoftwareDecoder = reference.decode) -> list[Outcome]:
    """Return the outcomes of the case's streams by a software decoder, by default the reference."""
    row = SoftwareRow(limits, decode)
    result = []
    for stream in case.streams:
        verdict, decoded = row.take(stream)
        if decoded is None or decoded.header is None:
            result.append(Outcome(verdict))
            continue
        weights = _leaving_order(decoded.codes, decoded.header) if verdict == Verdict.OK else ()
        result.append(Outcome(verdict, weights, decoded.header.weights))
    return result


def _leaving_order(codes: Sequence[Sequence[int]], header: WeightHeader) -> tuple[int, ...]:
    """Return the codes in the order of beats: the inverse of ``dnnzip.codec.beat_order.codes_from_beats``."""
    if header.codec in (Codec.RAW, Codec.LINE):
        return tuple(int(code) for channel in codes for code in channel)
    passes = (codes[first : first + header.lanes] for first in range(0, len(codes), header.lanes))
    return tuple(int(code) for channels in passes for taps in zip(*channels, strict=True) for code in taps)
