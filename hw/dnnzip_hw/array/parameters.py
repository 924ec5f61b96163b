"""What an array is built for, checked, and what follows from it."""

import enum
from dataclasses import dataclass, field

from dnnzip.format import NARROW_BITS, WORD_BITS
from dnnzip.format.image import IMAGE_ENTRY
from dnnzip.format.program import MAX_GROUPS
from dnnzip_hw.parameters import DecompressorParameters

MAX_COLUMNS = 64
MIN_VECTORS, MAX_VECTORS = 16, 1 << 15
MAX_BURST = 256
"""Beats of a burst of AXI4 at most."""

MAX_BUFFER = 1 << 12
MAX_HOPS = 16
PAGE_BYTES = 4096
"""A burst of AXI4 stays inside a page of so many bytes."""


class Placement(enum.StrEnum):
    """Where the decompressors are.

    Members
    -------
    MEMORY
        At the memory interface: weights travel on the on-chip bus.
    ARRAY
        Beside the rows that they feed: compressed words travel on the on-chip bus.
    """

    MEMORY = "memory"
    ARRAY = "array"


def narrow_decompressor() -> DecompressorParameters:
    """Return the parameters of a decompressor whose weights are as wide as the array's."""
    return DecompressorParameters(weight_bits=NARROW_BITS)


@dataclass(frozen=True)
class ArrayParameters:
    """Parameters of an array with its memory side.

    Parameters
    ----------
    decompressor
        Of each group's decompressor; its weights must have 8 bits.
    groups
        Lane groups, each with a decompressor: a power of two from 1 to 16. Each feeds a row for each of its virtual
        lanes.
    columns
        Positions of a channel that the array multiplies at once, 1 to 64.
    vectors
        Accumulators of each row: a power of two from 16 to 32768.
    bus_bits
        Width of the memory's data: a power of two from 16 to 256.
    burst
        Beats of the longest burst, 1 to 256.
    buffer
        Bus words that wait for a group, a power of two, two bursts at least.
    placement
        Where the decompressors are; see ``Placement``.
    hops
        Registers along the on-chip bus.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    decompressor: DecompressorParameters = field(default_factory=narrow_decompressor)
    groups: int = 1
    columns: int = 16
    vectors: int = 1024
    bus_bits: int = 16
    burst: int = 16
    buffer: int = 64
    placement: Placement = Placement.ARRAY
    hops: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.decompressor, DecompressorParameters):
            raise ValueError(f"decompressor must be DecompressorParameters, not {self.decompressor!r}")
        if self.decompressor.weight_bits != NARROW_BITS:
            raise ValueError(f"decompressor.weight_bits must be {NARROW_BITS}, not {self.decompressor.weight_bits}")
        _check_range("columns", self.columns, 1, MAX_COLUMNS)
        _check_range("burst", self.burst, 1, MAX_BURST)
        _check_range("hops", self.hops, 0, MAX_HOPS)
        _check_power("groups", self.groups, 1, MAX_GROUPS)
        _check_power("vectors", self.vectors, MIN_VECTORS, MAX_VECTORS)
        _check_power("bus_bits", self.bus_bits, WORD_BITS, IMAGE_ENTRY.bits)
        _check_power("buffer", self.buffer, 2, MAX_BUFFER)
        if self.buffer < 2 * self.burst:
            raise ValueError(f"buffer must be two bursts at least, {2 * self.burst}, not {self.buffer}")
        try:
            object.__setattr__(self, "placement", Placement(self.placement))
        except ValueError:
            raise ValueError(f"placement must be {' or '.join(Placement)}, not {self.placement!r}") from None

    @property
    def rows_per_group(self) -> int:
        """Rows that a group feeds."""
        return self.decompressor.virtual_lanes

    @property
    def rows(self) -> int:
        """Rows of the array."""
        return self.groups * self.rows_per_group

    @property
    def bus_bytes(self) -> int:
        """Bytes of a bus word."""
        return self.bus_bits // 8

    @property
    def beat_words(self) -> int:
        """16-bit words of a bus word."""
        return self.bus_bits // WORD_BITS


def _check_range(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError unless ``value`` is a whole number in the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, not {value!r}")


def _check_power(name: str, value: object, least: int, most: int) -> None:
    """Raise ValueError unless ``value`` is a power of two in the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most or value & value - 1:
        raise ValueError(f"{name} must be a power of two from {least} to {most}, not {value!r}")
