"""One hardware lane: the virtual lanes of its slots decode a weight each in turn."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    COLUMN_OFFSET_BITS,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_TABLES,
    MIN_LOG2_STATES,
    WORD_BITS,
)
from dnnzip_hw.history import Sign
from dnnzip_hw.layouts import (
    ORDER_BITS,
    WINDOW_BITS,
    coded_layout,
    entry_layout,
    lane_state_layout,
    table_layout,
)
from dnnzip_hw.memory import ECP5, ICE40, RegisteredMemory, small_memory
from dnnzip_hw.parameters import PIPELINE, DecompressorParameters
from dnnzip_hw.tables import TablesWrite

NIBBLE = 4
"""Bits of a window that are read as one."""


def plus(number: Value, small: Value, carry: Value | None = None) -> Value:
    """Return the sum, as wide as ``number``, of gates: a carry chain is slower where one of them has few bits.

    Parameters
    ----------
    number, small
        Unsigned; bits of ``small`` beyond the width of ``number`` are left out.
    carry
        Carry in, one bit; 0 where it is not given.
    """
    bits, carry = [], C(0, 1) if carry is None else carry
    for place, bit in enumerate(number):
        other = small[place] if place < len(small) else C(0, 1)
        bits.append(bit ^ other ^ carry)
        carry = (bit & other) | (carry & (bit | other))
    return Cat(bits)


class LaneControl(data.StructLayout):
    """Signals of the ring to all of its lanes; the number in a name is the stage that it belongs to."""

    def __init__(self, parameters: DecompressorParameters) -> None:
        super().__init__(
            {
                "run": 1,  # a stream is decoded; otherwise the lanes are filled with start states
                "log2_states": ceil_log2(MAX_LOG2_STATES + 1),
                "klass": CLASS_BITS,  # of all channels, where they have none of their own; steady while ``run`` is low
                "other_bits_0": WINDOW_BITS,  # what each lane reads in a round that is not of weights
                "slot_1": ceil_log2(parameters.ring),
                "weights_0": 1,  # it is a round of weights
                "weights_1": 1,
                "starts_1": 1,  # it is the start round
                "offset_0": COLUMN_OFFSET_BITS,  # of the next weight's column
                "offset_2": COLUMN_OFFSET_BITS,
                "left_2": 1,  # the next weight has a left neighbour: this weight
                "same_2": 1,  # ... has a tap above, and it is this weight
                "above_2": 1,  # ... has a tap above, an earlier weight
                "commit_3": 1,
                "commit_klass_3": 1,  # ... of a class round
                "commit_state_3": 1,  # ... of another one
            }
        )


class Lane(wiring.Component):
    """Decodes a weight of one of its slots per cycle.

    A turn passes the stages 0 to 3, a cycle each; the result of stage 3 begins the slot's next turn::

               stage 0            stage 1            stage 2            stage 3
            +-------------+    +-------------+    +-------------+    +-------------+
        +-->| read table, |--->| read window,|--->| state bits, |--->| sign, next  |--+
        |   | add shift   |    | have entry  |    | commit?     |    | table, state|  |
        |   +-------------+    +-------------+    +-------------+    +-------------+  |
        |                       <- word            <- above_2         -> sign_3       |
        |                       <- active_1        -> blocked_2       -> coded_3      |
        |                       <- refills_1       -> escape_2        -> astray_3     |
        |                                          -> refill_2                        |
        |                                          -> half_2                          |
        +------------- table address and state, ring - 4 registers later -------------+

    Stage 0 reads the tables and adds up where the state bits begin; 1 reads the window and has the table's entry; 2 has
    the state bits and knows what the weight asks for, so that the turn commits or has no effect; 3 knows the weight's
    sign, chooses the next table and sends the memory its address. A turn without effect is taken again when the slot
    comes round.

    Throughput: a weight per cycle. Latency: ``coded_3`` comes three cycles after the turn's stage 0; a slot's next turn
    follows four cycles after this one, or as many as the ring has turns. Back-pressure: none of its own; a turn that
    lacks a word raises ``blocked_2``, and the ring takes it again. Reset: unknown. While ``control.run`` is low for a
    turn of the ring, every virtual lane goes before its first word.

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
        A word for a half of the window of a slot. Before a stream each slot must have got one for the upper half.
    active_1, refills_1 : In(1)
        The slot has a channel; its next weight may need a word.
    blocked_2 : Out(1)
        The turn may not commit: the window has no word beyond the one whose end the weight reaches.
    escape_2, refill_2, half_2 : Out(1)
        The weight is an escape; it makes a refill word due, for that half.
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
                "tables": In(TablesWrite(parameters)),
                "above_2": In(Sign),
                "word": In(WORD_BITS),
                "word_en": In(1),
                "word_slot": In(range(parameters.ring)),
                "word_half": In(1),
                "active_1": In(1),
                "refills_1": In(1),
                "blocked_2": Out(1),
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
        low_bits = self.parameters.low_bits
        control = self.control
        ecp5 = self.parameters.target == ECP5
        state_layout = lane_state_layout(self.parameters)
        turn = [Signal(state_layout, name=f"turn_{stage}", reset_less=True) for stage in range(PIPELINE)]
        for stage in range(1, PIPELINE):
            m.d.sync += turn[stage].eq(turn[stage - 1])
        following = Signal(state_layout, reset_less=True)  # what stage 3 makes of its turn
        last = Signal(state_layout, reset_less=True)  # ... after the turns that a longer ring adds

        # Stage 3 of the turn before gave the address.
        m.submodules.entries = entries = RegisteredMemory(
            entry_layout(log2_states).size, MAX_TABLES << log2_states, self.parameters.target
        )
        m.d.comb += [
            entries.read_addr.eq(Cat(last.state, last.table.table)),
            entries.write_addr.eq(Cat(self.tables.state, self.tables.table)),
            entries.write_data.eq(self.tables.entry),
            entries.write_en.eq(self.tables.entry_en),
        ]

        # Stage 0: where the state bits begin, and the class of the next weight. Another round reads other bits, from
        # where it is: its sum is known here.
        scale_class_1 = Signal(CLASS_BITS, reset_less=True)
        begin_1, sum_1, top_1 = (
            Signal(WINDOW_BITS, reset_less=True),
            Signal(WINDOW_BITS - 1, reset_less=True),
            Signal(reset_less=True),
        )
        shift_0 = Signal.like(turn[0].table.shift, reset_less=True)
        shifted_0, sum_0 = Signal(WINDOW_BITS, reset_less=True), Signal(WINDOW_BITS, reset_less=True)
        m.d.comb += [
            shift_0.eq(turn[0].table.shift & control.weights_0.replicate(len(shift_0))),
            shifted_0.eq(plus(turn[0].read, shift_0)),
            sum_0.eq(plus(turn[0].read, shift_0 | control.other_bits_0)),
        ]
        scale_class_0 = self._scale_class(m, turn[0].klass, control.offset_0, 0)
        m.d.sync += [
            begin_1.eq(shifted_0),
            # The top bit says whether the turn reaches the end of a word.
            sum_1.eq(sum_0),
            top_1.eq(sum_0[-1] ^ turn[0].read[-1]),
            scale_class_1.eq(scale_class_0),
        ]
        if ecp5:
            # What the upper bits of the entry's count of bits have to be, where the lower ones do not carry, for the
            # turn to reach the end of a word: 0 where it does whatever they are, more than they can be where it never
            # does.
            least_1 = Signal(ORDER_BITS - 1, reset_less=True)
            least = Mux(control.weights_0, (1 << ORDER_BITS - 2) - sum_0[2 : WINDOW_BITS - 1], -1)
            m.d.sync += least_1.eq(Mux(sum_0[-1] ^ turn[0].read[-1], 0, least))

        # Stage 1: the window, of which a part is cut out; the entry; the tables of the next weight's class. `begin` is
        # the place of the last bit before the state bits; `width` bits from there on, as the low bits end there.
        width = low_bits + log2_states
        cut_bits = width + NIBBLE - 1
        nibble_count = -(-cut_bits // NIBBLE)
        arrived_1: Value  # the parity of the words that the slot has got: its words go to the halves in turn
        if self.parameters.target == ICE40:
            nibbles, arrived_1 = self._turning_window(m, begin_1, nibble_count)
        else:
            nibbles = self._window(m, begin_1, nibble_count)
            m.submodules.arrived = arrived = Memory(
                shape=1, depth=ring, init=[], attrs=small_memory(self.parameters.target)
            )
            arrived_write, arrived_read = arrived.write_port(), arrived.read_port(domain="comb")
            arrived_1 = arrived_read.data
            m.d.comb += [
                arrived_read.addr.eq(control.slot_1),
                arrived_write.addr.eq(self.word_slot),
                arrived_write.data.eq(~self.word_half),
                arrived_write.en.eq(self.word_en),
            ]
        table = table_layout(self.parameters)
        row_layout = data.ArrayLayout(table, CONTEXTS)
        if self.parameters.target == ICE40:
            # Its address is given a stage earlier. Nothing is decoded while it is written.
            m.submodules.class_map = class_rows = RegisteredMemory(row_layout.size, CLASSES, self.parameters.target)
            m.d.comb += [
                class_rows.read_addr.eq(scale_class_0),
                class_rows.write_addr.eq(self.tables.klass),
                class_rows.write_data.eq(self.tables.row),
                class_rows.write_en.eq(self.tables.row_en),
            ]
            row_2 = row_layout(class_rows.read_data)
        else:
            m.submodules.class_map = class_map = Memory(
                shape=row_layout, depth=CLASSES, init=[], attrs=small_memory(self.parameters.target)
            )
            map_write, map_read = class_map.write_port(), class_map.read_port(domain="comb")
            m.d.comb += [
                map_read.addr.eq(scale_class_1),
                map_write.addr.eq(self.tables.klass),
                map_write.data.eq(self.tables.row),
                map_write.en.eq(self.tables.row_en),
            ]
        entry_1 = Signal(entry_layout(log2_states), reset_less=True)
        # The entry comes late: its bits are added in two halves at once. Kept apart, the carries take one LUT each.
        carry_1, carry_0_1, carry_1_1 = (
            Signal(name=name, attrs={"keep": 1}) for name in ("carry_1", "carry_0_1", "carry_1_1")
        )
        weight_bits_1, total_1 = Signal(ORDER_BITS), Signal(WINDOW_BITS - 1)
        crossed_1, waits_1 = Signal(reset_less=True), Signal(reset_less=True)
        if ecp5:
            upper_0, upper_1 = entry_1.bits[2:] >= least_1, entry_1.bits[2:] + 1 >= least_1
            crossed: Value = Mux(carry_1, carry_1_1, carry_0_1)
        else:
            upper_0 = plus(Cat(sum_1[2:], C(0, 1)), entry_1.bits[2:])[-1]
            upper_1 = plus(Cat(sum_1[2:], C(0, 1)), entry_1.bits[2:], C(1, 1))[-1]
            crossed = top_1 | (control.weights_1 & Mux(carry_1, carry_1_1, carry_0_1))
        m.d.comb += [
            entry_1.eq(entries.read_data),
            weight_bits_1.eq(entry_1.bits & control.weights_1.replicate(ORDER_BITS)),
            carry_1.eq(plus(Cat(sum_1[:2], C(0, 1)), entry_1.bits[:2])[-1]),
            carry_0_1.eq(upper_0),
            carry_1_1.eq(upper_1),
            total_1.eq(
                Cat(plus(sum_1[:2], weight_bits_1[:2]), plus(sum_1[2:], weight_bits_1[2:], carry_1 & control.weights_1))
            ),
            crossed_1.eq(crossed),
            waits_1.eq(arrived_1 ^ turn[1].read[-1]),
        ]
        coarse_2, fine_2 = Signal(cut_bits, reset_less=True), Signal(range(NIBBLE), reset_less=True)
        sum_2, base_2, mask_2 = (
            Signal(WINDOW_BITS - 1, reset_less=True),
            Signal(log2_states, reset_less=True),
            Signal(log2_states, reset_less=True),
        )
        token_2, minus_2 = Signal.like(entry_1.token, reset_less=True), Signal(reset_less=True)
        crossed_2, escape_2, token_zero_2 = Signal(reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        if self.parameters.target != ICE40:
            row_2 = Signal.like(map_read.data, reset_less=True)
        m.d.sync += [
            coarse_2.eq(nibbles),
            fine_2.eq(begin_1),
            sum_2.eq(total_1),
            crossed_2.eq(crossed_1),
            mask_2.eq(Cat(entry_1.bits > index for index in range(log2_states))),
            base_2.eq(entry_1.base),
            token_2.eq(entry_1.token),
            minus_2.eq(entry_1.token[-1] ^ turn[1].negate),
            token_zero_2.eq(entry_1.token == 0),
            escape_2.eq((entry_1.token.as_signed() == ESCAPE) & self.active_1),
            self.blocked_2.eq(crossed_1 if ecp5 else waits_1 & self.active_1 & crossed_1),
            self.refill_2.eq(crossed_1 if ecp5 else self.refills_1 & crossed_1),
        ]
        if ecp5:
            # The rest is a reset of the flip-flop, so that one LUT stands between the carries and the flags.
            with m.If(~(waits_1 & self.active_1)):
                m.d.sync += self.blocked_2.eq(0)
            with m.If(~self.refills_1):
                m.d.sync += self.refill_2.eq(0)
        if self.parameters.target != ICE40:
            m.d.sync += row_2.eq(map_read.data)
        # Another round reads a state, or its state bits have no meaning.
        with m.If(control.starts_1):
            m.d.sync += mask_2.eq(Cat(control.log2_states > index for index in range(log2_states)))
            m.d.sync += mask_2[:MIN_LOG2_STATES].eq(-1)
        with m.If(~control.weights_1):
            m.d.sync += [base_2.eq(0), escape_2.eq(0)]

        # Stage 2: the bits; what the weight asks for.
        cut_2 = Signal(width, reset_less=True)
        with m.Switch(fine_2):
            for step in range(NIBBLE):
                with m.Case(step):
                    m.d.comb += cut_2.eq(coarse_2[step:])
        low_2, state_bits_2 = cut_2[:low_bits], cut_2[low_bits:]
        read_2 = Signal(WINDOW_BITS, reset_less=True)
        m.d.comb += [
            read_2.eq(Cat(sum_2, crossed_2 ^ turn[2].read[-1])),
            self.escape_2.eq(escape_2),
            self.half_2.eq(~read_2[-1]),
        ]
        # The next weight's table and sign for each sign that this weight may have: the context is |a + b|. Before the
        # first weight there are no neighbours, and what this turn read as its own sign does not count.
        left, same = control.left_2, control.same_2
        above, above_minus = Signal(reset_less=True), self.above_2.as_value()[1]
        m.d.comb += above.eq(control.above_2 & self.above_2.as_value()[0])
        state_3, read_3, klass_3 = (
            Signal(log2_states, reset_less=True),
            Signal(WINDOW_BITS, reset_less=True),
            Signal(CLASS_BITS, reset_less=True),
        )
        first_class_3 = Signal(CLASS_BITS, reset_less=True)
        zero_table_3, other_table_3 = Signal(table, reset_less=True), Signal(table, reset_less=True)
        zero_negate_3, other_negate_3 = Signal(reset_less=True), Signal(reset_less=True)
        low_3, token_3 = Signal(low_bits, reset_less=True), Signal.like(token_2, reset_less=True)
        zero_3, minus_3 = Signal(reset_less=True), Signal(reset_less=True)
        # Of the low bits, the top ones are the weight's. Where they are many, they are sought in what was cut out
        # coarsely, by a mask that is known a stage earlier, so that the choice by `fine` does not stand before it.
        weight_low_2 = Cat(low_2[index] & (turn[2].table.shift >= low_bits - index) for index in range(low_bits))
        if ecp5 and low_bits > NIBBLE:
            mine = Cat(turn[1].table.shift >= low_bits - index for index in range(low_bits))
            mine_2 = Signal(low_bits + NIBBLE - 1, reset_less=True)
            with m.Switch(begin_1[: ceil_log2(NIBBLE)]):
                for step in range(NIBBLE):
                    with m.Case(step):
                        m.d.sync += mine_2.eq(Cat(C(0, step), mine))
            low_zero_2 = ~(coarse_2[: len(mine_2)] & mine_2).any()
        else:
            low_zero_2 = ~weight_low_2.any()
        with m.If(left & above):
            m.d.sync += other_table_3.eq(Mux(minus_2 == above_minus, row_2[2], row_2[0]))
        with m.Elif(left | above | same):
            m.d.sync += other_table_3.eq(row_2[1])
        with m.Else():
            m.d.sync += other_table_3.eq(row_2[0])
        m.d.sync += [
            state_3.eq(base_2 | (state_bits_2 & mask_2)),
            read_3.eq(read_2),
            klass_3.eq(state_bits_2),
            first_class_3.eq(self._scale_class(m, state_bits_2[:CLASS_BITS], control.offset_2, 2)),
            zero_table_3.eq(Mux(above, row_2[1], row_2[0])),
            zero_negate_3.eq(above & above_minus),
            other_negate_3.eq(Mux(left | same, minus_2, above & above_minus)),
            low_3.eq(weight_low_2 if ecp5 else low_2),
            token_3.eq(token_2),
            zero_3.eq(escape_2 | (token_zero_2 & low_zero_2)),
            minus_3.eq(minus_2),
        ]

        # Stage 3: the weight's sign; the state of the slot's next turn.
        m.submodules.first_tables = first_tables = Memory(
            shape=table, depth=CLASSES, init=[], attrs=small_memory(self.parameters.target)
        )
        first_write, first_read = first_tables.write_port(), first_tables.read_port(domain="comb")
        m.d.comb += [
            self.sign_3.eq(Mux(zero_3, Sign.ZERO, Mux(minus_3, Sign.MINUS, Sign.PLUS))),
            first_read.addr.eq(first_class_3),
            first_write.addr.eq(self.tables.klass),
            first_write.data.eq(self.tables.row[0]),
            first_write.en.eq(self.tables.row_en),
            following.eq(turn[3]),
        ]
        with m.If(control.commit_3):
            m.d.comb += following.read.eq(read_3)
        with m.If(control.commit_state_3):
            m.d.comb += [
                following.state.eq(state_3),
                following.table.eq(Mux(zero_3, zero_table_3, other_table_3)),
                following.negate.eq(Mux(zero_3, zero_negate_3, other_negate_3)),
            ]
        with m.If(control.commit_klass_3):
            m.d.comb += [following.table.eq(first_read.data), following.negate.eq(0), following.klass.eq(klass_3)]
        with m.If(~control.run):
            # One less than the number of a bit that stands a word before the first.
            m.d.comb += [following.read.eq(-WORD_BITS - 1), following.klass.eq(control.klass)]
        delayed = following
        for turn_number in range(PIPELINE, ring):
            source, delayed = delayed, Signal(state_layout, name=f"turn_{turn_number}", reset_less=True)
            m.d.sync += delayed.eq(source)
        m.d.comb += last.eq(delayed)
        m.d.sync += turn[0].eq(last)
        m.d.comb += [
            self.astray_3.eq(state_3 != 0),
            self.coded_3.token.eq(token_3),
            self.coded_3.low.eq(low_3),
            self.coded_3.shift.eq(turn[3].table.shift),
            self.coded_3.negate.eq(turn[3].negate),
        ]
        return m

    def _window(self, m: Module, begin: Signal, count: int) -> Value:
        """Return ``count`` nibbles of the slot's window, from the one with place ``begin`` on.

        The window is a circle of two words. Nibbles that stand at the same place of their words share a memory, so
        that up to four neighbours are read at once. The places count from the first low bit where ``begin`` is the
        state bits' place less one: a word's last bits lie in the first nibbles, in the other half.
        """
        control = self.control
        per_word = WORD_BITS // NIBBLE
        first, half = begin[ceil_log2(NIBBLE) : -1], begin[-1]
        turned = self.parameters.low_bits - 1
        # Beyond the fourth nibble, the same ones again from the other half.
        rows = []
        for copy in range(-(-count // per_word)):
            row = [Signal(NIBBLE, name=f"nibble_{copy}_{number}", reset_less=True) for number in range(per_word)]
            rows.append(row)
            for number in range(per_word):
                places = range(number * NIBBLE, (number + 1) * NIBBLE)
                for wraps in (False, True):
                    here = [place for place in places if (place < turned) == wraps]
                    if not here:
                        continue
                    memory = Memory(shape=len(here), depth=2 * self.parameters.ring, init=[])
                    m.submodules[f"window_{copy}_{number}_{int(wraps)}"] = memory
                    write, read = memory.write_port(), memory.read_port(domain="comb")
                    m.d.comb += [
                        read.addr.eq(Cat(half ^ (number < first) ^ bool(copy), control.slot_1)),
                        Cat(row[number][place % NIBBLE] for place in here).eq(read.data),
                        write.addr.eq(Cat(self.word_half ^ wraps, self.word_slot)),
                        write.data.eq(Cat(self.word[(place - turned) % WORD_BITS] for place in here)),
                        write.en.eq(self.word_en),
                    ]
        found = Signal(count * NIBBLE, reset_less=True)
        with m.Switch(first):
            for number in range(per_word):
                with m.Case(number):
                    order = [rows[place // per_word][(number + place) % per_word] for place in range(count)]
                    m.d.comb += found.eq(Cat(order))
        return found

    def _turning_window(self, m: Module, begin: Signal, count: int) -> tuple[Value, Value]:
        """Return the window and the parity of the slot's words, as ``_window``, from registers that turn with the ring.

        Without a RAM that is read at once, this takes no multiplexer over the slots: a bit that stays is one that moves
        on to where its slot will be in the next cycle.
        """
        control, ring = self.control, self.parameters.ring
        windows = [Signal(2 * WORD_BITS, name=f"window_{place}", reset_less=True) for place in range(ring)]
        arrived = [Signal(name=f"arrived_{place}", reset_less=True) for place in range(ring)]
        for place in range(ring):
            after = (place + 1) % ring
            here = Signal(name=f"here_{place}")
            m.d.comb += here.eq(self.word_en & (self.word_slot == (control.slot_1 - place)[: len(control.slot_1)]))
            m.d.sync += arrived[after].eq(Mux(here, ~self.word_half, arrived[place]))
            for half in range(2):
                mine = Signal(name=f"here_{place}_{half}")
                bits = slice(half * WORD_BITS, (half + 1) * WORD_BITS)
                m.d.comb += mine.eq(here & (self.word_half == half))
                m.d.sync += windows[after][bits].eq(Mux(mine, self.word, windows[place][bits]))
        turned = self.parameters.low_bits - 1
        found = Signal(count * NIBBLE, reset_less=True)
        with m.Switch(begin[ceil_log2(NIBBLE) :]):
            for first in range(2 * WORD_BITS // NIBBLE):
                with m.Case(first):
                    places = ((first * NIBBLE + place - turned) % (2 * WORD_BITS) for place in range(count * NIBBLE))
                    m.d.comb += found.eq(Cat(windows[0][place] for place in places))
        return found, arrived[0]

    def _scale_class(self, m: Module, klass: Signal, offset: Signal, stage: int) -> Signal:
        """Return the class of a weight in a column: their sum, at most the last class."""
        total = Signal(range(CLASSES + 4), name=f"class_sum_{stage}", reset_less=True)
        m.d.comb += total.eq(klass + offset)
        return Mux(total[CLASS_BITS], CLASSES - 1, total[:CLASS_BITS])
