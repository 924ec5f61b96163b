"""The ``line`` codec: an accumulator and a counter, and the fetch of the next segment for them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import SEGMENT_GROUP, SEGMENTS_PER_GROUP, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import WEIGHT_HEADER_LAYOUT

LENGTH = SEGMENT_GROUP.fields[0]


class Fetch(enum.Enum):
    """Word of a segment that is next."""

    LENGTHS = 0
    INTERCEPT = 1
    SLOPE = 2


class LineDecoder(wiring.Component):
    """Draws the segments of a ``line`` payload.

    Throughput: a weight per cycle; segments follow each other without a gap where words arrive in time, five for two
    segments. Latency: the product of channels and length takes two dozen cycles;
    a segment's first weight follows its slope by two. Back-pressure: one segment is fetched ahead. Reset and ``start``
    drop everything; what is left of a segment when the stream is given up is dropped by the next ``start``.

    Members
    -------
    start : In(1)
        Begin with the stream whose ``header`` is there; the header stays until ``done``.
    header : In(WEIGHT_HEADER_LAYOUT)
        Its header.
    i : In(stream of words)
        The payload.
    o : Out(stream of words)
        The weights.
    bad : Out(1)
        A segment, all its words taken, runs past the stream's weights; stays until ``start``.
    done : Out(1)
        All weights of the stream have left.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "header": In(WEIGHT_HEADER_LAYOUT),
                "i": In(stream.Signature(WORD_BITS)),
                "o": Out(stream.Signature(WORD_BITS)),
                "bad": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        length_bits = WEIGHT_HEADER["length"].width + 1
        channels_bits = WEIGHT_HEADER["channels"].width + 1

        # channels x length, one bit of the length per cycle: the factor leaves below as the product enters above.
        left = Signal(channels_bits + length_bits)  # weights that no fetched segment covers
        steps = Signal(range(length_bits + 1))
        running = Signal()
        channels = Signal(channels_bits)
        partial = Signal(channels_bits + 1)
        m.d.comb += [
            channels.eq(self.header.channels + WEIGHT_HEADER["channels"].bias),
            partial.eq(left[length_bits:] + Mux(left[0], channels, 0)),
        ]
        with m.If(steps != 0):
            m.d.sync += [left.eq(Cat(left[1:length_bits], partial)), steps.eq(steps - 1), running.eq(steps == 1)]

        # The segment that is fetched. Its length is taken off `left` at once, so that when its slope comes it is known
        # whether it is the last, and no word is asked for too many.
        fetch = Signal(Fetch)
        lengths = Signal(SEGMENTS_PER_GROUP * LENGTH.width)  # of the segments of the group that are not fetched
        second = Signal()
        fresh, past, none = Signal(), Signal(), Signal()
        rest = Signal(len(left) + 1)
        m.d.comb += rest.eq(left - (lengths[: LENGTH.width] + LENGTH.bias))
        with m.If(fresh & ~none):
            m.d.sync += [left.eq(rest), past.eq(rest[-1]), fresh.eq(0)]

        # The segment after the one that is drawn.
        waits, waits_past = Signal(), Signal()
        next_length, next_code, next_slope = Signal(LENGTH.width), Signal(WORD_BITS), Signal(WORD_BITS)
        # The one that is drawn.
        draws = Signal()
        count, code, slope = Signal(LENGTH.width), Signal(WORD_BITS), Signal(WORD_BITS)
        begins = Signal()
        m.d.comb += [
            begins.eq(waits & ~waits_past & (~draws | (self.o.ready & (count == 0)))),
            self.i.ready.eq(running & ~none & ((fetch == Fetch.LENGTHS) | ~waits | begins)),
            self.o.valid.eq(draws),
            self.o.payload.eq(code),
            self.bad.eq(waits & waits_past),
            self.done.eq(running & none & ~waits & ~draws),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [code.eq(code + slope), count.eq(count - 1), draws.eq(count != 0)]
        with m.If(begins):
            m.d.sync += [
                code.eq(next_code),
                slope.eq(next_slope),
                count.eq(next_length),
                draws.eq(1),
                waits.eq(0),
            ]
        with m.If(self.i.valid & self.i.ready), m.Switch(fetch):
            with m.Case(Fetch.LENGTHS):
                m.d.sync += [lengths.eq(self.i.payload), second.eq(0), fresh.eq(1), fetch.eq(Fetch.INTERCEPT)]
            with m.Case(Fetch.INTERCEPT):
                m.d.sync += [next_code.eq(self.i.payload), fetch.eq(Fetch.SLOPE)]
            with m.Case(Fetch.SLOPE):
                m.d.sync += [
                    next_slope.eq(self.i.payload),
                    next_length.eq(lengths),
                    waits.eq(1),
                    waits_past.eq(past),
                    none.eq(left == 0),
                    lengths.eq(lengths >> LENGTH.width),
                    second.eq(1),
                    fresh.eq(~second),
                    fetch.eq(Mux(second, Fetch.LENGTHS, Fetch.INTERCEPT)),
                ]
        with m.If(self.start):
            m.d.sync += [
                left.eq(self.header.length + WEIGHT_HEADER["length"].bias),
                steps.eq(length_bits),
                running.eq(0),
                fetch.eq(Fetch.LENGTHS),
                fresh.eq(0),
                past.eq(0),
                none.eq(0),
                waits.eq(0),
                draws.eq(0),
            ]
        return m
