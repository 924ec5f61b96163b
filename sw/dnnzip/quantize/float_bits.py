"""The bits of floats as codes and, below them, low bits that are kept as they are.

A pattern is a sign, an exponent and a mantissa. `FloatMap` makes codes of at most 16 bits of the upper ones. The low
bits of a long mantissa stay out: what is more than `MAX_SHIFT` bits of it goes, in items of 8 or 16 bits, into ``raw``
streams of their own, because no table has tokens for it and no two of these bits are less than two bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import MAX_SHIFT, NARROW_BITS, WORD_BITS
from dnnzip.quantize.element_type import FLOAT32, ElementType

Bits = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class FloatBits:
    """Widths of the parts of a pattern."""

    exponent_bits: int
    mantissa_bits: int

    @property
    def low_bits(self) -> int:
        """Bits of the mantissa below a code: 0, 8 or 16."""
        return next(bits for bits in (0, NARROW_BITS, WORD_BITS) if self.mantissa_bits - bits <= MAX_SHIFT)

    @property
    def upper_mantissa_bits(self) -> int:
        """Bits of the mantissa in a code."""
        return self.mantissa_bits - self.low_bits

    @property
    def magnitude_bits(self) -> int:
        """Bits of exponent and mantissa in a code."""
        return self.exponent_bits + self.upper_mantissa_bits

    def split(self, patterns: Bits) -> tuple[NDArray[np.uint16], NDArray[np.int16] | None]:
        """Return the upper bits of patterns, and the low ones as signed items; None where there are none."""
        upper = (patterns >> patterns.dtype.type(self.low_bits)).astype(np.uint16)
        if not self.low_bits:
            return upper, None
        return upper, patterns.astype(f"u{self.low_bits // 8}").view(f"i{self.low_bits // 8}").astype(np.int16)

    def join(self, upper: NDArray[np.uint16], low: NDArray[np.int16] | None) -> NDArray[np.uint32]:
        """Undo `split`."""
        patterns = upper.astype(np.uint32)
        if low is not None:
            patterns <<= np.uint32(self.low_bits)
            patterns |= low.astype(np.uint32) & np.uint32((1 << self.low_bits) - 1)
        return patterns


#: Parts of the types that are mapped, by name.
PARTS = {
    "float32": FloatBits(8, 23),
    "float16": FloatBits(5, 10),
    "bfloat16": FloatBits(8, 7),
    "float8_e4m3fn": FloatBits(4, 3),
    "float8_e4m3fnuz": FloatBits(4, 3),
    "float8_e5m2": FloatBits(5, 2),
    "float8_e5m2fnuz": FloatBits(5, 2),
}

#: Bits of the mantissa of float32, the most that can be kept.
MOST_MANTISSA_BITS = PARTS[FLOAT32.name].mantissa_bits


def bits_of(element: ElementType, mantissa_bits: int | None = None) -> FloatBits | None:
    """Return the parts of a type's patterns, or of float32 ones that are cut; None for a type without a map.

    Parameters
    ----------
    mantissa_bits
        Bits of the mantissa that are kept of the weights as float32; None where the type's own patterns are.
    """
    if mantissa_bits is None:
        return PARTS.get(element.name)
    return FloatBits(PARTS[FLOAT32.name].exponent_bits, mantissa_bits)


def patterns_of(array: NDArray[np.generic]) -> Bits:
    """Return the patterns of floats, in an unsigned type of their size."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def cut_patterns(array: NDArray[np.generic], mantissa_bits: int) -> NDArray[np.uint32]:
    """Return floats as float32 patterns without the bits of the mantissa that are not kept, uint32.

    The magnitude, which is an ordered integer, is rounded to the nearest multiple, away from zero where two are as
    near. A zero stays a zero of its sign.
    """
    with np.errstate(over="ignore"):
        patterns = np.ascontiguousarray(array.astype(np.float32)).view(np.uint32)
    dropped = MOST_MANTISSA_BITS - mantissa_bits
    if dropped:
        # The sign is above the magnitude: no carry of a finite one reaches it.
        patterns = (patterns + np.uint32(1 << dropped - 1)) >> np.uint32(dropped)
    return patterns


def whole_floats(patterns: NDArray[np.uint32], mantissa_bits: int, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return the floats of `cut_patterns`, in their type."""
    dropped = MOST_MANTISSA_BITS - mantissa_bits
    values = (patterns << np.uint32(dropped)).view(np.float32)
    with np.errstate(over="ignore"):
        return values.astype(dtype, copy=False)
