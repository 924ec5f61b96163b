"""One hardware lane: the virtual lanes of its slots decode a weight each in turn."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    NARROW_BITS,
    SHIFT_BITS,
    TOKEN_BITS,
    WORD_BITS,
)
from dnnzip_hw.history import Sign
from dnnzip_hw.layouts import CODE_BITS, LOW_BITS, entry_layout, lane_state_layout
from dnnzip_hw.parameters import PIPELINE, DecompressorParameters
from dnnzip_hw.tables import CONTEXT_BITS, TablesWrite


class Kind(enum.Enum, shape=2):  # type: ignore[call-arg]  # Amaranth's enumerations have a shape
    """What the lanes read in a round."""

    START = 0
    KLASS = 1
    WEIGHT = 2


class LaneControl(data.StructLayout):
    """What the ring tells all of its lanes; the number in a name is the stage that it goes with.

    Stage 0 addresses the tables, 1 reads the window, 2 has the table's entry and may commit, 3 chooses the next table.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        slot = ceil_log2(parameters.ring)
        super().__init__(
            {
                "run": 1,  # a stream is decoded; otherwise the lanes are filled with start states
                "log2_states": ceil_log2(MAX_LOG2_STATES + 1),
                "threshold": ceil_log2(MAX_WEIGHT_BITS + 1),
                "shifts": data.ArrayLayout(SHIFT_BITS, MAX_TABLES),
                "wide": 1,
                "klass": CLASS_BITS,  # of a virtual lane before a class round
                "kind_0": Kind,
                "kind_1": Kind,
                "kind_2": Kind,
                "slot_1": slot,
                "offset_2": 2,  # column offset of the position after this round
                "commit_2": 1,
                "commit_3": 1,
                "left_3": 1,  # the position after this round has these neighbours
                "above_3": 1,
                "same_line_3": 1,  # ... and its tap above is this round's
            }
        )


