"""A serial port of this machine, by what follows ``serial:`` in a link's name."""

import os
from typing import Self

import serial

from dnnzip.errors import InputError, field_name

DEFAULT_BAUD = 1_000_000
READ_SECONDS = 0.02
READ_BYTES = 1 << 12


def parse_port(argument: str) -> tuple[str, int]:
    """Return the port and the bits per second that a link's argument names.

    Parameters
    ----------
    argument
        The port, and after ``@`` the bits per second where they are not 1,000,000.

    Raises
    ------
    InputError
        If it names no port, or no speed after ``@``.
    """
    port, separator, speed = argument.rpartition("@")
    if not separator:
        port, speed = argument, str(DEFAULT_BAUD)
    if not port:
        raise InputError(f"{field_name('link')} serial", "names no port", "for example serial:/dev/ttyUSB0")
    if not speed.isascii() or not speed.isdigit() or not 0 < int(speed) <= 100_000_000:
        raise InputError(
            f"{field_name('link')} serial:{argument}",
            f"{speed!r} is no speed",
            "for example serial:/dev/ttyUSB0@115200",
        )
    return port, int(speed)


class SerialLine:
    """A port that pyserial opens.

    Parameters
    ----------
    port
        Its name.
    baud
        Bits per second.

    Raises
    ------
    InputError
        If it cannot be opened, or is gone.
    """

    def __init__(self, port: str, baud: int) -> None:
        self._name = f"{field_name('link')} serial:{port}"
        try:
            self._port = serial.Serial(port, baud, timeout=READ_SECONDS, exclusive=True)
        except (OSError, ValueError) as error:
            raise InputError(self._name, f"cannot be opened ({_reason(error)})", "name the board's port") from None

    def read(self) -> bytes:
        """Return the bytes received; see ``dnnzip.link.session.Line``."""
        try:
            first: bytes = self._port.read(1)
            return first + self._port.read(min(self._port.in_waiting, READ_BYTES)) if first else first
        except OSError as error:
            raise InputError(self._name, f"is gone ({_reason(error)})", "connect the board again") from None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._port.write(data)
        except OSError as error:
            raise InputError(self._name, f"is gone ({_reason(error)})", "connect the board again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port."""
        self._port.close()


def _reason(error: Exception) -> str:
    """Return the system's words for what went wrong, or else the library's."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
