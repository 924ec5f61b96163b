"""Parameters of an array, checked, and the sizes that follow from them."""

from dataclasses import dataclass, field

from dnnzip.format import NARROW_BITS, WORD_BITS
from dnnzip.format.array import ArrayShape, Placement
from dnnzip.format.image import IMAGE_ENTRY
from dnnzip.format.ranges import check_power, check_range
from dnnzip_hw.parameters import DecompressorParameters

MAX_BURST = 256
"""Beats of a burst of AXI4 at most."""

MAX_BUFFER = 1 << 12
MAX_HOPS = 16
PAGE_BYTES = 4096
"""Bytes of a page; a burst of AXI4 stays inside one."""


def narrow_decompressor() -> DecompressorParameters:
    """Return the parameters of a decompressor whose weights are as wide as the array's."""
    return DecompressorParameters(weight_bits=NARROW_BITS)


@dataclass(frozen=True)
class ArrayParameters:
    """Parameters of an array with its memory side.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    # Of each group's decompressor; its weights must have 8 bits.
    decompressor: DecompressorParameters = field(default_factory=narrow_decompressor)
    # See ``ArrayShape``. Each group has a decompressor, and feeds a row for each of its virtual lanes.
    groups: int = 1
    columns: int = 16
    vectors: int = 1024
    bus_bits: int = 16  # width of the memory's data: a power of two from 16 to 256
    burst: int = 16  # beats of the longest burst, 1 to 256
    buffer: int = 64  # bus words that wait for a group, a power of two, two bursts at least
    placement: Placement = Placement.PE  # where the decompressors are; see ``Placement``
    hops: int = 2  # registers along the on-chip bus

    def __post_init__(self) -> None:
        if not isinstance(self.decompressor, DecompressorParameters):
            raise ValueError(f"decompressor must be DecompressorParameters, not {self.decompressor!r}")
        if self.decompressor.weight_bits != NARROW_BITS:
            raise ValueError(f"decompressor.weight_bits must be {NARROW_BITS}, not {self.decompressor.weight_bits}")
        _ = self.shape  # which checks itself
        check_range("burst", self.burst, 1, MAX_BURST)
        check_range("hops", self.hops, 0, MAX_HOPS)
        check_power("bus_bits", self.bus_bits, WORD_BITS, IMAGE_ENTRY.bits)
        check_power("buffer", self.buffer, 2, MAX_BUFFER)
        if self.buffer < 2 * self.burst:
            raise ValueError(f"buffer must be two bursts at least, {2 * self.burst}, not {self.buffer}")
        try:
            object.__setattr__(self, "placement", Placement(self.placement))
        except ValueError:
            raise ValueError(f"placement must be {' or '.join(Placement)}, not {self.placement!r}") from None

    @property
    def shape(self) -> ArrayShape:
        """Size of the array, as the class of the software."""
        own = self.decompressor
        return ArrayShape(self.groups, own.virtual_lanes, self.columns, self.vectors, own.lanes)

    @property
    def rows_per_group(self) -> int:
        """Rows that a group feeds."""
        return self.shape.rows_per_group

    @property
    def rows(self) -> int:
        """Rows of the array."""
        return self.shape.rows

    @property
    def bus_bytes(self) -> int:
        """Bytes of a bus word."""
        return self.bus_bits // 8

    @property
    def beat_words(self) -> int:
        """16-bit words of a bus word."""
        return self.bus_bits // WORD_BITS
