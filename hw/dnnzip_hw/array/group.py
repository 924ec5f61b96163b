"""A lane group: its parts' bus words in, tiles of weights for its rows out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from dnnzip.format import CAUSE_BITS
from dnnzip.format.array import Placement
from dnnzip_hw.array.feed import WordFeed
from dnnzip_hw.array.hops import Hops
from dnnzip_hw.array.interface import PEArrayInterface
from dnnzip_hw.array.layouts import fed_word_layout, part_layout, tile_write_layout
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.array.plain import PlainWeights
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.layouts import beat_layout

WAITING = 4
"""Parts that each of a group's stages may be behind the one before it."""


class LaneGroup(wiring.Component):
    """A decompressor with a way past it, the on-chip bus, and the interface to the group's rows.

    Throughput: a word, and a beat, per cycle. Latency: the decompressor's and the bus'. Back-pressure: from the tiles
    back to the bus words. Reset: no table set, no part, no tile.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    parts : In(stream of part_layout)
        The parts whose bus words come.
    i : In(stream)
        Bus words.
    write_en, write, complete, take, loading, cause
        See ``PEArrayInterface``.
    moved : Out(1)
        A word or a beat of weights, by the placement, enters the on-chip bus.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "parts": In(stream.Signature(part_layout())),
                "i": In(stream.Signature(parameters.bus_bits)),
                "write_en": Out(1),
                "write": Out(tile_write_layout(parameters)),
                "complete": Out(1),
                "take": In(1),
                "loading": Out(1),
                "cause": Out(CAUSE_BITS),
                "moved": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        m.submodules.feed = feed = WordFeed(parameters)
        m.submodules.decompressor = decompressor = Decompressor(parameters.decompressor)
        m.submodules.plain = plain = PlainWeights(parameters.decompressor)
        m.submodules.interface = interface = PEArrayInterface(parameters)
        connect(m, flipped(self.i), feed.i)

        # Each stage gets to know of each part when it comes to it; the merge of beats only which kind it is.
        kinds = SyncFIFO(width=1, depth=2 * WAITING)
        room = kinds.w_rdy
        width = len(self.parts.payload.as_value())
        for name, stage in (("feed", feed), ("plain", plain), ("interface", interface)):
            fifo = SyncFIFO(width=width, depth=WAITING)
            m.submodules[f"{name}_parts"] = fifo
            wanted = self.parts.payload.plain if stage is plain else 1
            m.d.comb += [
                fifo.w_data.eq(self.parts.payload),
                fifo.w_en.eq(self.parts.valid & self.parts.ready & wanted),
                stage.parts.payload.as_value().eq(fifo.r_data),
                stage.parts.valid.eq(fifo.r_rdy),
                fifo.r_en.eq(stage.parts.ready),
            ]
            room = room & fifo.w_rdy
        m.submodules.kinds = kinds
        m.d.comb += [
            self.parts.ready.eq(room),
            kinds.w_data.eq(self.parts.payload.plain),
            kinds.w_en.eq(self.parts.valid & self.parts.ready),
        ]

        words, beats = Signal(fed_word_layout()), Signal(beat_layout(parameters.decompressor))
        words_valid, words_ready = Signal(), Signal()
        beats_valid, beats_ready = Signal(), Signal()
        m.d.comb += [
            decompressor.i.payload.data.eq(words.data),
            decompressor.i.payload.last.eq(words.last),
            decompressor.i.valid.eq(words_valid & ~words.plain),
            plain.i.payload.eq(decompressor.i.payload),
            plain.i.valid.eq(words_valid & words.plain),
            words_ready.eq(Mux(words.plain, plain.i.ready, decompressor.i.ready)),
            beats.eq(Mux(kinds.r_data, plain.o.payload, decompressor.o.payload)),
            beats_valid.eq(kinds.r_rdy & Mux(kinds.r_data, plain.o.valid, decompressor.o.valid)),
            plain.o.ready.eq(beats_ready & kinds.r_rdy & kinds.r_data),
            decompressor.o.ready.eq(beats_ready & kinds.r_rdy & ~kinds.r_data),
            kinds.r_en.eq(beats_valid & beats_ready & beats.last),
        ]
        if parameters.placement is Placement.PE:
            m.submodules.bus = bus = Hops(fed_word_layout(), parameters.hops)
            connect(m, feed.o, bus.i)
            m.d.comb += [
                words.eq(bus.o.payload),
                words_valid.eq(bus.o.valid),
                bus.o.ready.eq(words_ready),
                interface.i.payload.eq(beats),
                interface.i.valid.eq(beats_valid),
                beats_ready.eq(interface.i.ready),
                self.moved.eq(bus.moved),
            ]
        else:
            m.submodules.bus = bus = Hops(beat_layout(parameters.decompressor), parameters.hops)
            connect(m, bus.o, interface.i)
            m.d.comb += [
                words.eq(feed.o.payload),
                words_valid.eq(feed.o.valid),
                feed.o.ready.eq(words_ready),
                bus.i.payload.eq(beats),
                bus.i.valid.eq(beats_valid),
                beats_ready.eq(bus.i.ready),
                self.moved.eq(bus.moved & ~beats.last),
            ]
        m.d.comb += [
            self.write_en.eq(interface.write_en),
            self.write.eq(interface.write),
            self.complete.eq(interface.complete),
            interface.take.eq(self.take),
            self.loading.eq(interface.loading),
            self.cause.eq(interface.cause),
        ]
        return m
