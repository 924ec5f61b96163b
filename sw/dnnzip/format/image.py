"""The image of a network's streams in an accelerator's memory: a header, a table of the streams, the streams.

A small DMA walks it: from the header it learns the bus word and how many entries follow, each of which names one
stream. The table set is the first stream. Every stream starts on a bus word; gaps are zeros. Fields are little-endian
and whole words of 16 or 32 bits, so that they are members of a C structure as they stand.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from dnnzip.format.crc import crc32
from dnnzip.format.fields import WORD_BYTES, Field, HeaderLayout
from dnnzip.format.limits import MAX_BUS_BITS, MIN_BUS_BITS
from dnnzip.format.ranges import check_power
from dnnzip.format.stream import WeightStream

IMAGE_MAGIC = int.from_bytes(b"dnnz", "little")
IMAGE_VERSION = 1

IMAGE_NO_LAYER = 0xFFFF
"""The layer of the table set, which belongs to all."""


IMAGE_HEADER = HeaderLayout(
    "image header",
    (
        Field("magic", 32, f"{IMAGE_MAGIC:#010x}, the bytes `dnnz`"),
        Field("version", 16, f"version of this layout, {IMAGE_VERSION}"),
        Field("bus_bytes", 16, "bytes of a bus word: 2, 4, ... 64; streams start on a multiple of it"),
        Field("streams", 32, "entries of the table, which follows the header"),
        Field("layers", 32, "layers of the network that have streams"),
        Field("bytes", 32, "size of the whole image, a multiple of bus_bytes"),
        Field("check", 32, "CRC-32 of the header, with this field as zero, and the table"),
        Field("reserved", 64, "zero"),
    ),
)

IMAGE_ENTRY = HeaderLayout(
    "image table entry",
    (
        Field("offset", 32, "bytes from the start of the image to the stream, a multiple of bus_bytes"),
        Field("bus_words", 32, "bus words that hold the stream"),
        Field("words", 32, "16-bit words of the stream; the last of them carries `last`"),
        Field("layer", 16, f"number of the layer, from 0; {IMAGE_NO_LAYER:#06x} for the table set"),
        Field("part", 16, "number of the stream among those of its layer, from 0"),
        Field("first_channel", 32, "channel of the layer at which the stream starts"),
        Field("channels", 32, "channels of the stream; 0 for the table set"),
        Field("length", 32, "weights of a channel; 0 for the table set"),
        Field("kind", 16, "what the words are: 0 a stream of the format, 1 plain weights"),
        Field("virtual_lanes", 16, "virtual lanes among which the channels are dealt; 0 for the table set"),
    ),
)


class ImageKind(IntEnum):
    """Kind of an image's entry, by the words that it holds.

    ``PLAIN`` weights are bytes, for an array that takes them past the decompressor. They lie in the order in which an
    ``ans`` stream yields its weights: passes of ``virtual_lanes`` channels; in each its positions; at each the
    channels.
    """

    STREAM = 0
    PLAIN = 1


class ImageError(ValueError):
    """Bytes are no image, or one that contradicts itself; the message says what is wrong."""


@dataclass(frozen=True)
class ImageEntry:
    """One stream of an image; the fields are those of ``IMAGE_ENTRY``."""

    offset: int
    bus_words: int
    words: int
    layer: int
    part: int = 0
    first_channel: int = 0
    channels: int = 0
    length: int = 0
    kind: ImageKind = ImageKind.STREAM
    virtual_lanes: int = 0

    @property
    def is_table_set(self) -> bool:
        """Return True if the stream is the table set."""
        return self.layer == IMAGE_NO_LAYER

    def pack(self) -> bytes:
        """Return the entry's bytes; a ``ValueError`` where a number does not fit its field."""
        return IMAGE_ENTRY.pack(vars(self))


def check_bus_bits(bus_bits: int) -> None:
    """Raise a ``ValueError`` unless the width of a bus is a power of two from 16 to 512."""
    check_power("bus bits", bus_bits, MIN_BUS_BITS, MAX_BUS_BITS)


def table_bytes(streams: int) -> int:
    """Return the bytes of the header and the table of an image with a number of streams."""
    return IMAGE_HEADER.bytes + streams * IMAGE_ENTRY.bytes


def image_head(bus_bytes: int, layers: int, size: int, entries: Sequence[ImageEntry]) -> bytes:
    """Return the header and the table of an image.

    Parameters
    ----------
    layers
        Layers of the network that have streams.
    size
        Bytes of the whole image, a multiple of ``bus_bytes``.
    entries
        The streams with their places, in order.

    Raises
    ------
    ValueError
        If a number does not fit its field.
    """
    values = {
        "magic": IMAGE_MAGIC,
        "version": IMAGE_VERSION,
        "bus_bytes": bus_bytes,
        "streams": len(entries),
        "layers": layers,
        "bytes": size,
        "check": 0,
        "reserved": 0,
    }
    table = b"".join(entry.pack() for entry in entries)
    return IMAGE_HEADER.pack(values | {"check": image_check(IMAGE_HEADER.pack(values) + table)}) + table


