"""The reader of the memory: bursts for several readers, each into its own buffer."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.array.layouts import (
    fetch_layout,
    read_address_layout,
    read_data_layout,
)
from dnnzip_hw.array.parameters import PAGE_BYTES, ArrayParameters

OUTSTANDING = 16
"""Bursts that may be under way."""

WAITING = 4
"""Fetches that wait for each reader."""


class BurstReader(wiring.Component):
    """Fetches bus words for a number of readers, which take turns burst by burst.

    Reader r has buffer r, but for the last one, which fetches for all buffers below ``shared`` at once. Fetches of a
    reader are done in order. A burst is asked for only when its buffers have room for it, so that its data never
    waits; it stays inside a page of 4 KB.

    Throughput: a bus word per cycle while bursts are long enough to hide the three to ``readers`` + 2 cycles from one
    to the next. Latency: the memory's and a few cycles. Back-pressure: of each buffer on its own. Reset: nothing is
    under way; data that still comes of an earlier burst would be taken for another's.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.
    shared
        Buffers that the last reader fetches for; there is one buffer more.

    Members
    -------
    fetch_<r> : In(stream of fetch_layout)
        What reader r fetches.
    o_<b> : Out(stream)
        Bus words of buffer b.
    idle : Out
        A bit for each reader: all its bursts have been asked for.
    ar : Out(stream of read_address_layout), r : In(stream of read_data_layout)
        The memory's read channels.
    failed : Out(1)
        The memory answered with an error, now or earlier.
    received : Out(1)
        A bus word has come.
    """

    def __init__(self, parameters: ArrayParameters, shared: int) -> None:
        self.parameters = parameters
        self.shared = shared
        self.buffers = shared + 1
        self.readers = shared + 2
        members: dict[str, wiring.Member] = {
            "ar": Out(stream.Signature(read_address_layout())),
            "r": In(stream.Signature(read_data_layout(parameters))),
            "idle": Out(self.readers),
            "failed": Out(1),
            "received": Out(1),
        }
        members |= {f"fetch_{reader}": In(stream.Signature(fetch_layout())) for reader in range(self.readers)}
        members |= {f"o_{buffer}": Out(stream.Signature(parameters.bus_bits)) for buffer in range(self.buffers)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        log2_bytes = ceil_log2(parameters.bus_bytes)
        # The buffers of a reader, a bit for each.
        targets = [1 << buffer for buffer in range(self.buffers)] + [(1 << self.shared) - 1]

        # What each reader has to fetch.
        address, left = [], []
        active = Signal(self.readers)
        for reader in range(self.readers):
            fetch = getattr(self, f"fetch_{reader}")
            m.submodules[f"waiting_{reader}"] = waiting = SyncFIFO(width=len(fetch.payload.as_value()), depth=WAITING)
            fetched = fetch_layout()(waiting.r_data)
            place, words = Signal.like(fetch.payload.address), Signal.like(fetch.payload.words)
            m.d.comb += [
                waiting.w_data.eq(fetch.payload),
                waiting.w_en.eq(fetch.valid),
                fetch.ready.eq(waiting.w_rdy),
                waiting.r_en.eq(~active[reader]),
                self.idle[reader].eq(~active[reader] & ~waiting.r_rdy),
            ]
            with m.If(~active[reader] & waiting.r_rdy):
                m.d.sync += [active[reader].eq(1), place.eq(fetched.address), words.eq(fetched.words)]
            address.append(place)
            left.append(words)

        # The buffers, and how many bus words each could still take of bursts that are not asked for yet.
        owners = Signal(self.buffers)  # of the data that comes
        asked = Signal(range(parameters.burst + 1))  # beats of the burst that is asked for in this cycle, or 0
        asked_for = Signal(self.buffers)
        has_room = Signal(self.buffers)
        for buffer in range(self.buffers):
            output = getattr(self, f"o_{buffer}")
            fifo = SyncFIFOBuffered(width=parameters.bus_bits, depth=parameters.buffer)
            m.submodules[f"buffer_{buffer}"] = fifo
            room = Signal(range(parameters.buffer + 1), init=parameters.buffer)
            popped = Signal()
            m.d.comb += [
                popped.eq(output.valid & output.ready),
                fifo.w_data.eq(self.r.payload.data),
                fifo.w_en.eq(self.received & owners[buffer]),
                output.payload.eq(fifo.r_data),
                output.valid.eq(fifo.r_rdy),
                fifo.r_en.eq(output.ready),
            ]
            m.d.sync += [
                room.eq(room + popped - Mux(asked_for[buffer], asked, 0)),
                has_room[buffer].eq(room >= parameters.burst),
            ]

        # Readers that may ask, in turn: one is looked at in each cycle.
        m.submodules.under_way = under_way = SyncFIFO(width=self.buffers, depth=OUTSTANDING)
        turn = Signal(range(self.readers))
        length = Signal(range(parameters.burst + 1))
        may = Signal(self.readers)
        m.d.comb += may.eq(
            Cat(
                active[reader] & ((Const(target, self.buffers) & ~has_room) == 0)
                for reader, target in enumerate(targets)
            )
        )
        here, words = Array(address)[turn], Array(left)[turn]
        until_page = Signal(range(PAGE_BYTES // parameters.bus_bytes + 1))
        most = Signal(range(parameters.burst + 1))
        m.d.comb += [
            until_page.eq((PAGE_BYTES - here[: ceil_log2(PAGE_BYTES)]) >> log2_bytes),
            most.eq(Mux(words < parameters.burst, words, parameters.burst)),
            self.ar.payload.address.eq(here),
            self.ar.payload.length.eq(length - 1),
            under_way.w_data.eq(Array(targets)[turn]),
        ]
        with m.FSM():
            with m.State("TURN"):
                with m.If(may.bit_select(turn, 1) & under_way.w_rdy):
                    m.next = "LENGTH"
                with m.Else():
                    m.d.sync += turn.eq(Mux(turn == self.readers - 1, 0, turn + 1))
            with m.State("LENGTH"):
                m.d.sync += length.eq(Mux(most < until_page, most, until_page))
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.ar.valid.eq(1)
                with m.If(self.ar.ready):
                    m.d.comb += [under_way.w_en.eq(1), asked.eq(length), asked_for.eq(under_way.w_data)]
                    for reader in range(self.readers):
                        with m.If(turn == reader):
                            m.d.sync += [
                                address[reader].eq(here + (length << log2_bytes)),
                                left[reader].eq(words - length),
                                active[reader].eq(words != length),
                            ]
                    m.d.sync += turn.eq(Mux(turn == self.readers - 1, 0, turn + 1))
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                # The room that is left is known again.
                m.next = "TURN"

        m.d.comb += [
            self.r.ready.eq(under_way.r_rdy),
            self.received.eq(self.r.valid & self.r.ready),
            owners.eq(under_way.r_data),
            under_way.r_en.eq(self.received & self.r.payload.last),
        ]
        with m.If(self.received & reduce(or_, self.r.payload.response)):
            m.d.sync += self.failed.eq(1)
        return m
