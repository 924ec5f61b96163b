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
    PREPARE = 8
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
    states takes about 12,500 cycles. Back-pressure: the output's payload is stable while it waits; words are taken
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

        phase, next_phase = Signal(Phase), Signal(Phase)
        cause, next_cause = Signal(CAUSE_BITS), Signal(CAUSE_BITS)
        weighing = Signal()  # the phase is that of the weights
        wordless = Signal()  # the stream ended before the words of all escapes that have been decoded
        m.d.comb += [next_phase.eq(phase), next_cause.eq(cause)]
        m.d.sync += [phase.eq(next_phase), cause.eq(next_cause), weighing.eq(next_phase == Phase.WEIGHTS)]

        # The word that is offered to a phase. A phase says whether it wants one, and then gets it or learns that it is
        word, word_last, has_word = Signal(WORD_BITS), Signal(), Signal()
        # missing; in the weight phase the distributor knows whether there is one, and takes it.
        wants, discards, in_payload = Signal(), Signal(), Signal()
        ended = Signal()  # the stream's last word has been taken
        payload_left = Signal(WEIGHT_HEADER["payload_words"].width)
        payload_over, one_left = Signal(), Signal()
        missing, gets, goes = Signal(), Signal(), Signal()
        m.d.comb += [
            missing.eq(ended | (in_payload & payload_over)),
            gets.eq(wants & ~missing & has_word),
            goes.eq(gets | (discards & ~ended & has_word) | (weighing & distributor.taken)),
            self.i.ready.eq(~has_word | goes),
            one_left.eq(payload_left == 1),
        ]
        with m.If(self.i.ready):
            m.d.sync += [has_word.eq(self.i.valid), word.eq(self.i.payload.data), word_last.eq(self.i.payload.last)]
        with m.If(goes & word_last):
            m.d.sync += ended.eq(1)
        with m.If((gets & in_payload) | (weighing & distributor.taken)):
            m.d.sync += [payload_left.eq(payload_left - 1), payload_over.eq(one_left)]
        taken_word = Signal(WORD_BITS)
        m.d.sync += [crc.valid.eq(goes), taken_word.eq(word)]
        m.d.comb += crc.data.eq(taken_word)

        # The table set that is loaded.
        loaded = Signal()
        loaded_id = Signal(TABLE_HEADER["table_set"].width)
        loaded_log2_states = Signal(range(MAX_LOG2_STATES + 1))
        block = Signal(COLUMNS_WORD_LAYOUT)
        column_words_left = Signal.like(ring.columns_address)
        column_address = Signal.like(ring.columns_address)
        over = Signal()  # the verdict is known
        crc_words = Signal(range(CRC_WORDS + 2))

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
            ring.columns_word.eq(taken_word),
            ring.room.eq(distributor.room & output.room),
            ring.run.eq(weighing),
            ring.slot.eq(distributor.slot),
            ring.half.eq(distributor.half),
            ring.lane_en.eq(distributor.lane_en),
            ring.columns_address.eq(column_address),
            distributor.request_en.eq(ring.request_en),
            distributor.request.eq(ring.request),
            distributor.i.payload.eq(word),
            distributor.i.valid.eq(has_word & ~ended & ~payload_over),
            distributor.escapes.ready.eq(output.words.ready),
            output.beat_en.eq(ring.beat_en),
            output.beat.eq(ring.beat),
            output.words.payload.data.eq(word),
            output.words.payload.full.eq(~one_left | (raw_size.over == 0)),
            output.words.payload.items.eq(raw_size.over),
            output.words.valid.eq(distributor.escapes.valid),
            output.raw_width.eq(header.weights.raw_width),
            output.cause.eq(cause),
        ]
        connect(m, output.o, wiring.flipped(self.o))

        line = None
        if parameters.line:
            m.submodules.line = line = LineDecoder()
            m.d.comb += [line.header.eq(header.weights), line.i.payload.eq(word)]

        m.d.sync += [ring.prepare.eq(0), ring.columns_en.eq(0)]
        with m.If(ring.columns_en):
            m.d.sync += column_address.eq(column_address + 1)

        def go(after: int) -> list[object]:
            """Return the statement that goes on to another phase."""
            return [next_phase.eq(after)]

        def give_up(verdict: Value | Verdict) -> list[object]:
            """Return the statements that end the stream with ``verdict``."""
            return [next_cause.eq(verdict), *go(Phase.DRAIN)]

        def begin_payload(words: Value) -> list[object]:
            """Return the statements that begin a payload of so many words."""
            return [payload_left.eq(words), payload_over.eq(words == 0)]

        with m.Switch(phase):
            with m.Case(Phase.HEADER):
                m.d.comb += [wants.eq((header.early == Verdict.OK) & ~header.whole), header.word_en.eq(gets)]
                with m.If(header.early != Verdict.OK):
                    m.d.comb += give_up(header.early)
                with m.Elif(header.judged):
                    m.d.comb += go(Phase.JUDGE)
                with m.Elif(missing & ~header.whole):
                    m.d.comb += give_up(Verdict.TRUNCATED)
            with m.Case(Phase.JUDGE):
                with m.If(header.verdict != Verdict.OK):
                    m.d.comb += give_up(header.verdict)
                with m.Elif(header.is_tables):
                    m.d.comb += builder.start.eq(1)
                    m.d.sync += [
                        loaded.eq(0),
                        loaded_id.eq(header.tables.table_set),
                        loaded_log2_states.eq(header.log2_states),
                        *begin_payload(header.tables.payload_words),
                    ]
                    m.d.comb += go(Phase.TABLES)
                with m.Else():
                    m.d.comb += [output.restart.eq(1), raw_size.start.eq(1)]
                    m.d.sync += begin_payload(header.weights.payload_words)
                    with m.If(header.weights.codec == Codec.RAW):
                        m.d.comb += go(Phase.RAW_SIZE)
                    if line is not None:
                        with m.Elif(header.weights.codec == Codec.LINE):
                            m.d.comb += line.start.eq(1)
                            m.d.comb += go(Phase.LINE)
                    with m.Elif(header.weights.columns):
                        m.d.comb += go(Phase.COLUMNS)
                    with m.Else():
                        m.d.sync += ring.prepare.eq(1)
                        m.d.comb += go(Phase.PREPARE)
            with m.Case(Phase.TABLES):
                m.d.comb += [in_payload.eq(1), wants.eq(builder.i.ready), builder.i.valid.eq(gets)]
                with m.If(builder.verdict != Verdict.OK):
                    m.d.comb += give_up(builder.verdict)
                with m.Elif(wants & missing):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                with m.Elif(builder.done):
                    m.d.comb += go(Phase.PAYLOAD_END)
            with m.Case(Phase.RAW_SIZE), m.If(raw_size.done):
                m.d.comb += go(Phase.RAW)
                with m.If(raw_size.wrong):
                    m.d.comb += give_up(Verdict.BAD_HEADER)
            with m.Case(Phase.RAW):
                m.d.comb += [
                    in_payload.eq(1),
                    wants.eq(output.words.ready),
                    output.direct.eq(1),
                    output.words.valid.eq(gets),
                ]
                with m.If(ended & ~payload_over):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                with m.Elif(payload_over & output.idle):
                    m.d.comb += go(Phase.PAYLOAD_END)
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
                        m.d.comb += give_up(Verdict.BAD_CODE)
                    with m.Elif(wants & missing):
                        m.d.comb += give_up(Verdict.TRUNCATED)
                    with m.Elif(line.done & output.idle):
                        m.d.comb += go(Phase.PAYLOAD_END)
            with m.Case(Phase.COLUMNS):
                m.d.comb += [in_payload.eq(1), wants.eq(1)]
                m.d.sync += [
                    block.eq(word),
                    column_words_left.eq(COLUMNS_WORD_LAYOUT(word).columns >> ceil_log2(PER_WORD)),
                    column_address.eq(0),
                ]
                with m.If(missing):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                with m.Elif(gets):
                    m.d.comb += go(Phase.OFFSETS)
            with m.Case(Phase.OFFSETS):
                m.d.comb += [in_payload.eq(1), wants.eq(1)]
                m.d.sync += ring.columns_en.eq(gets)
                with m.If(missing):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                with m.Elif(gets):
                    m.d.sync += column_words_left.eq(column_words_left - 1)
                    with m.If(column_words_left == 0):
                        m.d.sync += ring.prepare.eq(1)
                        m.d.comb += go(Phase.PREPARE)
            with m.Case(Phase.PREPARE), m.If(~ring.prepare & ring.prepared):
                m.d.comb += go(Phase.WEIGHTS)
            with m.Case(Phase.WEIGHTS):
                with m.If(distributor.asks & (ended | payload_over)):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                    m.d.sync += wordless.eq(1)
                with m.Elif(ring.done & distributor.idle):
                    m.d.comb += go(Phase.PAYLOAD_END)
                    with m.If(~header.weights.wide & (ring.bad_code | output.bad_code)):
                        m.d.comb += give_up(Verdict.BAD_CODE)
                    with m.Elif(ring.bad_state):
                        m.d.comb += give_up(Verdict.BAD_STATE)
            with m.Case(Phase.PAYLOAD_END):
                m.d.sync += crc_words.eq(0)
                m.d.comb += go(Phase.CRC)
                with m.If(~payload_over):
                    m.d.comb += give_up(Verdict.TRAILING)
            with m.Case(Phase.CRC):
                # The checksum is known two cycles after its last word.
                m.d.comb += wants.eq(crc_words < CRC_WORDS)
                with m.If(gets | ~wants):
                    m.d.sync += crc_words.eq(crc_words + 1)
                with m.If(wants & missing):
                    m.d.comb += give_up(Verdict.TRUNCATED)
                with m.Elif(crc_words == CRC_WORDS + 1):
                    m.d.comb += go(Phase.VERDICT)
            with m.Case(Phase.VERDICT):
                m.d.comb += give_up(Verdict.OK)
                with m.If(~ended):
                    m.d.comb += give_up(Verdict.TRAILING)
                with m.Elif(~crc.match_detected):
                    m.d.comb += give_up(Verdict.BAD_CRC)
                with m.Elif(header.is_tables):
                    m.d.sync += loaded.eq(1)
            with m.Case(Phase.DRAIN):
                m.d.comb += [discards.eq(1), over.eq(1)]
                with m.If(ended & ~ring.flying):
                    m.d.comb += go(Phase.END)
            with m.Case(Phase.END):
                m.d.comb += [over.eq(1), output.end.eq(1)]
                with m.If(output.ended):
                    m.d.comb += [header.restart.eq(1), crc.start.eq(1)]
                    m.d.sync += [ended.eq(0), wordless.eq(0)]
                    m.d.comb += go(Phase.HEADER)
        m.d.comb += [distributor.flush.eq(over), output.give_up.eq(wordless)]
        return m
