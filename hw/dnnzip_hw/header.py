"""The headers: taken word by word, checked before any count is used."""

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import (
    CAUSE_BITS,
    CRC8,
    MAX_LOG2_STATES,
    MIN_LOG2_STATES,
    NARROW_BITS,
    RAW_WIDTHS,
    TABLE_HEADER,
    TABLES_MAGIC,
    VERSION,
    WEIGHT_HEADER,
    WEIGHTS_MAGIC,
    WORD_BITS,
    Codec,
    HeaderLayout,
    Verdict,
)
from dnnzip_hw.layouts import TABLE_HEADER_LAYOUT, WEIGHT_HEADER_LAYOUT, crc_algorithm
from dnnzip_hw.memory import ICE40
from dnnzip_hw.parameters import DecompressorParameters

HEADER_CRC = crc_algorithm(CRC8)
"""Zero over a header with its check."""


BYTE = 8
"""Bits of a header that its check takes in a cycle."""


def first_word(layout: HeaderLayout, word: Value) -> data.View:
    """Return the header of which ``word`` is the first word; fields of other words read as zero."""
    hardware = WEIGHT_HEADER_LAYOUT if layout is WEIGHT_HEADER else TABLE_HEADER_LAYOUT
    return hardware(Cat(word, C(0, layout.bits - WORD_BITS)))


def second_word(word: Value) -> data.View:
    """Return the weight stream header of which ``word`` is the second word; fields of other words read as zero."""
    return WEIGHT_HEADER_LAYOUT(Cat(C(0, WORD_BITS), word, C(0, WEIGHT_HEADER.bits - 2 * WORD_BITS)))


class HeaderProbes(NamedTuple):
    """Inner parts of a ``Header`` that proofs refer to."""

    words: Signal
    count: Signal
    since: Signal
    whole: Signal
    fits: Signal


