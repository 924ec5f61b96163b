"""The table set: its payload read bit by bit, its decoding tables built and written."""

import enum
from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from dnnzip.format import (
    CAUSE_BITS,
    CLASS_BITS,
    CLASSES,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_WEIGHT_BITS,
    MIN_LOG2_STATES,
    SHIFT_BITS,
    TABLE_HEADER,
    TOKEN_BITS,
    TOKEN_ORDER,
    WORD_BITS,
    Verdict,
    first_prediction,
    golomb_order,
    map_width,
    spread_step,
)
from dnnzip_hw.layouts import TABLE_BITS, entry_layout, table_layout
from dnnzip_hw.memory import ICE40, RegisteredMemory, small_memory
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.phases import Phases

TOKENS = len(TOKEN_ORDER)
NUMBERED = 5
"""Cycles from a state to its number."""


def log2_states_cases(most: int) -> range:
    """Return the log2 of the state counts that a decompressor for up to 2**``most`` states can have loaded."""
    return range(MIN_LOG2_STATES, most + 1)


def token_at(index: Value) -> Value:
    """Return the token at ``index`` of ``TOKEN_ORDER``: odd places hold the negative ones."""
    return Cat(index[1:] ^ index[0].replicate(TOKEN_BITS - 1), index[0])


# The order above, checked where it is used: place 2k holds k, place 2k + 1 holds -(k + 1).
assert all(token == (-(index + 1) // 2 if index % 2 else index // 2) for index, token in enumerate(TOKEN_ORDER))
assert TOKEN_ORDER[-1] == ESCAPE


class TablesWrite(data.StructLayout):
    """Writes of the builder into every copy of the tables in a cycle.

    An entry of a table; the tables of a class, one per context, each with its shift.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        super().__init__(
            {
                "entry_en": 1,
                "state": parameters.log2_states,
                "entry": entry_layout(parameters.log2_states),
                "table": TABLE_BITS,
                "row_en": 1,
                "klass": CLASS_BITS,
                "row": data.ArrayLayout(table_layout(parameters), CONTEXTS),
            }
        )


class StateNumberingProbes(NamedTuple):
    """Inner parts of a ``StateNumbering`` that proofs refer to."""

    stages: list[Signal]


class StateNumbering(wiring.Component):
    """Turns the tokens of a table's states into decoding entries, in rising order of the states.

    The n-th state of a token of count c represents the number x = c + n; its entry has the bits by which x falls short
    of the states, and the base, x shifted by them. Throughput: a state per cycle. Latency: states + 11 cycles
    from ``start`` to ``busy`` low. There is no back-pressure. Reset: idle.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    log2_states : In
        log2 of the states of the set.
    token_en, token_state, token : In
        A state's token.
    count_en, count : In
        The count of ``token``. Only while not ``busy``.
    start : In(1)
        Number the states. Only while not ``busy``.
    busy : Out(1)
        States are being numbered.
    entry_en, entry_state, entry : Out
        An entry to be written.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.most, self.target = parameters.log2_states, parameters.target
        super().__init__(
            {
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "token_en": In(1),
                "token_state": In(self.most),
                "token": In(TOKEN_BITS),
                "count_en": In(1),
                "count": In(self.most + 1),
                "start": In(1),
                "busy": Out(1),
                "entry_en": Out(1),
                "entry_state": Out(self.most),
                "entry": Out(entry_layout(self.most)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        most = self.most
        state = Signal(most)
        running, is_last = Signal(), Signal()
        m.submodules.tokens = tokens = RegisteredMemory(TOKEN_BITS, 1 << most, self.target)
        m.d.comb += [
            tokens.write_addr.eq(self.token_state),
            tokens.write_data.eq(self.token),
            tokens.write_en.eq(self.token_en),
            tokens.read_addr.eq(state),
        ]
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(most):
                with m.Case(log2):
                    m.d.comb += is_last.eq(state[:log2].all())
        with m.If(self.start):
            m.d.sync += [running.eq(1), state.eq(0)]
        with m.Elif(running):
            m.d.sync += [state.eq(state + 1), running.eq(~is_last)]

        # Four cycles for a state's token, one for its number; then that is shifted, a step per cycle.
        steps = (8, 4, 2, 1)
        stages = [running]
        for stage in range(1, NUMBERED + len(steps) + 1):
            enabled = Signal(name=f"enabled_{stage}")
            m.d.sync += enabled.eq(stages[-1])
            stages.append(enabled)
        m.d.sync += self.busy.eq(self.start | Cat(stages).any())

        m.submodules.numbers = numbers = Memory(
            shape=most + 1, depth=1 << TOKEN_BITS, init=[], attrs=small_memory(self.target)
        )
        write, read = numbers.write_port(), numbers.read_port()
        # `number` is that of `token`, and goes back to the memory, one higher. Where the next state has the same token,
        # it takes the number from there, as the memory does not have it yet; where the one after that has it, what was
        # written while the memory was read.
        token_early, token_read, token = Signal(TOKEN_BITS), Signal(TOKEN_BITS), Signal(TOKEN_BITS)
        number, following, written = Signal(most + 1), Signal(most + 1), Signal(most + 1)
        late = Signal()
        same, raises = Signal(), Signal()  # `token_read` is `token`, which is of a state; `number` is no count
        given = Signal(most + 1, attrs={"keep": 1})  # kept apart, so that one LUT stands after the sum
        m.d.comb += [
            read.addr.eq(token_early),
            following.eq(number + raises),
            given.eq(Mux(self.count_en, self.count, Mux(late, written, read.data))),
            write.addr.eq(token),
            write.data.eq(following),
            write.en.eq(stages[NUMBERED] | ~raises),
        ]
        m.d.sync += [
            token_early.eq(tokens.read_data),
            token_read.eq(token_early),
            token.eq(Mux(self.count_en, self.token, token_read)),
            same.eq(stages[NUMBERED - 1] & (token_read == token_early)),
            raises.eq(~self.count_en),
            written.eq(following),
            late.eq(stages[NUMBERED] & (token == token_early)),
            number.eq(Mux(same, following, given)),
        ]

        # The number, shifted until its top bit is set.
        shifts: Value = C(0, 0)
        for places in steps:
            small = Signal(name=f"small_{places}")
            shifted, shifted_token = (
                Signal(most + 1, name=f"shifted_{places}"),
                Signal(TOKEN_BITS, name=f"token_{places}"),
            )
            all_shifts = Signal(len(shifts) + 1, name=f"shifts_{places}")
            m.d.comb += small.eq(number[max(most + 1 - places, 0) :] == 0)
            m.d.sync += [
                shifted.eq(Mux(small, number << places, number)),
                shifted_token.eq(token),
                all_shifts.eq(Cat(small, shifts)),
            ]
            number, token, shifts = shifted, shifted_token, all_shifts

        m.d.comb += [self.entry_en.eq(stages[-1]), self.entry.token.eq(token)]
        with m.If(~stages[-1]):
            m.d.sync += self.entry_state.eq(0)
        with m.Else():
            m.d.sync += self.entry_state.eq(self.entry_state + 1)
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(most):
                with m.Case(log2):
                    m.d.comb += [
                        self.entry.base.eq(number[most - log2 : most]),
                        self.entry.bits.eq(shifts - (most - log2)),
                    ]
        self.probes = StateNumberingProbes(stages)
        return m


class _Phase(enum.Enum):
    """Step of the builder."""

    IDLE = 0
    MAP = 1
    SHIFT = 2
    UNARY = 3
    NUMBER = 4
    MAPPED = 5
    COUNT = 6
    REST = 7
    CHECK = 8
    BEFORE_SPREAD = 9
    SPREAD = 10
    NUMBERING = 11
    ROWS = 12
    DONE = 13


class TableBuilderProbes(NamedTuple):
    """Inner parts of a ``TableBuilder`` that proofs refer to."""

    phases: Phases
    numbering: StateNumbering
    stops: Signal
    started: Signal
    begins: Signal
    fails: Signal
    fails_unsupported: Signal
    read_table: Signal
    read_shift: Signal


class TableBuilder(wiring.Component):
    """Reads the payload of a table set and writes its class map, shifts and decoding tables.

    Throughput: a bit, or a state, per cycle. Latency: 1,700 to 1,800 cycles for a table of 512 states; ``done`` follows
    the last table by the cycles of the class map, which is written at the end, when every table's shift is known.
    Back-pressure: it takes a word when it needs a bit of it, never earlier; writes never wait. Reset and ``start``:
    begin anew; what was built before is no longer a whole set.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    start : In(1)
        Begin with the set of ``tables`` (less its bias) tables of two to the ``log2_states`` states.
    log2_states, tables : In
        From the header; steady from the cycle after ``start`` on.
    i : In(stream of words)
        The payload.
    write : Out(TablesWrite)
        What goes into the memories.
    verdict : Out
        The rule that the payload breaks, where the builder has stopped; otherwise ``ok``.
    done : Out(1)
        All is written, but on iCE40 for the last rows, which come in the next two cycles; until two cycles after the
        next ``start``.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "tables": In(TABLE_HEADER["tables"].width),
                "i": In(stream.Signature(WORD_BITS)),
                "write": Out(TablesWrite(parameters)),
                "verdict": Out(CAUSE_BITS),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        most, target = self.parameters.log2_states, self.parameters.target
        phases = Phases(m, _Phase)
        at, leave = phases.at, phases.leave
        always = C(1)
        fails, fails_unsupported = Signal(), Signal()

        def fail_if(condition: Value, flag: Signal = fails) -> None:
            with m.If(condition):
                m.d.sync += flag.eq(1)

        states, first_count, first_order, step = Signal(most + 1), Signal(most + 1), Signal(most + 1), Signal(most)
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(most):
                with m.Case(log2):
                    m.d.sync += [
                        states.eq(1 << log2),
                        first_count.eq(first_prediction(log2)),
                        first_order.eq(1 << golomb_order(first_prediction(log2))),
                        step.eq(spread_step(log2)),
                    ]

        # Bits: the lowest unread one is at the bottom.
        word = Signal(WORD_BITS)
        bits_left = Signal(range(WORD_BITS))  # besides the lowest
        has_bit, bit = Signal(), Signal()
        collects, advances, is_read, settles = Signal(), Signal(), Signal(), Signal()
        m.d.comb += bit.eq(word[0])
        reads = at(_Phase.UNARY) | (collects & ~is_read & ~settles)
        m.d.comb += advances.eq(has_bit & reads)
        m.d.sync += self.i.ready.eq(reads & ~has_bit & ~(self.i.ready & self.i.valid))
        with m.If(advances):
            m.d.sync += [word.eq(word >> 1), bits_left.eq(bits_left - 1), has_bit.eq(bits_left != 0)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), bits_left.eq(WORD_BITS - 1), has_bit.eq(1)]

        # A number of some bits, lowest first. `place` and `end` are one hot: where the next bit goes, and where none.
        number, place, end = Signal(most + 2), Signal(most + 2), Signal(most + 2)
        # Whether the number is read is known a cycle after it has begun, or `end` changed.
        if target != ICE40:
            m.d.sync += is_read.eq((Mux(advances, place << 1, place) & end).any())
        m.d.sync += [
            settles.eq(0),
            # A cycle late, which is well: a number begins with a cycle in which nothing is read.
            collects.eq(at(_Phase.MAP) | at(_Phase.SHIFT) | at(_Phase.NUMBER)),
        ]
        if target == ICE40:
            # What `place` has before it to `end`: it reaches the bottom where `place` reaches `end`, and is nothing
            # from a number's beginning to its first cycle, as is `is_read` above.
            ahead = Signal(most + 2)
            with m.If(settles):
                m.d.sync += ahead.eq(end)
            with m.Elif(advances):
                m.d.sync += ahead.eq(ahead >> 1)
            m.d.comb += is_read.eq(ahead[0])
            restart_read = ahead.eq(0)
        else:
            restart_read = is_read.eq(0)
        with m.If(advances):
            m.d.sync += [place.eq(place << 1), number.eq(number | (place & bit.replicate(most + 2)))]

        end_is_last = Signal()  # no larger number has a code
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(most):
                with m.Case(log2):
                    m.d.comb += end_is_last.eq(end[log2 + 1])
        table, last_table = Signal(TABLE_BITS), Signal()
        klass = Signal(CLASS_BITS)
        last_class = Signal()  # a cycle late: a number takes longer
        m.d.sync += last_class.eq(klass == CLASSES - 1)
        context = Signal(range(CONTEXTS))
        earlier = Signal(data.ArrayLayout(TABLE_BITS, CONTEXTS - 1))  # tables of the class's contexts before this one
        map_end = Signal(range(1 << TABLE_BITS + 1))
        with m.Switch(self.tables):
            for tables in range(1, (1 << TABLE_BITS) + 1):
                with m.Case(tables - TABLE_HEADER["tables"].bias):
                    m.d.comb += map_end.eq(1 << map_width(tables))
        m.d.sync += last_table.eq(table == self.tables)

        # A count is its prediction, more or less half of the mapped number.
        prediction, order, left = Signal(most + 1), Signal(most + 1), Signal(most + 1)
        mapped = Signal(most + 2)
        count, rest = Signal(signed(most + 3)), Signal(signed(most + 3))
        to_spread = Signal(most + 1)
        index = Signal(TOKEN_BITS)
        position = Signal(most)

        m.submodules.numbering = numbering = StateNumbering(self.parameters)
        m.d.comb += [
            numbering.log2_states.eq(self.log2_states),
            numbering.token.eq(token_at(index)),
            numbering.token_state.eq(position),
            numbering.count.eq(count),
            self.write.entry_en.eq(numbering.entry_en),
            self.write.entry.eq(numbering.entry),
            self.write.state.eq(numbering.entry_state),
            self.write.table.eq(table),
        ]
        if target != ICE40:
            m.d.comb += self.write.klass.eq(klass)
        # The class map comes before the tables' shifts, and the lanes want both together: it is kept until then.
        if target == ICE40:
            # A row comes two cycles after its class, and is written as late; the lanes begin much later.
            m.submodules.class_map = class_rows = RegisteredMemory(CONTEXTS * TABLE_BITS, CLASSES, target)
            map_row = data.ArrayLayout(TABLE_BITS, CONTEXTS)(class_rows.read_data)
            map_klass, map_row_en = Signal(CLASS_BITS), Signal()
            before_klass, before_row_en = Signal(CLASS_BITS), Signal()
            m.d.comb += [
                class_rows.write_addr.eq(klass),
                class_rows.write_data.eq(Cat(earlier, number[:TABLE_BITS])),
                class_rows.write_en.eq(at(_Phase.MAP)),
                class_rows.read_addr.eq(klass),
                self.write.klass.eq(map_klass),
                self.write.row_en.eq(map_row_en),
            ]
            m.d.sync += [
                Cat(before_klass, before_row_en).eq(Cat(klass, at(_Phase.ROWS))),
                Cat(map_klass, map_row_en).eq(Cat(before_klass, before_row_en)),
            ]
        else:
            m.submodules.class_map = class_map = Memory(
                shape=data.ArrayLayout(TABLE_BITS, CONTEXTS), depth=CLASSES, init=[], attrs=small_memory(target)
            )
            map_write, map_read = class_map.write_port(), class_map.read_port(domain="comb")
            map_row = map_read.data
        shift_bits = self.parameters.low_bits.bit_length()
        m.submodules.shifts = shifts = Memory(
            shape=shift_bits, depth=1 << TABLE_BITS, init=[], attrs=small_memory(target)
        )
        shift_write = shifts.write_port()
        if target != ICE40:
            m.d.comb += [
                map_write.addr.eq(klass),
                map_write.data.eq(Cat(earlier, number[:TABLE_BITS])),
                map_write.en.eq(at(_Phase.MAP)),
                map_read.addr.eq(klass),
            ]
        m.d.comb += [
            shift_write.addr.eq(table),
            shift_write.data.eq(number),
            shift_write.en.eq(at(_Phase.SHIFT)),
        ]
        if target != ICE40:
            m.d.comb += self.write.row_en.eq(at(_Phase.ROWS))
        for context_number in range(CONTEXTS):
            shift_read = shifts.read_port(domain="comb")
            m.d.comb += [
                shift_read.addr.eq(map_row[context_number]),
                self.write.row[context_number].table.eq(map_row[context_number]),
                self.write.row[context_number].shift.eq(shift_read.data),
            ]

        restart_number = [number.eq(0), place.eq(1), settles.eq(1), restart_read]
        left_zero, spreads = Signal(), Signal()
        following_order = Signal(most + 1)
        highest = [prediction[bit] & ~prediction[bit + 1 :].any() for bit in range(2, most + 1)]
        m.d.sync += [left_zero.eq(left == 0), following_order.eq(Cat(prediction[2:] == 0, *highest))]
        with m.If(at(_Phase.MAP)), m.If(is_read):
            m.d.sync += [*restart_number, end.eq(map_end), context.eq(context + 1)]
            m.d.sync += earlier.eq(Cat(earlier[1], number[:TABLE_BITS]))
            with m.If(context == CONTEXTS - 1):
                m.d.sync += [context.eq(0), klass.eq(klass + 1)]
                with m.If(last_class):
                    m.d.sync += end.eq(1 << SHIFT_BITS)
        with m.If(at(_Phase.SHIFT)), m.If(is_read):
            m.d.sync += [
                left.eq(states),
                index.eq(0),
                prediction.eq(first_count),
                end.eq(first_order),
                order.eq(first_order),
                position.eq(0),
            ]
        with m.If(at(_Phase.UNARY)):
            m.d.sync += restart_number
            with m.If(has_bit & ~bit):
                m.d.sync += end.eq(end << 1)
                fail_if(end_is_last)
        with m.If(at(_Phase.MAPPED)):
            # The number with its leading one, less the power of two that represents 0.
            m.d.sync += mapped.eq((number | end) - order)
        with m.If(at(_Phase.COUNT)):
            half = mapped[1:] ^ (~mapped[0]).replicate(most + 1)
            m.d.sync += count.eq(prediction + Cat(half, ~mapped[0]).as_signed() + 1)
        with m.If(at(_Phase.REST)):
            m.d.sync += rest.eq(left - count)
        with m.If(at(_Phase.CHECK)):
            m.d.comb += numbering.count_en.eq(1)
            m.d.sync += [left.eq(rest), prediction.eq(count), to_spread.eq(count)]
            fail_if(count[-1] | rest[-1])
        with m.If(at(_Phase.BEFORE_SPREAD)):
            m.d.sync += spreads.eq(to_spread != 0)
        with m.If(at(_Phase.SPREAD)):
            with m.If(spreads):
                m.d.comb += numbering.token_en.eq(1)
                m.d.sync += [
                    to_spread.eq(to_spread - 1),
                    spreads.eq(to_spread[1:] != 0),
                    position.eq((position + step) & (states - 1)),
                ]
            with m.Elif(left_zero):
                m.d.comb += numbering.start.eq(1)
            with m.Else():
                m.d.sync += [
                    order.eq(following_order),
                    end.eq(following_order),
                    index.eq(index + 1),
                ]
                fail_if(index == TOKENS - 1)
        with m.If(at(_Phase.NUMBERING)), m.If(~numbering.busy):
            m.d.sync += [*restart_number, end.eq(1 << SHIFT_BITS), table.eq(table + 1)]
        # A table's number and a shift are judged in the cycle after.
        read_table, read_shift = Signal(), Signal()
        no_table, large_shift, too_large_shift = Signal(), Signal(), Signal()
        m.d.sync += [
            read_table.eq(at(_Phase.MAP) & is_read),
            read_shift.eq(at(_Phase.SHIFT) & is_read),
            no_table.eq(number[:TABLE_BITS] > self.tables),
            large_shift.eq(number[:SHIFT_BITS] > self.parameters.low_bits),
            too_large_shift.eq(self.log2_states + number[:SHIFT_BITS] > MAX_WEIGHT_BITS),
        ]
        fail_if((read_table & no_table) | (read_shift & too_large_shift))
        fail_if(read_shift & large_shift, fails_unsupported)
        m.d.comb += self.done.eq(at(_Phase.DONE))
        last_entry = is_read & (context == CONTEXTS - 1) & last_class
        leave(_Phase.MAP, (last_entry, _Phase.SHIFT))
        leave(_Phase.SHIFT, (is_read, _Phase.UNARY))
        leave(_Phase.UNARY, (has_bit & bit, _Phase.NUMBER))
        leave(_Phase.NUMBER, (is_read, _Phase.MAPPED))
        leave(_Phase.MAPPED, (always, _Phase.COUNT))
        leave(_Phase.COUNT, (always, _Phase.REST))
        leave(_Phase.REST, (always, _Phase.CHECK))
        leave(_Phase.CHECK, (always, _Phase.BEFORE_SPREAD))
        leave(_Phase.BEFORE_SPREAD, (always, _Phase.SPREAD))
        leave(_Phase.SPREAD, (~spreads & left_zero, _Phase.NUMBERING), (~spreads, _Phase.UNARY))
        leave(
            _Phase.NUMBERING,
            (~numbering.busy & last_table, _Phase.ROWS),
            (~numbering.busy, _Phase.SHIFT),
        )
        with m.If(at(_Phase.ROWS)):
            m.d.sync += klass.eq(klass + 1)  # it has come round to the first one
        leave(_Phase.ROWS, (klass == CLASSES - 1, _Phase.DONE))
        # All stops from one register; then it begins anew where that was the reason.
        stops, started, begins = Signal(), Signal(), Signal()
        m.d.sync += [stops.eq(fails | fails_unsupported | self.start), started.eq(self.start), begins.eq(started)]
        leave(_Phase.IDLE, (begins, _Phase.MAP))
        phases.jump(stops, _Phase.IDLE)
        phases.build()
        with m.If(fails | fails_unsupported):
            m.d.sync += self.verdict.eq(Mux(fails_unsupported, Verdict.UNSUPPORTED, Verdict.BAD_CODE))
        with m.If(self.start):
            m.d.sync += self.verdict.eq(Verdict.OK)
        with m.If(stops):
            m.d.sync += [
                fails.eq(0),
                fails_unsupported.eq(0),
                has_bit.eq(0),
                self.i.ready.eq(0),
                *restart_number,
                end.eq(map_end),
                klass.eq(0),
                context.eq(0),
                table.eq(0),
            ]
        if target == ICE40:
            # What is said above, case by case, as one choice of cases that exclude each other.
            map_moves = Signal()
            m.d.comb += map_moves.eq(at(_Phase.MAP) & is_read & ~stops)
            cases: list[tuple[Value, Value]] = [
                (stops | (map_moves & ~last_entry), map_end),
                (
                    ~stops & ((map_moves & last_entry) | (at(_Phase.NUMBERING) & ~numbering.busy)),
                    C(1 << SHIFT_BITS, most + 2),
                ),
                (at(_Phase.SHIFT) & is_read & ~stops, first_order),
                (at(_Phase.UNARY) & has_bit & ~bit & ~stops, end << 1),
                (at(_Phase.SPREAD) & ~spreads & ~left_zero & ~stops, following_order),
            ]
            chosen = Signal(len(cases))
            m.d.comb += chosen.eq(Cat(case for case, _ in cases))
            kept = end & (~chosen.any()).replicate(most + 2)
            values = [value & chosen[place].replicate(most + 2) for place, (_, value) in enumerate(cases)]
            m.d.sync += end.eq(reduce(or_, values, kept))
        self.probes = TableBuilderProbes(
            phases, numbering, stops, started, begins, fails, fails_unsupported, read_table, read_shift
        )
        return m
