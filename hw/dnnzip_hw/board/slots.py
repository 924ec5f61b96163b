"""The frames that a board keeps: those that came and have not been read, and those that wait to be confirmed.

A slot of 128 bytes holds a frame's payload behind a byte with its size and its ``last``.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format.frames import MAX_PAYLOAD, NUMBERS
from dnnzip_hw.board.frames import BYTE
from dnnzip_hw.layouts import word_layout

SLOT_BYTES = MAX_PAYLOAD + 2
SIZE_LAYOUT = data.StructLayout({"size": BYTE - 1, "last": 1})


def address(number: Signal, place: Signal, frames: int) -> Cat:
    """Return the address of a byte of the slot of a frame's number."""
    return Cat(place[: ceil_log2(SLOT_BYTES)], number[: ceil_log2(frames)])


class Inbox(wiring.Component):
    """Keeps the payloads of frames that came until their words have been taken.

    Throughput: a word in four cycles. Latency: some cycles. Back-pressure: ``room`` tells whether there is a free slot.
    Reset: all slots are free, and the next frame has the number 0.

    Parameters
    ----------
    frames
        Slots.

    Members
    -------
    payload, place, writes : In
        See ``FrameReceiver``.
    size, last, commits : In(7), In(1), In(1)
        The frame whose payload was written is right.
    head : Out(8)
        Number of the frame that is expected next.
    limit : Out(8)
        The first number for which there is no room.
    room : Out(1)
        There is a free slot.
    o : Out(stream of word_layout)
        Words.
    """

    class Phase(enum.Enum):
        """Part of a message that is read."""

        WAIT = 0
        SIZE = 1
        LOW = 2
        HIGH = 3
        WORD = 4

    def __init__(self, frames: int) -> None:
        self._frames = frames
        super().__init__(
            {
                "payload": In(BYTE),
                "place": In(range(MAX_PAYLOAD + 1)),
                "writes": In(1),
                "size": In(range(MAX_PAYLOAD + 1)),
                "last": In(1),
                "commits": In(1),
                "head": Out(range(NUMBERS)),
                "limit": Out(range(NUMBERS)),
                "room": Out(1),
                "o": Out(stream.Signature(word_layout())),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=BYTE, depth=self._frames * SLOT_BYTES, init=[])
        writer, reader = memory.write_port(), memory.read_port()
        tail = Signal(range(NUMBERS))
        m.d.comb += [
            self.limit.eq(tail + self._frames),
            self.room.eq(self.head != self.limit),
            writer.addr.eq(address(self.head, Mux(self.commits, 0, self.place + 1), self._frames)),
            writer.data.eq(Mux(self.commits, Cat(self.size, self.last), self.payload)),
            writer.en.eq((self.writes | self.commits) & self.room),
        ]
        with m.If(self.commits):
            m.d.sync += self.head.eq(self.head + 1)

        phase = Signal(self.Phase)
        place = Signal(range(SLOT_BYTES))
        size = Signal(SIZE_LAYOUT)
        m.d.comb += [reader.addr.eq(address(tail, place, self._frames)), reader.en.eq(1)]
        with m.Switch(phase):
            with m.Case(self.Phase.WAIT):
                m.d.sync += place.eq(0)
                with m.If(tail != self.head):
                    m.d.sync += [phase.eq(self.Phase.SIZE), place.eq(1)]
            with m.Case(self.Phase.SIZE):
                m.d.sync += [size.eq(reader.data), phase.eq(self.Phase.LOW), place.eq(2)]
            with m.Case(self.Phase.LOW):
                m.d.sync += [self.o.payload.data[:BYTE].eq(reader.data), phase.eq(self.Phase.HIGH), place.eq(place + 1)]
            with m.Case(self.Phase.HIGH):
                m.d.sync += [
                    self.o.payload.data[BYTE:].eq(reader.data),
                    self.o.payload.last.eq(size.last & (place - 1 == size.size)),
                    self.o.valid.eq(1),
                    phase.eq(self.Phase.WORD),
                ]
            with m.Case(self.Phase.WORD), m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
                with m.If(place - 1 == size.size):
                    m.d.sync += [tail.eq(tail + 1), place.eq(0), phase.eq(self.Phase.WAIT)]
                with m.Else():
                    m.d.sync += [place.eq(place + 1), phase.eq(self.Phase.LOW)]
        return m


class Piece(enum.Enum):
    """Kind of a piece of an answer.

    Members
    -------
    BYTE
        A byte.
    CUT
        None; what follows has a frame of its own.
    LAST
        The answer's last byte.
    """

    BYTE = 0
    CUT = 1
    LAST = 2


def piece_layout() -> data.StructLayout:
    """Return the layout of a piece of an answer."""
    return data.StructLayout({"byte": BYTE, "kind": Piece})


class Outbox(wiring.Component):
    """Makes frames of the bytes of answers, and keeps them until they are confirmed.

    The bytes fill frames, each of them whole, up to a cut or the last one.

    Throughput: a byte per cycle. Latency: a frame can be sent once it is complete. Back-pressure: a byte is taken when
    it is in a frame. Reset: no frame is there, and the next one has the number 0.

    Parameters
    ----------
    frames
        Slots.

    Members
    -------
    i : In(stream of piece_layout)
        Pieces of answers.
    head : Out(8)
        Number of the frame that is made.
    tail : In(8)
        Number of the first frame that is not confirmed.
    number, place : In(8), In(7)
        Which byte is read: of the frame's size where ``place`` is 0, else of its payload.
    byte : Out(8)
        That byte, a cycle later.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        super().__init__(
            {
                "i": In(stream.Signature(piece_layout())),
                "head": Out(range(NUMBERS)),
                "tail": In(range(NUMBERS)),
                "number": In(range(NUMBERS)),
                "place": In(range(SLOT_BYTES)),
                "byte": Out(BYTE),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=BYTE, depth=self._frames * SLOT_BYTES, init=[])
        writer, reader = memory.write_port(), memory.read_port()
        m.d.comb += [
            reader.addr.eq(address(self.number, self.place, self._frames)),
            reader.en.eq(1),
            self.byte.eq(reader.data),
        ]
        piece = self.i.payload
        count = Signal(range(SLOT_BYTES))
        ends = Signal()  # the last byte is in the frame
        room = (self.head - self.tail)[: len(self.head)] != self._frames
        place = Signal(range(SLOT_BYTES))
        m.d.comb += [writer.addr.eq(address(self.head, place, self._frames)), place.eq(count + 1)]

        def close(last: int) -> None:
            """Write the frame's size and begin the next frame."""
            m.d.comb += [place.eq(0), writer.en.eq(1), writer.data.eq(Cat(count[: BYTE - 1], last))]
            m.d.sync += [self.head.eq(self.head + 1), count.eq(0)]

        with m.If(ends):
            close(1)
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += ends.eq(0)
        with m.Elif(self.i.valid & (piece.kind == Piece.CUT)):
            m.d.comb += self.i.ready.eq(1)
            with m.If(count != 0):
                close(0)
        with m.Elif(self.i.valid & (count == MAX_PAYLOAD)):
            close(0)
        with m.Elif(self.i.valid & room):
            m.d.comb += [writer.data.eq(piece.byte), writer.en.eq(1)]
            m.d.sync += count.eq(count + 1)
            with m.If(piece.kind == Piece.LAST):
                m.d.sync += ends.eq(1)
            with m.Else():
                m.d.comb += self.i.ready.eq(1)
        return m
