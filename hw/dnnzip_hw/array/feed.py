"""From bus words to the 16-bit words of parts."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import WORD_BITS
from dnnzip_hw.array.layouts import fed_word_layout, part_layout
from dnnzip_hw.array.parameters import ArrayParameters


class WordFeed(wiring.Component):
    """Takes the bus words of parts apart, the word in the lowest bytes first; what lies behind a part is dropped.

    Throughput: a word per cycle; a part takes a cycle of its own. Latency: none. Back-pressure: a bus word is taken
    with its last word. Reset: no part.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    parts : In(stream of part_layout)
        The parts whose bus words come, one word each at least.
    i : In(stream)
        Bus words; each part starts with one of its own.
    o : Out(stream of fed_word_layout)
        Words.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "parts": In(stream.Signature(part_layout())),
                "i": In(stream.Signature(parameters.bus_bits)),
                "o": Out(stream.Signature(fed_word_layout())),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        index = Signal(range(max(2, self.parameters.beat_words)))
        left = Signal.like(self.parts.payload.words)
        busy, last, plain = Signal(), Signal(), Signal()
        goes = Signal()
        m.d.comb += [
            self.parts.ready.eq(~busy),
            self.o.valid.eq(busy & self.i.valid),
            self.o.payload.data.eq(self.i.payload.word_select(index, WORD_BITS)),
            self.o.payload.last.eq(last),
            self.o.payload.plain.eq(plain),
            goes.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(goes & (last | (index == self.parameters.beat_words - 1))),
        ]
        with m.If(goes):
            m.d.sync += [
                index.eq(Mux(self.i.ready, 0, index + 1)),
                left.eq(left - 1),
                last.eq(left == 2),
                busy.eq(~last),
            ]
        with m.If(self.parts.valid & self.parts.ready):
            m.d.sync += [
                busy.eq(1),
                left.eq(self.parts.payload.words),
                last.eq(self.parts.payload.words == 1),
                plain.eq(self.parts.payload.plain),
                index.eq(0),
            ]
        return m
