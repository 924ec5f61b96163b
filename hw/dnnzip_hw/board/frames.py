"""Frames of ``dnnzip.format.frames`` on the board's side of the line."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import CRC32, CRC32_BYTES
from dnnzip.format.frames import ESCAPE, FLAG, FLIP, FRAME_HEADER, MAX_PAYLOAD, RESULT
from dnnzip_hw.layouts import crc_algorithm, header_layout

BYTE = 8
FRAME_HEADER_LAYOUT = header_layout(FRAME_HEADER)
RESULT_LAYOUT = header_layout(RESULT)

FRAME_CRC = crc_algorithm(CRC32)


class FrameReceiver(wiring.Component):
    """Finds frames in the bytes of a line.

    A payload's bytes are given as they come, before it is known whether they are right, and the CRC's bytes after them.

    Throughput: a byte per cycle. Latency: ``good`` and ``bad`` come a cycle after the flag. Back-pressure: none. Reset:
    what comes before the next flag is no frame.

    Members
    -------
    byte, done : In(8), In(1)
        A byte has come.
    payload, place, writes : Out(8), Out(7), Out(1)
        The payload's byte number ``place``.
    header : Out(FRAME_HEADER_LAYOUT)
        Of the frame, while ``good`` is 1.
    size : Out(7)
        Bytes of its payload, while ``good`` is 1.
    good, bad : Out(1)
        A frame, or something that is none, has ended; for one cycle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "byte": In(BYTE),
                "done": In(1),
                "payload": Out(BYTE),
                "place": Out(range(MAX_PAYLOAD + 1)),
                "writes": Out(1),
                "header": Out(FRAME_HEADER_LAYOUT),
                "size": Out(range(MAX_PAYLOAD + 1)),
                "good": Out(1),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.crc = crc = FRAME_CRC(data_width=BYTE).create()
        around = FRAME_HEADER.bytes + CRC32_BYTES
        most = around + MAX_PAYLOAD
        count = Signal(range(most + 2))  # one more than the most means too many
        escaped = Signal()
        value = Signal(BYTE)
        takes = Signal()
        m.d.comb += [
            value.eq(Mux(escaped, self.byte ^ FLIP, self.byte)),
            takes.eq(self.done & (self.byte != FLAG) & ((self.byte != ESCAPE) | escaped)),
            crc.data.eq(value),
            crc.valid.eq(takes),
            self.payload.eq(value),
            self.place.eq(count - FRAME_HEADER.bytes),
            self.writes.eq(takes & (count >= FRAME_HEADER.bytes) & (count < FRAME_HEADER.bytes + MAX_PAYLOAD)),
        ]
        m.d.sync += [self.good.eq(0), self.bad.eq(0)]
        with m.If(self.done):
            m.d.sync += escaped.eq((self.byte == ESCAPE) & ~escaped)
            with m.If(self.byte == FLAG):
                whole = crc.match_detected & (count >= around) & (count <= most) & ~escaped
                m.d.comb += crc.start.eq(1)
                m.d.sync += [
                    self.good.eq(whole),
                    self.bad.eq(~whole & ((count != 0) | escaped)),
                    count.eq(0),
                    escaped.eq(0),
                ]
                m.d.sync += self.size.eq(count - around)
        with m.If(takes):
            with m.If(count <= most):
                m.d.sync += count.eq(count + 1)
            for place in range(FRAME_HEADER.bytes):
                with m.If(count == place):
                    m.d.sync += self.header.as_value()[place * BYTE : (place + 1) * BYTE].eq(value)
        return m


