"""The decompressor: streams of 16-bit words in, beats of weights out."""

import enum
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CAUSE_BITS,
    CRC_WORDS,
    MAX_LOG2_STATES,
    RAW_WIDTHS,
    TABLE_HEADER,
    WEIGHT_HEADER,
    WORD_BITS,
    Codec,
    Verdict,
)
from dnnzip_hw.checksum import StreamChecksum
from dnnzip_hw.distributor import Distributor
from dnnzip_hw.header import Header
from dnnzip_hw.layouts import COLUMNS_WORD_LAYOUT, beat_layout, word_layout
from dnnzip_hw.line import LineDecoder
from dnnzip_hw.memory import ICE40
from dnnzip_hw.output import Output
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.phases import Phases
from dnnzip_hw.raw import RawSize
from dnnzip_hw.ring import Ring
from dnnzip_hw.rounds import PER_WORD
from dnnzip_hw.tables import TableBuilder

PAYLOAD_NEAR = 3
"""Bits of the count of the payload's words that are looked at as they change."""


class Phase(enum.Enum):
    """Part of a stream that is taken, or judged."""

    HEADER = 0
    JUDGE = 1
    BEGIN = 2
    CHOOSE = 3
    TABLES = 4
    RAW_SIZE = 5
    RAW = 6
    LINE = 7
    COLUMNS = 8
    OFFSETS = 9
    PREPARE = 10
    WEIGHTS = 11
    WEIGHTS_END = 12
    PAYLOAD_END = 13
    CRC = 14
    VERDICT = 15
    DRAIN = 16
    END = 17
    RESTART = 18


def port_signature(parameters: DecompressorParameters) -> wiring.Signature:
    """Return the ports of a decompressor."""
    return wiring.Signature(
        {"i": In(stream.Signature(word_layout())), "o": Out(stream.Signature(beat_layout(parameters)))}
    )


class DecompressorProbes(NamedTuple):
    """Inner parts of a ``Decompressor`` that proofs refer to."""

    phases: Phases
    header: Header
    builder: TableBuilder
    ring: Ring
    distributor: Distributor
    output: Output
    loaded: Signal
    word: Signal
    word_last: Signal
    has_word: Signal
    ended: Signal
    gets: Signal
    goes: Signal
    line_gets: Signal
    offered: Signal
    taking: Signal
    over_soon: Signal
    in_payload: Signal
    payload_over: Signal


