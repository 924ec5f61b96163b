"""The host's side of the serial protocol against a board that is written in Python and does everything wrong."""

import dataclasses
import re
import zlib

import numpy as np
import pytest

from dnnzip.codec.raw import fast as raw_fast
from dnnzip.errors import InputError
from dnnzip.format import VERSION, Verdict
from dnnzip.format.frames import HELLO, PROTOCOL, RESULT, Frame, FrameReader, Kind, Top
from dnnzip.link import open_link, serial_line
from dnnzip.link.serial_line import SerialLink
from dnnzip.link.session import Session

SAID = {
    "protocol": PROTOCOL,
    "format": VERSION,
    "lanes": 1,
    "slots": 4,
    "log2_states": 8,
    "weight_bits": 8,
    "line": 0,
    "frames": 4,
    "top": Top.DECOMPRESSOR,
    "groups": 0,
    "columns": 0,
    "log2_vectors": 0,
    "memory": 0,
}


class Board:
    """Answers each stream with its own bytes as weights; what it does wrong is ``fault``."""

    def __init__(self, said=None, fault=""):
        self._reader = FrameReader()
        self._said = said or SAID
        self._fault = fault
        self._out = bytearray()
        self._head = 0
        self._sent = 0
        self._frames = []
        self._stream = bytearray()

    def write(self, data):
        if self._fault == "silent":
            return
        if self._fault == "echo":
            self._out += data
            return
        for frame in self._reader.feed(data):
            if frame is not None:
                self._take(frame)

    def read(self):
        data, self._out = bytes(self._out), bytearray()
        return data

    def _take(self, frame):
        if frame.kind is Kind.RESET:
            nonce = {"seq": frame.seq, "ack": frame.ack ^ (self._fault == "nonce")}
            self._out += Frame(Kind.HELLO, **nonce, limit=4, payload=HELLO.pack(self._said)).pack()
            return
        if self._fault == "dies" and self._head:
            return
        if frame.kind is Kind.DATA and frame.seq == self._head % 256:
            self._head += 1
            self._stream += frame.payload
            if frame.last:
                weights, self._stream = bytes(self._stream), bytearray()
                for at in range(0, len(weights), 100):
                    self._frames.append((weights[at : at + 100], False))
                result = {"cause": zlib.crc32(weights) % 11, "reserved": 0, "cycles": len(weights)}
                self._frames.append((RESULT.pack(result), True))
        if frame.resend:
            self._sent -= (self._sent - frame.ack) % 256
        status = {"ack": self._head % 256, "limit": (self._head + 4) % 256}
        self._out += Frame(Kind.STATUS, **status).pack()
        while self._sent < len(self._frames):
            payload, last = self._frames[self._sent]
            self._out += Frame(Kind.DATA, seq=self._sent % 256, payload=payload, last=last, **status).pack()
            self._sent += 1


class Thief(Board):
    """Lose every n-th frame in both directions."""

    def __init__(self, every):
        super().__init__()
        self._every = every
        self._count = 0

    def write(self, data):
        for piece in data.split(b"\x7e"):
            self._count += 1
            if piece and self._count % self._every:
                super().write(b"\x7e" + piece + b"\x7e")

    def read(self):
        kept = bytearray()
        for piece in super().read().split(b"\x7e"):
            self._count += 1
            if piece and self._count % self._every:
                kept += b"\x7e" + piece + b"\x7e"
        return bytes(kept)


def session(board):
    return Session(board, "link serial:PORT", patience=0.005, attempts=30)


def streams(count):
    rng = np.random.default_rng(20200827)
    return [rng.integers(0, 256, int(rng.integers(1, 2000)), np.uint8).tobytes() for _ in range(count)]


@pytest.mark.parametrize("board", [Board(), Thief(17), Thief(5)], ids=["sound", "some lost", "many lost"])
def test_every_stream_comes_back_once_and_in_order(board):
    talk = session(board)
    talk.open()
    assert talk.hello == SAID
    sent = streams(60)
    answers = talk.exchange(sent)
    for stream, answer in zip(sent, answers, strict=True):
        whole = stream + b"\0" * (len(stream) % 2)
        assert answer.body == whole
        said = RESULT.unpack(answer.end)
        assert (said["cause"], said["cycles"]) == (zlib.crc32(whole) % 11, len(whole))
    assert talk.statistics.received > 256, "the numbers went round"
    assert bool(talk.statistics.resent) == isinstance(board, Thief)


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (Board(fault="silent"), "link serial:PORT: nothing answers; is the board's bitstream loaded"),
        (Board(fault="echo"), "link serial:PORT: what answers is no dnnzip board, or at another speed"),
        (Board(fault="nonce"), "link serial:PORT: what answers is no dnnzip board, or at another speed"),
        (Board(SAID | {"protocol": 9}), "the board speaks protocol 9 with format 1; this dnnzip needs 2 with 1"),
        (Board(SAID | {"format": 3}), "the board speaks protocol 2 with format 3; this dnnzip needs 2 with 1"),
        (
            Board(SAID | {"top": Top.ARRAY}),
            "the board has the top array, and this needs decompressor; load the bitstream",
        ),
        (Board(SAID | {"top": 7}), "the board has the top an unknown top, and this needs decompressor"),
    ],
)
def test_what_is_no_board_is_named(board, message):
    with pytest.raises(InputError, match=re.escape(message)):
        session(board).open()


