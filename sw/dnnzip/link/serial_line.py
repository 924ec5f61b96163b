"""The serial link: streams are decoded by a board on a serial port."""

import os
import time
from collections.abc import Sequence

import numpy as np
import serial

from dnnzip.errors import InputError
from dnnzip.format import Verdict, VerdictError, WeightHeader
from dnnzip.link.api import LinkRun, StreamResult
from dnnzip.link.order import codes_from_beats
from dnnzip.link.session import Session, Statistics, StreamAnswer

DEFAULT_BAUD = 1_000_000
READ_SECONDS = 0.02
READ_BYTES = 1 << 12


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
        self._name = f"--link serial:{port}"
        try:
            self._port = serial.Serial(port, baud, timeout=READ_SECONDS, exclusive=True)
        except (OSError, ValueError) as error:
            raise InputError(self._name, f"cannot be opened ({_reason(error)})", "name the board's port") from None

    def read(self) -> bytes:
        """Return what has come; see ``dnnzip.link.session.Line``."""
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

    def close(self) -> None:
        """Give the port back."""
        self._port.close()


def _reason(error: Exception) -> str:
    """Return the system's words for what went wrong, or else the library's."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)


class SerialLink:
    """Decodes streams with a board; see ``dnnzip.link.api.Link``.

    Cycles are those in which the board's decoder did not wait for the line; ``seconds`` are those of the line.

    Parameters
    ----------
    argument
        What follows ``serial:`` in the link's name: the port, and after ``@`` the bits per second where they are not
        1,000,000.

    Members
    -------
    last_run
        Figures of the last ``decode`` that streamed anything, or None.
    statistics
        What happened on the line then.
    """

    def __init__(self, argument: str = "") -> None:
        port, separator, speed = argument.rpartition("@")
        if not separator:
            port, speed = argument, str(DEFAULT_BAUD)
        if not port:
            raise InputError("--link serial", "names no port", "for example serial:/dev/ttyUSB0")
        if not speed.isascii() or not speed.isdigit() or not 0 < int(speed) <= 100_000_000:
            raise InputError(
                f"--link serial:{argument}", f"{speed!r} is no speed", "for example serial:/dev/ttyUSB0@115200"
            )
        self._port, self._baud = port, int(speed)
        self.last_run: LinkRun | None = None
        self.statistics = Statistics()

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Load the table set, decode every weight stream in turn, and return a result for each.

        Parameters
        ----------
        tables
            The table set stream; empty where no stream needs one.
        streams
            Weight streams. One without a word ends as ``truncated``.

        Raises
        ------
        InputError
            If the port cannot be opened, nothing or something else answers, or the board cannot load the table set.
        VerdictError
            If the table set is damaged.
        """
        offered = [stream for stream in ([tables] if tables else []) + list(streams) if stream]
        answers: list[StreamAnswer] = []
        weight_bytes = 1
        if offered:
            line = SerialLine(self._port, self._baud)
            try:
                session = Session(line, f"--link serial:{self._port}")
                self.statistics = session.statistics
                session.open()
                weight_bytes = session.hello["weight_bits"] // 8
                begun = time.perf_counter()
                answers = session.exchange(offered)
            finally:
                line.close()
            self.last_run = LinkRun(
                weights=sum(len(answer.weights) for answer in answers) // weight_bytes,
                cycles=sum(answer.cycles for answer in answers),
                table_cycles=answers[0].cycles if tables else 0,
                seconds=time.perf_counter() - begun,
            )
            self._check_tables(session, tables, answers)
        remaining = iter(answers[1:] if tables else answers)
        return [
            _result(stream, next(remaining), weight_bytes) if stream else StreamResult(Verdict.TRUNCATED, None, 0)
            for stream in streams
        ]

    def _check_tables(self, session: Session, tables: bytes, answers: Sequence[StreamAnswer]) -> None:
        """Raise unless the table set was loaded."""
        if not tables or answers[0].verdict == Verdict.OK:
            return
        if answers[0].verdict == Verdict.UNSUPPORTED:
            states, lanes = 1 << session.hello["log2_states"], session.hello["lanes"] * session.hello["slots"]
            raise InputError(
                f"--link serial:{self._port}",
                f"the board decodes tables of up to {states} states",
                f"compress with --states {states} --virtual-lanes {lanes}",
            )
        raise VerdictError(answers[0].verdict)


def _result(stream: bytes, answer: StreamAnswer, weight_bytes: int) -> StreamResult:
    """Return a stream's result, its codes ordered by channel."""
    if answer.verdict != Verdict.OK:
        return StreamResult(answer.verdict, None, answer.cycles)
    weights = np.frombuffer(answer.weights, f"<i{weight_bytes}").astype(np.int16)
    return StreamResult(answer.verdict, codes_from_beats(weights, WeightHeader.unpack(stream)), answer.cycles)
