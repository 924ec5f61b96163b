"""The word distributor: hands the payload's words to escapes and lane windows in the order of the format."""

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from dnnzip.format import WORD_BITS
from dnnzip_hw.layouts import request_layout
from dnnzip_hw.parameters import DecompressorParameters

DEPTH = 16
LATE = 4
"""Requests that may still come after ``room`` went low."""


class Distributor(wiring.Component):
    """Serves the requests of the lanes in order, one word per cycle.

    Throughput: a word per cycle. Latency: a word goes to its lane or to ``escapes`` in the cycle in which it is taken;
    a request can be served two cycles after it was made. Back-pressure: ``room`` is low where fewer than ``LATE`` more
    requests fit; an escape's word is taken when ``escapes`` is ready for it. Reset and ``flush``: no requests.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    request_en : In(1), request : In(request_layout)
        What a turn asks for.
    room : Out(1)
        More requests fit.
    flush : In(1)
        Drop all requests.
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
        All requests are served.
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
        queue = SyncFIFO(width=layout.size, depth=DEPTH)
        m.submodules.queue = ResetInserter(self.flush)(queue)
        head = layout(queue.r_data)

        # The word that is served next, one hot, and those of the same request after it. A lane's escape comes before
        # its refill.
        served, rest = Signal(2 * lanes), Signal(2 * lanes)
        has_rest, is_escape, is_refill = Signal(), Signal(), Signal()
        source, lowest = Signal(2 * lanes), Signal(2 * lanes)
        goes_on = Signal()
        m.d.comb += [
            self.i.ready.eq(is_refill | (is_escape & self.escapes.ready)),
            self.asks.eq(is_refill | is_escape),
            self.taken.eq(self.i.valid & self.i.ready),
            goes_on.eq(self.taken | ~(is_escape | is_refill)),
            self.lane_en.eq(served[1::2] & (is_refill & self.i.valid).replicate(lanes)),
            self.escapes.valid.eq(self.i.valid & is_escape),
            self.escapes.payload.eq(self.i.payload),
            source.eq(Mux(has_rest, rest, Cat((head.escape[lane], head.refill[lane]) for lane in range(lanes)))),
            lowest.eq(source & -source),
            queue.r_en.eq(goes_on & ~has_rest),
        ]
        with m.If(goes_on):
            m.d.sync += [is_escape.eq(0), is_refill.eq(0)]
            with m.If(has_rest | queue.r_rdy):
                m.d.sync += [
                    served.eq(lowest),
                    rest.eq(source & ~lowest),
                    has_rest.eq((source & ~lowest).any()),
                    is_escape.eq(lowest[0::2].any()),
                    is_refill.eq(lowest[1::2].any()),
                ]
            with m.If(~has_rest):
                m.d.sync += [self.slot.eq(head.slot), self.half.eq(head.half)]
        m.d.comb += [
            queue.w_data.eq(self.request),
            queue.w_en.eq(self.request_en),
            self.idle.eq(~is_escape & ~is_refill & ~queue.r_rdy),
        ]
        m.d.sync += self.room.eq(queue.level < DEPTH - LATE)
        with m.If(self.flush):
            m.d.sync += [is_escape.eq(0), is_refill.eq(0), has_rest.eq(0)]
        return m
