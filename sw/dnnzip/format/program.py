"""Program of a host for the PE array: which streams to fetch, and which vectors to multiply with which tiles.

A *walk* sends the memory side through entries of an image's table. A *run* sends vectors of activations through the
array, against the tiles of weights that are in it then. Both are whole words of 16 bits, little-endian.

Array: ``columns`` positions of a channel by ``groups`` blocks of rows, a row for each virtual lane of the group's
decompressor. The weights of a part fill tiles in the order in which they come; see ``dnnzip.format.schedule``. What
lies in columns and rows that a tile does not fill has no meaning: the host sends the zero point to such columns and
does not read such rows.
"""

from dataclasses import dataclass

from dnnzip.format.fields import Field, HeaderLayout

MAX_GROUPS = 16
"""Most lane groups of an array, and bits of ``take``."""

WALK = HeaderLayout(
    "walk",
    (
        Field("first", 16, "the first entry of the image's table to fetch"),
        Field("count", 16, "how many entries, at least one"),
    ),
)

RUN = HeaderLayout(
    "run",
    (
        Field("vectors", 16, "vectors of the run, at least one"),
        Field("base", 16, "the accumulator of the first vector; the next vectors use the next ones"),
        Field("take", MAX_GROUPS, "a bit for each lane group: it goes on to its next tile, once that is complete"),
        Field("zero_point", 8, "of the activations, in their own type; it is subtracted from each"),
        Field("signed", 1, "1: activations are int8, 0: uint8"),
        Field("first", 1, "1: accumulators start from zero, 0: they go on"),
        Field("last", 1, "1: the accumulators are given out instead of kept"),
        Field("reserved", 5, "zero"),
    ),
)


@dataclass(frozen=True)
class Walk:
    """Entries of an image to fetch; the fields are those of ``WALK``."""

    first: int
    count: int

    @property
    def entries(self) -> range:
        """Numbers of the entries."""
        return range(self.first, self.first + self.count)

    def pack(self) -> bytes:
        """Return the walk's bytes; a ``ValueError`` where a number does not fit its field."""
        return WALK.pack(vars(self))


@dataclass(frozen=True)
class Run:
    """Vectors to multiply; the fields are those of ``RUN``, ``zero_point`` as the number that its byte represents."""

    vectors: int
    base: int
    take: int
    zero_point: int
    signed: bool
    first: bool
    last: bool

    @property
    def groups(self) -> list[int]:
        """Lane groups that go on to their next tile."""
        return [group for group in range(MAX_GROUPS) if self.take >> group & 1]

    def pack(self) -> bytes:
        """Return the run's bytes; a ``ValueError`` where a number does not fit its field."""
        low, high = (-128, 127) if self.signed else (0, 255)
        if not low <= self.zero_point <= high:
            raise ValueError(f"zero_point must be {low} to {high}, not {self.zero_point}")
        return RUN.pack(vars(self) | {"zero_point": self.zero_point & 0xFF, "reserved": 0})
