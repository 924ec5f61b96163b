"""Properties of the decompressor and its blocks, and the planted bugs that every proof must notice.

A check's docstring is the property in words. A block's inputs are free in every cycle but for what a check assumes;
reset is free too, so that a property holds after a reset in the middle of anything.
"""

from functools import reduce
from operator import add
from typing import Any

from amaranth.hdl import Assert, Assume, C, Cat, Module, Mux, Signal, Value

from dnnzip.format import RAW_WIDTHS, WORD_BITS
from dnnzip_hw import Decompressor
from dnnzip_hw.distributor import Distributor
from dnnzip_hw.header import Header
from dnnzip_hw.line import LineDecoder
from dnnzip_hw.output import Output
from dnnzip_hw.queue import DEPTH
from dnnzip_hw.raw import RawSize
from dnnzip_hw.rounds import SETTLING, Rounds
from dnnzip_hw.tables import StateNumbering
from dnnzip_sim.formal.blocks import OneStream, Queue
from dnnzip_sim.formal.bugs import (
    QUEUE_BUGS,
    STREAM_BUGS,
    decays,
    late,
    output_is,
    strobe_is_doubled,
    strobe_is_lost,
)
from dnnzip_sim.formal.checks import (
    COUNTER_BITS,
    SMALL,
    SMALLEST,
    TWO_SLOTS,
    Check,
    Property,
    count_of,
    follows_in_time,
    in_order,
    stable,
    waits_unchanged,
)
from dnnzip_sim.formal.wrapper import Change, before

# --- checks ----------------------------------------------------------------------------------------------------------


BEATS_ARE_STABLE = waits_unchanged("A beat on ``o``")
SIZE_IS_KNOWN_IN_TIME = follows_in_time(
    "The size of a ``raw`` stream is known 56 cycles after ``start`` at the latest, and until the next ``start``.",
    "start",
    "done",
    56,
)
ROUNDS_ARE_READY_IN_TIME = follows_in_time(
    "The first round of a stream is there eleven cycles after ``restart``, whatever steps come between.",
    "restart",
    "ready",
    2 * SETTLING + 3,
)


def line_is_stable(m: Module, block: Any) -> None:
    """A weight that is not taken stays as it is until it is taken, or ``start`` drops the stream."""
    stable(m, block.o, block.start)


def escapes_never_wait(m: Module, block: Any) -> None:
    """A word of an escape is offered only in a cycle in which it is taken."""
    m.d.comb += Assert(~block.escapes.valid | block.escapes.ready, "a word of an escape waits")


def queue_keeps_order(m: Module, block: Any) -> None:
    """Items leave a queue as they entered it, in the same order: nothing is lost, doubled or changed."""
    in_order(m, Value.cast(block.i.payload), block.i.valid & block.i.ready, Value.cast(block.o.payload), block.o)
    stable(m, block.o)


def words_go_to_one_place(m: Module, block: Any) -> None:
    """A word that is taken goes to exactly one lane or escape, and one that is not goes nowhere."""
    flushed = before(m, block.flush, "flushed")
    request = block.request
    with m.If(block.request_en):
        m.d.comb += Assume((request.escape | request.refill).any())
    goes = sum((block.lane_en[lane] for lane in range(len(block.lane_en))), block.escapes.valid & block.escapes.ready)
    m.d.comb += [
        # After a flush the lanes' windows are cleared.
        Assert(flushed | (goes == (block.i.valid & block.i.ready)), "a word is lost or doubled"),
        Assert(block.taken == (block.i.valid & block.i.ready), "taken is wrong"),
        Assert(~block.taken | block.asks, "a word is taken that was not asked for"),
    ]


def every_request_is_served(m: Module, block: Any) -> None:
    """As many words are taken as were asked for: never more, and none is left when it is idle."""
    request = block.request
    asked = sum((bit for name in ("escape", "refill") for bit in request[name]), Value.cast(0))
    with m.If(block.request_en):
        m.d.comb += Assume(asked != 0)
    outstanding = Signal(COUNTER_BITS)
    requests = Signal(COUNTER_BITS)
    requested = before(m, block.request_en, "requested")
    m.d.sync += outstanding.eq(
        Mux(block.flush, 0, outstanding + Mux(block.request_en, asked, 0) - (block.i.valid & block.i.ready))
    )
    m.d.sync += requests.eq(Mux(block.flush, 0, requests + block.request_en))
    m.d.comb += [
        Assume(requests < DEPTH),
        Assert(~(block.i.valid & block.i.ready) | (outstanding != 0), "a word is taken that was not asked for"),
        # `idle` is a cycle late.
        Assert(~block.idle | (outstanding == 0) | requested, "a request is lost"),
    ]


