"""Between a decompressor and its rows of the array: beats of weights become tiles."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import CAUSE_BITS, Verdict
from dnnzip.format.array import MISPLACED
from dnnzip_hw.array.layouts import part_layout, tile_write_layout
from dnnzip_hw.array.order import PartOrder
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.layouts import beat_layout


class PEArrayInterface(wiring.Component):
    """Writes a group's weights into its next tile, and says when that is complete.

    A beat of a slot goes to that slot's rows in one column, lane i to row i of the slot. Of a part, tiles come pass by
    pass, in each pass block by block of ``columns`` positions. The last block of a pass may be narrower: its other
    columns keep the weights of an earlier tile.

    Throughput: a beat per cycle, also across tiles, where a tile is taken before it is needed. Latency: two cycles from
    a tile's last beat until it is ``complete``. Back-pressure: a complete tile that is not taken stops the beats.
    Reset: no part, no tile. After an error it stops for good.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    parts : In(stream of part_layout)
        The parts whose beats come, table sets included.
    i : In(stream of beat_layout)
        Beats, an end beat for each part.
    write_en : Out(1), write : Out(tile_write_layout)
        A write into the next tile.
    complete : Out(1)
        The next tile is complete.
    take : In(1)
        It is taken. Only while ``complete``.
    loading : Out(1)
        A table set is awaited, or on its way.
    cause : Out
        0, or why the weights are not to be used: a ``Verdict``, or ``MISPLACED``.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "parts": In(stream.Signature(part_layout())),
                "i": In(stream.Signature(beat_layout(parameters.decompressor))),
                "write_en": Out(1),
                "write": Out(tile_write_layout(parameters)),
                "complete": Out(1),
                "take": In(1),
                "loading": Out(1),
                "cause": Out(CAUSE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.order = order = PartOrder(self.parameters.decompressor)
        column = Signal.like(self.write.column)
        blocked = Signal()  # a tile is complete, or will be in the next cycle
        stepping, ending = Signal(), Signal()  # a beat of weights is taken, an end beat is
        fits = Signal()
        awaits_end = Signal()
        m.d.comb += [
            self.parts.ready.eq(~order.active & ~awaits_end & (self.cause == 0)),
            order.start.eq(self.parts.valid & self.parts.ready),
            order.part.eq(self.parts.payload),
            order.step.eq(stepping),
            fits.eq((order.active & (~blocked | self.take)) | (awaits_end & ~order.active)),
            self.i.ready.eq((self.cause == 0) & fits),
            stepping.eq(self.i.valid & self.i.ready & order.active & ~self.i.payload.last),
            ending.eq(self.i.valid & self.i.ready & self.i.payload.last),
        ]
        with m.If(order.start):
            m.d.sync += [awaits_end.eq(1), self.loading.eq(self.parts.payload.tables)]
        m.d.sync += [
            self.write_en.eq(stepping),
            self.write.slot.eq(order.slot),
            self.write.column.eq(column),
            self.write.weights.eq(self.i.payload.weights),
            self.complete.eq(blocked & ~self.take),
        ]
        with m.If(self.take):
            m.d.sync += blocked.eq(0)
        with m.If(stepping & order.ends_position):
            with m.If(order.ends_pass | (column == self.parameters.columns - 1)):
                m.d.sync += [column.eq(0), blocked.eq(1)]
            with m.Else():
                m.d.sync += column.eq(column + 1)
        with m.If(ending):
            m.d.sync += [
                awaits_end.eq(0),
                self.loading.eq(0),
                self.cause.eq(
                    Mux(
                        (self.i.payload.cause == Verdict.OK) & order.active,
                        MISPLACED,
                        self.i.payload.cause,
                    )
                ),
            ]
        with m.If(self.i.valid & self.i.ready & ~order.active & ~self.i.payload.last):
            m.d.sync += self.cause.eq(MISPLACED)
        return m
