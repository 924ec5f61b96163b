"""Frames on a serial line, as a host and a board exchange them: every field, flag and limit, written down once.

A frame stands between two FLAG bytes. In it FLAG and ESCAPE are replaced by ESCAPE and the byte with FLIP inverted, so
a FLAG always is the end of a frame, and after a damaged byte the next frame is understood again. In it: a header, up to
``MAX_PAYLOAD`` bytes, and the CRC-32 (``zlib.crc32``) of all that, little-endian. What fails the CRC is dropped.

Both sides number their DATA frames modulo 256 and take them in order alone. With ``ack`` every frame tells which one
its sender expects next, so it confirms all before. A side that finds damage or a gap asks with ``resend`` for all from
``ack`` on; for one gap once, unless what was sent again is missing again. With ``limit`` a board tells the first number
for which it has no room. The host keeps the time: where nothing goes on it asks with ``resend``, and a board
answers that at once.

RESET, with two random bytes as ``seq`` and ``ack``, makes the board forget everything; it answers with HELLO and the
same two bytes, and all numbers are 0. HELLO says which top the board has: what the DATA frames carry is another thing
for each. A payload of a host is whole words, ``last`` with the final one of a message. The answer to a message is bytes
in any number of frames, and after them a frame of its own with ``last``.

Decompressor: a message is a stream. Its weights come back in the order of the decoder's beats, little-endian, and the
RESULT.

Array: a message is a job, from a reset on: orders, each of them a word with its number, its arguments and what follows
them, END as the only and final one of its kind. LOAD: arguments LOAD, then that number of words for the board's weight
memory. WALK: a walk of ``dnnzip.format.program``; the image is at address 0. The host sends it no earlier than a run
needs it, since the board does not go on before it has begun the walk. RUN: a run, then its vectors, each of them filled
up to whole words. The board answers with the sums of the runs, 4 bytes for each row, little-endian, and the
ARRAY_RESULT. After an error the rest of the job is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from dnnzip.format.crc import CRC32_BYTES, crc32
from dnnzip.format.fields import Field, HeaderLayout
from dnnzip.format.program import RUN, WALK

PROTOCOL = 2
FLAG = 0x7E
ESCAPE = 0x7D
FLIP = 0x20
MAX_PAYLOAD = 126
NUMBERS = 256
"""Frames are numbered modulo this."""

MAX_FRAMES = 64
"""The most frames that a board has room for."""


class Kind(IntEnum):
    """Kind of a frame."""

    STATUS = 0
    DATA = 1
    RESET = 2
    HELLO = 3


class Top(IntEnum):
    """Design behind a board's line."""

    DECOMPRESSOR = 0
    ARRAY = 1

    @property
    def label(self) -> str:
        """Its name for the user."""
        return self.name.lower()


FRAME_HEADER = HeaderLayout(
    "frame header",
    (
        Field("kind", 2, "0 status, 1 data, 2 reset, 3 hello"),
        Field("last", 1, "1: a stream, or what came of it, ends with this frame"),
        Field("resend", 1, "1: everything from `ack` on is wanted again"),
        Field("reserved", 4, "zero"),
        Field("seq", 8, "number of a data frame"),
        Field("ack", 8, "number of the data frame that is expected next"),
        Field("limit", 8, "from a board: the first number for which it has no room"),
    ),
)

HELLO = HeaderLayout(
    "hello",
    (
        Field("protocol", 8, "version of this protocol"),
        Field("format", 8, "version of the stream format"),
        Field("lanes", 8, "hardware lanes"),
        Field("slots", 8, "virtual lanes of a hardware lane"),
        Field("log2_states", 8, "log2 of the most states of a table"),
        Field("weight_bits", 8, "width of a weight"),
        Field("line", 8, "1: `line` streams are decoded"),
        Field("frames", 8, "data frames that a side may send before the first one is confirmed"),
        Field("top", 8, "0 decompressor, 1 array; what follows is zero for a decompressor"),
        Field("groups", 8, "lane groups of the array"),
        Field("columns", 8, "columns of the array"),
        Field("log2_vectors", 8, "log2 of the accumulators of a row"),
        Field("memory", 16, "size of the weight memory, in units of 1,024 bytes"),
    ),
)

