"""The decompressor: streams of 16-bit words in, beats of weights out."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.crc import Algorithm
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CRC_WORDS,
    MAX_LOG2_STATES,
    RAW_WIDTHS,
    TABLE_HEADER,
    WEIGHT_HEADER,
    WORD_BITS,
    Codec,
    Verdict,
)
from dnnzip_hw.distributor import Distributor
from dnnzip_hw.header import Header
from dnnzip_hw.layouts import CAUSE_BITS, COLUMNS_WORD_LAYOUT, beat_layout, word_layout
from dnnzip_hw.line import LineDecoder
from dnnzip_hw.output import Output
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.raw import RawSize
from dnnzip_hw.ring import Ring
from dnnzip_hw.rounds import PER_WORD
from dnnzip_hw.tables import TableBuilder

STREAM_CRC = Algorithm(
    crc_width=32,
    polynomial=0x04C11DB7,
    initial_crc=0xFFFFFFFF,
    reflect_input=True,
    reflect_output=True,
    xor_output=0xFFFFFFFF,
)
"""``zlib.crc32``; the stream's last two words make it end in its residue."""


class Phase(enum.Enum):
    """Which part of a stream is taken, or judged."""

    HEADER = 0
    JUDGE = 1
    TABLES = 2
    RAW_SIZE = 3
    RAW = 4
    LINE = 5
    COLUMNS = 6
    OFFSETS = 7
    FIRST_WORDS = 8
    WEIGHTS = 9
    PAYLOAD_END = 10
    CRC = 11
    VERDICT = 12
    DRAIN = 13
    END = 14


def port_signature(parameters: DecompressorParameters) -> wiring.Signature:
    """Return the ports of a decompressor."""
    return wiring.Signature(
        {"i": In(stream.Signature(word_layout())), "o": Out(stream.Signature(beat_layout(parameters)))}
    )


