"""Parameters of a decompressor, checked, and the sizes that follow from them."""

from dataclasses import dataclass

from dnnzip.format import MAX_LOG2_LANES, MAX_LOG2_STATES, MIN_LOG2_STATES, NARROW_BITS, TOKEN_BITS, WORD_BITS, Limits
from dnnzip.format.ranges import check_power, check_range
from dnnzip_hw.memory import GENERIC, TARGETS

PIPELINE = 4
"""Cycles from a virtual lane's table address to its next one."""


@dataclass(frozen=True)
class DecompressorParameters:
    """Parameters of a decompressor.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    # Hardware lanes M: weights of a beat. A power of two.
    lanes: int = 4
    # Virtual lanes K that take turns on a lane. A power of two; lanes x slots is at most 16, and weight streams of up
    # to lanes x slots virtual lanes are decoded.
    slots: int = 4
    log2_states: int = 9  # log2 of the most states that a table may have: 8, 9 or 10
    weight_bits: int = WORD_BITS  # width of a weight: 16, or 8 for a decompressor that refuses streams of wide codes
    line: bool = False  # whether there is a core for ``line`` streams, whose codes need 16 bits
    # What memories are built of, ``generic``, ``ecp5`` or ``ice40``, and what logic is laid out for: see ``TARGETS``.
    target: str = GENERIC

    def __post_init__(self) -> None:
        most = 1 << MAX_LOG2_LANES
        for name in ("lanes", "slots"):
            check_power(name, getattr(self, name), 1, most)
        if self.lanes * self.slots > most:
            raise ValueError(f"lanes x slots must be at most {most}, not {self.lanes * self.slots}")
        check_range("log2_states", self.log2_states, MIN_LOG2_STATES, MAX_LOG2_STATES)
        if self.weight_bits not in (NARROW_BITS, WORD_BITS):
            raise ValueError(f"weight_bits must be {NARROW_BITS} or {WORD_BITS}, not {self.weight_bits!r}")
        if not isinstance(self.line, bool):
            raise ValueError(f"line must be True or False, not {self.line!r}")
        if self.target not in TARGETS:
            raise ValueError(f"target must be {' or '.join(TARGETS)}, not {self.target!r}")
        if self.line and self.weight_bits != WORD_BITS:
            raise ValueError(f"line must be False where weight_bits is {NARROW_BITS}: its codes are wide")

    @property
    def virtual_lanes(self) -> int:
        """The most virtual lanes of a stream."""
        return self.lanes * self.slots

    @property
    def log2_virtual_lanes(self) -> int:
        """log2 of the most virtual lanes of a stream."""
        return self.virtual_lanes.bit_length() - 1

    @property
    def lane_bits(self) -> int:
        """Width of a virtual lane's number: one at least, as Yosys writes signals without bits as if they had two."""
        return max(1, self.log2_virtual_lanes)

    @property
    def low_bits(self) -> int:
        """The most raw low bits of a weight: as many as a table may have, or as a narrow code can use."""
        return self.limits.low_bits

    @property
    def code_bits(self) -> int:
        """Width of a weight that is no escape, before it is cut to ``weight_bits``."""
        return TOKEN_BITS + self.low_bits

    @property
    def ring(self) -> int:
        """Turns of the ring: the slots, or the pipeline's length where that is more; turns past the slots idle."""
        return max(self.slots, PIPELINE)

    @property
    def limits(self) -> Limits:
        """The same limits for the software decoders, so that they return the same verdicts."""
        return Limits(self.log2_virtual_lanes, self.log2_states, self.weight_bits, self.line)
