"""The word distributor: hands the payload's words to escapes and lane windows in the order of the format."""

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import WORD_BITS
from dnnzip_hw.layouts import request_layout
from dnnzip_hw.memory import ECP5
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.queue import Queue


def at_least(bits: Value, number: int) -> Value:
    """Return True if at least ``number`` bits are set: halves first, so that it takes few levels of logic."""
    if number == 0:
        return C(1)
    if number > len(bits):
        return C(0)
    if len(bits) == 1:
        return bits[0]
    middle = len(bits) // 2
    ways = [at_least(bits[:middle], below) & at_least(bits[middle:], number - below) for below in range(number + 1)]
    return Cat(ways).any()


def lowest(bits: Value) -> Value:
    """Return the lowest bit that is set, alone."""
    return Cat(bits[place] & ~bits[:place].any() for place in range(len(bits)))


class DistributorProbes(NamedTuple):
    """Inner parts of a ``Distributor`` that proofs refer to."""

    queue: Queue


class Distributor(wiring.Component):
    """Serves the requests of the lanes in order, one word per cycle.

    Throughput: a word per cycle. Latency: a word goes to its lane or to ``escapes`` in the cycle in which it is taken;
    a request can be served in the cycle after it was made. Back-pressure: ``room`` as that of a ``Queue``; words are
    taken only while ``escapes`` is ready for one. Reset and ``flush``: no requests.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    request_en : In(1), request : In(request_layout)
        What a turn asks for; at least one word.
    room : Out(1)
        More requests fit.
    flush : In(1)
        Drop all requests, and write words without meaning to the upper halves of all windows, a slot per cycle.
    i : In(stream of words)
        The payload.
    asks : Out(1)
        A word is due.
    taken : Out(1)
        It is there, and taken.
    lane_en : Out(lanes), slot : Out, half : Out(lanes)
        The word taken is for that half of the window of that lane and slot.
    escapes : Out(stream of words)
        Words of escapes.
    idle : Out(1)
        All requests are served, and were in the cycle before.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        lanes = parameters.lanes
        super().__init__(
            {
                "request_en": In(1),
                "request": In(request_layout(parameters)),
                "room": Out(1),
                "flush": In(1),
                "i": In(stream.Signature(WORD_BITS)),
                "asks": Out(1),
                "taken": Out(1),
                "lane_en": Out(lanes),
                "slot": Out(range(parameters.ring)),
                "half": Out(lanes),
                "escapes": Out(stream.Signature(WORD_BITS)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes = self.parameters.lanes
        layout = request_layout(self.parameters)
        request, request_first = Signal(2 * lanes), Signal(2 * lanes)
        m.submodules.queue = queue = Queue(layout.size + 2 * lanes + 1, self.parameters.target)
        head = layout(queue.r_data[: layout.size])
        head_due = Cat((head.escape[lane], head.refill[lane]) for lane in range(lanes))
        head_first, head_more = queue.r_data[layout.size : -1], queue.r_data[-1]

        # The words that are due of one request, the next one at the bottom: a lane's escape comes before its refill.
        # `first` is that one, `more` than one are. When the last one is served, the next request takes the place: the
        # oldest in the queue, or one that is just made.
        due, first = Signal(2 * lanes), Signal(2 * lanes)
        due_any, due_more, request_more = Signal(), Signal(), Signal()
        loads, is_escape, clears = Signal(), Signal(), Signal()
        several = at_least(request, 2)
        if self.parameters.target == ECP5:
            # Of halves that are kept apart, one LUT each where there are four lanes.
            halves = [request[:lanes], request[lanes:]]
            some, more = (Signal(2, name=name, attrs={"keep": 1}) for name in ("some", "more"))
            m.d.comb += [
                some.eq(Cat(half.any() for half in halves)),
                more.eq(Cat(at_least(half, 2) for half in halves)),
            ]
            several = some.all() | more.any()
        m.d.comb += [
            request.eq(Cat((self.request.escape[lane], self.request.refill[lane]) for lane in range(lanes))),
            request_first.eq(lowest(request)),
            request_more.eq(several),
            is_escape.eq(first[0::2].any()),
            self.asks.eq(due_any),
            self.i.ready.eq(due_any & self.escapes.ready),
            self.taken.eq(self.i.valid & self.i.ready),
            loads.eq(~due_any | (self.taken & ~due_more)),
            # Without a word that is due, none is first.
            self.lane_en.eq(
                (first[1::2] & (self.i.valid & self.escapes.ready).replicate(lanes)) | clears.replicate(lanes)
            ),
            self.escapes.valid.eq(self.i.valid & self.escapes.ready & is_escape),
            self.escapes.payload.eq(self.i.payload),
            queue.w_data.eq(Cat(self.request, request_first, request_more)),
            queue.w_en.eq(self.request_en & (~loads | queue.r_rdy)),
            queue.r_en.eq(loads & queue.r_rdy),
            queue.flush.eq(self.flush),
            self.room.eq(queue.room),
        ]
        with m.If(loads):
            m.d.sync += [
                due.eq(Mux(queue.r_rdy, head_due, request)),
                due_more.eq(Mux(queue.r_rdy, head_more, request_more)),
                due_any.eq(queue.r_rdy | self.request_en),
                first.eq(Mux(queue.r_rdy, head_first, request_first & self.request_en.replicate(2 * lanes))),
                self.slot.eq(Mux(queue.r_rdy, head.slot, self.request.slot)),
                self.half.eq(Mux(queue.r_rdy, head.half, self.request.half)),
            ]
        with m.Elif(self.taken):
            m.d.sync += [due.eq(due & ~first), first.eq(lowest(due & ~first)), due_more.eq(at_least(due, 3))]
        # After a flush each slot's window gets a word for its upper half, in place of those before the first.
        m.d.sync += clears.eq(self.flush)
        with m.If(self.flush):
            m.d.sync += [due_any.eq(0), first.eq(0), self.slot.eq(self.slot + 1), self.half.eq(-1)]
        m.d.sync += self.idle.eq(~due_any & ~queue.r_rdy)
        self.probes = DistributorProbes(queue)
        return m
