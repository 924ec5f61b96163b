"""The size of ``raw`` streams: a check that the header declares the words that its items take."""

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import RAW_WIDTHS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import WEIGHT_HEADER_LAYOUT
from dnnzip_hw.memory import GENERIC, ICE40

MOST_LOG2 = (WORD_BITS // min(RAW_WIDTHS)).bit_length() - 1


class RawSize(wiring.Component):
    """Multiplies channels and length, a bit per cycle, lowest first, and compares the product with the declared words.

    Throughput: one header at a time. Latency: four dozen cycles from ``start`` to ``done``. There is no back-pressure.
    Reset: idle.

    Parameters
    ----------
    target
        One of ``TARGETS``. On iCE40, where a choice of one of many bits takes many levels, the header's numbers are
        shifted past instead.

    Members
    -------
    start : In(1), header : In(WEIGHT_HEADER_LAYOUT)
        Begin with this header, which stays until ``done``.
    done : Out(1)
        ``wrong`` and ``over`` are sure; until the next ``start``.
    wrong : Out(1)
        The header declares fewer or more words.
    over : Out
        Items in a last word that is not full; 0 where it is.
    """

    def __init__(self, target: str = GENERIC) -> None:
        self.target = target
        super().__init__(
            {
                "start": In(1),
                "header": In(WEIGHT_HEADER_LAYOUT),
                "done": Out(1),
                "wrong": Out(1),
                "over": Out(MOST_LOG2),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        length, channels = WEIGHT_HEADER["length"], WEIGHT_HEADER["channels"]
        assert (length.bias, channels.bias) == (1, 1)
        # One factor has a bit more than its field, as both stand there less one; so has the other.
        bits = length.width + 1 + channels.width + 1
        log2_items = Signal(range(MOST_LOG2 + 1))  # of a word
        with m.Switch(self.header.raw_width):
            for index, width in enumerate(RAW_WIDTHS):
                with m.Case(index):
                    m.d.comb += log2_items.eq((WORD_BITS // width).bit_length() - 1)

        # First cycle of a bit: that of the length, plus one, and of the declared words, as late as items fit a word.
        number = Signal(range(bits + 4))
        adds, length_bit = Signal(), Signal()
        declared = [Signal(name=f"declared_{late}") for late in range(MOST_LOG2 + 1)]
        of_length, of_words = Signal(), Signal()
        starts = Signal()  # the first bits are there
        fetched = Signal.like(number)  # the bit that these are of
        if self.target == ICE40:
            shifted_length = Signal(length.width)
            shifted_words = Signal(WEIGHT_HEADER["payload_words"].width)
            length_here, words_here = shifted_length[0], shifted_words[0]
            m.d.sync += [shifted_length.eq(shifted_length >> 1), shifted_words.eq(shifted_words >> 1)]
            with m.If(self.start):
                m.d.sync += [shifted_length.eq(self.header.length), shifted_words.eq(self.header.payload_words)]
        else:
            length_here = self.header.length.bit_select(number, 1)
            words_here = self.header.payload_words.bit_select(number, 1)
        m.d.sync += [
            fetched.eq(number),
            of_length.eq(length_here),
            of_words.eq(words_here),
            length_bit.eq(of_length ^ adds),
            adds.eq((of_length & adds) | ~starts),
            declared[0].eq(of_words),
            *(after.eq(before) for before, after in pairwise(declared)),
        ]
        # Second cycle: that of the product, and of the words, rounded up.
        partial = Signal(channels.width + 1)
        total = Signal(channels.width + 2)
        carry, product_bit, word_bit, is_word = Signal(), Signal(), Signal(), Signal()
        wanted = Signal()
        m.d.comb += [
            total.eq(partial + (self.header.channels & length_bit.replicate(channels.width)) + length_bit),
            product_bit.eq(total[0]),
            word_bit.eq(product_bit ^ carry),
        ]
        with m.Switch(log2_items):
            for late, bit in enumerate(declared):
                with m.Case(late):
                    m.d.comb += wanted.eq(bit)
        running = Signal()
        m.d.sync += [
            running.eq(starts & ~self.done & (fetched != bits + 2)),
            starts.eq(~self.done),
            is_word.eq(fetched >= log2_items),
        ]
        with m.If(running):
            m.d.sync += [partial.eq(total[1:]), carry.eq(Mux(is_word, product_bit & carry, product_bit | carry))]
            with m.If(is_word & (word_bit != wanted)):
                m.d.sync += self.wrong.eq(1)
            for place in range(MOST_LOG2):
                with m.If(~is_word & (fetched == place + 1)):
                    m.d.sync += self.over[place].eq(product_bit)
        with m.If(~self.done):
            m.d.sync += [number.eq(number + 1), self.done.eq(fetched == bits + 2)]
        with m.If(self.start):
            m.d.sync += [
                number.eq(0),
                partial.eq(0),
                carry.eq(0),
                self.done.eq(0),
                running.eq(0),
                starts.eq(0),
                self.wrong.eq(0),
                self.over.eq(0),
            ]
        return m
