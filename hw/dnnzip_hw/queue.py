"""A queue that says early that it fills up, so that nothing has to wait for it in the same cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.memory import ECP5, GENERIC

DEPTH = 16
"""Rows of a queue: what a LUT RAM has."""

LATE = DEPTH // 2 - 2
"""Rows that may still be written from the cycle on in which ``room`` went low."""


class Queue(wiring.Component):
    """Keeps rows in order.

    Throughput: a row in and a row out per cycle. Latency: what is written can be read in the next cycle.
    Back-pressure: ``room`` is low two cycles after half of the rows were taken; a row that is written while all are
    taken damages the queue. Reset and ``flush``: empty.

    Parameters
    ----------
    width
        Bits of a row.
    target
        What memories are built of, see ``RegisteredMemory``. On ECP5 the rows are a LUT RAM that is read in the same
        cycle; elsewhere they may be a block RAM, which is read a cycle ahead. Both behave alike.

    Members
    -------
    flush : In(1)
        Forget all rows.
    w_en : In(1), w_data : In
        Write a row.
    room : Out(1)
        ``LATE`` rows fit.
    r_rdy : Out(1), r_data : Out
        There is a row, the oldest.
    r_en : In(1)
        It has been read. Only with ``r_rdy``.
    """

    def __init__(self, width: int, target: str = GENERIC) -> None:
        self.width, self.target = width, target
        super().__init__(
            {
                "flush": In(1),
                "w_en": In(1),
                "w_data": In(width),
                "room": Out(1),
                "r_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.rows = rows = Memory(shape=self.width, depth=DEPTH, init=[])
        if self.target == ECP5:
            write, read = rows.write_port(), rows.read_port(domain="comb")
        else:
            write = rows.write_port()
            read = rows.read_port(transparent_for=(write,))
        # The memory is written in every cycle; it is the pointer that makes a row of it.
        w_place, r_place = Signal(ceil_log2(DEPTH)), Signal(ceil_log2(DEPTH))
        used = Signal(ceil_log2(DEPTH))
        m.d.comb += [
            write.addr.eq(w_place),
            write.data.eq(self.w_data),
            write.en.eq(1),
            read.addr.eq(r_place if self.target == ECP5 else Mux(self.flush, 0, r_place + self.r_en)),
            self.r_data.eq(read.data),
            used.eq(w_place - r_place),
        ]
        m.d.sync += [
            self.room.eq(~used[-1]),
            self.r_rdy.eq(self.w_en | (self.r_rdy & ~(self.r_en & (used == 1)))),
        ]
        with m.If(self.w_en):
            m.d.sync += w_place.eq(w_place + 1)
        with m.If(self.r_en):
            m.d.sync += r_place.eq(r_place + 1)
        with m.If(self.flush):
            m.d.sync += [w_place.eq(0), r_place.eq(0), self.r_rdy.eq(0)]
        return m
