"""Fixed-width headers: named fields, packed from the least significant bit up, little-endian.

A ``HeaderLayout`` is the one description from which the codecs, the RTL's layouts and the manual's tables derive.
"""

from collections.abc import Mapping
from dataclasses import dataclass

WORD_BITS = 16
WORD_BYTES = WORD_BITS // 8


@dataclass(frozen=True)
class Field:
    """One field of a header."""

    name: str
    width: int  # in bits
    meaning: str
    bias: int = 0  # number added to the stored one to obtain the value; 1 for counts that are never zero

    @property
    def limit(self) -> int:
        """The largest value that the field holds."""
        return (1 << self.width) - 1 + self.bias


class HeaderLayout:
    """Fields of a header, in order, that fill whole 16-bit words; a ``ValueError`` where not, or two share a name."""

    def __init__(self, name: str, fields: tuple[Field, ...]) -> None:
        self.name = name
        self.fields = fields
        self.bits = sum(field.width for field in fields)
        if self.bits % WORD_BITS:
            raise ValueError(f"{name}: widths must add up to a multiple of {WORD_BITS}, not {self.bits}")
        if len({field.name for field in fields}) != len(fields):
            raise ValueError(f"{name}: field names must be unique")
        self.words = self.bits // WORD_BITS
        self.bytes = self.bits // 8
        self._offsets: dict[str, int] = {}
        offset = 0
        for field in fields:
            self._offsets[field.name] = offset
            offset += field.width

    def __getitem__(self, name: str) -> Field:
        """Return the field of that name."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def offset(self, name: str) -> int:
        """Return the position of the field's least significant bit."""
        return self._offsets[name]

    def pack(self, values: Mapping[str, int]) -> bytes:
        """Pack one value per field, little-endian; a ``ValueError`` names the field that its value does not fit."""
        number = 0
        for field in self.fields:
            stored = values[field.name] - field.bias
            if not 0 <= stored < 1 << field.width:
                raise ValueError(
                    f"{self.name}: {field.name} must be {field.bias} to {field.limit}, not {values[field.name]}"
                )
            number |= stored << self._offsets[field.name]
        return number.to_bytes(self.bytes, "little")

    def unpack(self, data: bytes) -> dict[str, int]:
        """Return the value of every field of the first ``bytes`` bytes of ``data``."""
        number = int.from_bytes(data[: self.bytes], "little")
        return {
            field.name: (number >> self._offsets[field.name] & (1 << field.width) - 1) + field.bias
            for field in self.fields
        }
