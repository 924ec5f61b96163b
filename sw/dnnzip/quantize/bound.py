"""The tolerated error as the user writes it: ``2%``, ``3%rms``, ``1%rel``, ``0.003``, ``1lsb``, ``0``, or two of them.

A bound is one number in a unit. Weights of integers and of floats may have bounds of their own, ``1lsb,1%``; `Bound.of`
and `BoundPair.of` return the one that weights of a kind have.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from dnnzip.errors import InputError, field_name

#: The bound where none is given, see `AutoBound`, and over which weights the range of a percentage is taken:
#: `dnnzip_bench.defaults` measures what they do to networks.
DEFAULT_BOUND = "auto"
DEFAULT_SCOPE: Final[Literal["tensor", "channel"]] = "channel"

#: Most weights of a short channel, as depthwise convolutions have; the default bounds of these, and of all others.
SHORT_CHANNEL = 32
SHORT_BOUND, LONG_BOUND = "0.2%rms", "1%rms"

#: Forms of a bound, for messages.
RIGHT = (
    "give a share of the range such as 2%, of a channel's root mean square such as 3%rms, or of each weight such as "
    "1%rel, an absolute error such as 0.003, for integer weights 1lsb, or 0 for no loss"
)


class Unit(StrEnum):
    """Unit of a bound's number."""

    SHARE = "share"  # of the range, largest minus smallest weight
    RMS = "rms"  # share of the root mean square of an output channel
    RELATIVE = "relative"  # share of each weight
    ABSOLUTE = "absolute"  # in the weight's own unit
    LSB = "lsb"  # steps of an integer weight
    LOSSLESS = "lossless"  # zero, whatever the weights' unit


#: Ends of a bound's text; the longer of two that end alike comes first.
SUFFIXES = (("%rms", Unit.RMS), ("%rel", Unit.RELATIVE), ("%", Unit.SHARE), ("lsb", Unit.LSB))

#: Units that are shares, written in per cent.
SHARES = frozenset({Unit.SHARE, Unit.RMS, Unit.RELATIVE})

#: Units that integer weights, and that float weights, can be bounded in.
OF_INTEGERS = frozenset({Unit.SHARE, Unit.RMS, Unit.LSB, Unit.LOSSLESS})
OF_FLOATS = frozenset(Unit) - {Unit.LSB}


class Scope(StrEnum):
    """Weights over which the range of a percentage is taken."""

    TENSOR = "tensor"
    CHANNEL = "channel"


@dataclass(frozen=True)
class Bound:
    """A tolerated error."""

    # A fraction above 0 and at most 1 where the unit is a share; ABSOLUTE: above 0; LSB: a whole number from 0 up.
    value: Fraction
    unit: Unit
    text: str  # the bound as the user wrote it
    option: str = field_name("max_error")  # the option that it came from, for messages

    @classmethod
    def parse(cls, text: str, option: str = field_name("max_error")) -> "Bound":
        """Read a bound.

        The value stays an exact fraction, so that a percentage of an integer range has an exact floor.

        Raises
        ------
        InputError
            The text is no bound; or it is zero (but for ``0`` and ``0lsb``), negative, not finite, or over 100 %.
        =======
            The text is no bound, or the bound is zero (but for ``0`` and ``0lsb``), negative, not finite, or over
            100 %.
        >>>>>>> w-lossless
        """
        where = f"{option} {text!r}"
        number, unit = _unit_of(text)
        value, is_too_small = _value_of(number, where)
        if unit is Unit.LSB:
            if value < 0 or value.denominator != 1 or is_too_small:
                raise InputError(where, "is not a whole number of steps", "give 0lsb, 1lsb, 2lsb and so on")
            return cls(value, unit, text.strip(), option)
        if unit is Unit.ABSOLUTE and value == 0 and not is_too_small and not number.startswith("-"):
            return cls(value, Unit.LOSSLESS, text.strip(), option)
        if value <= 0:
            raise InputError(where, "is not above zero", RIGHT)
        if unit in SHARES:
            value /= 100
            if value > 1:
                raise InputError(where, "is over 100 %", "give at most 100%")
        return cls(value, unit, text.strip(), option)

    def of(self, is_integer: bool) -> "Bound | None":
        """Return the bound of integer weights, or of float weights; None where its unit is none of theirs."""
        if is_integer and self.unit is Unit.LOSSLESS:
            return Bound(Fraction(0), Unit.LSB, "0lsb", self.option)
        return self if self.unit in (OF_INTEGERS if is_integer else OF_FLOATS) else None

    def scope_of(self, scope: Scope) -> Scope:
        """Return the weights that share a bound, where a percentage of a range would have this scope."""
        return Scope.CHANNEL if self.unit is Unit.RMS else scope

    @property
    def share_hint(self) -> str:
        """End of a sentence that reads a bare number of 1 to 100 as a percentage; empty for other bounds."""
        if self.unit is Unit.ABSOLUTE and 1 <= self.value <= 100:
            return f", and {float(self.value):g}% is a share of it"
        return ""

    @property
    def where(self) -> str:
        """Option and text, for messages."""
        return f"{self.option} {self.text!r}"


