"""The serial link: streams are decoded by a board on a serial port."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.errors import InputError, field_name
from dnnzip.format import Verdict, VerdictError, WeightStream
from dnnzip.format.frames import RESULT
from dnnzip.link.api import LinkRun, StreamResult
from dnnzip.link.serial_port import SerialLine, parse_port
from dnnzip.link.session import Answer, Session, Statistics, too_many_states

#: Widths of a weight that a board may have.
WEIGHT_BITS = (8, 16)

REBUILD = "build the bitstream with this dnnzip"


@dataclass(frozen=True)
class StreamAnswer:
    """Answer of a board to a stream."""

    verdict: Verdict  # how it ended
    weights: bytes  # its weights as they left the decoder, little-endian
    cycles: int  # clock cycles in which the decoder did not wait for the line


class SerialLink:
    """Decodes streams with a board; see ``dnnzip.link.api.Link``.

    Cycles are those in which the board's decoder did not wait for the line; ``seconds`` are those of the line.

    Parameters
    ----------
    argument
        The text behind ``serial:`` in the link's name; see ``parse_port``.

    Members
    -------
    statistics
        Counts of frames on the line in the last ``decode`` that streamed anything.
    """

    def __init__(self, argument: str = "") -> None:
        self._port, self._baud = parse_port(argument)
        self._name = f"{field_name('link')} serial:{self._port}"
        self.last_run: LinkRun | None = None
        self.statistics = Statistics()

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Decode every stream; see ``dnnzip.link.api.Link``. One without a word ends as ``truncated``.

        Raises
        ------
        InputError
            If the port cannot be opened, nothing or something else answers, the board cannot load the table set, or
            what it says of a stream is unknown.
        VerdictError
            If the table set is damaged.
        """
        offered = [stream for stream in ([tables] if tables else []) + list(streams) if stream]
        answers: list[StreamAnswer] = []
        weight_bytes = 1
        if offered:
            with SerialLine(self._port, self._baud) as line:
                session = Session(line, self._name)
                self.statistics = session.statistics
                session.open()
                weight_bytes = self._weight_bytes(session)
                begun = time.perf_counter()
                answers = [self._stream_answer(answer) for answer in session.exchange(offered)]
            self.last_run = LinkRun(
                weights=sum(len(answer.weights) for answer in answers) // weight_bytes,
                cycles=sum(answer.cycles for answer in answers),
                table_cycles=answers[0].cycles if tables else 0,
                seconds=time.perf_counter() - begun,
            )
            if tables:
                self._check_loaded(session, answers[0].verdict)
        remaining = iter(answers[1:] if tables else answers)
        return [
            self._result(stream, next(remaining), weight_bytes) if stream else StreamResult(Verdict.TRUNCATED, None, 0)
            for stream in streams
        ]

    def _check_loaded(self, session: Session, verdict: Verdict) -> None:
        """Raise unless the table set was loaded."""
        if verdict == Verdict.UNSUPPORTED:
            raise too_many_states(self._name, session.hello)
        if verdict != Verdict.OK:
            raise VerdictError(verdict)

    def _weight_bytes(self, session: Session) -> int:
        """Return the number of bytes of a weight as the board sends it."""
        bits = session.hello["weight_bits"]
        if bits not in WEIGHT_BITS:
            raise InputError(self._name, f"the board says that its weights have {bits} bits", REBUILD)
        return bits // 8

    def _stream_answer(self, answer: Answer) -> StreamAnswer:
        """Return the content of an answer."""
        said = RESULT.unpack(answer.end.ljust(RESULT.bytes, b"\0"))
        verdict = next((known for known in Verdict if known == said["cause"]), None)
        if verdict is None:
            raise InputError(self._name, f"the board ended a stream with the unknown verdict {said['cause']}", REBUILD)
        return StreamAnswer(verdict, answer.body, said["cycles"])

    def _result(self, stream: bytes, answer: StreamAnswer, weight_bytes: int) -> StreamResult:
        """Return a stream's result, its codes ordered by channel."""
        if answer.verdict != Verdict.OK:
            return StreamResult(answer.verdict, None, answer.cycles)
        header = WeightStream.from_bytes(stream).header
        wanted = header.weights * weight_bytes
        if len(answer.weights) != wanted:
            raise InputError(self._name, f"the board gave {len(answer.weights)} bytes of {wanted}", REBUILD)
        weights = np.frombuffer(answer.weights, f"<i{weight_bytes}").astype(np.int16)
        return StreamResult(answer.verdict, codes_from_beats(weights, header), answer.cycles)
