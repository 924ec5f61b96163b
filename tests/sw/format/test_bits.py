"""Bit strings, exponential Golomb codes, the neighbour context and columns, against independent statements of each."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.format import (
    CLASSES,
    CONTEXTS,
    BitReader,
    BitWriter,
    column_of,
    context,
    is_final_channel,
    neighbours,
    scale_class,
)

FIELDS = st.lists(st.integers(0, 20).flatmap(lambda width: st.tuples(st.integers(0, (1 << width) - 1), st.just(width))))


def reader_of(words):
    return BitReader(iter(words).__next__)


@settings(derandomize=True)
@given(FIELDS)
def test_bits_go_both_ways_lowest_first(fields):
    writer = BitWriter()
    text = ""
    for value, width in fields:
        writer.write(value, width)
        text += f"{value:b}".zfill(width)[::-1] if width else ""
    assert writer.bits == len(text)
    words = writer.to_words()
    assert len(words) == -(-len(text) // 16)
    assert "".join(f"{word:016b}"[::-1] for word in words)[: len(text)] == text
    assert set("".join(f"{word:016b}"[::-1] for word in words)[len(text) :]) <= {"0"}
    assert writer.to_bytes() == b"".join(word.to_bytes(2, "little") for word in words)
    reader = reader_of(words)
    assert [reader.read(width) for _, width in fields] == [value for value, _ in fields]


@pytest.mark.parametrize(("value", "width"), [(1, 0), (2, 1), (-1, 4), (16, 4)])
def test_a_value_that_does_not_fit_is_refused(value, width):
    with pytest.raises(ValueError, match=rf"^{value} does not fit {width} bits$"):
        BitWriter().write(value, width)


def test_a_reader_asks_for_a_word_only_when_it_needs_one():
    taken = []

    def next_word():
        taken.append(0xA5C3)
        return taken[-1]

    reader = BitReader(next_word)
    assert reader.read(0) == 0
    assert not taken
    assert reader.read(4) == 3
    assert reader.read(12) == 0xA5C
    assert len(taken) == 1
    assert reader.read(1) == 1
    assert len(taken) == 2


def golomb_text(value, order):
    """The exponential Golomb code of ``value``, in the order of transmission."""
    leading = int(math.log2(value // 2**order + 1))
    rest = value + 2**order - 2 ** (leading + order)
    width = leading + order
    return "0" * leading + "1" + (f"{rest:b}".zfill(width)[::-1] if width else "")


@pytest.mark.parametrize("order", range(10))
def test_exponential_golomb_codes_go_both_ways(order):
    for value in (*range(300), 1023, 1024, 2047):
        writer = BitWriter()
        writer.write_exp_golomb(value, order)
        expected = golomb_text(value, order)
        text = "".join(f"{word:016b}"[::-1] for word in writer.to_words())[: writer.bits]
        assert text == expected
        assert reader_of(writer.to_words()).read_exp_golomb(order, 11) == value


def test_a_golomb_code_that_is_too_long_ends_at_the_zero_that_makes_it_so():
    taken = []

    def next_word():
        taken.append(0)
        return 0

    assert BitReader(next_word).read_exp_golomb(2, 10) is None
    assert len(taken) == 1
    # Width 10 itself is allowed: eight zeros, a one, ten bits.
    writer = BitWriter()
    writer.write(0, 8)
    writer.write((1 << 11) - 1, 11)
    assert reader_of(writer.to_words()).read_exp_golomb(2, 10) == (1 << 10) - 1 + (1 << 10) - (1 << 2)


@pytest.mark.parametrize("a", [-1, 0, 1])
@pytest.mark.parametrize("b", [-1, 0, 1])
def test_context_of_mirrored_neighbours_is_the_same_with_the_sign_turned(a, b):
    number, negate = context(a, b)
    mirrored, mirrored_negate = context(-a, -b)
    assert number == mirrored == abs(a + b) < CONTEXTS
    if (a, b) == (0, 0):
        assert not negate
    else:
        assert negate != mirrored_negate
        # The left tap decides, the one above where the left is zero.
        assert negate == ((a or b) < 0)


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("height", range(1, 9))
def test_neighbours_are_the_left_and_the_upper_tap_of_the_same_kernel(width, height):
    place = {}
    for position in range(3 * width * height + width):
        kernel, tap = divmod(position, width * height)
        row, column = divmod(tap, width)
        place[kernel, row, column] = position
        if width * height == 1:
            expected = (place.get((kernel - 1, 0, 0)), place.get((kernel - 2, 0, 0)))
        else:
            expected = (place.get((kernel, row, column - 1)), place.get((kernel, row - 1, column)))
        assert neighbours(position, width, height) == expected


def test_a_column_is_a_run_of_input_channels():
    for taps in (1, 6, 9, 64):
        for shift in (0, 1, 3, 15):
            position = 0
            for channel in range(20):
                for _ in range(taps):
                    assert column_of(position, taps, shift) == channel // 2**shift
                    position += 1


def test_the_scale_class_stops_at_the_last():
    for klass in range(CLASSES):
        for offset in range(4):
            assert scale_class(klass, offset) == sorted((klass + offset, 7))[0]


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_the_final_channel_of_a_lane_is_the_last_that_it_gets(lanes):
    for channels in range(lanes, 50):
        last = {channel % lanes: channel for channel in range(channels)}
        for channel in range(channels):
            assert is_final_channel(channel, channels, lanes) == (last[channel % lanes] == channel)
