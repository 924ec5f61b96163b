"""The frames that a board keeps: those that came and wait for the decoder, and those that wait to be confirmed.

A slot of 128 bytes holds a frame's payload behind a byte with its size and its ``last``.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format.frames import MAX_PAYLOAD, NUMBERS, RESULT
from dnnzip_hw.board.frames import BYTE, RESULT_LAYOUT
from dnnzip_hw.layouts import beat_layout, word_layout
from dnnzip_hw.parameters import DecompressorParameters

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
        """What is read."""

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


class Outbox(wiring.Component):
    """Makes frames of what a decompressor gives, and keeps them until they are confirmed.

    The weights of a stream fill frames, each of them whole; then the result has a frame of its own, with ``last``.

    Throughput: a weight in as many cycles as it has bytes. Latency: a frame can be sent once it is complete.
    Back-pressure: a beat is taken when all of it is in a frame. Reset: no frame is there, and the next one has the
    number 0.

    Parameters
    ----------
    parameters
        Of the decompressor.
    frames
        Slots.

    Members
    -------
    i : In(stream of beat_layout)
        Beats.
    cycles : In(32)
        For the result of the stream whose end beat comes.
    head : Out(8)
        Number of the frame that is made.
    tail : In(8)
        Number of the first frame that is not confirmed.
    number, place : In(8), In(7)
        Which byte is read: of the frame's size where ``place`` is 0, else of its payload.
    byte : Out(8)
        That byte, a cycle later.
    """

    class Phase(enum.Enum):
        """What is written."""

        WEIGHTS = 0
        FULL = 1
        REST = 2
        RESULT = 3
        END = 4

    def __init__(self, parameters: DecompressorParameters, frames: int) -> None:
        self._parameters = parameters
        self._frames = frames
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(parameters))),
                "cycles": In(RESULT["cycles"].width),
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
        beat = self.i.payload
        bytes_each = self._parameters.weight_bits // BYTE
        pieces = data.ArrayLayout(BYTE, self._parameters.lanes * bytes_each)(beat.weights.as_value())
        result = Signal(RESULT_LAYOUT)
        m.d.comb += [result.cause.eq(beat.cause), result.cycles.eq(self.cycles)]
        results = data.ArrayLayout(BYTE, RESULT.bytes)(result.as_value())

        phase = Signal(self.Phase)
        piece = Signal(range(max(self._parameters.lanes * bytes_each, RESULT.bytes) + 1))
        count = Signal(range(SLOT_BYTES))
        room = (self.head - self.tail)[: len(self.head)] != self._frames
        lane = piece >> ceil_log2(bytes_each)
        is_kept = beat.mask.bit_select(lane, 1)
        place = Signal(range(SLOT_BYTES))
        m.d.comb += [writer.addr.eq(address(self.head, place, self._frames)), place.eq(count + 1)]

        def close(last: int) -> None:
            """Write the frame's size and begin the next frame."""
            m.d.comb += [place.eq(0), writer.en.eq(1), writer.data.eq(Cat(count[: BYTE - 1], last))]
            m.d.sync += [self.head.eq(self.head + 1), count.eq(0)]

        with m.Switch(phase):
            with m.Case(self.Phase.WEIGHTS):
                with m.If(self.i.valid & beat.last):
                    m.d.sync += [piece.eq(0), phase.eq(Mux(count == 0, self.Phase.RESULT, self.Phase.REST))]
                with m.Elif(self.i.valid & (count == MAX_PAYLOAD)):
                    m.d.sync += phase.eq(self.Phase.FULL)
                with m.Elif(self.i.valid & room):
                    m.d.comb += [writer.data.eq(pieces[piece]), writer.en.eq(is_kept)]
                    m.d.sync += [count.eq(count + is_kept), piece.eq(piece + 1)]
                    with m.If(piece == self._parameters.lanes * bytes_each - 1):
                        m.d.comb += self.i.ready.eq(1)
                        m.d.sync += piece.eq(0)
            with m.Case(self.Phase.FULL):
                close(0)
                m.d.sync += phase.eq(self.Phase.WEIGHTS)
            with m.Case(self.Phase.REST):
                close(0)
                m.d.sync += phase.eq(self.Phase.RESULT)
            with m.Case(self.Phase.RESULT), m.If(room):
                m.d.comb += [writer.data.eq(results[piece]), writer.en.eq(1)]
                m.d.sync += [count.eq(count + 1), piece.eq(piece + 1)]
                with m.If(piece == RESULT.bytes - 1):
                    m.d.sync += phase.eq(self.Phase.END)
            with m.Case(self.Phase.END):
                close(1)
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [piece.eq(0), phase.eq(self.Phase.WEIGHTS)]
        return m