def beats_leave_in_order(m: Module, block: Any) -> None:
    """Beats of weights without escapes leave as they came, each once and in order."""
    given = block.beat
    m.d.comb += [Assume(~given.escape.any()), Assume(~block.direct), Assume(~block.restart), Assume(~block.end)]
    count_in, count_out = (
        count_of(m, block.beat_en, "beats_in"),
        count_of(m, block.o.valid & block.o.ready, "beats_out"),
    )
    m.d.comb += Assume(count_in - count_out < DEPTH)
    watched = Signal(range(DEPTH))
    started = before(m, Value.cast(1), "started")
    with m.If(~started):
        m.d.comb += Assume(~block.beat_en)
        m.d.sync += watched.eq(Value.cast(given.codes))
    kept, kept_mask = Signal(len(Value.cast(given.codes))), Signal(len(given.mask))
    with m.If(block.beat_en & (count_in == watched)):
        m.d.sync += [kept.eq(Value.cast(given.codes)), kept_mask.eq(given.mask)]
    with m.If(block.o.valid):
        m.d.comb += Assert(count_out < count_in, "more beats came out than went in")
        with m.If(count_out == watched):
            code = given.codes[0].shape().width if hasattr(given.codes[0], "shape") else len(given.codes[0])
            m.d.comb += [
                Assert(block.o.payload.mask == kept_mask, "a mask changed"),
                Assert(block.o.payload.weights[0].as_unsigned()[:code] == kept[:code], "a weight changed"),
            ]
    with m.If(started & block.idle):
        m.d.comb += Assert((count_in == count_out) | block.o.valid, "a beat is lost")


def one_end_beat(m: Module, block: Any) -> None:
    """Each ``ended`` yields one end beat, without weights and with the cause at ``cause``, and nothing else does."""
    due, cause = Signal(), Signal.like(block.cause)
    taken = block.o.valid & block.o.ready & block.o.payload.last
    with m.If(taken):
        m.d.sync += due.eq(0)
    with m.If(block.ended):
        m.d.sync += [due.eq(1), cause.eq(block.cause)]
        m.d.comb += [
            Assert(block.end, "a stream ended that nobody ended"),
            Assert(~due | taken, "two end beats"),
        ]
    m.d.comb += Assert((block.o.valid & block.o.payload.last) == due, "an end beat is lost or nobody's")
    with m.If(block.o.valid & block.o.payload.last):
        m.d.comb += [
            Assert(block.o.payload.mask == 0, "the end beat carries weights"),
            Assert(block.o.payload.cause == cause, "another cause"),
        ]


def raw_size_stays(m: Module, block: Any) -> None:
    """Once the size of a ``raw`` stream is known, the verdict on it stays until the next ``start``."""
    known = before(m, block.done & ~block.start, "known")
    verdict = before(m, Cat(block.wrong, block.over), "verdict_before")
    with m.If(known):
        m.d.comb += [Assert(block.done, "forgotten"), Assert(Cat(block.wrong, block.over) == verdict, "changed")]


def ring_gives_what_is_declared(total: int) -> Check:
    """Return the check that a ring delivers ``total`` weights."""

    def as_declared(m: Module, block: Any) -> None:
        """Whatever lanes, words and queues do: never more weights than declared; and when it is done, no fewer."""
        here = Mux(block.beat_en, reduce(add, block.mask, C(0, COUNTER_BITS)), 0)
        given = count_of(m, block.beat_en, "given", here)
        ran = before(m, block.runs, "ran")
        m.d.comb += [
            Assert(given + here <= total, "more weights than declared"),
            Assert(~(ran & block.done) | (given == total), "fewer weights than declared"),
        ]

    return as_declared


