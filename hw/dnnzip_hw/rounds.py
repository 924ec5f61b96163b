"""The order of the format: positions of a channel, passes of channels, and the rounds that they make."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import COLUMN_OFFSET_BITS, COLUMNS_WORD, MAX_COLUMNS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import COLUMNS_WORD_LAYOUT, WEIGHT_HEADER_LAYOUT, round_layout, tap_layout
from dnnzip_hw.memory import ICE40, RegisteredMemory
from dnnzip_hw.parameters import DecompressorParameters

PER_WORD = WORD_BITS // COLUMN_OFFSET_BITS
DEPTH = MAX_COLUMNS // PER_WORD
SETTLING = 4
"""Cycles from a step of the positions or rounds to the next one."""


class Kind(enum.Enum, shape=2):  # type: ignore[call-arg]  # Amaranth's enumerations have a shape
    """Contents of a round, as the lanes read it."""

    WEIGHT = 0
    START = 1
    KLASS = 2
    FIRST = 3  # a word that is before the first: so the first one is due


class Positions(wiring.Component):
    """Walks the positions of a channel, and looks up each one's column offset.

    Throughput: a position every ``SETTLING`` cycles. Latency: ``tap`` is that of the new position ``SETTLING`` cycles
    after ``step`` or ``restart``. Back-pressure: ``tap`` stays until ``step``. Reset: as ``restart``; the offsets are
    unknown.

    Parameters
    ----------
    target
        What the memory of the offsets is built of; see ``RegisteredMemory``.

    Members
    -------
    header : In(WEIGHT_HEADER_LAYOUT)
        Of the stream; steady from ``restart`` on.
    block : In(COLUMNS_WORD_LAYOUT)
        First word of the column block; steady from ``restart`` on.
    write : In(1), word : In(16), address : In
        Write a word of column offsets.
    restart : In(1)
        Go to the first position of a channel, also where ``step`` is set.
    step : In(1)
        Go to the next position of the channel.
    tap : Out(tap_layout)
        The position.
    """

    def __init__(self, target: str) -> None:
        self.target = target
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
        m.submodules.offsets = offsets = RegisteredMemory(WORD_BITS, DEPTH, self.target)
        m.d.comb += [
            offsets.write_en.eq(self.write),
            offsets.write_addr.eq(self.address),
            offsets.write_data.eq(self.word),
        ]

        header = self.header
        position = Signal.like(header.length)
        x = Signal.like(header.kernel_width)
        y = Signal.like(header.kernel_height)
        started = Signal()  # this is not the first position
        number = Signal(1 << COLUMNS_WORD["shift"].width, init=1)  # of the input channel in its column, from 1 up
        fills = Signal()  # it is the column's last one
        column = Signal(COLUMNS_WORD["columns"].width)
        past = Signal()  # no offsets are left

        one_tap = Signal()
        row_ends = Signal()
        input_ends = Signal()
        m.d.sync += one_tap.eq((header.kernel_width == 0) & (header.kernel_height == 0))
        m.d.sync += [
            # One tap: its history is a line of two, as if the kernel were two wide and endlessly high.
            row_ends.eq(Mux(one_tap, x[0], x == header.kernel_width)),
            input_ends.eq(one_tap | (row_ends & (y == header.kernel_height))),
        ]
        ends, column_ends = Signal(), Signal()
        m.d.sync += [
            column_ends.eq(input_ends & fills),
            self.tap.last.eq(position == header.length),
            fills.eq(number.bit_select(self.block.shift, 1)),
            ends.eq(past | (column == self.block.columns)),
        ]
        with m.If(self.step):
            m.d.sync += [position.eq(position + 1), started.eq(1), x.eq(x + 1)]
            with m.If(row_ends):
                m.d.sync += [x.eq(0), y.eq(Mux(one_tap, 1, y + 1))]
            with m.If(input_ends):
                m.d.sync += number.eq(number + 1)
                with m.If(~one_tap):
                    m.d.sync += y.eq(0)
        with m.If(self.step & column_ends):
            m.d.sync += [number.eq(1), column.eq(column + 1), past.eq(ends)]
        with m.If(self.restart):
            m.d.sync += [
                position.eq(0),
                x.eq(0),
                y.eq(0),
                started.eq(0),
                number.eq(1),
                column.eq(0),
                past.eq(~header.columns),
            ]

        index_bits = (PER_WORD - 1).bit_length()
        m.d.comb += [
            offsets.read_addr.eq(column >> index_bits),
            self.tap.left.eq(header.context & Mux(one_tap, started, x != 0)),
            self.tap.above.eq(header.context & (y != 0)),
            self.tap.line.eq(x),
            self.tap.offset.eq(Mux(past, 0, offsets.read_data.word_select(column[:index_bits], COLUMN_OFFSET_BITS))),
        ]
        return m


class Rounds(wiring.Component):
    """Produces the rounds of an ``ans`` stream in the order of the format: the present one, and the one after it.

    Throughput: a round every ``SETTLING`` cycles, the time that the shortest ring takes to go round. Latency: ``ready``
    rises 2 * ``SETTLING`` + 3 cycles after ``restart``; the next round is at ``here`` in the cycle after ``step``.
    Back-pressure: a round stays until ``step``. Reset: unknown until ``restart``; past the last round of the stream
    come rounds without meaning.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    header, block, write, word, address : In
        See ``Positions``.
    restart : In(1)
        Go to the first round.
    ready : Out(1)
        The first round is there.
    step : In(1)
        Go to the next round.
    here, following : Out(round_layout)
        The present round, and the next one.
    bound : Out
        Virtual lanes up to this number have a channel, in every pass but the last.
    last_bound : Out
        Likewise, in the last pass.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "header": In(WEIGHT_HEADER_LAYOUT),
                "block": In(COLUMNS_WORD_LAYOUT),
                "write": In(1),
                "word": In(WORD_BITS),
                "address": In(range(DEPTH)),
                "restart": In(1),
                "ready": Out(1),
                "step": In(1),
                "here": Out(round_layout()),
                "following": Out(round_layout()),
                "bound": Out(parameters.lane_bits),
                "last_bound": Out(parameters.lane_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        header = self.header
        m.submodules.positions = positions = Positions(self.parameters.target)
        m.d.comb += [
            positions.header.eq(header),
            positions.block.eq(self.block),
            positions.write.eq(self.write),
            positions.word.eq(self.word),
            positions.address.eq(self.address),
        ]
        tap = positions.tap

        # Channels that remain after this pass begins, less one.
        log2_lanes = header.log2_lanes
        left = Signal(WEIGHT_HEADER["channels"].width)
        low_bits = self.parameters.log2_virtual_lanes + 1
        passes_left = Signal(low_bits)
        many = Signal()
        final, before_final = Signal(), Signal()
        lanes = Signal(low_bits)
        m.d.sync += [
            lanes.eq(1 << log2_lanes),
            self.bound.eq(lanes - 1),
            self.last_bound.eq(header.channels & self.bound),
            passes_left.eq(left[:low_bits] >> log2_lanes),
            many.eq(left[low_bits:].any()),
        ]
        m.d.comb += [final.eq(~many & (passes_left == 0)), before_final.eq(~many & (passes_left == 1))]

        # The round after `following`; its neighbours are those of the positions' tap, which stands one ahead of it.
        coming = Signal(round_layout())
        own_line = Signal.like(tap.line)
        kind, ends, own_final, own_before_final = Signal(Kind), Signal(), Signal(), Signal()
        m.d.comb += [
            coming.kind.eq(kind),
            coming.ends.eq(ends),
            coming.final.eq(own_final),
            coming.before_final.eq(own_before_final),
            coming.line.eq(own_line),
            coming.next_line.eq(tap.line),
            coming.same_line.eq(own_line == tap.line),
            coming.left.eq(tap.left),
            coming.above.eq(tap.above),
            coming.offset.eq(tap.offset),
        ]
        next_kind = Signal(Kind)
        with m.If(kind == Kind.FIRST):
            m.d.comb += next_kind.eq(Kind.START)
        with m.Elif(header.class_per_channel & ((kind == Kind.START) | ends)):
            m.d.comb += next_kind.eq(Kind.KLASS)
        steps, makes = Signal(), Signal()
        weight_next = Signal()
        m.d.sync += [
            makes.eq(steps),
            weight_next.eq(next_kind == Kind.WEIGHT),
            positions.step.eq(steps & weight_next),
            positions.restart.eq(self.restart | (steps & weight_next & tap.last)),
        ]
        with m.If(steps):
            m.d.sync += [self.here.eq(self.following), self.following.eq(coming)]
        with m.If(makes):
            m.d.sync += [
                own_line.eq(tap.line),
                own_final.eq(final),
                own_before_final.eq(before_final),
                kind.eq(next_kind),
                ends.eq((next_kind == Kind.WEIGHT) & tap.last),
            ]

        if self.parameters.target == ICE40:
            # The difference is there before the next step, so that the carries have a cycle of their own.
            less = Signal.like(left)
            m.d.sync += less.eq(left - lanes)
        else:
            less = left - lanes
        with m.If(positions.step & tap.last):
            m.d.sync += left.eq(less)

        filling = Signal(range(2 * SETTLING + 4))
        fills = Signal()
        m.d.comb += steps.eq(self.step | fills)
        m.d.sync += fills.eq((filling == SETTLING + 2) | (filling == 2))
        with m.If(filling != 0):
            m.d.sync += [filling.eq(filling - 1), self.ready.eq(filling == 1)]
        with m.If(self.restart):
            m.d.sync += [
                filling.eq(2 * SETTLING + 3),
                self.ready.eq(0),
                kind.eq(Kind.FIRST),
                ends.eq(0),
                left.eq(header.channels),
                # Those of the first round: all lanes have a channel.
                own_final.eq(0),
                own_before_final.eq(0),
            ]
        return m
