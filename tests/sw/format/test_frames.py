"""Frames on a serial line: what is packed is read again, and damage is never taken for a frame."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnzip.format.frames import (
    ESCAPE,
    FLAG,
    FRAME_HEADER,
    HELLO,
    MAX_PAYLOAD,
    RESULT,
    Frame,
    FrameReader,
    Kind,
    unpack,
)

BYTE = st.integers(0, 255)
# Flags and escapes more often than chance has them.
PAYLOAD = st.lists(st.one_of(BYTE, st.sampled_from([FLAG, ESCAPE])), max_size=MAX_PAYLOAD).map(bytes)
FRAMES = st.builds(Frame, st.sampled_from(Kind), BYTE, BYTE, BYTE, PAYLOAD, st.booleans(), st.booleans())


@given(st.lists(FRAMES, max_size=5), st.integers(1, 50))
def test_frames_come_back_whatever_the_pieces(frames, size):
    line = b"".join(frame.pack() for frame in frames)
    reader = FrameReader()
    found = [frame for at in range(0, len(line), size) for frame in reader.feed(line[at : at + size])]
    assert found == frames
    assert reader.damaged == 0


@given(FRAMES)
def test_a_flag_stands_only_at_the_ends(frame):
    packed = frame.pack()
    assert packed[0] == packed[-1] == FLAG
    assert FLAG not in packed[1:-1]


def test_damage_is_seen_and_the_next_frame_understood():
    rng = random.Random(20200827)
    damaged = 0
    for _ in range(3000):
        frame = Frame(Kind.DATA, rng.randrange(256), payload=rng.randbytes(rng.randrange(MAX_PAYLOAD)))
        good = Frame(Kind.STATUS, ack=rng.randrange(256))
        line = bytearray(frame.pack())
        place = rng.randrange(1, len(line) - 1)
        kind = rng.randrange(3)
        if kind == 0:
            line[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del line[place]
        else:
            line.insert(place, rng.randrange(256))
        reader = FrameReader()
        found = list(reader.feed(bytes(line) + good.pack()))
        assert found[-1] == good
        # A flag put in front of a flag leaves the frame as it is.
        assert all(other in (None, frame) for other in found[:-1]), "a damaged frame was taken"
        damaged += reader.damaged
    assert damaged >= 2900  # a byte more or less in front of a flag can leave the frame whole


def test_a_line_without_flags_takes_no_memory():
    reader = FrameReader()
    for _ in range(100):
        assert list(reader.feed(bytes(1000))) == []
    assert len(reader._piece) <= FrameReader.LONGEST + 1
    assert list(reader.feed(bytes([FLAG]))) == [None]
    assert list(reader.feed(Frame(Kind.STATUS).pack())) == [Frame(Kind.STATUS)]


@pytest.mark.parametrize("piece", [b"", b"\x00", b"\x7d", bytes(7), bytes(8), bytes(300)])
def test_what_is_no_frame(piece):
    assert unpack(piece) is None


def test_a_payload_that_is_too_long_is_no_frame():
    assert unpack(Frame(Kind.DATA, payload=bytes(MAX_PAYLOAD)).pack()[1:-1]) is not None
    assert unpack(Frame(Kind.DATA, payload=bytes(MAX_PAYLOAD + 1)).pack()[1:-1]) is None


def test_layouts_fill_bytes():
    assert (FRAME_HEADER.bytes, HELLO.bytes, RESULT.bytes) == (4, 14, 6)
    assert MAX_PAYLOAD % 2 == 0, "no word is split"