def words_of(data: bytes) -> int:
    """Return the 16-bit words that bytes take."""
    return -(-len(data) // WORD_BYTES)


def table_set_entry(tables: bytes) -> ImageEntry:
    """Return the entry of a table set, without its place."""
    return ImageEntry(0, 0, words_of(tables), IMAGE_NO_LAYER)


def stream_entries(streams: Iterable[WeightStream], layer: int) -> list[ImageEntry]:
    """Return the entries of a layer's streams, without their places."""
    found: list[ImageEntry] = []
    first = 0
    for part, stream in enumerate(streams):
        header = stream.header
        sizes = (header.channels, header.length)
        found.append(ImageEntry(0, 0, words_of(stream.data), layer, part, first, *sizes, virtual_lanes=header.lanes))
        first += header.channels
    return found


class ImageLayout:
    """Lays an image out: its header and table, behind them one stream after the other, each from a bus word on.

    In a memory of a fixed size, streams that do not fit any more lie from the end of the table on again: they are
    another load, for when those before them have been used.

    Parameters
    ----------
    memory
        Bytes of the memory, which must hold each stream; as many as it takes where there is none.

    Members
    -------
    entries
        The streams with their places.
    loads
        Number of each stream's load.
    size
        Bytes of the image.
    """

    def __init__(self, entries: Sequence[ImageEntry], bus_bytes: int, memory: int | None = None) -> None:
        self.entries: list[ImageEntry] = []
        self.loads: list[int] = []
        self._bus_bytes = bus_bytes
        start = position = -(-table_bytes(len(entries)) // bus_bytes) * bus_bytes
        load = 0
        for entry in entries:
            bus_words = -(-entry.words * WORD_BYTES // bus_bytes)
            if memory is not None and position + bus_words * bus_bytes > memory:
                position, load = start, load + 1
            self.entries.append(replace(entry, offset=position, bus_words=bus_words))
            self.loads.append(load)
            position += bus_words * bus_bytes
        self.size = position if memory is None else memory

    def head(self, layers: int) -> bytes:
        """Return the header and the table of an image with a number of layers; raises as ``image_head`` does."""
        return image_head(self._bus_bytes, layers, self.size, self.entries)

    def content(self, layers: int, streams: Iterable[bytes]) -> Iterator[bytes]:
        """Visit the bytes of the image from its start: the head, the streams in their order, zeros between them.

        Raises as ``image_head`` does.
        """
        head = self.head(layers)
        yield head
        position = len(head)
        for entry, stream in zip(self.entries, streams, strict=True):
            yield bytes(entry.offset - position)
            yield stream
            position = entry.offset + len(stream)
        yield bytes(self.size - position)


def read_image_table(image: bytes) -> list[ImageEntry]:
    """Return the entries of an image.

    Raises
    ------
    ImageError
        If a field of the header is not what it must be, the check does not match, or a stream is not inside the image.
    """
    if len(image) < IMAGE_HEADER.bytes:
        raise ImageError(f"an image must have at least {IMAGE_HEADER.bytes} bytes, not {len(image)}")
    header = IMAGE_HEADER.unpack(image)
    if header["magic"] != IMAGE_MAGIC or header["version"] != IMAGE_VERSION:
        raise ImageError(f"an image must start with {IMAGE_MAGIC:#010x} and version {IMAGE_VERSION}")
    if header["bytes"] != len(image):
        raise ImageError(f"the image must have the {header['bytes']} bytes that its header says, not {len(image)}")
    try:
        check_bus_bits(8 * header["bus_bytes"])
    except ValueError as error:
        raise ImageError(str(error)) from None
    end = table_bytes(header["streams"])
    if end > len(image):
        raise ImageError(f"the table of {header['streams']} streams must end inside the image")
    if image_check(image[:end]) != header["check"]:
        raise ImageError("the check of the header and the table does not match")
    starts = range(IMAGE_HEADER.bytes, end, IMAGE_ENTRY.bytes)
    entries = [_entry(image[start : start + IMAGE_ENTRY.bytes]) for start in starts]
    for number, entry in enumerate(entries):
        room = entry.bus_words * header["bus_bytes"]
        if entry.offset % header["bus_bytes"] or not end <= entry.offset <= len(image) - room:
            raise ImageError(f"stream {number} must lie on bus words inside the image, not at {entry.offset}")
        if entry.bus_words != -(-entry.words * WORD_BYTES // header["bus_bytes"]):
            raise ImageError(f"stream {number} must have the bus words of {entry.words} words, not {entry.bus_words}")
    return entries


def image_check(head: bytes) -> int:
    """Return the check of a header and table, whatever stands in the field ``check``."""
    start = IMAGE_HEADER.offset("check") // 8
    end = start + IMAGE_HEADER["check"].width // 8
    return int.from_bytes(crc32(head[:start] + bytes(end - start) + head[end:]), "little")


def _entry(data: bytes) -> ImageEntry:
    values = IMAGE_ENTRY.unpack(data)
    try:
        kind = ImageKind(values.pop("kind"))
    except ValueError as error:
        raise ImageError(f"an entry's kind must be 0 or 1 ({error})") from None
    return ImageEntry(kind=kind, **values)
