"""The output: beats in order, escapes filled in, items of ``raw`` words, and the end beat."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import CAUSE_BITS, NARROW_BITS, RAW_WIDTHS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.layouts import beat_layout, payload_word_layout
from dnnzip_hw.memory import ICE40
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.queue import Queue


def decoded_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a beat as the lanes deliver it: without the values of its escapes."""
    return data.StructLayout(
        {
            "codes": data.ArrayLayout(signed(min(parameters.code_bits, parameters.weight_bits)), parameters.lanes),
            "escape": parameters.lanes,
            "mask": parameters.lanes,
        }
    )


class OutputProbes(NamedTuple):
    """Inner parts of an ``Output`` that proofs refer to."""

    beats: Queue
    words: Queue


class Output(wiring.Component):
    """Queues beats, fills in escapes, divides words of ``raw`` and ``line`` streams into items, and ends streams.

    Throughput: a beat per cycle. Latency: two cycles. Back-pressure: ``room`` and ``words_room`` as those of a
    ``Queue``. Reset: empty.

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
    words_en : In(1), words : In(payload_word_layout)
        Words of escapes, in the order of the beats; or words of items.
    words_room : Out(1)
        Words may be on their way.
    give_up : In(1)
        Escapes get no more words than have come: let their beats go as they are.
    bad_code : Out(1)
        An escape does not fit a narrow code; stays until ``restart``.
    restart : In(1)
        A stream begins.
    idle : Out(1)
        No beat and no item waits for the port's register.
    end : In(1), cause : In
        When idle, send the end beat; held until ``ended``.
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
                "words_en": In(1),
                "words": In(payload_word_layout()),
                "words_room": Out(1),
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
        ahead = self.parameters.target == ICE40  # what can be known a cycle earlier is, for fewer levels of logic
        lanes, weight_bits = self.parameters.lanes, self.parameters.weight_bits
        layout = decoded_layout(self.parameters)
        m.submodules.beats = beats = Queue(layout.size, self.parameters.target)
        m.submodules.words = words = Queue(payload_word_layout().size, self.parameters.target)
        m.d.comb += [
            beats.w_en.eq(self.beat_en),
            beats.w_data.eq(self.beat),
            self.room.eq(beats.room),
            words.w_en.eq(self.words_en),
            words.w_data.eq(self.words),
            words.flush.eq(self.restart),
            self.words_room.eq(words.room),
        ]
        head = layout(beats.r_data)
        word = payload_word_layout()(words.r_data)

        sign = self.words.data[NARROW_BITS - 1 :]
        is_wide: Value = self.words_en & ~self.direct & sign.any() & ~sign.all()
        if ahead:
            # A cycle later, which is just in time for the verdict.
            was_wide = Signal()
            m.d.sync += was_wide.eq(is_wide)
            is_wide = was_wide
        with m.If(self.restart):
            m.d.sync += self.bad_code.eq(0)
        with m.Elif(is_wide):
            m.d.sync += self.bad_code.eq(1)

        # Items of a word, a beat of them at a time.
        most_items = WORD_BITS // min(RAW_WIDTHS)
        first = Signal(range(most_items))  # item that the next beat begins with
        one_beat = lanes >= most_items  # per word: always the first one
        item_mask = Signal(min(lanes, most_items))
        items = Signal(data.ArrayLayout(signed(weight_bits), lanes))
        word_ends = Signal()
        full_end, last_end = Signal.like(first), Signal.like(first)
        at_full_end, at_last_end = Signal(), Signal()
        if ahead:
            m.d.comb += word_ends.eq(one_beat | Mux(word.full, at_full_end, at_last_end))
            m.d.sync += [at_full_end.eq(first == full_end), at_last_end.eq(first == last_end)]
        width_index = Mux(self.direct, self.raw_width, RAW_WIDTHS.index(WORD_BITS))
        if ahead:
            # It is steady before the first word comes.
            index_before, width_index = width_index, Signal(len(self.raw_width))
            m.d.sync += width_index.eq(index_before)
        with m.Switch(width_index):
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
                    if not ahead:
                        m.d.comb += word_ends.eq(
                            one_beat | (first == per_word - here) | (~word.full & (first + here >= word.items))
                        )
                    else:
                        # The items that begin a word's last beat: where it is full, and where not.
                        part_end = 0 if here == per_word else (self.words.items - 1) & -here
                        m.d.sync += [full_end.eq(per_word - here), last_end.eq(part_end)]

        held, waits = Signal(), Signal()
        beat = Signal(beat_layout(self.parameters))
        missing, served = Signal(lanes), Signal(lanes)  # escapes without their words; the one whose word is there
        free = Signal()
        m.d.comb += [
            self.o.payload.eq(beat),
            self.o.valid.eq(held & ~waits),
            free.eq(~held | (self.o.valid & self.o.ready)),
            served.eq(Cat(missing[lane] & ~missing[:lane].any() for lane in range(lanes))),
            self.idle.eq(~beats.r_rdy & ~waits & ~self.words_en & (~words.r_rdy | ~self.direct)),
            beats.r_en.eq(free & beats.r_rdy),
        ]
        for lane in range(lanes):
            # Where neither is so, the register keeps what it has.
            with m.If(free | (waits & words.r_rdy & served[lane])):
                m.d.sync += beat.weights[lane].eq(Mux(self.direct | waits, items[lane], head.codes[lane]))
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
                if ahead:
                    stepped = (first + min(lanes, most_items))[: len(first)]
                    m.d.sync += [
                        at_full_end.eq(Mux(word_ends, full_end == 0, stepped == full_end)),
                        at_last_end.eq(Mux(word_ends, last_end == 0, stepped == last_end)),
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
        self.probes = OutputProbes(beats, words)
        return m