class Decompressor(wiring.Component):
    """Decodes table set streams and weight streams, back to back.

    Each stream ends with exactly one end beat, whose ``cause`` is the ``Verdict`` that the reference decoder gives for
    ``parameters.limits``. A table set whose header is sound replaces the one before; it is loaded from its own verdict
    ``ok`` on. After a broken rule the rest of the stream is discarded up to and including ``last``. Never are more
    weights given than the stream declares; those of a stream that does not end with ``ok`` have no meaning.

    ``ans`` beats come in order (pass, position, slot): lane i of slot k is virtual lane k * lanes + i, ``mask`` tells
    which have a channel, and a slot without any gives no beat. ``raw`` beats hold as many items as a word has, at most
    one per lane, in storage order. ``line`` beats hold one weight, in lane 0, in storage order.

    Throughput: a beat per cycle where words and output allow and every slot has a channel; a word per cycle. Latency: a
    weight stream's first beat follows its last start word by about a dozen cycles; a table set of eight tables of 512
    states takes 7,500 to 9,500 cycles. Back-pressure: the output's payload is stable while it waits; words are taken
    only as they are needed. Reset: no table set is loaded, and the next word is a stream's first.

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
        m.submodules.header = header = Header(parameters)
        m.submodules.builder = builder = TableBuilder(parameters)
        m.submodules.raw_size = raw_size = RawSize()
        m.submodules.ring = ring = Ring(parameters)
        m.submodules.distributor = distributor = Distributor(parameters)
        m.submodules.output = output = Output(parameters)
        m.submodules.crc = crc = STREAM_CRC(data_width=WORD_BITS).create()

        phase = Signal(Phase)
        cause = Signal(CAUSE_BITS)

        # The word that is offered to a phase. A phase says whether it wants one, and then gets it or learns that it is
        # missing.
        word, word_last, has_word = Signal(WORD_BITS), Signal(), Signal()
        wants, discards, in_payload = Signal(), Signal(), Signal()
        ended = Signal()  # the stream's last word has been taken
        payload_left = Signal(WEIGHT_HEADER["payload_words"].width)
        payload_over, one_left = Signal(), Signal()
        missing, gets, goes = Signal(), Signal(), Signal()
        m.d.comb += [
            missing.eq(ended | (in_payload & payload_over)),
            gets.eq(wants & ~missing & has_word),
            goes.eq(gets | (discards & ~ended & has_word)),
            self.i.ready.eq(~has_word | goes),
            one_left.eq(payload_left == 1),
        ]
        with m.If(self.i.ready):
            m.d.sync += [has_word.eq(self.i.valid), word.eq(self.i.payload.data), word_last.eq(self.i.payload.last)]
        with m.If(goes & word_last):
            m.d.sync += ended.eq(1)
        with m.If(gets & in_payload):
            m.d.sync += [payload_left.eq(payload_left - 1), payload_over.eq(one_left)]
        m.d.sync += [crc.valid.eq(gets), crc.data.eq(word)]

        # The table set that is loaded.
        loaded = Signal()
        loaded_id = Signal(TABLE_HEADER["table_set"].width)
        loaded_log2_states = Signal(range(MAX_LOG2_STATES + 1))
        block = Signal(COLUMNS_WORD_LAYOUT)
        column_words_left = Signal.like(ring.columns_address)
        column_address = Signal.like(ring.columns_address)
        virtual_lane = Signal(range(parameters.virtual_lanes + 1))
        all_first = Signal()  # every virtual lane has its first word
        first_lane, first_slot = Signal(range(parameters.lanes)), Signal(range(parameters.ring))
        over = Signal()  # the verdict is known
        crc_words = Signal(range(CRC_WORDS + 2))
        turn = Signal()

        m.d.comb += [
            header.word.eq(word),
            header.loaded.eq(loaded),
            header.loaded_id.eq(loaded_id),
            header.loaded_log2_states.eq(loaded_log2_states),
            builder.log2_states.eq(loaded_log2_states),
            builder.tables.eq(header.tables.tables),
            builder.i.payload.eq(word),
            raw_size.header.eq(header.weights),
            ring.header.eq(header.weights),
            ring.block.eq(block),
            ring.log2_states.eq(loaded_log2_states),
            ring.tables.eq(builder.write),
            ring.word.eq(word),
            ring.room.eq(distributor.room & output.room),
            ring.slot.eq(first_slot),
            ring.columns_address.eq(column_address),
            distributor.request_en.eq(ring.request_en),
            distributor.request.eq(ring.request),
            distributor.i.payload.eq(word),
            distributor.escapes.ready.eq(output.words.ready),
            output.beat_en.eq(ring.beat_en),
            output.beat.eq(ring.beat),
            output.words.payload.data.eq(word),
            output.words.payload.full.eq(~one_left | (raw_size.over == 0)),
            output.words.payload.items.eq(raw_size.over),
            output.words.valid.eq(distributor.escapes.valid),
            output.raw_width.eq(header.weights.raw_width),
            output.cause.eq(cause),
            first_lane.eq(virtual_lane),
            first_slot.eq(virtual_lane >> ceil_log2(parameters.lanes)),
        ]
        m.d.sync += all_first.eq(virtual_lane == 1 << header.weights.log2_lanes)
        connect(m, output.o, wiring.flipped(self.o))

        line = None
        if parameters.line:
            m.submodules.line = line = LineDecoder()
            m.d.comb += [line.header.eq(header.weights), line.i.payload.eq(word)]

        def give_up(verdict: Verdict) -> list[object]:
            """Return the statements that end the stream with ``verdict``."""
            return [cause.eq(verdict), phase.eq(Phase.DRAIN)]

        def begin_payload(words: Value) -> list[object]:
            """Return the statements that begin a payload of so many words."""
            return [payload_left.eq(words), payload_over.eq(words == 0)]

        with m.Switch(phase):
            with m.Case(Phase.HEADER):
                m.d.comb += [wants.eq((header.early == Verdict.OK) & ~header.whole), header.word_en.eq(gets)]
                with m.If(header.early != Verdict.OK):
                    m.d.sync += [cause.eq(header.early), phase.eq(Phase.DRAIN)]
                with m.Elif(header.whole):
                    m.d.sync += phase.eq(Phase.JUDGE)
                with m.Elif(missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
            with m.Case(Phase.JUDGE):
                with m.If(header.verdict != Verdict.OK):
                    m.d.sync += [cause.eq(header.verdict), phase.eq(Phase.DRAIN)]
                with m.Elif(header.is_tables):
                    m.d.comb += builder.start.eq(1)
                    m.d.sync += [
                        loaded.eq(0),
                        loaded_id.eq(header.tables.table_set),
                        loaded_log2_states.eq(header.log2_states),
                        *begin_payload(header.tables.payload_words),
                        phase.eq(Phase.TABLES),
                    ]
                with m.Else():
                    m.d.comb += [output.restart.eq(1), raw_size.start.eq(1)]
                    m.d.sync += begin_payload(header.weights.payload_words)
                    with m.If(header.weights.codec == Codec.RAW):
                        m.d.sync += phase.eq(Phase.RAW_SIZE)
                    if line is not None:
                        with m.Elif(header.weights.codec == Codec.LINE):
                            m.d.comb += line.start.eq(1)
                            m.d.sync += phase.eq(Phase.LINE)
                    with m.Elif(header.weights.columns):
                        m.d.sync += phase.eq(Phase.COLUMNS)
                    with m.Else():
                        m.d.comb += ring.prepare.eq(1)
                        m.d.sync += phase.eq(Phase.FIRST_WORDS)
            with m.Case(Phase.TABLES):
                m.d.comb += [in_payload.eq(1), wants.eq(builder.i.ready), builder.i.valid.eq(gets)]
                with m.If(builder.bad):
                    m.d.sync += give_up(Verdict.BAD_CODE)
                with m.Elif(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(builder.done):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
            with m.Case(Phase.RAW_SIZE):
                with m.If(raw_size.done):
                    m.d.sync += phase.eq(Phase.RAW)
                    with m.If(raw_size.wrong):
                        m.d.sync += give_up(Verdict.BAD_HEADER)
            with m.Case(Phase.RAW):
                m.d.comb += [
                    in_payload.eq(1),
                    wants.eq(output.words.ready),
                    output.direct.eq(1),
                    output.words.valid.eq(gets),
                ]
                with m.If(ended & ~payload_over):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(payload_over & output.idle):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
            if line is not None:
                with m.Case(Phase.LINE):
                    m.d.comb += [
                        in_payload.eq(1),
                        wants.eq(line.i.ready),
                        line.i.valid.eq(gets),
                        output.direct.eq(1),
                        output.raw_width.eq(RAW_WIDTHS.index(WORD_BITS)),
                        output.words.payload.data.eq(line.o.payload),
                        output.words.payload.full.eq(1),
                        output.words.valid.eq(line.o.valid),
                        line.o.ready.eq(output.words.ready),
                    ]
                    with m.If(line.bad):
                        m.d.sync += give_up(Verdict.BAD_CODE)
                    with m.Elif(wants & missing):
                        m.d.sync += give_up(Verdict.TRUNCATED)
                    with m.Elif(line.done & output.idle):
                        m.d.sync += phase.eq(Phase.PAYLOAD_END)
            with m.Case(Phase.COLUMNS):
                m.d.comb += [in_payload.eq(1), wants.eq(1)]
                m.d.sync += [
                    block.eq(word),
                    column_words_left.eq(COLUMNS_WORD_LAYOUT(word).columns >> ceil_log2(PER_WORD)),
                    column_address.eq(0),
                ]
                with m.If(missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(gets):
                    m.d.sync += phase.eq(Phase.OFFSETS)
            with m.Case(Phase.OFFSETS):
                m.d.comb += [in_payload.eq(1), wants.eq(1), ring.columns_en.eq(gets)]
                with m.If(missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(gets):
                    m.d.sync += [column_address.eq(column_address + 1), column_words_left.eq(column_words_left - 1)]
                    with m.If(column_words_left == 0):
                        m.d.comb += ring.prepare.eq(1)
                        m.d.sync += phase.eq(Phase.FIRST_WORDS)
            with m.Case(Phase.FIRST_WORDS):
                # In every other cycle, so that `all_first` is known.
                m.d.comb += [in_payload.eq(1), wants.eq(turn & ~all_first), ring.first.eq(1)]
                m.d.comb += [ring.lane_en[lane].eq(gets & (first_lane == lane)) for lane in range(parameters.lanes)]
                m.d.sync += turn.eq(~gets)
                with m.If(gets):
                    m.d.sync += virtual_lane.eq(virtual_lane + 1)
                with m.If(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(all_first & ring.prepared):
                    m.d.sync += phase.eq(Phase.WEIGHTS)
            with m.Case(Phase.WEIGHTS):
                m.d.comb += [
                    in_payload.eq(1),
                    wants.eq(distributor.i.ready),
                    distributor.i.valid.eq(gets),
                    ring.run.eq(1),
                    ring.slot.eq(distributor.slot),
                    ring.half.eq(distributor.half),
                    ring.lane_en.eq(distributor.lane_en),
                ]
                with m.If(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(ring.done & distributor.idle):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
                    with m.If(~header.weights.wide & (ring.bad_code | output.bad_code)):
                        m.d.sync += give_up(Verdict.BAD_CODE)
                    with m.Elif(ring.bad_state):
                        m.d.sync += give_up(Verdict.BAD_STATE)
            with m.Case(Phase.PAYLOAD_END):
                m.d.sync += [crc_words.eq(0), phase.eq(Phase.CRC)]
                with m.If(~payload_over):
                    m.d.sync += give_up(Verdict.TRAILING)
            with m.Case(Phase.CRC):
                # The checksum is known two cycles after its last word.
                m.d.comb += wants.eq(crc_words < CRC_WORDS)
                with m.If(gets | ~wants):
                    m.d.sync += crc_words.eq(crc_words + 1)
                with m.If(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(crc_words == CRC_WORDS + 1):
                    m.d.sync += phase.eq(Phase.VERDICT)
            with m.Case(Phase.VERDICT):
                m.d.sync += give_up(Verdict.OK)
                with m.If(~ended):
                    m.d.sync += cause.eq(Verdict.TRAILING)
                with m.Elif(~crc.match_detected):
                    m.d.sync += cause.eq(Verdict.BAD_CRC)
                with m.Elif(header.is_tables):
                    m.d.sync += loaded.eq(1)
            with m.Case(Phase.DRAIN):
                m.d.comb += [discards.eq(1), over.eq(1)]
                with m.If(ended & ~ring.flying):
                    m.d.sync += phase.eq(Phase.END)
            with m.Case(Phase.END):
                m.d.comb += [over.eq(1), output.end.eq(1)]
                with m.If(output.ended):
                    m.d.comb += [header.restart.eq(1), crc.start.eq(1)]
                    m.d.sync += [ended.eq(0), virtual_lane.eq(0), phase.eq(Phase.HEADER)]
        m.d.comb += [distributor.flush.eq(over), output.give_up.eq(over)]
        return m