def test_a_board_that_stops_is_given_up():
    talk = session(Board(fault="dies"))
    talk.open()
    with pytest.raises(InputError, match="link serial:PORT: no answer any more in message 0; reset the board"):
        talk.exchange([bytes(1000)])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("", "link serial: names no port; for example serial:/dev/ttyUSB0"),
        ("@115200", "link serial: names no port; for example serial:/dev/ttyUSB0"),
        ("/dev/ttyUSB0@fast", "link serial:/dev/ttyUSB0@fast: 'fast' is no speed; for example"),
        ("/dev/ttyUSB0@0", "link serial:/dev/ttyUSB0@0: '0' is no speed; for example"),
    ],
)
def test_a_wrong_argument_is_named(argument, message):
    with pytest.raises(InputError, match=re.escape(message)):
        SerialLink(argument)


def test_a_port_that_is_not_there():
    link = open_link("serial:/dev/no-such-port")
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    message = "link serial:/dev/no-such-port: cannot be opened (No such file or directory); name the board's port"
    with pytest.raises(InputError, match=re.escape(message)):
        link.decode(b"", [raw])


def test_a_port_that_is_no_port(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(InputError, match=r"cannot be opened \(.*\); name the board's port"):
        SerialLink(str(place)).decode(b"", [b"\0\0"])


class Liar(Board):
    """Answer each stream with the same weights and result, a number of times."""

    def __init__(self, result, weights=b"", said=None, times=1):
        super().__init__(said)
        self._answer = [(weights, False), (RESULT.pack({"reserved": 0, "cycles": 1} | result), True)] * times

    def _take(self, frame):
        known = len(self._frames)
        super()._take(frame)
        if len(self._frames) > known:
            self._frames[known:] = self._answer
            # What the board has sent of its own is sent again.
            self._out, self._sent = bytearray(), known
            super()._take(dataclasses.replace(frame, kind=Kind.STATUS, resend=False))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


OK = {"cause": int(Verdict.OK)}


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (Liar({"cause": 11}), "the board ended a stream with the unknown verdict 11"),
        (Liar({"cause": 255}), "the board ended a stream with the unknown verdict 255"),
        (Liar(OK, bytes(5)), "the board gave 5 bytes of 6"),
        (Liar(OK, bytes(7)), "the board gave 7 bytes of 6"),
        (Liar(OK), "the board gave 0 bytes of 6"),
        (Liar(OK, bytes(7), SAID | {"weight_bits": 16}), "the board gave 7 bytes of 12"),
        (Liar(OK, bytes(6), SAID | {"weight_bits": 0}), "the board says that its weights have 0 bits"),
        (Liar(OK, bytes(6), SAID | {"weight_bits": 24}), "the board says that its weights have 24 bits"),
        (Liar(OK, bytes(6), times=2), "the board answers more than it was asked; reset the board"),
    ],
)
def test_what_a_board_says_wrongly_is_named(monkeypatch, board, message):
    monkeypatch.setattr(serial_line, "SerialLine", lambda *_: board)
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    with pytest.raises(InputError, match=re.escape(f"link serial:PORT: {message}")):
        SerialLink("PORT").decode(b"", [raw])


def test_a_known_verdict_is_a_result(monkeypatch):
    raw = raw_fast.encode(np.arange(6, dtype=np.int16), 2, 4)
    for verdict in Verdict:
        board = Liar({"cause": int(verdict)}, bytes(6))
        monkeypatch.setattr(serial_line, "SerialLine", lambda *_, board=board: board)
        (result,) = SerialLink("PORT").decode(b"", [raw])
        assert result.verdict is verdict
        assert (result.codes is None) == (verdict is not Verdict.OK)


def test_no_streams_need_no_port():
    assert SerialLink("/dev/no-such-port").decode(b"", []) == []
    assert SerialLink("/dev/no-such-port").decode(b"", [b""])[0].verdict == Verdict.TRUNCATED


def test_what_the_board_asks_for_is_sent_at_once():
    class Asks(Board):
        """Takes no notice of the first data frame and asks for it."""

        ignored = False

        def _take(self, frame):
            if frame.kind is Kind.DATA and not self.ignored:
                self.ignored = True
                self._out += Frame(Kind.STATUS, limit=4, resend=True).pack()
                return
            super()._take(frame)

        def read(self):
            data = super().read()
            assert data, "the host waits for its patience to end, and has been asked"
            return data

    talk = Session(Asks(), "link serial:PORT", patience=30)
    talk.open()
    assert talk.exchange([bytes(1000)])[0].body == bytes(1000)
    assert talk.statistics.resent >= 1


def test_frames_are_compared_by_what_they_hold():
    frame = Frame(Kind.DATA, payload=b"ab")
    assert dataclasses.replace(frame, last=True) != frame
