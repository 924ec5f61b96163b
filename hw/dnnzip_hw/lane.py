"""One hardware lane: the virtual lanes of its slots decode a weight each in turn."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import CLASS_BITS, CLASSES, CONTEXTS, ESCAPE, MAX_LOG2_STATES, MAX_TABLES, WORD_BITS
from dnnzip_hw.history import Sign
from dnnzip_hw.layouts import (
    TABLE_BITS,
    WINDOW_BITS,
    coded_layout,
    entry_layout,
    lane_state_layout,
    round_layout,
)
from dnnzip_hw.memory import RegisteredMemory
from dnnzip_hw.parameters import PIPELINE, DecompressorParameters
from dnnzip_hw.rounds import Kind
from dnnzip_hw.tables import TablesWrite


class LaneControl(data.StructLayout):
    """What the ring tells all of its lanes; the number in a name is the stage that it goes with."""

    def __init__(self, parameters: DecompressorParameters) -> None:
        super().__init__(
            {
                "run": 1,  # a stream is decoded; otherwise the lanes are filled with start states
                "log2_states": ceil_log2(MAX_LOG2_STATES + 1),
                "klass": CLASS_BITS,  # of all channels, where they have none of their own
                "slot_1": ceil_log2(parameters.ring),
                "round_0": round_layout(),
                "round_1": round_layout(),
                "round_2": round_layout(),
                "round_3": round_layout(),
                "commit_3": 1,
            }
        )


class Lane(wiring.Component):
    """Decodes a weight of one of its slots per cycle.

    Stage 0 reads the tables and adds up where the state bits begin; 1 reads the window and has the table's entry; 2 has
    the state bits and knows what the weight asks for, so that the turn commits or has no effect; 3 knows the weight's
    sign, chooses the next table and gives the memory its address. A turn without effect is taken again when the slot
    comes round.

    Throughput: a weight per cycle. Latency: a slot's next turn follows four cycles later, or as many as the ring has
    turns. Reset, and ``control.run`` low for a turn of the ring: every virtual lane is before its first word.

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
    above_2 : In(2)
        Sign of the tap above the next position.
    word, word_en, word_slot, word_half : In
        A word for a half of the window of a slot.
    wait_2, escape_2, refill_2, half_2 : Out(1)
        The weight needs a word that has not come; it is an escape; it makes a refill word due, for that half.
    sign_3 : Out(2)
        Of the weight.
    astray_3 : Out(1)
        The lane's state, after this turn, is not the encoder's start state.
    coded_3 : Out(coded_layout)
        The weight, as it was coded.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "control": In(LaneControl(parameters)),
                "tables": In(TablesWrite(parameters.log2_states)),
                "above_2": In(Sign),
                "word": In(WORD_BITS),
                "word_en": In(1),
                "word_slot": In(range(parameters.ring)),
                "word_half": In(1),
                "wait_2": Out(1),
                "escape_2": Out(1),
                "refill_2": Out(1),
                "half_2": Out(1),
                "sign_3": Out(Sign),
                "astray_3": Out(1),
                "coded_3": Out(coded_layout(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        ring, log2_states = self.parameters.ring, self.parameters.log2_states
        low_bits, shift_bits = self.parameters.low_bits, self.parameters.low_bits.bit_length()
        control = self.control
        state_layout = lane_state_layout(self.parameters)
        turn = [Signal(state_layout, name=f"turn_{stage}") for stage in range(PIPELINE)]
        for stage in range(1, PIPELINE):
            m.d.sync += turn[stage].eq(turn[stage - 1])
        following = Signal(state_layout)  # what stage 3 makes of its turn
        last = Signal(state_layout)  # ... after the turns that a longer ring adds
        is_weight = [control[f"round_{stage}"].kind == Kind.WEIGHT for stage in range(PIPELINE)]

        # Stage 3 of the turn before gave the address.
        m.submodules.entries = entries = RegisteredMemory(
            entry_layout(log2_states).size, MAX_TABLES << log2_states, self.parameters.target
        )
        m.d.comb += [
            entries.read_addr.eq(Cat(last.state, last.table)),
            entries.write_addr.eq(Cat(self.tables.state, self.tables.table)),
            entries.write_data.eq(self.tables.entry),
            entries.write_en.eq(self.tables.entry_en),
        ]

        # Stage 0: where the state bits begin, and the class of the next weight.
        m.submodules.shifts = shifts = Memory(shape=shift_bits, depth=MAX_TABLES, init=[])
        shifts_write, shifts_read = shifts.write_port(), shifts.read_port(domain="comb")
        shift = [Signal(shift_bits, name=f"shift_{stage}") for stage in range(PIPELINE)]
        scale_class_1 = Signal(CLASS_BITS)
        begin_1 = Signal(WINDOW_BITS)
        m.d.comb += [
            shifts_read.addr.eq(turn[0].table),
            shifts_write.addr.eq(self.tables.table),
            shifts_write.data.eq(self.tables.shift),
            shifts_write.en.eq(self.tables.shift_en),
            shift[0].eq(Mux(is_weight[0], shifts_read.data, 0)),
        ]
        for stage in range(1, PIPELINE):
            m.d.sync += shift[stage].eq(shift[stage - 1])
        m.d.sync += [
            begin_1.eq(turn[0].read + shift[0]),
            scale_class_1.eq(self._scale_class(m, turn[0].klass, control.round_0.offset, 0)),
        ]

        # Stage 1: the window, of which a part is cut out; the entry; the tables of the next weight's class.
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
                write.en.eq(self.word_en & (self.word_half == half)),
            ]
        for slot in range(ring):
            with m.If(self.word_en & (self.word_slot == slot)):
                m.d.sync += arrived[slot].eq(~arrived[slot])
        with m.If(~control.run):
            m.d.sync += arrived.eq(0)
        m.submodules.class_map = class_map = Memory(
            shape=data.ArrayLayout(TABLE_BITS, CONTEXTS), depth=CLASSES, init=[]
        )
        map_write, map_read = class_map.write_port(), class_map.read_port(domain="comb")
        m.d.comb += [
            map_read.addr.eq(scale_class_1),
            map_write.addr.eq(self.tables.klass),
            map_write.data.eq(self.tables.row),
            map_write.en.eq(self.tables.row_en),
        ]

        # The low bits end where the state bits begin, `read` is one less than that, and the window is a circle.
        width = low_bits + log2_states
        coarse_bits = WINDOW_BITS - 3
        turned = Cat(window[(index + 1 - low_bits) % len(window)] for index in range(len(window)))
        coarse_1 = Signal(width + 7)
        with m.Switch(begin_1[-coarse_bits:]):
            for step in range(1 << coarse_bits):
                with m.Case(step):
                    m.d.comb += coarse_1.eq(Cat(turned[(8 * step + index) % len(turned)] for index in range(width + 7)))
        entry_1 = Signal(entry_layout(log2_states))
        bits_1 = Signal(WINDOW_BITS)
        m.d.comb += entry_1.eq(entries.read_data)
        with m.Switch(control.round_1.kind):
            with m.Case(Kind.FIRST):
                m.d.comb += bits_1.eq(WORD_BITS)
            with m.Case(Kind.START):
                m.d.comb += bits_1.eq(control.log2_states)
            with m.Case(Kind.KLASS):
                m.d.comb += bits_1.eq(CLASS_BITS)
            with m.Case(Kind.WEIGHT):
                m.d.comb += bits_1.eq(entry_1.bits)
        coarse_2, fine_2 = Signal(width + 7), Signal(3)
        read_2, base_2, mask_2 = Signal(WINDOW_BITS), Signal(log2_states), Signal(log2_states)
        token_2, low_mask_2, pending_2 = Signal.like(entry_1.token), Signal(low_bits), Signal()
        escape_2, token_zero_2 = Signal(), Signal()
        row_2 = Signal.like(map_read.data)
        m.d.sync += [
            coarse_2.eq(coarse_1),
            fine_2.eq(begin_1),
            read_2.eq(begin_1 + bits_1),
            mask_2.eq(Cat(bits_1 > index for index in range(log2_states))),
            base_2.eq(entry_1.base),
            token_2.eq(entry_1.token),
            token_zero_2.eq(entry_1.token == 0),
            escape_2.eq(entry_1.token.as_signed() == ESCAPE),
            low_mask_2.eq(Cat(shift[1] >= low_bits - index for index in range(low_bits))),
            pending_2.eq(arrived.bit_select(control.slot_1, 1) ^ turn[1].read[-1]),
            row_2.eq(map_read.data),
        ]
        with m.If(~is_weight[1]):
            m.d.sync += [base_2.eq(0), escape_2.eq(0)]

        # Stage 2: the bits; what the weight asks for.
        cut_2 = Signal(width)
        with m.Switch(fine_2):
            for step in range(8):
                with m.Case(step):
                    m.d.comb += cut_2.eq(coarse_2[step:])
        low_2, state_bits_2 = cut_2[:low_bits], cut_2[low_bits:]
        crossed_2 = Signal()
        m.d.comb += [
            crossed_2.eq(read_2[-1] ^ turn[2].read[-1]),
            self.wait_2.eq(pending_2 & crossed_2),
            self.escape_2.eq(escape_2),
            self.refill_2.eq(crossed_2),
            self.half_2.eq(~read_2[-1]),
        ]
        # The next weight's table and sign for each sign that this weight may have: the context is |a + b|.
        minus_2 = Signal()
        left, same = control.round_2.left, control.round_2.same_line
        above, above_minus = Signal(), self.above_2.as_value()[1]
        m.d.comb += [
            minus_2.eq(token_2[-1] ^ turn[2].negate),
            above.eq(control.round_2.above & ~same & self.above_2.as_value()[0]),
        ]
        state_3, read_3, klass_3 = Signal(log2_states), Signal(WINDOW_BITS), Signal(CLASS_BITS)
        zero_table_3, other_table_3 = Signal(TABLE_BITS), Signal(TABLE_BITS)
        zero_negate_3, other_negate_3 = Signal(), Signal()
        low_3, token_3 = Signal(low_bits), Signal.like(token_2)
        escape_3, token_zero_3, minus_3, low_zero_3 = Signal(), Signal(), Signal(), Signal(2)
        half_low = low_bits // 2
        masked_low = Signal(low_bits)
        m.d.comb += masked_low.eq(low_2 & low_mask_2)
        with m.If(left & above):
            m.d.sync += other_table_3.eq(row_2[Mux(minus_2 == above_minus, 2, 0)])
        with m.Elif(left | above | (same & control.round_2.above)):
            m.d.sync += other_table_3.eq(row_2[1])
        with m.Else():
            m.d.sync += other_table_3.eq(row_2[0])
        m.d.sync += [
            state_3.eq(base_2 | (state_bits_2 & mask_2)),
            read_3.eq(read_2),
            klass_3.eq(Mux(control.round_2.kind == Kind.KLASS, state_bits_2, control.klass)),
            zero_table_3.eq(row_2[above]),
            zero_negate_3.eq(above & above_minus),
            other_negate_3.eq(Mux(left | (same & control.round_2.above), minus_2, above & above_minus)),
            low_3.eq(low_2),
            token_3.eq(token_2),
            escape_3.eq(escape_2),
            token_zero_3.eq(token_zero_2),
            minus_3.eq(minus_2),
            low_zero_3.eq(Cat(masked_low[:half_low] == 0, masked_low[half_low:] == 0)),
        ]

        # Stage 3: the weight's sign; the state of the slot's next turn.
        zero_3 = Signal()
        first_class_3 = Signal(CLASS_BITS)
        m.submodules.first_tables = first_tables = Memory(shape=TABLE_BITS, depth=CLASSES, init=[])
        first_write, first_read = first_tables.write_port(), first_tables.read_port(domain="comb")
        m.d.comb += [
            zero_3.eq(escape_3 | (token_zero_3 & low_zero_3.all())),
            self.sign_3.eq(Mux(zero_3, Sign.ZERO, Mux(minus_3, Sign.MINUS, Sign.PLUS))),
            first_class_3.eq(self._scale_class(m, klass_3, control.round_3.offset, 3)),
            first_read.addr.eq(first_class_3),
            first_write.addr.eq(self.tables.klass),
            first_write.data.eq(self.tables.row[0]),
            first_write.en.eq(self.tables.row_en),
            following.eq(turn[3]),
        ]
        with m.If(control.commit_3):
            m.d.comb += following.read.eq(read_3)
            with m.If(control.round_3.kind != Kind.KLASS):
                m.d.comb += following.state.eq(state_3)
            with m.If(is_weight[3]):
                m.d.comb += [
                    following.table.eq(Mux(zero_3, zero_table_3, other_table_3)),
                    following.negate.eq(Mux(zero_3, zero_negate_3, other_negate_3)),
                ]
            with m.Else():
                m.d.comb += [
                    following.table.eq(first_read.data),
                    following.negate.eq(0),
                    following.klass.eq(klass_3),
                ]
        with m.If(~control.run):
            # One less than the number of a bit that stands a word before the first.
            m.d.comb += following.read.eq(-WORD_BITS - 1)
        delayed = following
        for turn_number in range(PIPELINE, ring):
            source, delayed = delayed, Signal(state_layout, name=f"turn_{turn_number}")
            m.d.sync += delayed.eq(source)
        m.d.comb += last.eq(delayed)
        m.d.sync += turn[0].eq(last)
        m.d.comb += [
            self.astray_3.eq(state_3 != 0),
            self.coded_3.token.eq(token_3),
            self.coded_3.low.eq(low_3),
            self.coded_3.shift.eq(shift[3]),
            self.coded_3.negate.eq(turn[3].negate),
        ]
        return m

    def _scale_class(self, m: Module, klass: Signal, offset: Signal, stage: int) -> Signal:
        """Return the class of a weight in a column: their sum, at most the last class."""
        total = Signal(range(CLASSES + 4), name=f"class_sum_{stage}")
        m.d.comb += total.eq(klass + offset)
        return Mux(total[CLASS_BITS], CLASSES - 1, total[:CLASS_BITS])
