"""Plain weights: words of two bytes in, the beats of a decompressor out."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS, WORD_BITS, WORD_BYTES, Verdict
from dnnzip_hw.array.layouts import part_layout
from dnnzip_hw.array.order import PartOrder
from dnnzip_hw.layouts import beat_layout, word_layout
from dnnzip_hw.parameters import DecompressorParameters


class PlainWeights(wiring.Component):
    """Divides plain parts into beats, each part with an end beat that says that all is well.

    A part's bytes follow one another without gaps; what its last word holds beyond its weights is dropped.

    Throughput: a word or a beat per cycle. Latency: one cycle from a beat's last word; a part takes a cycle of its own.
    Back-pressure: on both sides. A part with too few words waits for ever. Reset: the next word is the first of a part.

    Parameters
    ----------
    parameters
        Of the decompressor whose beats these are like.

    Members
    -------
    parts : In(stream of part_layout)
        The parts whose words come.
    i : In(stream of word_layout)
        Words, ``last`` with the final one of each part.
    o : Out(stream of beat_layout)
        Beats.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "parts": In(stream.Signature(part_layout())),
                "i": In(stream.Signature(word_layout())),
                "o": Out(stream.Signature(beat_layout(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes = self.parameters.lanes
        m.submodules.order = order = PartOrder(self.parameters)
        places = lanes + WORD_BYTES
        held = Signal(data.ArrayLayout(NARROW_BITS, places))
        count = Signal(range(places + 1))
        # There is a part; its last word has come; its end beat has gone.
        busy, ended, closed = Signal(), Signal(), Signal()
        leaves, takes = Signal(), Signal()
        m.d.comb += [
            self.parts.ready.eq(~busy),
            order.start.eq(self.parts.valid & self.parts.ready),
            order.part.eq(self.parts.payload),
            order.step.eq(leaves & order.active),
            self.o.valid.eq(Mux(order.active, count >= order.weights, busy & ~closed)),
            leaves.eq(self.o.valid & self.o.ready),
            self.o.payload.mask.eq(Mux(order.active, Cat(lane < order.weights for lane in range(lanes)), 0)),
            self.o.payload.last.eq(~order.active),
            self.o.payload.cause.eq(Verdict.OK),
        ]
        # What has come for the next beat stays out of this one: it does not change while it waits.
        m.d.comb += [
            self.o.payload.weights[lane].eq(Mux(order.active & (lane < order.weights), held[lane], 0))
            for lane in range(lanes)
        ]
        kept = Signal.like(count)
        moved = Signal(len(held.as_value()))
        m.d.comb += [
            kept.eq(Mux(leaves, count - order.weights, count)),
            moved.eq(Mux(leaves, held.as_value() >> (order.weights * NARROW_BITS), held.as_value())),
            # What is left of the part behind its weights is taken and dropped.
            self.i.ready.eq(busy & ~ended & (~order.active | (kept <= lanes))),
            takes.eq(self.i.valid & self.i.ready),
        ]
        place_bits = [Mux(takes & (kept == place), self.i.payload.data, 0) for place in range(lanes + 1)]
        joined = moved & Cat((place < kept).replicate(NARROW_BITS) for place in range(places))
        for place, bits in enumerate(place_bits):
            joined = joined | (bits << place * NARROW_BITS)
        m.d.sync += [
            held.as_value().eq(joined),
            count.eq(Mux(takes, kept + WORD_BITS // NARROW_BITS, kept)),
        ]
        with m.If(takes & self.i.payload.last):
            m.d.sync += ended.eq(1)
        with m.If(order.start):
            m.d.sync += busy.eq(1)
        with m.Elif(~order.active):
            m.d.sync += [count.eq(0), closed.eq(closed | leaves)]
            with m.If(ended & closed):
                m.d.sync += [busy.eq(0), ended.eq(0), closed.eq(0)]
        return m
