"""The word distributor: hands the payload's words to escapes and lane windows in the order of the format."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS, WORD_BITS
from dnnzip_hw.layouts import request_layout
from dnnzip_hw.parameters import DecompressorParameters

DEPTH = 16


class Distributor(wiring.Component):
    """Serves the requests of the lanes in order, one word per cycle.

    Throughput: a word per cycle. Latency: a word reaches its lane in the cycle in which it is taken; a request can be
    served in the cycle after it was made. Back-pressure: ``room`` is low where fewer than two more requests fit; an
    escape's word is taken when its beat stands at the output. Reset and ``flush``: no requests.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    request_en : In(1), request : In(request_layout)
        What a beat asks for; only while ``room``.
    room : Out(1)
        Another request fits.
    flush : In(1)
        Drop all requests.
    wide : In(1)
        Escapes may use all bits of their word.
    i : In(stream of words)
        The payload. A word is asked for by ``i.ready``, whether there is one or not.
    lane_en : Out(lanes), slot : Out
        This word is for the window of that lane and slot.
    escape_en : Out(lanes)
        This word is the lane's weight in the beat at the output.
    escape_waits : In(lanes)
        Lanes of the beat at the output that wait for such a word.
    word : Out
        The word.
    bad : Out(1)
        The next thing in order is a weight outside of the declared width, or the word taken now is one.
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
                "wide": In(1),
                "i": In(stream.Signature(WORD_BITS)),
                "lane_en": Out(lanes),
                "slot": Out(range(parameters.ring)),
                "escape_en": Out(lanes),
                "escape_waits": In(lanes),
                "word": Out(WORD_BITS),
                "bad": Out(1),
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

        current = Signal(layout)
        head = layout(queue.r_data)
        # In the order of service: a lane's escape (or bad code), then its refill.
        waiting = Cat((current.escape[lane] | current.bad[lane], current.refill[lane]) for lane in range(lanes))
        todo = Signal(2 * lanes)
        chosen = Signal(2 * lanes)
        m.d.comb += [todo.eq(waiting), chosen.eq(todo & -todo)]
        firsts, refills = chosen[0::2], chosen[1::2]
        taken = Signal()
        is_bad = Signal()
        blocked = Signal()
        m.d.comb += [
            is_bad.eq((firsts & current.bad).any()),
            blocked.eq((firsts & ~self.escape_waits).any()),
            self.i.ready.eq(~is_bad & ~blocked & (todo != 0)),
            taken.eq(self.i.valid & self.i.ready),
            self.word.eq(self.i.payload),
            self.slot.eq(current.slot),
            self.lane_en.eq(refills & taken.replicate(lanes)),
            self.escape_en.eq(firsts & taken.replicate(lanes)),
        ]
        sign = self.i.payload[NARROW_BITS - 1 :]
        m.d.comb += self.bad.eq(is_bad | (self.escape_en.any() & ~self.wide & sign.any() & ~sign.all()))

        finishes = Signal()
        m.d.comb += finishes.eq((todo == 0) | (taken & (todo == chosen)))
        with m.If(taken):
            m.d.sync += [current.escape.eq(current.escape & ~firsts), current.refill.eq(current.refill & ~refills)]
        with m.If(finishes):
            with m.If(queue.r_rdy):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += current.eq(head)
            with m.Elif(self.request_en):
                m.d.sync += current.eq(self.request)
        m.d.comb += [
            queue.w_data.eq(self.request),
            queue.w_en.eq(self.request_en & (queue.r_rdy | ~finishes)),
            self.idle.eq((todo == 0) & ~queue.r_rdy),
        ]
        m.d.sync += self.room.eq(queue.level < DEPTH - 2)
        with m.If(self.flush):
            m.d.sync += current.eq(0)
        return m
