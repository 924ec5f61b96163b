"""The two checks of the format, each described once: software, RTL, and the generated C and SystemVerilog derive."""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Crc:
    """A cyclic redundancy check that takes its data, and returns its result, least significant bit first."""

    width: int  # bits of the check
    polynomial: int  # without its top bit, the highest power on top
    initial: int  # value of the register
    inverted: int = 0  # value that is combined with the result by exclusive or

    @property
    def reflected(self) -> int:
        """The polynomial with its lowest power on top, as loops that shift to the right take it."""
        return int(f"{self.polynomial:0{self.width}b}"[::-1], 2)


CRC8 = Crc(8, 0x07, 0xFF)
"""CRC-8/ROHC, which ends every header."""

CRC32 = Crc(32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF)
"""The CRC-32 of ``zlib.crc32``, which ends every stream and every frame."""

CRC8_POLYNOMIAL, CRC8_INITIAL, CRC32_POLYNOMIAL = CRC8.reflected, CRC8.initial, CRC32.reflected
CRC32_BYTES = CRC32.width // 8


def crc8(data: bytes) -> int:
    """Return the ``CRC8`` of ``data``; zero over a header with its check byte."""
    crc = CRC8.initial
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (CRC8_POLYNOMIAL if crc & 1 else 0)
    return crc


def crc32(data: bytes | memoryview) -> bytes:
    """Return the ``CRC32`` of ``data`` as the bytes that follow it."""
    return zlib.crc32(data).to_bytes(CRC32_BYTES, "little")
