"""The limits of the format, and what a decoder may leave out of it."""

from dataclasses import dataclass

from dnnzip.format.fields import WORD_BITS

MAX_LOG2_LANES = 4
MIN_LOG2_STATES, MAX_LOG2_STATES = 8, 10
MAX_KERNEL = 8
CLASSES = 8
MAX_COLUMNS = 4096

LENGTH_BITS, CHANNEL_BITS = 20, 21
MAX_LENGTH, MAX_CHANNELS = 1 << LENGTH_BITS, 1 << CHANNEL_BITS
"""Most weights of a channel, and most channels, of a stream."""

NARROW_BITS = 8
"""Bits of a code where the header's ``wide`` is 0; ``WORD_BITS`` otherwise."""

LARGEST_CODE = (1 << WORD_BITS - 1) - 1
"""The largest code by size that weights are put on: the negative of every code is a code, as contexts need it."""

MAX_WEIGHTS_PER_BIT = 4096
"""Most weights that a bit of a stream may represent; a stream that declares more is refused before memory is taken."""

MAX_TABLES = 8
SHIFT_BITS = 3
MAX_SHIFT = (1 << SHIFT_BITS) - 1
NARROW_MAX_SHIFT = 3
"""The largest shift of a table in a set that a decoder for narrow codes alone supports."""

MAX_WEIGHT_BITS = 16
"""The most bits that a weight takes in addition to an escape's word: state bits and low bits."""

SEGMENT_LENGTH_BITS = 8
MAX_SEGMENT = 1 << SEGMENT_LENGTH_BITS
"""Most codes of a segment of a ``line`` stream."""

MIN_BUS_BITS, MAX_BUS_BITS = 16, 512
"""Width of the bus that an image of streams is made for."""


@dataclass(frozen=True)
class Limits:
    """Limits that a decoder was built for; hardware may do less than the format allows."""

    log2_lanes: int = MAX_LOG2_LANES  # log2 of the most virtual lanes
    log2_states: int = MAX_LOG2_STATES  # log2 of the most tANS states
    code_bits: int = WORD_BITS  # width of a weight port: 8 or 16
    line: bool = True  # True if there is a decoder of ``line`` streams

    @property
    def low_bits(self) -> int:
        """The most raw low bits of a weight; no narrow code needs more than two."""
        return MAX_SHIFT if self.code_bits > NARROW_BITS else NARROW_MAX_SHIFT