def raw_size_is_right(m: Module, block: Any) -> None:
    """For up to 4 x 4 items, the declared words are judged as the items of the header take them."""
    header = block.header
    begun = before(m, C(1), "begun")
    m.d.comb += [
        Assume(block.start == ~begun),
        Assume(header.length < 4),
        Assume(header.channels < 4),
        Assume(header.raw_width < len(RAW_WIDTHS)),
    ]
    header_before = before(m, Value.cast(header), "header_before")
    with m.If(begun):
        m.d.comb += Assume(Value.cast(header) == header_before)
    items = (header.length[:2] + 1) * (header.channels[:2] + 1)
    with m.If(begun & block.done), m.Switch(header.raw_width):
        for index, width in enumerate(RAW_WIDTHS):
            with m.Case(index):
                log2_items = (WORD_BITS // width).bit_length() - 1
                words = (items + (1 << log2_items) - 1) >> log2_items
                m.d.comb += [
                    Assert(block.wrong == (header.payload_words != words), "another verdict"),
                    Assert(block.over == items[:log2_items], "other items in the last word"),
                ]


def header_is_judged_in_time(m: Module, block: Any) -> None:
    """Four cycles after a header is whole it is judged, not earlier, and judged it stays until ``restart``."""
    limit = 4
    waits = Signal(range(limit + 1))
    recent = Signal(4)  # words come in every fifth cycle at most
    m.d.sync += recent.eq(Cat(block.word_en, recent))
    m.d.comb += Assume(~(block.word_en & (block.whole | recent.any())))
    with m.If(~block.whole | block.restart):
        m.d.sync += waits.eq(0)
    with m.Elif(waits != limit):
        m.d.sync += waits.eq(waits + 1)
    with m.If(~block.restart):
        m.d.comb += Assert(block.judged == (waits == limit), "not judged in time")


def short_streams_end(m: Module, block: Any) -> None:
    """A stream of one or two words ends within 24 cycles of its last one where the sink is ready."""
    limit = 24
    m.d.comb += Assume(block.o.ready)
    lasts, ends = _streams(m, block)
    taken = Signal(2)  # words of this stream
    waits = Signal(range(limit + 1))
    with m.If(block.i.valid & block.i.ready):
        m.d.sync += taken.eq(Mux(block.i.payload.last, 0, taken + 1))
        m.d.comb += Assume(block.i.payload.last | (taken == 0))
    with m.If((lasts == ends) | (block.o.valid & block.o.payload.last)):
        m.d.sync += waits.eq(0)
    with m.Else():
        m.d.sync += waits.eq(waits + 1)
    m.d.comb += Assert(waits < limit, "no progress")


def entries_are_written_while_busy(m: Module, block: Any) -> None:
    """Entries of a table are written only while their states are numbered, which only ``start`` begins."""
    was_busy = before(m, block.busy, "was_busy")
    started = before(m, block.start, "started")
    m.d.comb += [
        Assert(~block.entry_en | block.busy | was_busy, "written while idle"),
        Assert(~block.busy | was_busy | started, "begun by nobody"),
    ]


def _streams(m: Module, block: Any) -> tuple[Signal, Signal]:
    """Return the numbers of last words taken and of end beats given before this cycle."""
    lasts = count_of(m, block.i.valid & block.i.ready & block.i.payload.last, "lasts")
    ends = count_of(m, block.o.valid & block.o.ready & block.o.payload.last, "ends")
    return lasts, ends


def one_end_beat_per_stream(m: Module, block: Any) -> None:
    """No stream ends before its last word was taken, none twice; an end beat has no weights, another one has some."""
    lasts, ends = _streams(m, block)
    with m.If(block.o.valid):
        m.d.comb += [
            Assert(block.o.payload.last == ~block.o.payload.mask.any(), "an end beat with weights, or a beat without"),
            Assert(~block.o.payload.last | (ends < lasts), "an end beat too many"),
            Assert(block.o.payload.last | (ends <= lasts), "a beat of no stream"),
        ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


def escape_comes_early(m: Module, block: Any, around: Any) -> None:
    """A word of an escape is offered before there is room for it."""
    earlier = before(m, block.escapes.valid, "earlier")
    m.d.comb += around.escapes.valid.eq(block.escapes.valid | earlier)


def two_lanes_take_a_word(m: Module, block: Any, around: Any) -> None:
    """A refill word goes to all lanes."""
    m.d.comb += around.lane_en.eq(block.lane_en.any().replicate(len(block.lane_en)))


def word_is_lost(m: Module, block: Any, around: Any) -> None:
    """The third word that is taken goes nowhere."""
    count = count_of(m, block.taken, "seen")
    with m.If(count == 2):
        m.d.comb += around.lane_en.eq(0)


def weight_flips(m: Module, block: Any, around: Any) -> None:
    """The third beat that leaves has a wrong bit."""
    count = count_of(m, block.o.valid & block.o.ready, "seen")
    m.d.comb += Value.cast(around.o.payload)[0].eq(Value.cast(block.o.payload)[0] ^ (count == 2))


def end_is_lost(m: Module, block: Any, around: Any) -> None:
    """The second end beat is swallowed."""
    count = count_of(m, block.o.valid & block.o.ready & block.o.payload.last, "seen")
    with m.If(block.o.payload.last & (count == 1)):
        m.d.comb += [around.o.valid.eq(0), block.o.ready.eq(1)]


def end_is_doubled(m: Module, block: Any, around: Any) -> None:
    """The end beat is given twice."""
    ends = block.o.valid & block.o.payload.last
    again = Signal()
    m.d.sync += again.eq((ends & around.o.ready) ^ (again & ends))
    with m.If(ends & ~again):
        m.d.comb += block.o.ready.eq(0)


def end_has_weights(m: Module, block: Any, around: Any) -> None:
    """The end beat's mask is not zero."""
    m.d.comb += around.o.payload.mask.eq(block.o.payload.mask | block.o.payload.last)


def cause_changes(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
    """The cause is that of now, not the one that was given with ``ended``."""
    m.d.comb += around.o.payload.cause.eq(around.cause)


def never_done(m: Module, block: Any, around: Any) -> None:
    """It is never done where the header has no more than 4 bits per item."""
    m.d.comb += around.done.eq(block.done & (block.header.raw_width != 0))


def verdict_decays(m: Module, block: Any, around: Any) -> None:
    """The verdict is another one two cycles later."""
    m.d.comb += around.wrong.eq(block.wrong ^ before(m, before(m, block.done, "one"), "two"))


def judged_early(m: Module, block: Any, around: Any) -> None:
    """A header counts as judged with its third word."""
    count = count_of(m, around.word_en, "seen")
    m.d.comb += around.judged.eq(block.judged | (count == 3))


def never_ends(m: Module, block: Any, around: Any) -> None:
    """No end beat leaves."""
    with m.If(block.o.payload.last):
        m.d.comb += [around.o.valid.eq(0), block.o.ready.eq(0)]


def weights_of_all_lanes(m: Module, block: Any, around: Any) -> None:
    """A beat has weights of all lanes, whether they have a channel or not."""
    m.d.comb += around.mask.eq(block.mask.any().replicate(len(block.mask)))


def slot_is_empty(m: Module, block: Any, around: Any) -> None:
    """The third beat is lost."""
    count = count_of(m, block.beat_en, "seen")
    m.d.comb += around.beat_en.eq(block.beat_en & (count != 2))


def slot_is_doubled(m: Module, block: Any, around: Any) -> None:
    """The first beat is given twice."""
    count = count_of(m, block.beat_en, "seen")
    again = before(m, block.beat_en & (count == 0), "again")
    m.d.comb += around.beat_en.eq(block.beat_en | again)


def all_sizes_fit(m: Module, block: Any, around: Any) -> None:
    """No size is wrong where there are five words."""
    m.d.comb += around.wrong.eq(block.wrong & (block.header.payload_words != 5))


def entry_early(m: Module, block: Any, around: Any) -> None:
    """An entry is written with each count, too early."""
    m.d.comb += around.entry_en.eq(block.entry_en | around.count_en)


def starts_itself(m: Module, block: Any, around: Any) -> None:
    """A count starts the numbering as well."""
    m.d.comb += block.start.eq(around.start | around.count_en)


def end_comes_early(m: Module, block: Any, around: Any) -> None:
    """An end beat is given with the fourth word, whether it is the last or not."""
    count = count_of(m, around.i.valid & block.i.ready, "seen")
    with m.If(count == 4):
        m.d.comb += [around.o.valid.eq(1), around.o.payload.last.eq(1), around.o.payload.mask.eq(0)]


END_BUGS: dict[str, Change] = {
    "end lost": end_is_lost,
    "end doubled": end_is_doubled,
    "end with weights": end_has_weights,
}

DECOMPRESSOR_PROPERTIES = (
    Property(
        "stable", "Output, 2 lanes", lambda: Output(SMALL), BEATS_ARE_STABLE, 2, True, STREAM_BUGS, search=6, quick=True
    ),
    Property("stable", "LineDecoder", LineDecoder, line_is_stable, 2, True, STREAM_BUGS, search=46),
    Property(
        "never waits", "Distributor, 2 lanes", lambda: Distributor(SMALL), escapes_never_wait, 2, True,
        {"too early": escape_comes_early}, as_registers=True,
    ),
    Property(
        "stable", "Decompressor, 1 lane", lambda: Decompressor(SMALLEST), BEATS_ARE_STABLE, 2, True, STREAM_BUGS
    ),
    Property(
        "order", "SyncFIFO", Queue, queue_keeps_order, 10, False, QUEUE_BUGS, as_registers=True,
    ),
    Property(
        "order", "Output, 1 lane", lambda: Output(SMALLEST), beats_leave_in_order, 10, False,
        {
            "beat lost": strobe_is_lost("beat_en", 1), "beat doubled": strobe_is_doubled("beat_en"),
            "weight flips": weight_flips,
        }, as_registers=True,
    ),
    Property(
        "one place", "Distributor, 2 lanes", lambda: Distributor(SMALL), words_go_to_one_place, 12, False,
        {"to two lanes": two_lanes_take_a_word, "word lost": word_is_lost}, as_registers=True,
    ),
    Property(
        "all served", "Distributor, 1 lane", lambda: Distributor(SMALLEST), every_request_is_served, 9, False,
        {"request lost": strobe_is_lost("request_en", 1), "request doubled": strobe_is_doubled("request_en")},
        as_registers=True,
    ),
    Property(
        "one end", "Output, 1 lane", lambda: Output(SMALLEST), one_end_beat, 12, False,
        {**END_BUGS, "cause changes": cause_changes}, as_registers=True,
    ),
    Property(
        "progress", "RawSize", RawSize, SIZE_IS_KNOWN_IN_TIME, 62, False, {"never done": never_done}, search=62,
    ),
    Property(
        "verdict stays", "RawSize", RawSize, raw_size_stays, 3, True,
        {"verdict decays": verdict_decays, "done decays": decays("done")}, search=62,
    ),
    Property(
        "size", "RawSize", RawSize, raw_size_is_right, 50, False,
        {"last word full": output_is("over", 0), "all fit": all_sizes_fit}, search=50,
    ),
    Property(
        "judged", "Header", lambda: Header(SMALLEST), header_is_judged_in_time, 48, False,
        {"late": late("judged"), "early": judged_early}, search=48,
    ),
    Property(
        "as declared", "Ring, 1 lane, 2 x 2 weights", lambda: OneStream(TWO_SLOTS, 2, 2),
        ring_gives_what_is_declared(4), 46, False, {"beat lost": slot_is_empty, "beat doubled": slot_is_doubled},
        free=("ring.lane_0", "ring.value_0", "ring.history"), search=46,
    ),
    Property(
        "as declared", "Ring, 2 lanes, 1 x 3 weights, classes", lambda: OneStream(SMALL, 1, 3, class_per_channel=True),
        ring_gives_what_is_declared(3), 46, False, {"all lanes": weights_of_all_lanes, "beat doubled": slot_is_doubled},
        free=("ring.lane_0", "ring.lane_1", "ring.value_0", "ring.value_1", "ring.history"), search=46,
    ),
    Property(
        "progress", "Rounds", lambda: Rounds(SMALLEST), ROUNDS_ARE_READY_IN_TIME, 22, True, {"late": late("ready")},
        search=16,
    ),
    Property(
        "writes", "StateNumbering", lambda: StateNumbering(SMALLEST), entries_are_written_while_busy, 12, True,
        {"entry early": entry_early, "starts itself": starts_itself},
    ),
    Property(
        "one end", "Decompressor, 1 lane", lambda: Decompressor(SMALLEST), one_end_beat_per_stream, 12, False,
        {"end doubled": end_is_doubled, "end with weights": end_has_weights, "end early": end_comes_early},
    ),
    Property(
        "progress", "Decompressor, 1 lane", lambda: Decompressor(SMALLEST), short_streams_end, 34, False,
        {"hangs": never_ends},
        free=("ring.lane_0", "ring.value_0", "ring.history", "header*.check", "checksum", "builder", "raw_size"),
        search=34,
    ),
)  # fmt: skip
