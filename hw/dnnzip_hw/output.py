"""The output: beats in order, escapes filled in, and the end beat."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from dnnzip.format import WORD_BITS
from dnnzip_hw.layouts import CAUSE_BITS, CODE_BITS, beat_layout
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.raw import raw_beat_layout

DEPTH = 16
IN_FLIGHT = 4
"""Beats that may still come after ``room`` went low."""


def decoded_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a beat as the lanes give it: without the values of its escapes."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(signed(min(CODE_BITS, parameters.weight_bits)), parameters.lanes),
            "escape": parameters.lanes,
            "mask": parameters.lanes,
        }
    )


class Output(wiring.Component):
    """Queues beats, fills in escapes, and ends streams.

    Throughput: a beat per cycle. Latency: two cycles. Back-pressure: ``room`` is low where fewer than ``IN_FLIGHT``
    more beats fit. Reset: empty.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    beat_en : In(1), beat : In(decoded_layout)
        A beat of the lanes.
    room : Out(1)
        Beats may be on their way.
    escape_waits : Out(lanes), escape_en : In(lanes), word : In
        Lanes of the beat at the port that wait for an escape's word; the word for one of them.
    raw : In(stream of raw_beat_layout)
        Beats of a raw stream.
    give_up : In(1)
        Escapes get no word any more: let their beats go as they are.
    end : In(1), cause : In
        After the last beat, give the end beat; held until ``ended``.
    ended : Out(1)
        The end beat goes to the port.
    o : Out(stream of beat_layout)
        The port.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "beat_en": In(1),
                "beat": In(decoded_layout(parameters)),
                "room": Out(1),
                "escape_waits": Out(parameters.lanes),
                "escape_en": In(parameters.lanes),
                "word": In(WORD_BITS),
                "raw": In(stream.Signature(raw_beat_layout(parameters))),
                "give_up": In(1),
                "end": In(1),
                "cause": In(CAUSE_BITS),
                "ended": Out(1),
                "o": Out(stream.Signature(beat_layout(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        layout = decoded_layout(self.parameters)
        m.submodules.queue = queue = SyncFIFO(width=layout.size, depth=DEPTH)
        m.d.comb += [queue.w_en.eq(self.beat_en), queue.w_data.eq(self.beat)]
        m.d.sync += self.room.eq(queue.level < DEPTH - IN_FLIGHT)
        head = layout(queue.r_data)

        held = Signal()
        beat = Signal(beat_layout(self.parameters))
        free = Signal()
        m.d.comb += [
            self.o.payload.eq(beat),
            self.o.valid.eq(held & (self.give_up | (self.escape_waits == 0))),
            free.eq(~held | (self.o.valid & self.o.ready)),
        ]
        for lane in range(self.parameters.lanes):
            with m.If(self.escape_en[lane]):
                m.d.sync += [beat.weights[lane].eq(self.word), self.escape_waits[lane].eq(0)]
        with m.If(free):
            m.d.sync += held.eq(0)
            with m.If(queue.r_rdy):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += [held.eq(1), beat.mask.eq(head.mask), self.escape_waits.eq(head.escape)]
                m.d.sync += [beat.weights[lane].eq(head.codes[lane]) for lane in range(self.parameters.lanes)]
            with m.Elif(self.end):
                m.d.comb += self.ended.eq(1)
                m.d.sync += [held.eq(1), beat.mask.eq(0), self.escape_waits.eq(0)]
                m.d.sync += [beat.last.eq(1), beat.cause.eq(self.cause)]
            with m.Else():
                m.d.comb += self.raw.ready.eq(1)
                with m.If(self.raw.valid):
                    m.d.sync += [held.eq(1), beat.mask.eq(self.raw.payload.mask), self.escape_waits.eq(0)]
                    m.d.sync += beat.weights.eq(self.raw.payload.weights)
            with m.If(~self.ended):
                m.d.sync += [beat.last.eq(0), beat.cause.eq(0)]
        return m
