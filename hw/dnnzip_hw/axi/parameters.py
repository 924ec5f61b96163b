"""Parameters of an AXI top, checked."""

from dataclasses import dataclass, field

from dnnzip.format import WORD_BITS
from dnnzip.format.ranges import check_power
from dnnzip_hw.axi.registers import ADDRESS_BITS, BLOCK_BYTES
from dnnzip_hw.parameters import DecompressorParameters

MAX_BUS_BITS = 128
MAX_ROW_WEIGHTS = 64
MAX_GROUPS = (1 << ADDRESS_BITS) // BLOCK_BYTES // 2
"""The groups' blocks fill the upper half of the address space at most."""


@dataclass(frozen=True)
class AxiParameters:
    """Parameters of an AXI top.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    decompressor: DecompressorParameters = field(default_factory=DecompressorParameters)  # of each group's decompressor
    bus_bits: int = 32  # width of the input's ``tdata``: a power of two from 16 to 128
    # Weights of a full output beat: a power of two from the lanes to 64; the lanes where it is not given.
    row_weights: int = 0
    groups: int = 1  # independent decompressors, each with its own streams: a power of two

    def __post_init__(self) -> None:
        if not isinstance(self.decompressor, DecompressorParameters):
            raise ValueError(f"decompressor must be DecompressorParameters, not {self.decompressor!r}")
        if self.row_weights == 0:
            object.__setattr__(self, "row_weights", self.decompressor.lanes)
        check_power("bus_bits", self.bus_bits, WORD_BITS, MAX_BUS_BITS)
        check_power("row_weights", self.row_weights, self.decompressor.lanes, MAX_ROW_WEIGHTS)
        check_power("groups", self.groups, 1, MAX_GROUPS)

    @property
    def bus_words(self) -> int:
        """16-bit words of an input beat."""
        return self.bus_bits // WORD_BITS

    @property
    def row_bits(self) -> int:
        """Width of the output's ``tdata``."""
        return self.row_weights * self.decompressor.weight_bits