class Decompressor(wiring.Component):
    """Decodes table set streams and weight streams, back to back.

    Each stream ends with exactly one end beat, whose ``cause`` is the ``Verdict`` of the reference decoder for
    ``parameters.limits``. A table set whose header is sound replaces the one before; it is loaded from its own verdict
    ``ok`` on. After a broken rule the rest of the stream is discarded up to and including ``last``. Never are more
    weights given than the stream declares; those of a stream that does not end with ``ok`` have no meaning.

    ``ans`` beats come in order (pass, position, slot): lane i of slot k is virtual lane k * lanes + i, ``mask`` tells
    which have a channel, and a slot without any yields no beat. ``raw`` beats hold as many items as a word has, at most
    one per lane, in storage order. ``line`` beats hold one weight, in lane 0, in storage order.

    Throughput: a beat per cycle where words and output allow and every slot has a channel; a word per cycle. Latency: a
    weight stream's first beat follows its last start word by about a dozen cycles; a table set of eight tables of 512
    states takes about 14,000 cycles. Back-pressure: the output's payload is stable while it waits; words are taken
    only as they are needed. Reset, of one cycle or more: no beat is left, no table set is loaded, and the next word is
    a stream's first.

    Parameters
    ----------
    parameters
        See ``DecompressorParameters``.

    Members
    -------
    i : In(stream of word_layout)
        Words, ``last`` with the final one of each stream.
    o : Out(stream of beat_layout)
        Beats of weights, and the end beats.
    """

    def __init__(self, parameters: DecompressorParameters | None = None) -> None:
        self.parameters = parameters or DecompressorParameters()
        super().__init__(port_signature(self.parameters))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        ahead = parameters.target == ICE40  # what can be known a cycle earlier is, for fewer levels of logic
        m.submodules.header = header = Header(parameters)
        m.submodules.builder = builder = TableBuilder(parameters)
        m.submodules.raw_size = raw_size = RawSize(parameters.target)
        m.submodules.ring = ring = Ring(parameters)
        m.submodules.distributor = distributor = Distributor(parameters)
        m.submodules.output = output = Output(parameters)
        m.submodules.checksum = checksum = StreamChecksum()
        phases = Phases(m, Phase)
        at = phases.at
        cause = Signal(CAUSE_BITS)
        given: list[tuple[Value, Value | Verdict]] = []

        def leave(phase: Phase, *ways: tuple[Value, Phase | Value | Verdict]) -> None:
            """Say when a phase is left, for another one or with a verdict."""
            targets = [target if isinstance(target, Phase) else Phase.DRAIN for _, target in ways]
            taken = phases.leave(phase, *((ways[number][0], target) for number, target in enumerate(targets)))
            given.extend(
                (way, target) for way, (_, target) in zip(taken, ways, strict=True) if not isinstance(target, Phase)
            )

        # The word that is offered. It goes to the phase that has `taking` set, or where the distributor says, or to the
        # core of `line`.
        word, word_last, has_word = Signal(WORD_BITS), Signal(), Signal()
        ended = Signal()  # the stream's last word has been taken
        in_payload, payload_over, one_left = Signal(), Signal(), Signal()
        payload_left = Signal(WEIGHT_HEADER["payload_words"].width)
        missing, offered = Signal(), Signal()  # no more words are for this part of the stream; one is, and is there
        taking, gets, goes, over_soon = Signal(), Signal(), Signal(), Signal()
        line_gets, line_gives = Signal(), Signal()
        m.d.comb += [
            missing.eq(ended | (in_payload & payload_over)),
            gets.eq(taking & offered),
            goes.eq((offered & (taking | (distributor.asks & output.words_room))) | line_gets),
            self.i.ready.eq(~has_word | goes),
            over_soon.eq(in_payload & (payload_over | (goes & one_left))),
        ]
        with m.If(self.i.ready):
            m.d.sync += [has_word.eq(self.i.valid), word.eq(self.i.payload.data), word_last.eq(self.i.payload.last)]
        # It is a cycle late where a phase moves on to another part of the stream: none takes a word at once.
        if ahead:
            # The same in two halves, so that `goes`, which comes late, only chooses.
            offered_kept, offered_next = Signal(), Signal()
            m.d.comb += [
                offered_kept.eq((has_word | self.i.valid) & ~ended & ~(in_payload & payload_over)),
                offered_next.eq(self.i.valid & ~ended & ~word_last & ~(in_payload & (payload_over | one_left))),
            ]
            m.d.sync += offered.eq(Mux(goes, offered_next, offered_kept))
        else:
            m.d.sync += offered.eq(
                Mux(self.i.ready, self.i.valid, has_word) & ~ended & ~(goes & word_last) & ~over_soon
            )
        with m.If(goes & word_last):
            m.d.sync += ended.eq(1)
        # The upper bits change only when the lower ones go below zero, so that their flag has time.
        near = Signal(PAYLOAD_NEAR)
        upper_zero = Signal()
        m.d.comb += [near.eq(payload_left), one_left.eq(upper_zero & (near == 1))]
        m.d.sync += upper_zero.eq(payload_left[PAYLOAD_NEAR:] == 0)
        counts = ((gets | line_gets) & in_payload) | distributor.taken
        if ahead:
            # Those upper bits go down a cycle after the lower ones did.
            borrows, upper = Signal(), payload_left[PAYLOAD_NEAR:]
            m.d.sync += borrows.eq(counts & (near == 0))
            with m.If(counts):
                m.d.sync += [payload_left[:PAYLOAD_NEAR].eq(near - 1), payload_over.eq(one_left)]
            with m.If(borrows):
                m.d.sync += upper.eq(upper - 1)
        else:
            with m.If(counts):
                m.d.sync += [payload_left.eq(payload_left - 1), payload_over.eq(one_left)]
        taken_word, taken_full = Signal(WORD_BITS), Signal()
        recent = Signal(4)  # whether a phase got a word in the last cycles
        m.d.sync += [
            checksum.word_en.eq(goes),
            taken_word.eq(word),
            taken_full.eq(~one_left | (raw_size.over == 0)),
            recent.eq(Cat(gets, recent)),
        ]
        settled = Signal()
        if ahead:
            was_recent = Signal()
            m.d.sync += was_recent.eq(gets | recent[:-1].any())
            m.d.comb += settled.eq(~gets & ~was_recent)
        else:
            m.d.comb += settled.eq(~gets & ~recent.any())

        # The table set that is loaded.
        loaded = Signal()
        loaded_id = Signal(TABLE_HEADER["table_set"].width)
        loaded_log2_states = Signal(range(MAX_LOG2_STATES + 1))
        block = Signal(COLUMNS_WORD_LAYOUT)
        column_words_left = Signal.like(ring.columns_address)
        column_address = Signal.like(ring.columns_address)
        last_column_word = Signal()
        wordless = Signal()  # the stream ended before the words of all escapes that have been decoded
        crc_words = Signal(CRC_WORDS)  # one bit for each that has come

        m.d.comb += [
            header.word.eq(taken_word),
            header.loaded.eq(loaded),
            header.loaded_id.eq(loaded_id),
            header.loaded_log2_states.eq(loaded_log2_states),
            header.restart.eq(at(Phase.RESTART)),
            builder.start.eq(at(Phase.BEGIN) & header.is_tables),
            builder.log2_states.eq(loaded_log2_states),
            builder.tables.eq(header.tables.tables),
            builder.i.payload.eq(taken_word),
            raw_size.header.eq(header.weights),
            ring.header.eq(header.weights),
            ring.block.eq(block),
            ring.log2_states.eq(loaded_log2_states),
            ring.word.eq(word),
            ring.slot.eq(distributor.slot),
            ring.half.eq(distributor.half),
            ring.lane_en.eq(distributor.lane_en),
            ring.columns_word.eq(taken_word),
            ring.run.eq(at(Phase.WEIGHTS)),
            ring.columns_address.eq(column_address),
            distributor.request_en.eq(ring.request_en),
            distributor.request.eq(ring.request),
            distributor.i.payload.eq(word),
            distributor.i.valid.eq(offered),
            distributor.escapes.ready.eq(output.words_room),
            output.beat_en.eq(ring.beat_en),
            output.beat.eq(ring.beat),
            output.words.data.eq(taken_word),
            output.words.full.eq(taken_full),
            output.words.items.eq(raw_size.over),
            output.raw_width.eq(header.weights.raw_width),
            output.direct.eq(at(Phase.RAW)),
            output.end.eq(at(Phase.END)),
            output.cause.eq(cause),
            checksum.word.eq(taken_word),
            checksum.start.eq(at(Phase.RESTART)),
            distributor.flush.eq(~at(Phase.WEIGHTS)),
        ]
        m.d.sync += [
            header.word_en.eq(gets & at(Phase.HEADER)),
            builder.i.valid.eq(gets & at(Phase.TABLES)),
            ring.columns_en.eq(gets & at(Phase.OFFSETS)),
            ring.tables.eq(builder.write),
            ring.room.eq(distributor.room & output.room),
            output.words_en.eq((gets & at(Phase.RAW)) | distributor.escapes.valid | line_gives),
            output.give_up.eq(wordless),
        ]
        connect(m, output.o, wiring.flipped(self.o))

        # Whether a phase gets the next word. One that needs time to know whether it wants another one gets no word in
        # the cycles after one.
        m.d.sync += taking.eq(
            (settled & at(Phase.HEADER) & (header.early == Verdict.OK) & ~header.whole)
            | (settled & at(Phase.TABLES) & builder.i.ready)
            | (settled & at(Phase.CRC) & ~crc_words[-1])
            | (settled & at(Phase.COLUMNS))
            | (at(Phase.OFFSETS) & ~(gets & last_column_word))
            | (at(Phase.RAW) & output.words_room)
            | at(Phase.DRAIN)
        )
        lacks = taking & missing

        leave(
            Phase.HEADER,
            (header.early != Verdict.OK, header.early),
            (header.judged, Phase.JUDGE),
            (lacks, Verdict.TRUNCATED),
        )
        with m.If(at(Phase.JUDGE)):
            m.d.sync += payload_left.eq(
                Mux(header.is_tables, header.tables.payload_words, header.weights.payload_words)
            )
        leave(Phase.JUDGE, (header.verdict != Verdict.OK, header.verdict), (C(1), Phase.BEGIN))
        leave(Phase.BEGIN, (C(1), Phase.CHOOSE))
        is_raw, is_line = header.weights.codec == Codec.RAW, header.weights.codec == Codec.LINE
        with m.If(at(Phase.CHOOSE)):
            m.d.sync += [payload_over.eq(upper_zero & (near == 0)), in_payload.eq(1)]
            m.d.comb += [output.restart.eq(1), raw_size.start.eq(1)]
            with m.If(header.is_tables):
                m.d.sync += [
                    loaded.eq(0),
                    loaded_id.eq(header.tables.table_set),
                    loaded_log2_states.eq(header.log2_states),
                ]
        to_line = [(is_line, Phase.LINE)] if parameters.line else []
        leave(
            Phase.CHOOSE,
            (header.is_tables, Phase.TABLES),
            (is_raw, Phase.RAW_SIZE),
            *to_line,
            (header.weights.columns, Phase.COLUMNS),
            (C(1), Phase.PREPARE),
        )
        leave(
            Phase.TABLES,
            (builder.verdict != Verdict.OK, builder.verdict),
            (lacks, Verdict.TRUNCATED),
            (builder.done, Phase.PAYLOAD_END),
        )
        leave(
            Phase.RAW_SIZE,
            (raw_size.done & raw_size.wrong, Verdict.BAD_HEADER),
            (raw_size.done, Phase.RAW),
        )
        leave(
            Phase.RAW,
            (ended & ~payload_over, Verdict.TRUNCATED),
            (payload_over & output.idle, Phase.PAYLOAD_END),
        )
        if parameters.line:
            self._line(m, at, leave, line_gets, line_gives, offered, missing, word)

        with m.If(at(Phase.COLUMNS)):
            m.d.sync += [
                block.eq(word),
                column_words_left.eq(COLUMNS_WORD_LAYOUT(word).columns >> ceil_log2(PER_WORD)),
                column_address.eq(0),
            ]
        leave(Phase.COLUMNS, (lacks, Verdict.TRUNCATED), (gets, Phase.OFFSETS))
        gets_offsets = gets & at(Phase.OFFSETS)
        with m.If(gets_offsets):
            m.d.sync += column_words_left.eq(column_words_left - 1)
        m.d.sync += last_column_word.eq(column_words_left == Mux(gets_offsets, 1, 0))
        with m.If(ring.columns_en):
            m.d.sync += column_address.eq(column_address + 1)
        leave(Phase.OFFSETS, (lacks, Verdict.TRUNCATED), (gets & last_column_word, Phase.PREPARE))
        preparing = Signal(3)  # one bit for each cycle of it
        m.d.sync += [
            preparing.eq(Mux(at(Phase.PREPARE), Cat(C(1), preparing), 0)),
            ring.prepare.eq(at(Phase.PREPARE) & ~preparing[0]),
        ]
        leave(Phase.PREPARE, (preparing[-1] & ring.prepared, Phase.WEIGHTS))

        lacks_word = distributor.asks & (ended | payload_over)
        with m.If(at(Phase.WEIGHTS) & lacks_word):
            m.d.sync += wordless.eq(1)
        leave(
            Phase.WEIGHTS,
            (lacks_word, Verdict.TRUNCATED),
            (ring.done & distributor.idle, Phase.WEIGHTS_END),
        )
        leave(
            Phase.WEIGHTS_END,
            (~header.weights.wide & (ring.bad_code | output.bad_code), Verdict.BAD_CODE),
            (ring.bad_state, Verdict.BAD_STATE),
            (C(1), Phase.PAYLOAD_END),
        )
        with m.If(at(Phase.PAYLOAD_END)):
            m.d.sync += [in_payload.eq(0), crc_words.eq(0)]
        leave(Phase.PAYLOAD_END, (~payload_over, Verdict.TRAILING), (C(1), Phase.CRC))
        with m.If(at(Phase.CRC) & gets):
            m.d.sync += crc_words.eq(Cat(C(1), crc_words))
        leave(Phase.CRC, (lacks, Verdict.TRUNCATED), (crc_words[-1] & settled, Phase.VERDICT))
        with m.If(at(Phase.VERDICT) & ended & checksum.matches & header.is_tables):
            m.d.sync += loaded.eq(1)
        leave(
            Phase.VERDICT,
            (~ended, Verdict.TRAILING),
            (~checksum.matches, Verdict.BAD_CRC),
            (C(1), Verdict.OK),
        )
        with m.If(at(Phase.DRAIN)):
            m.d.sync += in_payload.eq(0)
        leave(Phase.DRAIN, (ended & ~ring.flying, Phase.END))
        leave(Phase.END, (output.ended, Phase.RESTART))
        with m.If(at(Phase.RESTART)):
            m.d.sync += [ended.eq(0), wordless.eq(0)]
        leave(Phase.RESTART, (C(1), Phase.HEADER))
        phases.build()
        # The verdict is put down in the first cycle of draining.
        ways = Signal(len(given))
        m.d.sync += ways.eq(Cat(way for way, _ in given))
        verdict = [Mux(ways[number], value, Verdict.OK) for number, (_, value) in enumerate(given)]
        with m.If(at(Phase.RESTART)):
            m.d.sync += cause.eq(Verdict.OK)
        with m.Else():
            m.d.sync += cause.eq(cause | reduce(or_, verdict))
        self.probes = DecompressorProbes(
            phases, header, builder, ring, distributor, output, loaded, word, word_last, has_word, ended, gets, goes,
            line_gets, offered, taking, over_soon, in_payload, payload_over,
        )  # fmt: skip
        return m

    def _line(
        self,
        m: Module,
        at: Callable[[Phase], Value],
        leave: Callable[..., None],
        gets: Signal,
        gives: Signal,
        offered: Value,
        missing: Value,
        word: Value,
    ) -> None:
        """Build the core of ``line`` streams between the words and the output."""
        m.submodules.line = line = LineDecoder()
        output, header, here = m.submodules.output, m.submodules.header, at(Phase.LINE)
        wants = line.i.ready & here
        m.d.comb += [
            line.start.eq(at(Phase.CHOOSE)),
            line.header.eq(header.weights),
            line.i.payload.eq(word),
            line.i.valid.eq(offered & here),
            gets.eq(offered & wants),
            line.o.ready.eq(output.words_room & here),
            gives.eq(line.o.valid & line.o.ready),
        ]
        code = Signal(WORD_BITS)
        m.d.sync += code.eq(line.o.payload)
        with m.If(here):
            m.d.comb += [
                output.direct.eq(1),
                output.raw_width.eq(RAW_WIDTHS.index(WORD_BITS)),
                output.words.data.eq(code),
                output.words.full.eq(1),
            ]
        leave(
            Phase.LINE,
            (line.bad, Verdict.BAD_CODE),
            (wants & missing, Verdict.TRUNCATED),
            (line.done & output.idle, Phase.PAYLOAD_END),
        )
