"""The ``raw`` codec: items of 4, 8 or 16 bits out of the payload's words."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import RAW_WIDTHS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import WEIGHT_HEADER_LAYOUT
from dnnzip_hw.parameters import DecompressorParameters


def raw_beat_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a beat of items, without an end mark."""
    return data.StructLayout(
        {"weights": data.ArrayLayout(signed(parameters.weight_bits), parameters.lanes), "mask": parameters.lanes}
    )


class RawDecoder(wiring.Component):
    """Unpacks the items of a ``raw`` payload.

    A beat holds as many items as a word, or as many as there are lanes; the last one may hold fewer. Throughput: a
    beat per cycle. Latency: the product of channels and length takes two dozen cycles, then one cycle from word to
    beat. Back-pressure: a word is taken when the one before it has left. Reset and ``start`` drop everything.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    start : In(1)
        Begin with the stream whose ``header`` is there; the header stays until ``done``.
    header : In(WEIGHT_HEADER_LAYOUT)
        Its header.
    i : In(stream of words)
        The payload.
    o : Out(stream of raw_beat_layout)
        The items, sign extended, in lanes 0 and up.
    done : Out(1)
        All items of the last stream have left.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "header": In(WEIGHT_HEADER_LAYOUT),
                "i": In(stream.Signature(WORD_BITS)),
                "o": Out(stream.Signature(raw_beat_layout(parameters))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes = self.parameters.lanes
        length_bits = WEIGHT_HEADER["length"].width + 1
        channels_bits = WEIGHT_HEADER["channels"].width + 1

        # channels x length, one bit of the length per cycle: the factor leaves below as the product enters above. Then
        # the product becomes the number of words, so that taking a word depends on one flag.
        left = Signal(channels_bits + length_bits)
        steps = Signal(range(length_bits + 1))
        rounding, counting, running = Signal(), Signal(), Signal()
        channels = Signal(channels_bits)
        partial = Signal(channels_bits + 1)
        m.d.comb += [
            channels.eq(self.header.channels + WEIGHT_HEADER["channels"].bias),
            partial.eq(left[length_bits:] + Mux(left[0], channels, 0)),
        ]
        most_items = WORD_BITS // min(RAW_WIDTHS)
        per_word, final_items = Signal(range(most_items + 1)), Signal(range(most_items + 1))
        per_beat = Signal(range(most_items + 1))
        full_words, over = Signal.like(left), Signal(range(most_items))

        word = Signal(WORD_BITS)
        items = Signal(range(most_items + 1))  # in `word`
        shifted = Signal(WORD_BITS)
        with m.Switch(self.header.raw_width):
            for index, width in enumerate(RAW_WIDTHS):
                with m.Case(index):
                    here, log2 = min(lanes, WORD_BITS // width), (WORD_BITS // width).bit_length() - 1
                    m.d.comb += [
                        per_word.eq(WORD_BITS // width),
                        per_beat.eq(here),
                        shifted.eq(word >> here * width),
                        full_words.eq(left >> log2),
                        over.eq(left[:log2]),
                    ]
                    for lane in range(here):
                        item = word[lane * width : (lane + 1) * width]
                        m.d.comb += self.o.payload.weights[lane].eq(item.as_signed())
        final, none = Signal(), Signal()  # one word is to be taken; none is
        empty, ends = Signal(), Signal()
        m.d.comb += [
            empty.eq(items == 0),
            ends.eq(items <= per_beat),
            self.o.valid.eq(~empty),
            self.done.eq(running & none & empty),
            self.i.ready.eq(running & ~none & (empty | (self.o.ready & ends))),
        ]
        m.d.comb += [self.o.payload.mask[lane].eq(lane < items) for lane in range(lanes)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [word.eq(shifted), items.eq(Mux(ends, 0, items - per_beat))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                word.eq(self.i.payload),
                items.eq(Mux(final, final_items, per_word)),
                left.eq(left - 1),
                final.eq(left == 2),
                none.eq(final),
            ]
        m.d.sync += [rounding.eq(steps == 1), counting.eq(rounding)]
        with m.If(steps != 0):
            m.d.sync += [left.eq(Cat(left[1:length_bits], partial)), steps.eq(steps - 1)]
        with m.If(rounding):
            m.d.sync += [left.eq(full_words + (over != 0)), final_items.eq(Mux(over == 0, per_word, over))]
        with m.If(counting):
            m.d.sync += [final.eq(left == 1), none.eq(0), running.eq(1)]
        with m.If(self.start):
            m.d.sync += [
                left.eq(self.header.length + WEIGHT_HEADER["length"].bias),
                steps.eq(length_bits),
                rounding.eq(0),
                counting.eq(0),
                running.eq(0),
                items.eq(0),
            ]
        return m
