"""The tolerated error as the user writes it: ``2%``, ``0.003`` or ``1lsb``."""

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from dnnzip.errors import InputError, field_name

#: Forms of a bound, for messages.
RIGHT = "give a share of the range such as 2%, an absolute error such as 0.003, or for integer weights 1lsb"


class Unit(StrEnum):
    """Unit of a bound's number."""

    SHARE = "share"  # of the range, largest minus smallest weight
    ABSOLUTE = "absolute"  # in the weight's own unit
    LSB = "lsb"  # steps of an integer weight


class Scope(StrEnum):
    """Weights over which the range of a percentage is taken."""

    TENSOR = "tensor"
    CHANNEL = "channel"


@dataclass(frozen=True)
class Bound:
    """A tolerated error."""

    # SHARE: fraction of the range, above 0 and at most 1; ABSOLUTE: above 0; LSB: a whole number from 0 up.
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
            The text is no bound, or the bound is zero (but for ``0lsb``), negative, not finite, or over 100 %.
        """
        where = f"{option} {text!r}"
        number, unit = text.strip(), Unit.ABSOLUTE
        for suffix, suffix_unit in (("%", Unit.SHARE), ("lsb", Unit.LSB)):
            if number.lower().endswith(suffix):
                number, unit = number[: -len(suffix)].strip(), suffix_unit
        try:
            # `float` first: it takes no fractions such as 1/3, and says which texts are no finite number.
            size = float(number)
            if not math.isfinite(size) or "_" in number:
                raise InputError(where, "is not a finite number", RIGHT)
            # The fraction of 1e-999999999 would have a billion digits.
            value = Fraction(number) if size else Fraction(0)
            is_too_small = not size and number.lower().partition("e")[0].strip("+-0.") != ""
        except (ValueError, OverflowError):
            raise InputError(where, "is not an error bound", RIGHT) from None
        if unit is Unit.LSB:
            if value < 0 or value.denominator != 1 or is_too_small:
                raise InputError(where, "is not a whole number of steps", "give 0lsb, 1lsb, 2lsb and so on")
            return cls(value, unit, text.strip(), option)
        if value <= 0:
            raise InputError(where, "is not above zero", RIGHT)
        if unit is Unit.SHARE:
            value /= 100
            if value > 1:
                raise InputError(where, "is over 100 %", "give at most 100%")
        return cls(value, unit, text.strip(), option)

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
