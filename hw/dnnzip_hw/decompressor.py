"""The decompressor: streams of 16-bit words in, beats of weights out."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.crc import Algorithm
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CRC_WORDS,
    MAX_LOG2_STATES,
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
from dnnzip_hw.positions import PER_WORD
from dnnzip_hw.raw import RawDecoder
from dnnzip_hw.ring import Ring
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
    """Which part of a stream is taken."""

    HEADER = 0
    TABLES = 1
    RAW = 2
    COLUMNS = 3
    OFFSETS = 4
    FIRST_WORDS = 5
    WEIGHTS = 6
    PAYLOAD_END = 7
    CRC = 8
    VERDICT = 9
    DRAIN = 10
    END = 11
    LINE = 12


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
        m.submodules.builder = builder = TableBuilder(parameters.log2_states)
        m.submodules.raw = raw = RawDecoder(parameters)
        m.submodules.ring = ring = Ring(parameters)
        m.submodules.distributor = distributor = Distributor(parameters)
        m.submodules.output = output = Output(parameters)
        m.submodules.crc = crc = STREAM_CRC(data_width=WORD_BITS).create()

        phase = Signal(Phase)
        cause = Signal(CAUSE_BITS)

        # Taking words: a phase says whether it wants one, and then gets it or learns that it is missing.
        wants, discards, in_payload = Signal(), Signal(), Signal()
        ended = Signal()  # the stream's last word has been taken
        payload_left = Signal(WEIGHT_HEADER["payload_words"].width)
        missing, gets = Signal(), Signal()
        word = self.i.payload.data
        m.d.comb += [
            missing.eq(ended | (in_payload & (payload_left == 0))),
            gets.eq(wants & ~missing & self.i.valid),
            self.i.ready.eq((wants & ~missing) | (discards & ~ended)),
            crc.valid.eq(gets),
            crc.data.eq(word),
        ]
        with m.If(self.i.valid & self.i.ready & self.i.payload.last):
            m.d.sync += ended.eq(1)
        with m.If(gets & in_payload):
            m.d.sync += payload_left.eq(payload_left - 1)

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
        starts = Signal()  # the header of a weight stream is whole and sound
        crc_words = Signal(range(CRC_WORDS))

        m.d.comb += [
            header.word.eq(word),
            header.loaded.eq(loaded),
            header.loaded_id.eq(loaded_id),
            header.loaded_log2_states.eq(loaded_log2_states),
            builder.log2_states.eq(loaded_log2_states),
            builder.tables.eq(header.tables.tables),
            builder.i.payload.eq(word),
            raw.start.eq(starts),
            raw.header.eq(header.weights),
            raw.i.payload.eq(word),
            ring.header.eq(header.weights),
            ring.block.eq(block),
            ring.log2_states.eq(loaded_log2_states),
            ring.threshold.eq(builder.threshold),
            ring.shifts.eq(builder.shifts),
            ring.tables.eq(builder.write),
            ring.word.eq(word),
            ring.room.eq(distributor.room & output.room),
            distributor.wide.eq(header.weights.wide),
            distributor.request_en.eq(ring.request_en),
            distributor.request.eq(ring.request),
            distributor.i.payload.eq(word),
            distributor.escape_waits.eq(output.escape_waits),
            output.beat_en.eq(ring.beat_en),
            output.beat.eq(ring.beat),
            output.escape_en.eq(distributor.escape_en),
            output.word.eq(distributor.word),
            output.cause.eq(cause),
            ring.columns_address.eq(column_address),
            all_first.eq(virtual_lane == 1 << header.weights.log2_lanes),
            first_lane.eq(virtual_lane),
            first_slot.eq(virtual_lane >> ceil_log2(parameters.lanes)),
        ]
        m.d.comb += [
            output.raw.payload.eq(raw.o.payload),
            output.raw.valid.eq(raw.o.valid),
            raw.o.ready.eq(output.raw.ready),
        ]
        connect(m, output.o, wiring.flipped(self.o))

        line = None
        if parameters.line:
            m.submodules.line = line = LineDecoder(parameters)
            m.d.comb += [line.start.eq(starts), line.header.eq(header.weights), line.i.payload.eq(word)]

        def give_up(verdict: Verdict) -> list[object]:
            """Return the statements that end the stream with ``verdict``."""
            return [cause.eq(verdict), phase.eq(Phase.DRAIN)]

        with m.Switch(phase):
            with m.Case(Phase.HEADER):
                m.d.comb += [wants.eq((header.verdict == Verdict.OK) & ~header.whole), header.word_en.eq(gets)]
                with m.If(header.verdict != Verdict.OK):
                    m.d.sync += [cause.eq(header.verdict), phase.eq(Phase.DRAIN)]
                with m.Elif(header.whole):
                    with m.If(header.is_tables):
                        m.d.comb += builder.start.eq(1)
                        m.d.sync += [
                            loaded.eq(0),
                            loaded_id.eq(header.tables.table_set),
                            loaded_log2_states.eq(header.log2_states),
                            payload_left.eq(header.tables.payload_words),
                            phase.eq(Phase.TABLES),
                        ]
                    with m.Else():
                        m.d.comb += starts.eq(1)
                        m.d.sync += [
                            payload_left.eq(header.weights.payload_words),
                            phase.eq(
                                Mux(
                                    header.weights.codec == Codec.RAW,
                                    Phase.RAW,
                                    Mux(
                                        (header.weights.codec == Codec.LINE) & int(parameters.line),
                                        Phase.LINE,
                                        Mux(header.weights.columns, Phase.COLUMNS, Phase.FIRST_WORDS),
                                    ),
                                )
                            ),
                        ]
                        with m.If(~header.weights.columns):
                            m.d.comb += ring.prepare.eq(1)
                with m.Elif(missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
            with m.Case(Phase.TABLES):
                m.d.comb += [in_payload.eq(1), wants.eq(builder.i.ready), builder.i.valid.eq(gets)]
                with m.If(builder.bad):
                    m.d.sync += give_up(Verdict.BAD_CODE)
                with m.Elif(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(builder.done):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
            with m.Case(Phase.RAW):
                m.d.comb += [in_payload.eq(1), wants.eq(raw.i.ready), raw.i.valid.eq(gets)]
                with m.If(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(raw.done):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
            if line is not None:
                with m.Case(Phase.LINE):
                    m.d.comb += [
                        in_payload.eq(1),
                        wants.eq(line.i.ready),
                        line.i.valid.eq(gets),
                        output.raw.payload.eq(line.o.payload),
                        output.raw.valid.eq(line.o.valid),
                        line.o.ready.eq(output.raw.ready),
                    ]
                    with m.If(line.bad):
                        m.d.sync += give_up(Verdict.BAD_CODE)
                    with m.Elif(wants & missing):
                        m.d.sync += give_up(Verdict.TRUNCATED)
                    with m.Elif(line.done):
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
                m.d.comb += [in_payload.eq(1), wants.eq(~all_first), ring.first.eq(1), ring.slot.eq(first_slot)]
                m.d.comb += [ring.lane_en[lane].eq(gets & (first_lane == lane)) for lane in range(parameters.lanes)]
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
                    ring.lane_en.eq(distributor.lane_en),
                ]
                with m.If(distributor.bad):
                    m.d.sync += give_up(Verdict.BAD_CODE)
                with m.Elif(wants & missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(ring.done & distributor.idle):
                    m.d.sync += phase.eq(Phase.PAYLOAD_END)
                    with m.If(ring.bad_state):
                        m.d.sync += give_up(Verdict.BAD_STATE)
            with m.Case(Phase.PAYLOAD_END):
                m.d.sync += [crc_words.eq(0), phase.eq(Phase.CRC)]
                with m.If(payload_left != 0):
                    m.d.sync += give_up(Verdict.TRAILING)
            with m.Case(Phase.CRC):
                m.d.comb += wants.eq(1)
                with m.If(missing):
                    m.d.sync += give_up(Verdict.TRUNCATED)
                with m.Elif(gets):
                    m.d.sync += crc_words.eq(crc_words + 1)
                    with m.If(crc_words == CRC_WORDS - 1):
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
