"""Element types of weights: NumPy type, limits, and the rounding of a decoded value to the type.

A type is one row of `ELEMENT_TYPES`, and a narrow float type one row of `_NARROW` as well.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop

#: Numbers of the roundings, for compiled loops: of a float32 product to a type, and none of a float64 product.
NOT_ROUNDED, IN_DOUBLE, TO_HALF, TO_BFLOAT16, TO_E4M3FN, TO_E5M2, TO_E4M3FNUZ, TO_E5M2FNUZ = range(8)


@dataclass(frozen=True)
class ElementType:
    """A type of weights."""

    dtype: np.dtype[np.generic]  # NumPy type, in the machine's byte order
    is_integer: bool  # True if it is an integer type
    bits: int  # bits of a value in a file; in memory, each value has whole bytes
    # Smallest and largest finite value.
    lowest: float
    largest: float
    rounding: int = NOT_ROUNDED  # rounding of a decoded value to the type: a number that `decoded_value` takes

    @property
    def name(self) -> str:
        """The name of the NumPy type."""
        return self.dtype.name

    @property
    def bytes(self) -> int:
        """Bytes of a value in memory."""
        return self.dtype.itemsize

    @property
    def is_narrow(self) -> bool:
        """Return True if it is a float type of fewer bits than float32, to which decoded values are rounded."""
        return self.rounding not in (NOT_ROUNDED, IN_DOUBLE)

    @property
    def arithmetic(self) -> np.dtype[np.generic]:
        """The NumPy type, float32 or float64, that holds every value and in which weights are decoded."""
        return np.dtype(np.float64 if self.rounding == IN_DOUBLE else np.float32)

    @property
    def signed(self) -> "ElementType":
        """The signed integer type of as many bits."""
        return ELEMENT_TYPES[self.name.removeprefix("u")]

    @property
    def largest_error(self) -> int:
        """The largest error of an integer weight that counts: over it, nothing changes or 2 e + 1 has over 16 bits."""
        return min(int(self.largest - self.lowest), (1 << 15) - 1)

    def stored_bytes(self, count: int) -> int:
        """Return the bytes of a number of values in a file."""
        return -(-count * self.bits // 8)

    def wrapped(self, patterns: NDArray[np.unsignedinteger]) -> NDArray[np.generic]:
        """Return unsigned numbers of the type's bytes modulo 2^bits, as values of this integer type."""
        if self.bits < 8:
            patterns = patterns & np.uint8((1 << self.bits) - 1)
        return patterns.view(self.dtype)

    def magnitudes(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distinct magnitudes of values of a narrow type, whose sign is its highest bit."""
        unsigned = np.dtype(f"u{self.bytes}")
        patterns = values.astype(self.dtype).view(unsigned) & np.iinfo(unsigned).max // 2
        distinct = np.flatnonzero(np.bincount(patterns)).astype(unsigned)
        return distinct.view(self.dtype).astype(np.float32)


def _integer(dtype: type[np.generic]) -> ElementType:
    limits = ml_dtypes.iinfo(dtype)
    return ElementType(np.dtype(dtype), True, int(limits.bits), int(limits.min), int(limits.max))


def _float(dtype: type[np.generic], rounding: int = NOT_ROUNDED) -> ElementType:
    largest = float(ml_dtypes.finfo(dtype).max)
    return ElementType(np.dtype(dtype), False, 8 * np.dtype(dtype).itemsize, -largest, largest, rounding)


FLOAT32 = _float(np.float32)
FLOAT64 = _float(np.float64, IN_DOUBLE)
FLOAT16 = _float(np.float16, TO_HALF)
BFLOAT16 = _float(ml_dtypes.bfloat16, TO_BFLOAT16)
FLOAT8_E4M3FN = _float(ml_dtypes.float8_e4m3fn, TO_E4M3FN)
FLOAT8_E5M2 = _float(ml_dtypes.float8_e5m2, TO_E5M2)
FLOAT8_E4M3FNUZ = _float(ml_dtypes.float8_e4m3fnuz, TO_E4M3FNUZ)
FLOAT8_E5M2FNUZ = _float(ml_dtypes.float8_e5m2fnuz, TO_E5M2FNUZ)
INT16 = _integer(np.int16)
UINT16 = _integer(np.uint16)
INT8 = _integer(np.int8)
UINT8 = _integer(np.uint8)
INT4 = _integer(ml_dtypes.int4)
UINT4 = _integer(ml_dtypes.uint4)
INT2 = _integer(ml_dtypes.int2)
UINT2 = _integer(ml_dtypes.uint2)

#: All types, by name.
ELEMENT_TYPES = {
    item.name: item
    for item in (
        *(FLOAT32, FLOAT64, FLOAT16, BFLOAT16),
        *(FLOAT8_E4M3FN, FLOAT8_E5M2, FLOAT8_E4M3FNUZ, FLOAT8_E5M2FNUZ),
        *(INT16, UINT16, INT8, UINT8, INT4, UINT4, INT2, UINT2),
    )
}


def element_type(dtype: np.dtype[np.generic]) -> ElementType | None:
    """Return the element type of a NumPy type in any byte order; None where it is none."""
    return next((item for item in ELEMENT_TYPES.values() if item.dtype == dtype.newbyteorder("=")), None)


def type_names(is_integer: bool | None = None, last: str = "or") -> str:
    """Return the names of the types, all or those of a kind, as a sentence lists them."""
    names = [item.name for item in ELEMENT_TYPES.values() if is_integer in (None, item.is_integer)]
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


#: By rounding: float32's fraction bits that the type lacks; its smallest normal value; the number of which float64 has
#: the type's subnormal quantum from there up; the smallest float32 that rounds to no finite value.
_NARROW = {
    TO_HALF: (13, 2.0**-14, 2.0**28, 65520.0),
    # The exponents of bfloat16 are those of float32, so that its subnormal values need no other way.
    TO_BFLOAT16: (16, 0.0, 0.0, 2.0**128 - 2.0**119),
    # A tie at the end of the type's values goes to the even one: here to the last, and overflow begins above.
    TO_E4M3FN: (20, 2.0**-6, 2.0**43, float(np.nextafter(np.float32(464), np.float32(465)))),
    TO_E5M2: (21, 2.0**-14, 2.0**36, 61440.0),
    TO_E4M3FNUZ: (20, 2.0**-7, 2.0**42, 248.0),
    TO_E5M2FNUZ: (21, 2.0**-15, 2.0**35, 61440.0),
}
_NONE = (0, 0.0, 0.0, 0.0)
_DROPPED, _SMALLEST, _QUANTUM, _OVERFLOW = zip(
    *(_NARROW.get(rounding, _NONE) for rounding in range(TO_E5M2FNUZ + 1)), strict=True
)


@loop
def rounded(value, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Round float32 to the type with this rounding, nearest even, as float64 (exact); overflow returns infinity."""
    if rounding == NOT_ROUNDED:
        return np.float64(value)
    magnitude = abs(value)
    if not np.float64(magnitude) < _OVERFLOW[rounding]:
        result = np.inf
    elif np.float64(magnitude) < _SMALLEST[rounding]:
        # Below its normal range a type has a fixed quantum.
        result = (np.float64(magnitude) + _QUANTUM[rounding]) - _QUANTUM[rounding]
    else:
        # Drop fraction bits; the carry of a rounding up runs into the exponent, as it should.
        dropped = np.uint32(_DROPPED[rounding])
        bits = np.float32(magnitude).view(np.uint32)
        odd = np.uint32(np.uint32(bits >> dropped) & np.uint32(1))
        bits = np.uint32(bits + np.uint32((np.uint32(1) << np.uint32(dropped - np.uint32(1))) - np.uint32(1)) + odd)
        result = np.float64(np.uint32(np.uint32(bits >> dropped) << dropped).view(np.float32))
    return result if value >= 0 else -result