class FrameSender(wiring.Component):
    """Sends frames, with flags, escapes and CRC.

    Throughput: two cycles per byte, and three for an escaped one. Latency: some cycles. Back-pressure: a frame is taken
    when the one before has been handed to the line. Reset: nothing is sent.

    Members
    -------
    header : In(FRAME_HEADER_LAYOUT)
        Of the frame; looked at while ``ready`` and ``start`` are 1.
    size : In(7)
        Bytes of its payload.
    start, ready : In(1), Out(1)
        A frame is to be sent; it is taken.
    place : Out(7)
        Which byte of the payload is wanted.
    payload : In(8)
        That byte; it has two cycles from ``place``.
    o : Out(stream of 8)
        Bytes for the line.
    """

    class Phase(enum.Enum):
        """Part of a frame that is sent."""

        NONE = 0
        FLAG = 1
        HEADER = 2
        PAYLOAD = 3
        CRC = 4
        END = 5

    def __init__(self) -> None:
        super().__init__(
            {
                "header": In(FRAME_HEADER_LAYOUT),
                "size": In(range(MAX_PAYLOAD + 1)),
                "start": In(1),
                "ready": Out(1),
                "place": Out(range(MAX_PAYLOAD + 1)),
                "payload": In(BYTE),
                "o": Out(stream.Signature(BYTE)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.crc = crc = FRAME_CRC(data_width=BYTE).create()
        phase = Signal(self.Phase)
        header = Signal(FRAME_HEADER_LAYOUT)
        size = Signal.like(self.size)
        place = Signal.like(self.place)
        byte = Signal(BYTE)
        settled = Signal()  # the payload's byte has been read
        escapes = Signal()  # the escape of this byte has been sent
        sums = data.ArrayLayout(BYTE, CRC32_BYTES)(crc.crc)
        fields = data.ArrayLayout(BYTE, FRAME_HEADER.bytes)(header.as_value())
        m.d.comb += [self.ready.eq(phase == self.Phase.NONE), self.place.eq(place)]
        with m.Switch(phase):
            with m.Case(self.Phase.HEADER):
                m.d.comb += byte.eq(fields[place[:2]])
            with m.Case(self.Phase.PAYLOAD):
                m.d.comb += byte.eq(self.payload)
            with m.Case(self.Phase.CRC):
                m.d.comb += byte.eq(sums[place[:2]])
            with m.Default():
                m.d.comb += byte.eq(FLAG)
        is_flag = (phase == self.Phase.FLAG) | (phase == self.Phase.END)
        special = ~is_flag & ((byte == FLAG) | (byte == ESCAPE))
        sent = Signal()
        m.d.comb += [
            self.o.valid.eq(settled),
            self.o.payload.eq(Mux(special, Mux(escapes, byte ^ FLIP, ESCAPE), byte)),
            sent.eq(self.o.valid & self.o.ready & (~special | escapes)),
            crc.data.eq(byte),
            crc.valid.eq(sent & ((phase == self.Phase.HEADER) | (phase == self.Phase.PAYLOAD))),
            crc.start.eq(phase == self.Phase.NONE),
        ]
        m.d.sync += settled.eq((phase != self.Phase.NONE) & ~sent)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += escapes.eq(special & ~escapes)
        with m.If(sent):
            m.d.sync += place.eq(place + 1)
            with m.Switch(phase):
                with m.Case(self.Phase.FLAG):
                    m.d.sync += [phase.eq(self.Phase.HEADER), place.eq(0)]
                with m.Case(self.Phase.HEADER), m.If(place == FRAME_HEADER.bytes - 1):
                    m.d.sync += [phase.eq(Mux(size == 0, self.Phase.CRC, self.Phase.PAYLOAD)), place.eq(0)]
                with m.Case(self.Phase.PAYLOAD), m.If(place + 1 == size):
                    m.d.sync += [phase.eq(self.Phase.CRC), place.eq(0)]
                with m.Case(self.Phase.CRC), m.If(place == CRC32_BYTES - 1):
                    m.d.sync += phase.eq(self.Phase.END)
                with m.Case(self.Phase.END):
                    m.d.sync += phase.eq(self.Phase.NONE)
        with m.If(self.ready & self.start):
            m.d.sync += [phase.eq(self.Phase.FLAG), header.eq(self.header), size.eq(self.size), place.eq(0)]
        return m
