"""A queue with an early ``room`` (almost full), so that no writer has to wait for it in the same cycle."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.memory import ECP5, GENERIC, ICE40, block_memory

DEPTH = 16
"""Rows of a queue, those of a LUT RAM."""

LATE = DEPTH // 2 - 2
"""Rows that may still be written from the cycle on in which ``room`` went low."""


class HeadProbes(NamedTuple):
    """Inner parts of a ``Queue`` on iCE40 that proofs refer to."""

    second: Signal
    third: Signal
    one: Signal
    two: Signal
    is_fresh: Signal
    fresh: Signal
    read: ReadPort


class QueueProbes(NamedTuple):
    """Inner parts of a ``Queue`` that proofs refer to: ``r_place`` on all targets but iCE40, ``head`` there."""

    rows: Memory
    w_place: Signal
    used: Signal
    r_place: Signal | None = None
    head: HeadProbes | None = None


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
        cycle; elsewhere they may be a block RAM, which is read a cycle ahead. On iCE40, where a block RAM's output is
        slow, the oldest row is in a register. All behave alike.

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
        if self.target == ICE40:
            self._with_head(m)
            return m
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
        self.probes = QueueProbes(rows, w_place, used, r_place)
        return m

    def _with_head(self, m: Module) -> None:
        """Build it of a register for the oldest row and a block RAM that has the one after it ready.

        ``r_en`` comes late: from it to any register are a multiplexer's select and a flag's last level.
        """
        m.submodules.rows = rows = Memory(shape=self.width, depth=DEPTH, init=[], attrs=block_memory(self.target))
        write, read = rows.write_port(), rows.read_port()
        # Two places after the oldest row: those that may be the one after the oldest in the next cycle.
        w_place, second, third = (
            Signal(ceil_log2(DEPTH)),
            Signal(ceil_log2(DEPTH), init=1),
            Signal(ceil_log2(DEPTH), init=2),
        )
        used = Signal(ceil_log2(DEPTH))
        one, two = Signal(), Signal()  # `used` is that
        # The row after the oldest is the one written in the cycle before; the memory was read too early for it.
        is_fresh, fresh = Signal(), Signal(self.width)
        m.d.comb += [
            write.addr.eq(w_place),
            write.data.eq(self.w_data),
            write.en.eq(1),
            read.addr.eq(Mux(self.r_en, third, second)),
        ]
        m.d.sync += [
            fresh.eq(self.w_data),
            is_fresh.eq(Mux(self.r_en, two, one)),
            self.room.eq(~used[-1]),
        ]
        with m.If(self.r_en | ~self.r_rdy):
            # Where none is behind it, the next row is the one that is just written, if any.
            m.d.sync += self.r_data.eq(Mux(one | ~self.r_rdy, self.w_data, Mux(is_fresh, fresh, read.data)))
        with m.If(self.w_en):
            m.d.sync += w_place.eq(w_place + 1)
        with m.If(self.r_en):
            m.d.sync += [second.eq(third), third.eq(third + 1)]
        with m.If(self.w_en & ~self.r_en):
            m.d.sync += [used.eq(used + 1), self.r_rdy.eq(1), one.eq(~self.r_rdy), two.eq(one)]
        with m.Elif(self.r_en & ~self.w_en):
            m.d.sync += [used.eq(used - 1), self.r_rdy.eq(~one), one.eq(two), two.eq(used == 3)]
        with m.If(self.flush):
            m.d.sync += [w_place.eq(0), second.eq(1), third.eq(2), used.eq(0)]
            m.d.sync += [self.r_rdy.eq(0), one.eq(0), two.eq(0)]
        self.probes = QueueProbes(rows, w_place, used, head=HeadProbes(second, third, one, two, is_fresh, fresh, read))
