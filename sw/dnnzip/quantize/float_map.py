"""The map between the bits of floats and codes, which keeps the order of magnitudes.

The bits of a float are its sign s and its magnitude m, exponent and mantissa as one ordered integer of M bits. With a
base b, one number for each tensor, the place of m is

    p = (m - b) mod 2^M, but m = 0 and m = b change places: p(0) = 0, p(b) = -b mod 2^M,

and the code is p where s = 0, and -1 - p where s = 1. So every pattern has a code of M + 1 bits, zeros, infinities and
NaN included, and a zero has the code 0 whatever the base. Where the table of a stream has a shift of as many bits as
there are of the mantissa, a token is sign and exponent, and the low bits of a weight are its mantissa, as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import MAX_SHIFT

#: Most bits of a magnitude: a code has 16 bits, one of them for the sign.
MOST_MAGNITUDE_BITS = 15

#: Place of the most frequent exponent, in exponents above the base: most weights are smaller than it than larger, and
#: the tokens of a table reach up to 31 at its largest shift, to 15 where it has a bit of the mantissa in its tokens.
MODE_PLACE = 12

#: Exponents for which there are tokens of both signs.
EXPONENTS = 31

#: Share of the weights that another base must spare from being escaped, at 16 bits each.
WORTHWHILE = 1 / 256


@dataclass(frozen=True)
class FloatMap:
    """The map at a base, for patterns of a width."""

    base: int  # magnitude that becomes place 0, from 0 up to 2^magnitude_bits - 1
    magnitude_bits: int  # bits of a pattern below its sign, 1 to 15

    def __post_init__(self) -> None:
        if not 1 <= self.magnitude_bits <= MOST_MAGNITUDE_BITS:
            raise ValueError(f"magnitude_bits must be 1 to {MOST_MAGNITUDE_BITS}, not {self.magnitude_bits}")
        if not 0 <= self.base <= self._mask:
            raise ValueError(f"base must be 0 to {self._mask}, not {self.base}")

    @property
    def _mask(self) -> int:
        return (1 << self.magnitude_bits) - 1

    def codes(self, patterns: NDArray[np.uint16]) -> NDArray[np.int16]:
        """Return the codes of patterns.

        Parameters
        ----------
        patterns
            uint16 of any shape; the sign is the bit above ``magnitude_bits``, and no bit above it is set.

        Returns
        -------
        int16 of the same shape, -2^magnitude_bits to 2^magnitude_bits - 1.
        """
        places = self._exchanged(patterns & np.uint16(self._mask), self.base, 0)
        places -= np.uint16(self.base)
        places &= np.uint16(self._mask)
        return _signed(places, patterns >> np.uint16(self.magnitude_bits)).view(np.int16)

    def patterns(self, codes: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Return the patterns of codes, the inverse of `codes`; bits of a code above its width are not looked at."""
        bits = codes.view(np.uint16)
        signs = (bits >> np.uint16(MOST_MAGNITUDE_BITS)) & np.uint16(1)
        magnitudes = _signed(bits, signs)
        magnitudes += np.uint16(self.base)
        magnitudes &= np.uint16(self._mask)
        magnitudes = self._exchanged(magnitudes, self.base, 0)
        magnitudes |= signs << np.uint16(self.magnitude_bits)
        return magnitudes

    def _exchanged(self, magnitudes: NDArray[np.uint16], one: int, other: int) -> NDArray[np.uint16]:
        """Return magnitudes with two of them exchanged."""
        is_one, is_other = magnitudes == one, magnitudes == other
        magnitudes[is_one] = other
        magnitudes[is_other] = one
        return magnitudes


def _signed(places: NDArray[np.uint16], signs: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return places, or -1 less them where the sign is 1: all of their bits inverted."""
    inverted: NDArray[np.uint16] = places ^ (np.uint16(0) - signs)
    return inverted


def fitting_map(patterns: NDArray[np.uint16], magnitude_bits: int, mantissa_bits: int) -> FloatMap:
    """Return the map whose base suits a tensor: its most frequent exponent is at `MODE_PLACE`.

    Where that leaves more weights without a token than another base would, it is the other base. A type whose exponents
    all have tokens needs no base.

    Parameters
    ----------
    patterns
        uint16 of any shape, at least one; see `FloatMap.codes`.
    magnitude_bits, mantissa_bits
        Bits of a pattern below its sign, and those of them that are no exponent.
    """
    shift = min(mantissa_bits, MAX_SHIFT)
    number = 1 << magnitude_bits - shift
    if number <= EXPONENTS + 1:
        return FloatMap(0, magnitude_bits)
    magnitudes = patterns & np.uint16((1 << magnitude_bits) - 1)
    counts = np.bincount((magnitudes >> np.uint16(shift)).reshape(-1), minlength=number)
    counts[0] -= np.count_nonzero(magnitudes == 0)
    within = np.convolve(counts, np.ones(EXPONENTS, np.int64))[EXPONENTS - 1 :]
    first = max(int(counts.argmax()) - MODE_PLACE, 0)
    if within[first] + WORTHWHILE * patterns.size < within.max():
        first = int(within.argmax())
    return FloatMap(first << shift, magnitude_bits)