@dataclass(frozen=True)
class BoundPair:
    """Tolerated errors of integer and of float weights."""

    integers: Bound
    floats: Bound
    text: str  # both as the user wrote them

    def of(self, is_integer: bool) -> Bound | None:
        """Return the bound of integer weights, or of float weights."""
        return (self.integers if is_integer else self.floats).of(is_integer)

    @property
    def share_hint(self) -> str:
        """The hint of the bound of float weights; see `Bound`."""
        return self.floats.share_hint

    @property
    def where(self) -> str:
        """Option and text, for messages."""
        return f"{self.integers.option} {self.text!r}"


@dataclass(frozen=True)
class AutoBound:
    """The default: a share of the root mean square, and a smaller one where channels are short.

    Networks feel the errors of depthwise convolutions most, which hold few of their weights.
    """

    option: str = field_name("max_error")  # the option that it came from, for messages
    text: str = DEFAULT_BOUND
    share_hint: str = ""  # see `Bound`

    def of_length(self, length: int) -> Bound:
        """Return the bound of a tensor whose output channels have this number of weights."""
        return Bound.parse(SHORT_BOUND if length <= SHORT_CHANNEL else LONG_BOUND, self.option)

    @property
    def where(self) -> str:
        """Option and text, for messages."""
        return f"{self.option} {self.text!r}"


AnyBound: TypeAlias = Bound | BoundPair | AutoBound


def parse_bounds(text: str, option: str = field_name("max_error")) -> AnyBound:
    """Read a bound for all weights, a bound for integer weights and one for floats with a comma between, or ``auto``.

    Of two bounds, the one in a unit of one kind alone (``lsb`` of integers; an absolute error or ``%rel`` of floats) is
    for that kind, and the other one for the other.

    Raises
    ------
    InputError
        A bound is none (see `Bound.parse`), there are more than two, or both are for weights of the same kind.
    """
    if text.strip().lower() == DEFAULT_BOUND:
        return AutoBound(option)
    parts = text.split(",")
    if len(parts) == 1:
        return Bound.parse(text, option)
    where, right = f"{option} {text!r}", "give one bound for integer weights and one for float weights, such as 1lsb,1%"
    if not all(part.strip() for part in parts):
        raise InputError(where, "has no bound before or behind a comma", right)
    if len(parts) > 2:
        raise InputError(where, f"is {len(parts)} bounds", right)
    first, second = (Bound.parse(part, option) for part in parts)
    for integers, floats in ((first, second), (second, first)):
        suits_one_kind = integers.unit not in OF_FLOATS or floats.unit not in OF_INTEGERS
        if integers.of(True) and floats.of(False) and suits_one_kind:
            return BoundPair(integers, floats, text.strip())
    raise InputError(where, "gives weights of the same kind two bounds", right)


def _unit_of(text: str) -> tuple[str, Unit]:
    """Return the number of a bound's text, and its unit."""
    stripped = text.strip()
    for suffix, unit in SUFFIXES:
        if stripped.lower().endswith(suffix):
            return stripped[: -len(suffix)].strip(), unit
    return stripped, Unit.ABSOLUTE


def _value_of(number: str, where: str) -> tuple[Fraction, bool]:
    """Return a number, exact, and True if it is so small that zero stands in for it."""
    try:
        # `float` first: it takes no fractions such as 1/3, and says which texts are no finite number.
        size = float(number)
        if not math.isfinite(size) or "_" in number:
            raise InputError(where, "is not a finite number", RIGHT)
        # The fraction of 1e-999999999 would have a billion digits.
        value = Fraction(number) if size else Fraction(0)
        return value, not size and number.lower().partition("e")[0].strip("+-0.") != ""
    except (ValueError, OverflowError):
        raise InputError(where, "is not an error bound", RIGHT) from None