MEMORY_UNIT = 1024
"""Bytes of a unit of ``memory``."""

RESULT = HeaderLayout(
    "result",
    (
        Field("cause", 8, "verdict of the stream"),
        Field("reserved", 8, "zero"),
        Field("cycles", 32, "clock cycles in which the decoder did not wait for the line"),
    ),
)


class Order(IntEnum):
    """Order to an array."""

    LOAD = 0
    WALK = 1
    RUN = 2
    END = 3


LOAD = HeaderLayout(
    "load",
    (
        Field("words", 32, "words that follow, one at least"),
        Field("address", 32, "where the first one goes, in words"),
        Field("fetched", 32, "words that the array must have fetched before, since the reset"),
    ),
)

END = HeaderLayout("end", (Field("fetched", 32, "words that the array must have fetched, since the reset"),))

ORDERS = {Order.LOAD: LOAD, Order.WALK: WALK, Order.RUN: RUN, Order.END: END}
"""The arguments of each order."""


ARRAY_RESULT = HeaderLayout(
    "array result",
    (
        Field("cause", 8, "verdict of the stream that stopped the job; 15: not what its entry says"),
        Field("fault", 8, "what else stopped it: 1 to 3 the image, 4 the memory, 5 an order"),
        Field("vectors", 32, "vectors that went into the array"),
        Field("lacks_tile", 32, "clock cycles in which a run waited for weights"),
        Field("lacks_vector", 32, "clock cycles in which a run waited for vectors"),
        Field("lacks_room", 32, "clock cycles in which a run waited for room for its sums"),
        Field("bus_moves", 32, "words on the on-chip bus"),
        Field("memory_words", 32, "words that the array fetched"),
    ),
)


@dataclass(frozen=True)
class Frame:
    """A frame without its flags and its CRC; the fields but `payload` are those of ``FRAME_HEADER``."""

    kind: Kind
    seq: int = 0
    ack: int = 0
    limit: int = 0
    payload: bytes = b""
    last: bool = False
    resend: bool = False

    def pack(self) -> bytes:
        """Return the frame as bytes on the line."""
        header = {"kind": self.kind, "last": self.last, "resend": self.resend, "reserved": 0}
        content = FRAME_HEADER.pack({**header, "seq": self.seq, "ack": self.ack, "limit": self.limit}) + self.payload
        content += crc32(content)
        for byte in (ESCAPE, FLAG):
            content = content.replace(bytes([byte]), bytes([ESCAPE, byte ^ FLIP]))
        return bytes([FLAG]) + content + bytes([FLAG])


class FrameReader:
    """Finds frames in bytes from a line."""

    LONGEST = 2 * (FRAME_HEADER.bytes + MAX_PAYLOAD + CRC32_BYTES)

    def __init__(self) -> None:
        self.damaged = 0  # pieces between two flags that were no frame
        self._piece = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame | None]:
        """Yield the frames that end in ``data``, and None for each piece that is none."""
        *ends, rest = data.split(bytes([FLAG]))
        for end in ends:
            piece, self._piece = self._piece + end, bytearray()
            if piece:
                frame = unpack(bytes(piece))
                self.damaged += frame is None
                yield frame
        # A line that sends no flag must not fill the memory; so long a piece is no frame.
        self._piece = (self._piece + rest)[: self.LONGEST + 1]


def unpack(piece: bytes) -> Frame | None:
    """Return the frame that a piece between two flags is, or None where it is damaged."""
    content = bytearray()
    escaped = False
    for byte in piece:
        if byte == ESCAPE and not escaped:
            escaped = True
            continue
        content.append(byte ^ FLIP if escaped else byte)
        escaped = False
    body = bytes(content[:-CRC32_BYTES])
    size = len(body) - FRAME_HEADER.bytes
    if escaped or not 0 <= size <= MAX_PAYLOAD:
        return None
    if crc32(body) != content[-CRC32_BYTES:]:
        return None
    header = FRAME_HEADER.unpack(body)
    return Frame(
        Kind(header["kind"]),
        header["seq"],
        header["ack"],
        header["limit"],
        body[FRAME_HEADER.bytes :],
        bool(header["last"]),
        bool(header["resend"]),
    )
