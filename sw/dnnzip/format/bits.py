"""Bit strings in 16-bit words, least significant bit first; exponential Golomb codes."""

from collections.abc import Callable

from dnnzip.format.fields import WORD_BITS, WORD_BYTES


class BitWriter:
    """Collects bits, least significant first."""

    def __init__(self) -> None:
        self._number = 0
        self.bits = 0

    def write(self, value: int, width: int) -> None:
        """Append the ``width`` bits of ``value``; a ``ValueError`` where it does not fit."""
        if not 0 <= value < 1 << width:
            raise ValueError(f"{value} does not fit {width} bits")
        self._number |= value << self.bits
        self.bits += width

    def write_exp_golomb(self, value: int, order: int) -> None:
        """Append the exponential Golomb code of ``value`` >= 0.

        With n = floor(log2(value / 2**order + 1)): n zeros, a one, and the n + order low bits of value + 2**order.
        """
        number = value + (1 << order)
        width = number.bit_length() - 1
        self.write(0, width - order)
        self.write(1, 1)
        self.write(number - (1 << width), width)

    def to_words(self) -> list[int]:
        """Return the bits as 16-bit words, the last filled up with zeros."""
        return [self._number >> start & (1 << WORD_BITS) - 1 for start in range(0, self.bits, WORD_BITS)]

    def to_bytes(self) -> bytes:
        """Return the words of ``to_words``, little-endian."""
        return b"".join(word.to_bytes(WORD_BYTES, "little") for word in self.to_words())


def exp_golomb_bits(value: int, order: int) -> int:
    """Return the width of the code that ``BitWriter.write_exp_golomb`` appends."""
    width = (value + (1 << order)).bit_length() - 1
    return width - order + 1 + width


class BitReader:
    """Reads bits from words that it asks for one at a time; ``next_word`` raises where there is none."""

    def __init__(self, next_word: Callable[[], int]) -> None:
        self._next_word = next_word
        self._number = 0
        self._bits = 0

    def read(self, width: int) -> int:
        """Return the next ``width`` bits."""
        while self._bits < width:
            self._number |= self._next_word() << self._bits
            self._bits += WORD_BITS
        value = self._number & (1 << width) - 1
        self._number >>= width
        self._bits -= width
        return value

    def read_exp_golomb(self, order: int, limit: int) -> int | None:
        """Return the next exponential Golomb number, or None at the zero that makes its width exceed ``limit``."""
        width = order
        while not self.read(1):
            width += 1
            if width > limit:
                return None
        return self.read(width) + (1 << width) - (1 << order)


def signed(value: int, width: int) -> int:
    """Return the two's complement reading of the low ``width`` bits of ``value``."""
    half = 1 << width - 1
    return (value & (1 << width) - 1 ^ half) - half
