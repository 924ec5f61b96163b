"""The host's side of the frames of ``dnnzip.format.frames``: messages to a board, answers back.

Frames that the line loses or damages are sent again, so that everything arrives once and in order. The board needs no
clock for that: only this side waits for a time and asks again.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dnnzip.errors import InputError
from dnnzip.format import VERSION
from dnnzip.format.frames import HELLO, MAX_PAYLOAD, NUMBERS, PROTOCOL, Frame, FrameReader, Kind, Top


class Line(Protocol):
    """A serial line that is open."""

    def read(self) -> bytes:
        """Return the bytes received, at least one; none where none comes for some milliseconds."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...


@dataclass(frozen=True)
class Answer:
    """Answer of a board to a message."""

    body: bytes  # bytes of all frames but the last
    end: bytes  # bytes of the last one


@dataclass
class Statistics:
    """Counts of frames on the line."""

    sent: int = 0  # data frames sent, again or not
    resent: int = 0  # of these, again
    received: int = 0  # data frames that came in order
    damaged: int = 0  # pieces that were no frame
    asked: int = 0  # number of times that either side asked for frames again


class Session:
    """A conversation with a board.

    Parameters
    ----------
    line
        The line to the board.
    name
        The user's name of it, for errors.
    patience
        Seconds without a byte after which the board is asked again; and, with bytes but nothing new, ten times as long.
    attempts
        Number of times that it is asked before the session ends with an error.

    Members
    -------
    statistics
        Counts of frames on the line.
    hello
        The board's description of itself, by the fields of ``HELLO``; empty before ``open``.
    """

    def __init__(self, line: Line, name: str, *, patience: float = 0.1, attempts: int = 50) -> None:
        self.statistics = Statistics()
        self.hello: dict[str, int] = {}
        self._line = line
        self._name = name
        self._patience = patience
        self._attempts = attempts
        self._reader = FrameReader()
        # Absolute numbers, of which the frames carry the lowest byte.
        self._frames: list[tuple[bytes, bool]] = []
        self._confirmed = self._next = self._furthest = self._limit = 0
        self._expected = 0
        self._asked = False  # for the gap that is there
        self._seen = 0  # how far behind the gap the last frame was
        self._answers: list[Answer] = []
        self._body = bytearray()

    def open(self, top: Top = Top.DECOMPRESSOR) -> None:
        """Reset the board and learn what it is.

        Parameters
        ----------
        top
            The design that must be behind its line.

        Raises
        ------
        InputError
            If nothing answers, or something else than a board with dnnzip and this top.
        """
        nonce = os.urandom(2)
        heard = 0
        for _ in range(self._attempts):
            self._line.write(Frame(Kind.RESET, seq=nonce[0], ack=nonce[1]).pack())
            until = time.monotonic() + self._patience
            while time.monotonic() < until:
                data = self._line.read()
                heard += len(data)
                for frame in self._reader.feed(data):
                    if frame and frame.kind is Kind.HELLO and bytes((frame.seq, frame.ack)) == nonce:
                        self._greet(frame, top)
                        return
        if heard:
            raise InputError(self._name, "what answers is no dnnzip board, or at another speed", "see docs/board.md")
        raise InputError(self._name, "nothing answers", "is the board's bitstream loaded and the port the right one?")

    def _greet(self, frame: Frame, top: Top) -> None:
        said = HELLO.unpack(frame.payload.ljust(HELLO.bytes, b"\0"))
        if said["protocol"] != PROTOCOL or said["format"] != VERSION:
            raise InputError(
                self._name,
                f"the board speaks protocol {said['protocol']} with format {said['format']}",
                f"this dnnzip needs {PROTOCOL} with {VERSION}; build the bitstream anew",
            )
        if said["top"] != top:
            other = next((known.label for known in Top if known == said["top"]), "an unknown top")
            raise InputError(
                self._name,
                f"the board has the top {other}, and this needs {top.label}",
                f"load the bitstream of `dnnzip bitstream --top {top.label}`",
            )
        self.hello = said
        self._limit = frame.limit

    def exchange(self, messages: Sequence[bytes]) -> list[Answer]:
        """Send messages, and return what the board makes of each.

        Parameters
        ----------
        messages
            None of them empty; an odd last byte is filled up with a zero.

        Raises
        ------
        InputError
            If the board does not answer any more, or answers more than it was asked.
        """
        for message in messages:
            data = message + b"\0" * (len(message) % 2)
            starts = range(0, len(data), MAX_PAYLOAD)
            self._frames += [(data[at : at + MAX_PAYLOAD], at + MAX_PAYLOAD >= len(data)) for at in starts]
        self._answers = []
        waited, progress = 0, self._progress()
        last_byte = last_progress = time.monotonic()
        while len(self._answers) < len(messages):
            self._send_frames()
            data = self._line.read()
            self._take(data)
            now = time.monotonic()
            if data:
                last_byte = now
            if self._progress() != progress:
                waited, progress, last_progress = 0, self._progress(), now
            elif now - last_byte > self._patience or now - last_progress > 10 * self._patience:
                waited += 1
                if waited > self._attempts:
                    raise InputError(
                        self._name, f"no answer any more in message {len(self._answers)}", "reset the board"
                    )
                last_byte = last_progress = now
                self._next = self._confirmed
                self._confirm(resend=True)
        self.statistics.damaged = self._reader.damaged
        if len(self._answers) > len(messages):
            raise InputError(self._name, "the board answers more than it was asked", "reset the board")
        return self._answers

    def _progress(self) -> tuple[int, int, int]:
        return self._confirmed, self._limit, self._expected

    def _send_frames(self) -> None:
        """Send the data frames that the board has room for."""
        burst = bytearray()
        while self._next < min(len(self._frames), self._limit):
            payload, last = self._frames[self._next]
            frame = Frame(Kind.DATA, self._next % NUMBERS, self._expected % NUMBERS, payload=payload, last=last)
            burst += frame.pack()
            self.statistics.sent += 1
            self.statistics.resent += self._next < self._furthest
            self._next += 1
            self._furthest = max(self._furthest, self._next)
        if burst:
            self._line.write(bytes(burst))

    def _take(self, data: bytes) -> None:
        """Take what came, and confirm it."""
        before = self._expected
        asks = repeats = False
        for frame in self._reader.feed(data):
            if frame is None:
                asks = self._asked = True
            elif frame.kind in (Kind.DATA, Kind.STATUS):
                self._note(frame)
            if frame is None or frame.kind is not Kind.DATA:
                continue
            ahead = (frame.seq - self._expected) % NUMBERS
            if ahead == 0:
                self._collect(frame)
                self._asked, self._seen = False, 0
            elif ahead < NUMBERS // 2:
                # One that is not further ahead than the one before: what was sent again has been lost again.
                asks |= not self._asked or ahead <= self._seen
                self._asked, self._seen = True, ahead
            else:
                repeats = True
        if asks or repeats or self._expected != before:
            self._confirm(resend=asks)

    def _note(self, frame: Frame) -> None:
        """Take what a frame says of the other direction."""
        confirmed = (frame.ack - self._confirmed) % NUMBERS
        if confirmed > self._furthest - self._confirmed:
            return  # it is older than what is known
        self._confirmed += confirmed
        self._next = max(self._next, self._confirmed)
        self._limit = max(self._limit, self._confirmed + (frame.limit - frame.ack) % NUMBERS)
        if frame.resend:
            self.statistics.asked += 1
            self._next = self._confirmed

    def _confirm(self, *, resend: bool) -> None:
        self.statistics.asked += resend
        self._line.write(Frame(Kind.STATUS, ack=self._expected % NUMBERS, resend=resend).pack())

    def _collect(self, frame: Frame) -> None:
        """Take the next data frame."""
        self._expected += 1
        self.statistics.received += 1
        if not frame.last:
            self._body += frame.payload
            return
        self._answers.append(Answer(bytes(self._body), frame.payload))
        self._body = bytearray()


def too_many_states(name: str, hello: Mapping[str, int]) -> InputError:
    """Return the error of a board whose decompressor cannot load a table set.

    Parameters
    ----------
    name
        The user's name of the line.
    hello
        The board's description of itself.
    """
    states, lanes = 1 << hello["log2_states"], hello["lanes"] * hello["slots"]
    return InputError(
        name,
        f"the board decodes tables of up to {states} states",
        f"compress with --states {states} --virtual-lanes {lanes}",
    )
