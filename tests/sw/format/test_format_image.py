"""The memory image's header and table: as they are written down, and what a reader refuses."""

import re
import struct
import zlib
from dataclasses import replace

import pytest

from dnnzip.format import (
    IMAGE_ENTRY,
    IMAGE_HEADER,
    IMAGE_NO_LAYER,
    ImageEntry,
    ImageError,
    ImageKind,
    ImageLayout,
    check_bus_bits,
    image_head,
    read_image_table,
    table_bytes,
    table_set_entry,
)

BUS_BYTES = 8
ENTRIES = [
    ImageEntry(96, 2, 5, IMAGE_NO_LAYER),
    ImageEntry(112, 1, 4, 0, 0, 0, 6, 25, ImageKind.PLAIN, 8),
]


def image(entries=ENTRIES, size=120, bus_bytes=BUS_BYTES, layers=1):
    return image_head(bus_bytes, layers, size, list(entries)).ljust(size, b"\0")


def test_the_bytes_of_an_image():
    data = image()
    assert data[:8] == b"dnnz\x01\x00\x08\x00"
    streams, layers, size, check, reserved = struct.unpack_from("<IIIIQ", data, 8)
    assert (streams, layers, size, reserved) == (2, 1, 120, 0)
    assert check == zlib.crc32(data[:20] + bytes(4) + data[24:96])
    assert struct.unpack_from("<IIIHHIIIHH", data, 32) == (96, 2, 5, 0xFFFF, 0, 0, 0, 0, 0, 0)
    assert struct.unpack_from("<IIIHHIIIHH", data, 64) == (112, 1, 4, 0, 0, 0, 6, 25, 1, 8)


def test_fields_are_members_of_a_structure_as_they_stand():
    for layout in (IMAGE_HEADER, IMAGE_ENTRY):
        assert layout.bytes == 32
        for field in layout.fields:
            assert field.width in (16, 32, 64)
            assert layout.offset(field.name) % field.width == 0


def test_a_table_is_read_back():
    assert read_image_table(image()) == ENTRIES
    assert [entry.is_table_set for entry in ENTRIES] == [True, False]
    assert read_image_table(image([], 32)) == []
    assert table_bytes(2) == 96


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"dnnz", "an image must have at least 32 bytes, not 4"),
        (b"x" + image()[1:], "an image must start with 0x7a6e6e64 and version 1"),
        (image()[:4] + b"\x02" + image()[5:], "an image must start with 0x7a6e6e64 and version 1"),
        (image() + b"\0", "the image must have the 120 bytes that its header says, not 121"),
        (image(bus_bytes=6), "bus bits must be a power of two from 16 to 512, not 48"),
        (image()[:8] + b"\xff" + image()[9:], "the table of 255 streams must end inside the image"),
        (image()[:70] + b"\x01" + image()[71:], "the check of the header and the table does not match"),
        (
            image([replace(ENTRIES[0], offset=88), ENTRIES[1]]),
            "stream 0 must lie on bus words inside the image",
        ),
        (image([ENTRIES[0], replace(ENTRIES[1], offset=100)]), "stream 1 must lie on bus words inside the image"),
        (image([ENTRIES[0], replace(ENTRIES[1], offset=120)]), "stream 1 must lie on bus words inside the image"),
        (
            image([ENTRIES[0], replace(ENTRIES[1], kind=2)]),
            "an entry's kind must be 0 or 1 (2 is not",
        ),
        (image([ENTRIES[0], replace(ENTRIES[1], words=5)]), "stream 1 must have the bus words of 5 words, not 1"),
    ],
)
def test_what_is_no_image_is_refused(data, message):
    with pytest.raises(ImageError, match=re.escape(message)):
        read_image_table(data)


@pytest.mark.parametrize("bus_bits", [0, 8, 24, 100, 1024, -16])
def test_a_wrong_bus_is_refused(bus_bits):
    with pytest.raises(ValueError, match=re.escape(f"power of two from 16 to 512, not {bus_bits}")):
        check_bus_bits(bus_bits)


def test_a_number_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="image table entry: layer must be 0 to 65535, not 65536"):
        replace(ENTRIES[0], layer=1 << 16).pack()


def test_streams_lie_one_after_the_other_from_bus_words_on():
    streams = [b"tables" * 3, b"x" * 8, b"yz"]
    entries = [table_set_entry(streams[0]), replace(ENTRIES[1], words=4), replace(ENTRIES[1], part=1, words=1)]
    layout = ImageLayout(entries, BUS_BYTES)
    assert [(entry.offset, entry.bus_words, entry.words) for entry in layout.entries] == [
        (128, 3, 9),
        (152, 1, 4),
        (160, 1, 1),
    ]
    assert (layout.size, layout.loads) == (168, [0, 0, 0])
    data = b"".join(layout.content(2, streams))
    assert data == layout.head(2) + streams[0] + bytes(6) + streams[1] + streams[2] + bytes(6)
    assert read_image_table(data) == layout.entries


@pytest.mark.parametrize(
    ("memory", "places"),
    [
        (160, [(128, 0), (144, 0), (128, 1)]),  # the third does not fit behind the second
        (174, [(128, 0), (144, 0), (160, 0)]),
        (144, [(128, 0), (128, 1), (128, 2)]),
    ],
)
def test_in_a_small_memory_streams_take_turns_behind_the_table(memory, places):
    layout = ImageLayout(
        [replace(ENTRIES[1], part=part, words=words) for part, words in enumerate((8, 8, 7))], 2, memory
    )
    assert [(entry.offset, load) for entry, load in zip(layout.entries, layout.loads, strict=True)] == places
    assert layout.size == memory


def test_an_image_without_streams_is_its_header():
    assert b"".join(ImageLayout([], 64).content(0, [])) == image([], 64, 64, 0)
