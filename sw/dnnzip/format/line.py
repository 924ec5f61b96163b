"""The payload of a ``line`` stream: straight segments over the codes, in storage order.

Code i of a segment is intercept + i * slope, modulo 2**16, read as a signed number. Two segments, a *group*, take five
words; a last one on its own takes the first three of them. ``docs/format.md`` has the rules.
"""

from dnnzip.format.fields import WORD_BITS, Field, HeaderLayout
from dnnzip.format.limits import SEGMENT_LENGTH_BITS

SEGMENTS_PER_GROUP = WORD_BITS // SEGMENT_LENGTH_BITS
WORDS_PER_SEGMENT = 2
"""Words of a segment after the group's first one: intercept and slope."""

SEGMENT_GROUP = HeaderLayout(
    "segment group",
    (
        Field("first_length", SEGMENT_LENGTH_BITS, "codes of the first segment", bias=1),
        Field("second_length", SEGMENT_LENGTH_BITS, "codes of the second segment", bias=1),
        Field("first_intercept", WORD_BITS, "first code of the first segment, signed"),
        Field("first_slope", WORD_BITS, "what each code of the first segment adds, modulo 2^16"),
        Field("second_intercept", WORD_BITS, "first code of the second segment, signed"),
        Field("second_slope", WORD_BITS, "what each code of the second segment adds, modulo 2^16"),
    ),
)


def group_words(segments: int) -> int:
    """Return the words that a number of segments take."""
    return -(-segments // SEGMENTS_PER_GROUP) + WORDS_PER_SEGMENT * segments