class Header(wiring.Component):
    """Collects the words of a header and judges it.

    Throughput: a word in every fifth cycle. Latency: ``whole`` follows a word by two cycles, ``early`` by four,
    ``judged`` by six. Back-pressure: none. Reset and ``restart``: no word has come.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    restart : In(1)
        Begin with a new header.
    word_en : In(1), word : In
        The next word.
    loaded : In(1), loaded_id, loaded_log2_states : In
        The table set that is loaded, if any.
    early : Out
        The first rule that the first two words break, or ``ok``.
    verdict : Out
        The first rule that the whole header breaks, or ``ok``; once it is ``judged``.
    judged : Out(1)
        All words have come, and the verdict is known.
    whole : Out(1)
        All words have come.
    is_tables : Out(1)
        It is the header of a table set.
    weights, tables : Out
        The header, as either.
    log2_states : Out
        The states that it names.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "restart": In(1),
                "word_en": In(1),
                "word": In(WORD_BITS),
                "loaded": In(1),
                "loaded_id": In(TABLE_HEADER["table_set"].width),
                "loaded_log2_states": In(range(MAX_LOG2_STATES + 1)),
                "early": Out(CAUSE_BITS),
                "verdict": Out(CAUSE_BITS),
                "judged": Out(1),
                "whole": Out(1),
                "is_tables": Out(1),
                "weights": Out(WEIGHT_HEADER_LAYOUT),
                "tables": Out(TABLE_HEADER_LAYOUT),
                "log2_states": Out(range(MAX_LOG2_STATES + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        limits = self.parameters.limits
        words = Signal(WEIGHT_HEADER.bits)  # the newest on top
        count = Signal(range(WEIGHT_HEADER.words + 1))
        whole = Signal()
        # The check takes a byte per cycle, in the two cycles after the word; the rules of the first words are looked at
        # meanwhile, and said in the fourth.
        m.submodules.check = check = HEADER_CRC(data_width=BYTE).create()
        since = Signal(3)  # cycles since a word came
        m.d.sync += since.eq(Cat(self.word_en, since))
        newest = words[-WORD_BITS:]
        check_valid, check_data = since[0] | since[1], Mux(since[0], newest[:BYTE], newest[BYTE:])
        # On iCE40 a cycle later still, which is soon enough: the verdict is known a cycle before it is looked at.
        domain = m.d.sync if self.parameters.target == ICE40 else m.d.comb
        m.d.comb += check.start.eq(self.restart)
        domain += [check.valid.eq(check_valid), check.data.eq(check_data)]
        weights, tables = first_word(WEIGHT_HEADER, newest), first_word(TABLE_HEADER, newest)
        second = second_word(newest)
        known_magic, known_version, unsupported, unsupported_second = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            known_magic.eq((weights.magic == WEIGHTS_MAGIC) | (weights.magic == TABLES_MAGIC)),
            known_version.eq(weights.version == VERSION),
            unsupported.eq(
                Mux(
                    weights.magic == TABLES_MAGIC,
                    tables.log2_states > limits.log2_states - MIN_LOG2_STATES,
                    ~self._is_known(weights) | (weights.log2_lanes > limits.log2_lanes),
                )
            ),
            unsupported_second.eq(
                (second.log2_states > limits.log2_states - MIN_LOG2_STATES)
                | (second.wide & int(limits.code_bits == NARROW_BITS))
            ),
        ]
        with m.If(self.word_en):
            m.d.sync += [words.eq(Cat(words[WORD_BITS:], self.word)), count.eq(count + 1)]
        with m.If(since[0] & (count == 1)):
            m.d.sync += self.is_tables.eq(weights.magic == TABLES_MAGIC)
        first_verdict, second_verdict = Signal(CAUSE_BITS), Signal(CAUSE_BITS)
        m.d.sync += [
            first_verdict.eq(
                Mux(
                    known_magic,
                    Mux(known_version, Mux(unsupported, Verdict.UNSUPPORTED, Verdict.OK), Verdict.VERSION),
                    Verdict.BAD_MAGIC,
                )
            ),
            second_verdict.eq(Mux(unsupported_second & ~self.is_tables, Verdict.UNSUPPORTED, Verdict.OK)),
        ]
        with m.If(since[2] & (count == 1)):
            m.d.sync += self.early.eq(first_verdict)
        with m.If(since[2] & (count == 2)):
            m.d.sync += self.early.eq(second_verdict)
        with m.If(self.restart):
            m.d.sync += [count.eq(0), self.early.eq(Verdict.OK)]

        m.d.comb += [
            self.weights.eq(words),
            self.tables.eq(words[WEIGHT_HEADER.bits - TABLE_HEADER.bits :]),
            whole.eq(count == Mux(self.is_tables, TABLE_HEADER.words, WEIGHT_HEADER.words)),
            self.log2_states.eq(
                MIN_LOG2_STATES + Mux(self.is_tables, self.tables.log2_states, self.weights.log2_states)
            ),
        ]
        # First what each rule says, then the verdict.
        sound, consistent, fits = Signal(), Signal(), Signal()
        has_lanes, same_id = Signal(), Signal()
        judging = Signal(4)
        channels = self.weights.channels  # less one
        assert WEIGHT_HEADER["channels"].bias == 1
        with m.Switch(self.weights.log2_lanes):
            for log2 in range(limits.log2_lanes + 1):
                with m.Case(log2):
                    m.d.sync += has_lanes.eq(channels[log2:].any() | channels[:log2].all())
        m.d.sync += [
            self.whole.eq(whole),
            judging.eq(Cat(whole, judging)),
            sound.eq((check.crc == 0) & ~Mux(self.is_tables, self.tables.reserved.any(), self.weights.reserved.any())),
            same_id.eq(self.loaded_id == self.weights.table_set),
            consistent.eq(has_lanes),
            fits.eq(self.loaded & same_id & (self.loaded_log2_states == self.log2_states)),
            self.judged.eq(judging[-1]),
            self.verdict.eq(Verdict.OK),
        ]
        with m.If(self.weights.codec == Codec.RAW):
            m.d.sync += consistent.eq(
                (self.weights.log2_lanes == 0)
                & (self.weights.raw_width < len(RAW_WIDTHS))
                & ((self.weights.raw_width != RAW_WIDTHS.index(WORD_BITS)) | self.weights.wide)
            )
        if self.parameters.line:
            with m.Elif(self.weights.codec == Codec.LINE):
                m.d.sync += consistent.eq(self.weights.wide)
        with m.If(self.restart):
            m.d.sync += [self.whole.eq(0), judging.eq(0), self.judged.eq(0)]
        with m.If(~sound | (~self.is_tables & ~consistent)):
            m.d.sync += self.verdict.eq(Verdict.BAD_HEADER)
        with m.Elif(~self.is_tables & (self.weights.codec == Codec.ANS) & ~fits):
            m.d.sync += self.verdict.eq(Verdict.WRONG_TABLES)
        self.probes = HeaderProbes(words, count, since, whole, fits)
        return m

    def _is_known(self, weights: data.View) -> Value:
        """Return True if there is a decoder for the codec and lanes of a weight stream's first word."""
        known: Value = (weights.codec == Codec.RAW) | (weights.codec == Codec.ANS)
        if self.parameters.line:
            known = known | ((weights.codec == Codec.LINE) & (weights.log2_lanes == 0))
        return known
