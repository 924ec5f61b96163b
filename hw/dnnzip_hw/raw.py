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
    beat per cycle. Latency: the product of channels and length takes 20 cycles, then one cycle from word to beat.
    Back-pressure: a word is taken when the one before it has left. Reset and ``start`` drop everything.

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

        # channels x length, one bit of the length per cycle: the factor leaves `items` below as the product enters.
        items = Signal(channels_bits + length_bits)
        steps = Signal(range(length_bits + 1))
        running = Signal()
        channels = Signal(channels_bits)
        m.d.comb += channels.eq(self.header.channels + WEIGHT_HEADER["channels"].bias)
        high = items[length_bits:]
        partial = Signal(channels_bits + 1)
        m.d.comb += partial.eq(high + Mux(items[0], channels, 0))

        word = Signal(WORD_BITS)
        left = Signal(range(WORD_BITS + 1))  # items of `word`
        width_cases = [(index, width) for index, width in enumerate(RAW_WIDTHS)]
        per_word = Signal(range(WORD_BITS + 1))
        per_beat = Signal(range(lanes + 1))
        shifted = Signal(WORD_BITS)
        with m.Switch(self.header.raw_width):
            for index, width in width_cases:
                with m.Case(index):
                    here = min(lanes, WORD_BITS // width)
                    m.d.comb += [
                        per_word.eq(WORD_BITS // width),
                        per_beat.eq(here),
                        shifted.eq(word >> here * width),
                    ]
                    for lane in range(here):
                        item = word[lane * width : (lane + 1) * width]
                        m.d.comb += self.o.payload.weights[lane].eq(item.as_signed())
        full = Signal()
        m.d.comb += full.eq(items >= per_beat)
        given = Signal(range(lanes + 1))
        m.d.comb += given.eq(Mux(full, per_beat, items))
        m.d.comb += [self.o.payload.mask[lane].eq(lane < given) for lane in range(lanes)]

        empty = Signal()
        gives = Signal()
        m.d.comb += [
            empty.eq(left == 0),
            self.o.valid.eq(running & ~empty),
            gives.eq(self.o.valid & self.o.ready),
            self.done.eq(running & (items == 0)),
        ]
        # The word register is free, or gives its last beat now and there are items after it.
        m.d.comb += self.i.ready.eq(
            running & Mux(empty, items != 0, self.o.ready & (left == per_beat) & (items > per_beat))
        )
        with m.If(gives):
            m.d.sync += [items.eq(items - given), word.eq(shifted), left.eq(left - per_beat)]
            with m.If(items <= per_beat):
                m.d.sync += left.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), left.eq(per_word)]
        with m.If(steps != 0):
            m.d.sync += [items.eq(Cat(items[1:length_bits], partial)), steps.eq(steps - 1)]
            with m.If(steps == 1):
                m.d.sync += running.eq(1)
        with m.If(self.start):
            m.d.sync += [
                items.eq(self.header.length + WEIGHT_HEADER["length"].bias),
                steps.eq(length_bits),
                running.eq(0),
                left.eq(0),
            ]
        return m
