"""Where all lanes stand: the taps of a channel with their neighbours, and the column offsets."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from dnnzip.format import COLUMN_OFFSET_BITS, COLUMNS_WORD, MAX_COLUMNS, WORD_BITS
from dnnzip_hw.layouts import COLUMNS_WORD_LAYOUT, WEIGHT_HEADER_LAYOUT, tap_layout

PER_WORD = WORD_BITS // COLUMN_OFFSET_BITS
DEPTH = MAX_COLUMNS // PER_WORD


class Positions(wiring.Component):
    """Walks the positions of a channel, over and over, and looks up each one's column offset.

    Throughput: a position every third cycle. Latency: the first position of a stream stands at ``tap`` two cycles
    after ``restart``. Back-pressure: ``tap`` stays until ``step``. Reset: as ``restart``; the offsets are unknown.

    Members
    -------
    header : In(WEIGHT_HEADER_LAYOUT)
        Of the stream; steady from ``restart`` on.
    block : In(COLUMNS_WORD_LAYOUT)
        First word of the column block; steady from ``restart`` on.
    write : In(1), word : In(16), address : In
        Write a word of column offsets.
    restart : In(1)
        Go to the first position of a channel.
    step : In(1)
        Go to the next position; after the last one of a channel comes the first. Not in two cycles out of three.
    tap : Out(tap_layout)
        The position.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "header": In(WEIGHT_HEADER_LAYOUT),
                "block": In(COLUMNS_WORD_LAYOUT),
                "write": In(1),
                "word": In(WORD_BITS),
                "address": In(range(DEPTH)),
                "restart": In(1),
                "step": In(1),
                "tap": Out(tap_layout()),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.offsets = offsets = Memory(shape=WORD_BITS, depth=DEPTH, init=[])
        write, read = offsets.write_port(), offsets.read_port()
        m.d.comb += [write.en.eq(self.write), write.addr.eq(self.address), write.data.eq(self.word)]

        header = self.header
        left = Signal.like(header.length)  # positions after this one
        x = Signal.like(header.kernel_width)
        y = Signal.like(header.kernel_height)
        started = Signal()  # this is not the first position
        within = Signal((1 << COLUMNS_WORD["shift"].width) - 1)  # input channel, modulo the channels of a column
        column = Signal(COLUMNS_WORD["columns"].width)
        past = Signal()  # no offsets are left

        one_tap = Signal()
        row_ends = Signal()
        input_ends = Signal()
        column_ends = Signal()
        m.d.comb += [
            one_tap.eq((header.kernel_width == 0) & (header.kernel_height == 0)),
            # One tap: its history is a line of two, as if the kernel were two wide and endlessly high.
            row_ends.eq(x == Mux(one_tap, 1, header.kernel_width)),
            input_ends.eq(one_tap | (row_ends & (y == header.kernel_height))),
            column_ends.eq(within == (1 << self.block.shift) - 1),
        ]
        with m.If(self.step):
            m.d.sync += [left.eq(left - 1), started.eq(1)]
            with m.If(row_ends):
                m.d.sync += x.eq(0)
                with m.If(one_tap):
                    m.d.sync += y.eq(1)
                with m.Else():
                    m.d.sync += y.eq(Mux(input_ends, 0, y + 1))
            with m.Else():
                m.d.sync += x.eq(x + 1)
            with m.If(input_ends):
                m.d.sync += within.eq(within + 1)
                with m.If(column_ends):
                    m.d.sync += [within.eq(0), column.eq(column + 1), past.eq(past | (column == self.block.columns))]
        with m.If(self.restart | (self.step & self.tap.last)):
            m.d.sync += [
                left.eq(header.length),
                x.eq(0),
                y.eq(0),
                started.eq(0),
                within.eq(0),
                column.eq(0),
                past.eq(~header.columns),
            ]

        index_bits = (PER_WORD - 1).bit_length()
        m.d.comb += [
            read.addr.eq(column >> index_bits),
            self.tap.last.eq(left == 0),
            self.tap.left.eq(header.context & Mux(one_tap, started, x != 0)),
            self.tap.above.eq(header.context & (y != 0)),
            self.tap.line.eq(x),
            self.tap.offset.eq(Mux(past, 0, read.data.word_select(column[:index_bits], COLUMN_OFFSET_BITS))),
        ]
        return m
