"""The block RAM that holds the image of an array on a board."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import WORD_BITS, WORD_BYTES
from dnnzip_hw.array.layouts import read_address_layout, read_data_layout
from dnnzip_hw.array.parameters import ArrayParameters

SLAVE_ERROR = 2
"""AXI4's response to a read outside of the memory."""


class WeightMemory(wiring.Component):
    """A memory behind an accelerator's read channels, which words are written into at the side.

    Throughput: a word per cycle, and a cycle more for each burst. Latency: a cycle from a burst's address, and one to
    its first word. Back-pressure: of the data; an address waits for the burst before. A burst that does not lie inside
    the memory is answered with an error. Reset: no burst; the content stays.

    Parameters
    ----------
    parameters
        Of the array, whose memory words must have 16 bits.
    size
        Bytes: a power of two.

    Members
    -------
    ar : In(stream of read_address_layout), r : Out(stream of read_data_layout)
        The accelerator's read channels.
    write_en, write_address, write_data : In
        A word to write, and its address, counted in words.
    """

    def __init__(self, parameters: ArrayParameters, size: int) -> None:
        self._words = size // WORD_BYTES
        super().__init__(
            {
                "ar": In(stream.Signature(read_address_layout())),
                "r": Out(stream.Signature(read_data_layout(parameters))),
                "write_en": In(1),
                "write_address": In(range(self._words)),
                "write_data": In(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=WORD_BITS, depth=self._words, init=[])
        write, read = memory.write_port(), memory.read_port()
        asked = self.ar.payload
        place = Signal(range(self._words))
        left = Signal(len(asked.length) + 1)
        is_outside = Signal()
        reads = Signal()
        end = (asked.address >> ceil_log2(WORD_BYTES)) + asked.length
        m.d.comb += [
            write.en.eq(self.write_en),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            self.ar.ready.eq(left == 0),
            reads.eq((left != 0) & (~self.r.valid | self.r.ready)),
            read.addr.eq(place),
            read.en.eq(reads),
            self.r.payload.data.eq(read.data),
        ]
        with m.If(self.r.ready):
            m.d.sync += self.r.valid.eq(0)
        with m.If(reads):
            m.d.sync += [
                self.r.valid.eq(1),
                self.r.payload.last.eq(left == 1),
                self.r.payload.response.eq(is_outside * SLAVE_ERROR),
                place.eq(place + 1),
                left.eq(left - 1),
            ]
        with m.If(self.ar.valid & self.ar.ready):
            m.d.sync += [
                place.eq(asked.address >> ceil_log2(WORD_BYTES)),
                left.eq(asked.length + 1),
                is_outside.eq(end >= self._words),
            ]
        return m
