"""Element types of weights: NumPy type, limits, and the rounding of a decoded float32 to the type.

A type is one row of `ELEMENT_TYPES`, and a float type other than float32 one rounding function.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop

#: Numbers of the roundings, for compiled loops.
NOT_ROUNDED, TO_HALF = range(2)


@dataclass(frozen=True)
class ElementType:
    """A type of weights."""

    dtype: np.dtype[np.generic]  # NumPy type, in the machine's byte order
    is_integer: bool  # True if it is an integer type; otherwise its values are float32 values
    # Smallest and largest finite value.
    lowest: float
    largest: float
    rounding: int = NOT_ROUNDED  # rounding from float32 to the type: a number that `rounded` takes

    @property
    def name(self) -> str:
        """The name of the NumPy type."""
        return self.dtype.name

    @property
    def bytes(self) -> int:
        """Bytes of a value."""
        return self.dtype.itemsize

    @property
    def is_narrow(self) -> bool:
        """Return True if it is a float type of fewer bits than float32, to which decoded values are rounded."""
        return self.rounding != NOT_ROUNDED

    def magnitudes(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distinct magnitudes of values of a narrow type, of 16 bits with the sign in the highest."""
        patterns = values.astype(self.dtype).view(np.uint16) & 0x7FFF
        distinct = np.flatnonzero(np.bincount(patterns)).astype(np.uint16)
        return distinct.view(self.dtype).astype(np.float32)


def _integer(dtype: type[np.integer]) -> ElementType:
    limits = np.iinfo(dtype)
    return ElementType(np.dtype(dtype), True, int(limits.min), int(limits.max))


def _float(dtype: type[np.floating], rounding: int = NOT_ROUNDED) -> ElementType:
    largest = float(np.finfo(dtype).max)
    return ElementType(np.dtype(dtype), False, -largest, largest, rounding)


FLOAT32 = _float(np.float32)
FLOAT16 = _float(np.float16, TO_HALF)
INT8 = _integer(np.int8)
UINT8 = _integer(np.uint8)

#: All types, by name.
ELEMENT_TYPES = {item.name: item for item in (FLOAT32, FLOAT16, INT8, UINT8)}


def element_type(dtype: np.dtype[np.generic]) -> ElementType | None:
    """Return the element type of a NumPy type in any byte order; None where it is none."""
    return next((item for item in ELEMENT_TYPES.values() if item.dtype == dtype.newbyteorder("=")), None)


def type_names(is_integer: bool | None = None, last: str = "or") -> str:
    """Return the names of the types, all or those of a kind, as a sentence lists them."""
    names = [item.name for item in ELEMENT_TYPES.values() if is_integer in (None, item.is_integer)]
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


@loop
def _half(value):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Round float32 to float16, nearest even, as float64 (exact); overflow returns infinity."""
    magnitude = abs(value)
    if not magnitude < np.float32(65520.0):
        rounded = np.inf
    elif magnitude < np.float32(2.0**-14):
        # Below its normal range float16 has the fixed quantum 2**-24: that of float64 numbers from 2**28 up.
        rounded = (np.float64(magnitude) + 2.0**28) - 2.0**28
    else:
        # Drop 13 of float32's fraction bits; the carry of a rounding up runs into the exponent, as it should.
        bits = np.float32(magnitude).view(np.uint32)
        bits = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
        rounded = np.float64(np.uint32(bits).view(np.float32))
    return rounded if value >= 0 else -rounded


@loop
def rounded(value, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Round float32 to the type with this rounding, nearest even, as float64 (exact)."""
    if rounding == TO_HALF:
        return _half(value)
    return np.float64(value)
