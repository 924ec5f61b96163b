"""The two headers of format version 1 and the rules that their fields keep.

Words are 16 bits, little-endian. The first word holds what decides whether a decoder can go on at all: magic number,
version, codec and virtual lanes. The last byte of a header is the CRC-8 of the bytes before it, so that no count is
used before it is checked.
"""

from dataclasses import dataclass, fields

from dnnzip.format.codecs import CODECS, UNKNOWN, Codec
from dnnzip.format.crc import CRC32_BYTES, crc8
from dnnzip.format.fields import WORD_BYTES, Field, HeaderLayout
from dnnzip.format.limits import CHANNEL_BITS, LENGTH_BITS, MIN_LOG2_STATES

VERSION = 1
WEIGHTS_MAGIC = 0xDA
TABLES_MAGIC = 0xD7
CRC_WORDS = CRC32_BYTES // WORD_BYTES

WEIGHT_HEADER = HeaderLayout(
    "weight stream header",
    (
        Field("magic", 8, f"{WEIGHTS_MAGIC:#04x}"),
        Field("version", 3, f"format version, {VERSION}"),
        Field("codec", 2, ", ".join(f"{codec} {codec.name.lower()}" for codec in Codec)),
        Field("log2_lanes", 3, "log2 of the virtual lanes V: 0 to 4"),
        Field("log2_states", 2, "log2 of the tANS states: 8, 9 or 10", bias=MIN_LOG2_STATES),
        Field("wide", 1, "0: every code fits 8 bits; 1: codes have up to 16 bits"),
        Field("context", 1, "1: the signs of two neighbours choose the table and the sign"),
        Field("klass", 3, "scale class of all channels, where class_per_channel is 0"),
        Field("class_per_channel", 1, "1: each channel starts with its own 3-bit class"),
        Field("columns", 1, "1: the payload starts with a block of column offsets"),
        Field("raw_width", 2, "raw: bits of an item: 0 means 4, 1 means 8, 2 means 16"),
        Field("reserved", 5, "zero"),
        Field("table_set", 16, "id of the table set; not used by raw"),
        Field("channels", CHANNEL_BITS, "channels of the stream", bias=1),
        Field("length", LENGTH_BITS, "weights of a channel", bias=1),
        Field("kernel_width", 3, "taps of a kernel row", bias=1),
        Field("kernel_height", 3, "kernel rows", bias=1),
        Field("payload_words", 25, "16-bit words between header and CRC-32"),
        Field("check", 8, "CRC-8 of the bytes before it"),
    ),
)

TABLE_HEADER = HeaderLayout(
    "table set header",
    (
        Field("magic", 8, f"{TABLES_MAGIC:#04x}"),
        Field("version", 3, f"format version, {VERSION}"),
        Field("log2_states", 2, "log2 of the tANS states: 8, 9 or 10", bias=MIN_LOG2_STATES),
        Field("tables", 3, "tables of the set", bias=1),
        Field("table_set", 16, "id of the table set"),
        Field("payload_words", 16, "16-bit words between header and CRC-32"),
        Field("reserved", 8, "zero"),
        Field("check", 8, "CRC-8 of the bytes before it"),
    ),
)


def _packed(layout: HeaderLayout, magic: int, values: dict[str, int]) -> bytes:
    data = layout.pack(values | {"magic": magic, "version": VERSION, "reserved": 0, "check": 0})
    return data[:-1] + bytes([crc8(data[:-1])])


@dataclass(frozen=True)
class WeightHeader:
    """The header of a weight stream; the fields are those of ``WEIGHT_HEADER``.

    Magic number, version, reserved bits and check are filled in by ``pack``.
    """

    codec: int
    channels: int
    length: int
    payload_words: int
    log2_lanes: int = 0
    log2_states: int = 9
    wide: int = 0
    context: int = 0
    klass: int = 0
    class_per_channel: int = 0
    columns: int = 0
    raw_width: int = 0
    table_set: int = 0
    kernel_width: int = 1
    kernel_height: int = 1

    @property
    def lanes(self) -> int:
        """Virtual lanes V."""
        return 1 << self.log2_lanes

    @property
    def weights(self) -> int:
        """Weights (``raw``: items) of the stream."""
        return self.channels * self.length

    @property
    def words(self) -> int:
        """Words of the whole stream: header, payload and CRC-32."""
        return WEIGHT_HEADER.words + self.payload_words + CRC_WORDS

    def consistent(self) -> bool:
        """Return True if the fields agree with each other, by the rules of the codec in ``dnnzip.format.codecs``."""
        return CODECS.get(self.codec, UNKNOWN).is_consistent(self)

    def pack(self) -> bytes:
        """Return the header's 16 bytes; a ``ValueError`` where a field is out of its range or two disagree."""
        if not self.consistent():
            raise ValueError(f"weight stream header: fields contradict each other: {self}")
        return _packed(WEIGHT_HEADER, WEIGHTS_MAGIC, vars(self))

    @classmethod
    def unpack(cls, data: bytes) -> "WeightHeader":
        """Return the header's fields, unchecked: the decoder reaches its verdict in the order of the stream."""
        values = WEIGHT_HEADER.unpack(data)
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class TableHeader:
    """The header of a table set stream; the fields are those of ``TABLE_HEADER``."""

    log2_states: int
    tables: int
    table_set: int
    payload_words: int

    @property
    def words(self) -> int:
        """Words of the whole stream: header, payload and CRC-32."""
        return TABLE_HEADER.words + self.payload_words + CRC_WORDS

    def pack(self) -> bytes:
        """Return the header's 8 bytes; a ``ValueError`` where a field is out of its range."""
        return _packed(TABLE_HEADER, TABLES_MAGIC, vars(self))

    @classmethod
    def unpack(cls, data: bytes) -> "TableHeader":
        """Return the header's fields, unchecked."""
        values = TABLE_HEADER.unpack(data)
        return cls(**{field.name: values[field.name] for field in fields(cls)})
