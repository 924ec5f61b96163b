"""The output: beats in order, escapes filled in, items of ``raw`` words, and the end beat."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS, RAW_WIDTHS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import CAUSE_BITS, beat_layout, payload_word_layout
from dnnzip_hw.parameters import DecompressorParameters

DEPTH = 16
LATE = 8
"""Beats that may still come after ``room`` went low."""

WORDS = 4
"""Words of escapes that may wait for their beats."""


def decoded_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a beat as the lanes give it: without the values of its escapes."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(signed(min(parameters.code_bits, parameters.weight_bits)), parameters.lanes),
            "escape": parameters.lanes,
            "mask": parameters.lanes,
        }
    )


class Output(wiring.Component):
    """Queues beats, fills in escapes, takes words of ``raw`` and ``line`` streams apart, and ends streams.

    Throughput: a beat per cycle. Latency: two cycles. Back-pressure: ``room`` is low where fewer than ``LATE`` more
    beats fit. Reset: empty.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    direct : In(1), raw_width : In
        Words are not for escapes, but hold items of that width, as in the header.
    beat_en : In(1), beat : In(decoded_layout)
        A beat of the lanes.
    room : Out(1)
        Beats may be on their way.
    words : In(stream of payload_word_layout)
        Words of escapes, in the order of the beats; or words of items.
    give_up : In(1)
        Escapes get no more words than have come: let their beats go as they are.
    bad_code : Out(1)
        An escape does not fit a narrow code; stays until ``restart``.
    restart : In(1)
        A stream begins.
    idle : Out(1)
        No beat and no item waits for the port's register.
    end : In(1), cause : In
        When idle, give the end beat; held until ``ended``.
    ended : Out(1)
        The end beat goes to the port's register.
    o : Out(stream of beat_layout)
        The port.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "direct": In(1),
                "raw_width": In(WEIGHT_HEADER["raw_width"].width),
                "beat_en": In(1),
                "beat": In(decoded_layout(parameters)),
                "room": Out(1),
                "words": In(stream.Signature(payload_word_layout())),
                "give_up": In(1),
                "bad_code": Out(1),
                "restart": In(1),
                "idle": Out(1),
                "end": In(1),
                "cause": In(CAUSE_BITS),
                "ended": Out(1),
                "o": Out(stream.Signature(beat_layout(parameters))),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes, weight_bits = self.parameters.lanes, self.parameters.weight_bits
        layout = decoded_layout(self.parameters)
        m.submodules.beats = beats = SyncFIFO(width=layout.size, depth=DEPTH)
        words = SyncFIFO(width=payload_word_layout().size, depth=WORDS)
        m.submodules.words = ResetInserter(self.restart)(words)
        m.d.comb += [
            beats.w_en.eq(self.beat_en),
            beats.w_data.eq(self.beat),
            words.w_en.eq(self.words.valid),
            words.w_data.eq(self.words.payload),
            self.words.ready.eq(words.w_rdy),
        ]
        m.d.sync += self.room.eq(beats.level < DEPTH - LATE)
        head = layout(beats.r_data)
        word = payload_word_layout()(words.r_data)

        sign = self.words.payload.data[NARROW_BITS - 1 :]
        with m.If(self.restart):
            m.d.sync += self.bad_code.eq(0)
        with m.Elif(self.words.valid & self.words.ready & ~self.direct & sign.any() & ~sign.all()):
            m.d.sync += self.bad_code.eq(1)

        # Items of a word, a beat of them at a time.
        most_items = WORD_BITS // min(RAW_WIDTHS)
        first = Signal(range(most_items))  # item that the next beat begins with
        item_mask = Signal(min(lanes, most_items))
        items = Signal(data.ArrayLayout(signed(weight_bits), lanes))
        word_ends = Signal()
        with m.Switch(Mux(self.direct, self.raw_width, RAW_WIDTHS.index(WORD_BITS))):
            for index, width in enumerate(RAW_WIDTHS):
                per_word = WORD_BITS // width
                with m.Case(index):
                    here = min(lanes, per_word)
                    for lane in range(lanes):
                        # An escape takes the whole word, and lanes without an item take anything.
                        place = first + lane % here if here < per_word else lane % here
                        item = word.data.word_select(place, width).as_signed()
                        m.d.comb += items[lane].eq(item)
                        if lane < here:
                            m.d.comb += item_mask[lane].eq(word.full | (place < word.items))
                    m.d.comb += word_ends.eq((first == per_word - here) | (~word.full & (first + here >= word.items)))

        held, waits = Signal(), Signal()
        beat = Signal(beat_layout(self.parameters))
        missing, served = Signal(lanes), Signal(lanes)  # escapes without their words; the one whose word is there
        free = Signal()
        m.d.comb += [
            self.o.payload.eq(beat),
            self.o.valid.eq(held & ~waits),
            free.eq(~held | (self.o.valid & self.o.ready)),
            served.eq(missing & -missing),
            self.idle.eq(~beats.r_rdy & ~waits & (~words.r_rdy | ~self.direct)),
            beats.r_en.eq(free),
        ]
        for lane in range(lanes):
            with m.If(free):
                m.d.sync += beat.weights[lane].eq(Mux(self.direct, items[lane], head.codes[lane]))
            with m.Elif(waits & words.r_rdy & served[lane]):
                m.d.sync += beat.weights[lane].eq(items[lane])
        with m.If(free):
            m.d.sync += [held.eq(0), beat.last.eq(0)]
            with m.If(beats.r_rdy):
                m.d.sync += [
                    held.eq(1),
                    beat.mask.eq(head.mask),
                    missing.eq(head.escape),
                    waits.eq(head.escape.any() & ~self.give_up),
                ]
            with m.Elif(self.direct & words.r_rdy):
                m.d.comb += words.r_en.eq(word_ends)
                m.d.sync += [
                    held.eq(1),
                    beat.mask.eq(item_mask),
                    first.eq(Mux(word_ends, 0, first + min(lanes, most_items))),
                ]
            with m.Elif(self.end):
                m.d.comb += self.ended.eq(1)
                m.d.sync += [held.eq(1), beat.mask.eq(0), beat.last.eq(1), beat.cause.eq(self.cause)]
        with m.Elif(self.give_up):
            m.d.sync += waits.eq(0)
        with m.Elif(waits & words.r_rdy):
            m.d.comb += words.r_en.eq(1)
            m.d.sync += [missing.eq(missing & ~served), waits.eq((missing & ~served).any())]
        with m.If(self.restart):
            m.d.sync += first.eq(0)  # a stream before may have been given up within a word
        return m