class Lane(wiring.Component):
    """Decodes a weight of one of its slots per cycle.

    A slot's turn commits or has no effect: ``wait`` asks the ring not to commit where bits are missing that the
    weight needs; the turn is then taken again when the slot comes round. Throughput: a weight per cycle. Latency: a
    slot's next turn follows four cycles later (or as many as the ring has turns); ``code`` leaves three cycles after
    its commit. Reset, and ``control.run`` low for a turn of the ring: every virtual lane is at its start, with one word
    in its window.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    control : In(LaneControl)
        From the ring.
    tables : In(TablesWrite)
        From the table builder; only while nothing is decoded.
    active, final : In(1)
        In stage 2: this lane has a channel; this is its last weight.
    above : In(2)
        In stage 3: sign of the tap above the next position.
    word, word_en, word_first, word_slot : In
        A word for the window of a slot; ``word_first``: it is the slot's first one.
    wait, escape, bad, refill : Out(1)
        In stage 2: bits are missing; the weight is an escape; it is outside of the declared width; a word is to be
        taken after it.
    sign : Out(2)
        In stage 3: of the weight.
    ended_badly : Out(1)
        In stage 3: this was the lane's last weight, and the state is not the encoder's start state.
    code : Out
        In stage 5: the weight, where it is no escape.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "control": In(LaneControl(parameters)),
                "tables": In(TablesWrite(parameters.log2_states)),
                "active": In(1),
                "final": In(1),
                "above": In(Sign),
                "word": In(WORD_BITS),
                "word_en": In(1),
                "word_first": In(1),
                "word_slot": In(range(parameters.ring)),
                "wait": Out(1),
                "escape": Out(1),
                "bad": Out(1),
                "refill": Out(1),
                "sign": Out(Sign),
                "ended_badly": Out(1),
                "code": Out(signed(min(CODE_BITS, parameters.weight_bits))),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        ring, log2_states = self.parameters.ring, self.parameters.log2_states
        control = self.control
        state_layout = lane_state_layout(self.parameters)
        turn = [Signal(state_layout, name=f"turn_{stage}") for stage in range(PIPELINE)]
        for stage in (1, 2):
            m.d.sync += turn[stage].eq(turn[stage - 1])

        # Stage 0: address the table; where the state bits begin in the window.
        m.submodules.entries = entries = Memory(
            shape=entry_layout(log2_states), depth=MAX_TABLES << log2_states, init=[]
        )
        entries_write, entries_read = entries.write_port(), entries.read_port()
        m.d.comb += [
            entries_read.addr.eq(Cat(turn[0].state, turn[0].table)),
            entries_write.addr.eq(Cat(self.tables.state, self.tables.table)),
            entries_write.data.eq(self.tables.entry),
            entries_write.en.eq(self.tables.entry_en),
        ]
        shift_0, shift_1, shift_2, shift_3 = (Signal(SHIFT_BITS, name=f"shift_{stage}") for stage in range(4))
        with m.If(control.kind_0 == Kind.WEIGHT):
            m.d.comb += shift_0.eq(control.shifts[turn[0].table])
        window_bits = ceil_log2(2 * WORD_BITS)
        pointer_1 = Signal(window_bits)
        m.d.sync += [
            shift_1.eq(shift_0),
            shift_2.eq(shift_1),
            shift_3.eq(shift_2),
            pointer_1.eq((turn[0].asked << ceil_log2(WORD_BITS)) - turn[0].unread + shift_0 - LOW_BITS),
        ]

        # Stage 1: the window, rotated so that the state bits stand above the low bits.
        window = Signal(2 * WORD_BITS)
        arrived = Signal(ring)  # parity of the words that each slot has got
        for half in range(2):
            memory = Memory(shape=WORD_BITS, depth=ring, init=[])
            m.submodules[f"window_{half}"] = memory
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                read.addr.eq(control.slot_1),
                window.word_select(half, WORD_BITS).eq(read.data),
                write.addr.eq(self.word_slot),
                write.data.eq(self.word),
                write.en.eq(self.word_en & ((~self.word_first & arrived.bit_select(self.word_slot, 1)) == half)),
            ]
        with m.If(self.word_en):
            m.d.sync += arrived.bit_select(self.word_slot, 1).eq(
                self.word_first | ~arrived.bit_select(self.word_slot, 1)
            )
        rotated = window
        width = LOW_BITS + log2_states
        for first, bits, reach in ((3, 2, 7), (1, 2, 1), (0, 1, 0)):
            source, rotated = rotated, Signal(width + reach, name=f"rotated_{first}")
            with m.Switch(pointer_1[first : first + bits]):
                for step in range(1 << bits):
                    with m.Case(step):
                        start = step << first
                        m.d.comb += rotated.eq(
                            Cat(source[(start + index) % len(source)] for index in range(len(rotated)))
                        )

        low_2 = Signal(LOW_BITS)
        state_bits_2 = Signal(log2_states)
        unread_2 = Signal(signed(window_bits + 1))
        above_threshold_2 = Signal(signed(window_bits + 2))
        pending_2 = Signal()
        low_mask_2 = Signal(LOW_BITS)
        entry_2 = Signal(entry_layout(log2_states))
        unread_1 = Signal(signed(window_bits + 1))
        m.d.comb += unread_1.eq(turn[1].unread - shift_1)
        m.d.sync += [
            Cat(low_2, state_bits_2).eq(rotated),
            unread_2.eq(unread_1),
            above_threshold_2.eq(unread_1 - control.threshold),
            pending_2.eq(turn[1].asked ^ arrived.bit_select(control.slot_1, 1)),
            low_mask_2.eq(Cat(shift_1 >= LOW_BITS - index for index in range(LOW_BITS))),
            entry_2.eq(entries_read.data),
        ]
        with m.If(control.kind_1 != Kind.WEIGHT):
            m.d.sync += [
                entry_2.eq(0),
                entry_2.bits.eq(Mux(control.kind_1 == Kind.START, control.log2_states, CLASS_BITS)),
            ]

        # Stage 2: the weight's token, its bits and what they ask for.
        escape_2, low_zero, zero_2 = Signal(), Signal(), Signal()
        minus_2 = Signal()
        m.d.comb += [
            escape_2.eq(entry_2.token.as_signed() == ESCAPE),
            low_zero.eq((low_2 & low_mask_2) == 0),
            zero_2.eq(escape_2 | ((entry_2.token == 0) & low_zero)),
            minus_2.eq(entry_2.token[-1] ^ turn[2].negate),
            self.wait.eq(self.active & pending_2 & (entry_2.bits > unread_2 - WORD_BITS)),
            self.escape.eq(self.active & escape_2),
            self.refill.eq(self.active & ~self.final & (entry_2.bits > above_threshold_2)),
            self.bad.eq(
                self.active & ~escape_2 & ~control.wide & self._outside(m, shift_2, entry_2, low_zero, turn[2])
            ),
        ]
        next_state = Signal(log2_states)
        m.d.comb += next_state.eq(
            entry_2.base | Cat(state_bits_2[index] & (entry_2.bits > index) for index in range(log2_states))
        )
        klass = Signal(CLASS_BITS)
        with m.Switch(control.kind_2):
            with m.Case(Kind.START):
                m.d.comb += klass.eq(control.klass)
            with m.Case(Kind.KLASS):
                m.d.comb += klass.eq(state_bits_2)
            with m.Default():
                m.d.comb += klass.eq(turn[2].klass)
        sum_class = Signal(range(CLASSES + 3))
        scale_class_3 = Signal(CLASS_BITS)
        sign_3 = Signal(Sign)
        ended_3 = Signal()
        token_3, low_3, negate_3 = Signal(TOKEN_BITS), Signal(LOW_BITS), Signal()
        m.d.comb += sum_class.eq(klass + control.offset_2)
        m.d.sync += [
            turn[3].eq(turn[2]),
            scale_class_3.eq(Mux(sum_class >= CLASSES, CLASSES - 1, sum_class)),
            sign_3.eq(Mux(zero_2, Sign.ZERO, Mux(minus_2, Sign.MINUS, Sign.PLUS))),
            token_3.eq(entry_2.token),
            low_3.eq(low_2),
            negate_3.eq(turn[2].negate),
            ended_3.eq(control.commit_2 & self.active & self.final),
        ]
        with m.If(control.commit_2):
            m.d.sync += [
                turn[3].unread.eq(unread_2 - entry_2.bits),
                turn[3].asked.eq(turn[2].asked ^ self.refill),
                turn[3].klass.eq(klass),
            ]
            with m.If(self.refill):
                m.d.sync += turn[3].unread[-1].eq(1)
            with m.If(control.kind_2 != Kind.KLASS):
                m.d.sync += turn[3].state.eq(next_state)

        # Stage 3: the next table, from the signs of this weight and of the tap above the next one.
        m.d.comb += [self.sign.eq(sign_3), self.ended_badly.eq(ended_3 & (turn[3].state != 0))]
        left, above = Signal(Sign), Signal(Sign)
        m.d.comb += [
            left.eq(Mux(control.left_3, sign_3, Sign.ZERO)),
            above.eq(Mux(control.above_3, Mux(control.same_line_3, sign_3, self.above), Sign.ZERO)),
        ]
        a, b = left.as_value(), above.as_value()
        context = Signal(CONTEXT_BITS)
        m.submodules.class_map = class_map = Memory(
            shape=len(self.tables.map_table), depth=1 << CLASS_BITS + CONTEXT_BITS, init=[]
        )
        map_write, map_read = class_map.write_port(), class_map.read_port(domain="comb")
        m.d.comb += [
            # Both bits of a sign are 0, 1 or -1: the sum's size is odd where one is zero, even otherwise.
            context.eq(Mux(a[0] ^ b[0], 1, Mux(a[0] & (a[1] == b[1]), 2, 0))),
            map_read.addr.eq(Cat(context, scale_class_3)),
            map_write.addr.eq(Cat(self.tables.map_context, self.tables.map_klass)),
            map_write.data.eq(self.tables.map_table),
            map_write.en.eq(self.tables.map_en),
        ]
        following = Signal(state_layout)
        m.d.comb += following.eq(turn[3])
        with m.If(control.commit_3):
            m.d.comb += [following.table.eq(map_read.data), following.negate.eq(Mux(a[0], a[1], b[1]))]
        with m.If(~control.run):
            m.d.comb += [following.unread.eq(WORD_BITS), following.asked.eq(1), following.negate.eq(0)]
        delayed = following
        for turn_number in range(PIPELINE, ring):
            source, delayed = delayed, Signal(state_layout, name=f"turn_{turn_number}")
            m.d.sync += delayed.eq(source)
        m.d.sync += turn[0].eq(delayed)

        # Stages 3 and 4: the weight's value.
        value_4, negate_4 = Signal(signed(CODE_BITS)), Signal()
        m.d.sync += [
            value_4.eq(Cat(low_3, token_3).as_signed() >> ~shift_3),  # that is, LOW_BITS less the shift
            negate_4.eq(negate_3),
            self.code.eq(Mux(negate_4, -value_4, value_4)),
        ]
        return m

    def _outside(self, m: Module, shift: Value, entry: data.View, low_zero: Value, turn: data.View) -> Signal:
        """Return whether a weight's value, token << shift | low, or its negative, does not fit a narrow code."""
        outside = Signal()
        size = entry.token[: TOKEN_BITS - 1]
        minus = entry.token[-1]
        with m.Switch(shift):
            for number in range(1 << SHIFT_BITS):
                with m.Case(number):
                    kept = min(max(NARROW_BITS - 1 - number, 0), TOKEN_BITS - 1)  # bits of the token that may vary
                    same = size[kept:]
                    ones = (1 << len(same)) - 1
                    tail_zero = low_zero & (size[:kept] == 0)
                    if len(same):
                        m.d.comb += outside.eq(
                            Mux(
                                turn.negate,
                                Mux(minus, (same != ones) | tail_zero, (same != 0) & ~((same == 1) & tail_zero)),
                                same != Mux(minus, ones, 0),
                            )
                        )
        return outside
