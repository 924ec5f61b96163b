"""The CRC-32 at the end of every stream, in a basis in which a word costs one LUT level of feedback."""

from functools import cache

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import CRC32, WORD_BITS, crc32

POLYNOMIAL, WIDTH = CRC32.polynomial, CRC32.width
SCALE = 174
"""The basis is x^-174 times the powers of x^16; of some thousand exponents that were tried, this one needs the fewest
XOR gates for a word."""


def _times_x(value: int) -> int:
    """Return x times a remainder modulo the polynomial."""
    value <<= 1
    return value ^ (1 << WIDTH | POLYNOMIAL) if value >> WIDTH else value


def _power_of_x(exponent: int) -> int:
    """Return x^exponent modulo the polynomial."""
    value = 1
    for _ in range(exponent):
        value = _times_x(value)
    return value


@cache
def _reduced_basis() -> dict[int, tuple[int, int]]:
    """Return the powers of x^16 in echelon form: by their top bit a vector, and the powers that add up to it."""
    reduced: dict[int, tuple[int, int]] = {}
    for power in range(WIDTH):
        vector, made_of = _power_of_x(WORD_BITS * power), 1 << power
        while vector.bit_length() - 1 in reduced:
            other, other_made_of = reduced[vector.bit_length() - 1]
            vector, made_of = vector ^ other, made_of ^ other_made_of
        reduced[vector.bit_length() - 1] = vector, made_of
    return reduced


def _in_basis(vector: int) -> int:
    """Return the powers of x^16 that add up to a remainder."""
    coordinates = 0
    while vector:
        other, made_of = _reduced_basis()[vector.bit_length() - 1]
        vector, coordinates = vector ^ other, coordinates ^ made_of
    return coordinates


@cache
def _columns() -> tuple[int, ...]:
    """Return the contribution of each bit of a word to the state, first bit first."""
    return tuple(_in_basis(_power_of_x(WIDTH + WORD_BITS - 1 - bit + SCALE)) for bit in range(WORD_BITS))


def _after(state: int, word: int) -> int:
    """Return the state after a word.

    Squaring, and so raising to the power of 16, maps the roots of the polynomial to each other: x^16 is a root too.
    So in its powers a multiplication by x^16 is the shift that one by x is in the powers of x.
    """
    state = _times_x(state)
    for bit, column in enumerate(_columns()):
        if word >> bit & 1:
            state ^= column
    return state


def _start() -> int:
    """Return the state before the first word: all ones, times x^SCALE."""
    value = (1 << WIDTH) - 1
    for _ in range(SCALE):
        value = _times_x(value)
    return _in_basis(value)


def _residue() -> int:
    """Return the state after any words and their CRC-32."""
    words = b"\0\0" + crc32(b"\0\0")
    state = _start()
    for at in range(0, len(words), 2):
        state = _after(state, int.from_bytes(words[at : at + 2], "little"))
    return state


class StreamChecksum(wiring.Component):
    """Tells whether the last two words of a stream are the CRC-32 of those before.

    Throughput: a word per cycle. Latency: two cycles. There is no back-pressure. Reset: as ``start``.

    Members
    -------
    start : In(1)
        Forget all words. Not together with ``word_en``.
    word_en : In(1), word : In
        A word, first bit at the bottom.
    matches : Out(1)
        They are.
    """

    def __init__(self) -> None:
        super().__init__({"start": In(1), "word_en": In(1), "word": In(WORD_BITS), "matches": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        state = Signal(WIDTH, init=_start())
        columns = _columns()
        with m.If(self.start):
            m.d.sync += state.eq(_start())
        with m.Elif(self.word_en):
            for place in range(WIDTH):
                terms = [self.word[bit] for bit, column in enumerate(columns) if column >> place & 1]
                if place:
                    terms.append(state[place - 1])
                if POLYNOMIAL >> place & 1:
                    terms.append(state[-1])
                m.d.sync += state[place].eq(Cat(terms).xor())
        m.d.sync += self.matches.eq(state == _residue())
        return m
