"""Codecs of the format: number in a header, name, and rules of the headers of each.

``CODECS`` has a row for each codec that a decoder may meet; a number without a row is ``unsupported``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from dnnzip.format.fields import WORD_BITS
from dnnzip.format.limits import Limits

if TYPE_CHECKING:
    from dnnzip.format.header import WeightHeader

AUTO = "auto"
"""Asks an encoder for the smaller one of ``ans`` and ``raw``, tensor by tensor."""

RAW_WIDTHS = (4, 8, 16)
"""Bits of a ``raw`` item, by the header's ``raw_width``."""


class Codec(IntEnum):
    """Coding of a weight stream's payload."""

    RAW = 0
    ANS = 1
    LINE = 2


def _lanes_suit(header: "WeightHeader") -> bool:
    return header.lanes <= header.channels


def _always(_fields: Mapping[str, int], _limits: Limits) -> bool:
    return True


@dataclass(frozen=True)
class CodecRules:
    """The rules of one codec."""

    code: int  # the header's ``codec``
    name: str  # its name on the command line, in JSON and in files
    # Tells whether the fields of a header agree with each other.
    is_consistent: Callable[["WeightHeader"], bool] = _lanes_suit
    # Tells whether a decoder of these limits has a core for what a header's first word declares.
    is_supported: Callable[[Mapping[str, int], Limits], bool] = _always
    has_tables: bool = False  # True if its streams are coded with a table set, which must be loaded
    # True if weights come from virtual lanes side by side; otherwise they come in storage order.
    has_lanes: bool = False


def _is_consistent_raw(header: "WeightHeader") -> bool:
    """Check for one lane, a known item width, ``wide`` for items of 16 bits, and the words that the items take."""
    if header.log2_lanes or header.raw_width >= len(RAW_WIDTHS):
        return False
    width = RAW_WIDTHS[header.raw_width]
    has_its_words = header.payload_words == -(-header.weights * width // WORD_BITS)
    return has_its_words and (width < WORD_BITS or bool(header.wide))


def _is_consistent_line(header: "WeightHeader") -> bool:
    return header.log2_lanes == 0 and bool(header.wide)


def _is_supported_line(fields: Mapping[str, int], limits: Limits) -> bool:
    return limits.line and fields["log2_lanes"] == 0


CODECS: dict[int, CodecRules] = {
    rules.code: rules
    for rules in (
        CodecRules(Codec.RAW, "raw", _is_consistent_raw),
        CodecRules(Codec.ANS, "ans", has_tables=True, has_lanes=True),
        CodecRules(Codec.LINE, "line", _is_consistent_line, _is_supported_line),
    )
}
UNKNOWN = CodecRules(-1, "unknown")
"""Rules of a codec without a row: a decoder ends such a stream with ``unsupported``."""


def codec_choices() -> tuple[str, ...]:
    """Return the choices of an encoder: ``AUTO``, then every codec by its name."""
    return AUTO, *sorted(rules.name for rules in CODECS.values())
