"""The PE array for software and hardware: its size, the places of its decompressors, and its faults."""

from dataclasses import dataclass
from enum import StrEnum

from dnnzip.format.limits import MAX_LOG2_LANES, MAX_LOG2_STATES, NARROW_BITS, Limits
from dnnzip.format.program import MAX_GROUPS
from dnnzip.format.ranges import check_power, check_range
from dnnzip.format.verdict import CAUSE_BITS, Reason

MAX_ROWS_PER_GROUP = 1 << MAX_LOG2_LANES
MAX_COLUMNS = 64
MIN_VECTORS, MAX_VECTORS = 16, 1 << 15

SUM_BITS = 32
"""Width of an accumulator."""

MISPLACED = (1 << CAUSE_BITS) - 1
"""Cause of a stream that does not hold what its entry in the image's table says; no verdict has this number."""


class Placement(StrEnum):
    """Place where weights are decompressed."""

    # In each processing element, or next to the rows that a decompressor feeds: compressed weights come from the main
    # memory and travel on the chip.
    PE = "pe"
    # At the memory interfaces: compressed weights come from the main memory alone.
    MEMORY_INTERFACE = "memory-interface"


class ArrayFault(Reason):
    """Reason why an array stopped, other than because of a stream; the first four are those of a walk."""

    NONE = 0, "nothing stopped it"
    HEADER = 1, "no image is at address 0 of the memory"
    RANGE = 2, "a walk goes past the end of the table"
    ENTRY = 3, "an entry asks for what the array cannot do"
    MEMORY = 4, "a load or an entry lies outside of the memory"
    ORDER = 5, "an order is none, or the job ends in the middle of one"


@dataclass(frozen=True)
class ArrayCounters:
    """Counters of an accelerator, in cycles or items since the reset, modulo 2^32."""

    vectors: int  # vectors that went into the array
    # Cycles in which a run waited for a tile, for a vector, or for room for its sums.
    lacks_tile: int
    lacks_vector: int
    lacks_room: int
    bus_moves: int  # words, or beats of weights, that moved on the on-chip bus
    memory_words: int  # bus words that came from the memory
    runs: int  # runs that have begun
    loading: int  # cycles in which a table set was loaded


@dataclass(frozen=True)
class ArrayShape:
    """Size of an array; a ``ValueError`` where a number breaks its rule."""

    groups: int = 1  # lane groups: a power of two from 1 to 16
    rows_per_group: int = 16  # rows that a group feeds, one for each of its virtual lanes: a power of two from 1 to 16
    columns: int = 16  # positions of a channel that the array multiplies at once, 1 to 64
    vectors: int = 1024  # accumulators of each row: a power of two from 16 to 32768
    # Hardware lanes of a group, which divide its rows: a power of two. 0 is a quarter of them, or one.
    lanes: int = 0

    def __post_init__(self) -> None:
        check_power("groups", self.groups, 1, MAX_GROUPS)
        check_power("rows_per_group", self.rows_per_group, 1, MAX_ROWS_PER_GROUP)
        check_range("columns", self.columns, 1, MAX_COLUMNS)
        check_power("vectors", self.vectors, MIN_VECTORS, MAX_VECTORS)
        if self.lanes == 0:
            object.__setattr__(self, "lanes", max(1, self.rows_per_group // 4))
        check_power("lanes", self.lanes, 1, self.rows_per_group)

    @property
    def slots(self) -> int:
        """Virtual lanes that take turns on a hardware lane."""
        return self.rows_per_group // self.lanes

    @property
    def rows(self) -> int:
        """Rows of the array."""
        return self.groups * self.rows_per_group

    @property
    def limits(self) -> Limits:
        """Limits of its decompressors: codes of 8 bits, as many virtual lanes as a group has rows."""
        return Limits(self.rows_per_group.bit_length() - 1, MAX_LOG2_STATES, NARROW_BITS, False)

    def group_of(self, part: int) -> int:
        """Return the lane group that takes a part of a layer."""
        return part % self.groups
