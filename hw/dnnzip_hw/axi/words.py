"""From input beats of several words to single words."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import WORD_BITS, WORD_BYTES
from dnnzip_hw.axi.layouts import input_layout
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.layouts import word_layout


class WordSplitterProbes(NamedTuple):
    """Inner parts of a ``WordSplitter`` that proofs refer to."""

    waits: Signal
    data: Signal
    kept: Signal
    last: Signal
    is_bad: Signal
    index: Signal
    drops: Signal


class WordSplitter(wiring.Component):
    """Takes beats apart into words, the one in the lowest bytes first.

    The bytes that a beat keeps must be whole words from its first byte on; a last beat must keep at least one word, any
    other may be empty. A beat that breaks this is bad: none of its words is given, and the rest of the stream is taken
    and dropped, up to and including its last beat. Then one word, zero, ends the stream with ``last``, and ``bad`` is 1
    from the bad beat on until that word has been taken.

    Throughput: one word per cycle; an empty beat takes a cycle. Latency: one cycle. Back-pressure: a beat waits here
    until its words are taken; the next one is taken with its last word. Reset: the beat is dropped, and the next one is
    the first of a stream.

    Parameters
    ----------
    parameters
        See ``AxiParameters``.

    Members
    -------
    i : In(stream of input_layout)
        Beats.
    o : Out(stream of word_layout)
        Words.
    bad : Out(1)
        A bad beat came in this stream.
    """

    def __init__(self, parameters: AxiParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(input_layout(parameters))),
                "o": Out(stream.Signature(word_layout())),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        count = self.parameters.bus_words
        keep = self.i.payload.keep
        pairs = [keep.word_select(number, WORD_BYTES) for number in range(count)]
        words = Cat(pair.any() for pair in pairs)
        halves = Cat(pair.any() & ~pair.all() for pair in pairs).any()
        gaps = Cat(words[number + 1] & ~words[number] for number in range(count - 1)).any()

        # The beat that waits; what its bytes say is worked out before its register.
        waits, leaves = Signal(), Signal()
        data, kept, last, is_bad = Signal(self.parameters.bus_bits), Signal(count), Signal(), Signal()
        m.d.comb += self.i.ready.eq(~waits | leaves)
        with m.If(self.i.ready):
            m.d.sync += [
                waits.eq(self.i.valid),
                data.eq(self.i.payload.data),
                last.eq(self.i.payload.last),
                kept.eq(words),
                is_bad.eq(halves | gaps | (self.i.payload.last & ~words[0])),
            ]

        index = Signal(range(count))  # of the word that is next
        after = Signal()  # the beat has another one
        drops = Signal()
        m.d.comb += [
            after.eq(Mux(index == count - 1, 0, (kept >> 1).bit_select(index, 1))),
            self.bad.eq(drops | (waits & is_bad)),
            self.o.payload.data.eq(Mux(drops, 0, data.word_select(index, WORD_BITS))),
            self.o.payload.last.eq(drops | (last & ~after)),
        ]
        with m.If(drops):
            # Up to the last beat, which represents the word that ends the stream.
            m.d.comb += [self.o.valid.eq(waits & last), leaves.eq(~last | self.o.ready)]
            with m.If(waits & leaves & last):
                m.d.sync += drops.eq(0)
        with m.Elif(is_bad):
            m.d.sync += drops.eq(waits)
        with m.Else():
            m.d.comb += [self.o.valid.eq(waits & kept[0]), leaves.eq(~after & (self.o.ready | ~kept[0]))]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += index.eq(Mux(after, index + 1, 0))
        self.probes = WordSplitterProbes(waits, data, kept, last, is_bad, index, drops)
        return m
