"""The table set: its payload read bit by bit, its decoding tables built, kept and looked up."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    MIN_LOG2_STATES,
    SHIFT_BITS,
    TABLE_HEADER,
    TOKEN_BITS,
    TOKEN_ORDER,
    WORD_BITS,
    first_prediction,
    golomb_order,
    map_width,
    spread_step,
)
from dnnzip_hw.layouts import ORDER_BITS, TABLE_BITS, entry_layout

CONTEXT_BITS = (CONTEXTS - 1).bit_length()
TOKENS = len(TOKEN_ORDER)


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
    """What the builder writes into every copy of the tables and of the class map in a cycle."""

    def __init__(self, log2_states: int) -> None:
        super().__init__(
            {
                "entry_en": 1,
                "state": log2_states,
                "table": TABLE_BITS,
                "entry": entry_layout(log2_states),
                "map_en": 1,
                "map_klass": CLASS_BITS,
                "map_context": CONTEXT_BITS,
                "map_table": TABLE_BITS,
            }
        )


class StateNumbering(wiring.Component):
    """Turns the tokens of a table's states into decoding entries, in rising order of the states.

    For each token it keeps the entry of the token's next state: the base grows by two to the bits, and where it leaves
    the table it starts again at zero with one bit less. Throughput: a state per cycle. Latency: states + 3 cycles from
    ``start`` to ``busy`` low. There is no back-pressure. Reset: idle.

    Parameters
    ----------
    log2_states
        log2 of the most states.

    Members
    -------
    log2_states : In
        log2 of the states of the set.
    token_en, token_state, token : In
        A state's token, for the buffer that is not being numbered.
    first_en, first_index, first : In
        The first entry (bits, base) of a token, likewise.
    start : In(1), table : In
        Swap the buffers and number the states of ``table``. Only while not ``busy``.
    busy : Out(1)
        States are being numbered.
    entry_en, entry_state, entry_table, entry : Out
        An entry to be written.
    """

    def __init__(self, log2_states: int) -> None:
        self.most = log2_states
        self.first_layout = data.StructLayout({"base": log2_states, "bits": ORDER_BITS})
        super().__init__(
            {
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "token_en": In(1),
                "token_state": In(log2_states),
                "token": In(TOKEN_BITS),
                "first_en": In(1),
                "first": In(self.first_layout),
                "start": In(1),
                "table": In(TABLE_BITS),
                "busy": Out(1),
                "entry_en": Out(1),
                "entry_state": Out(log2_states),
                "entry_table": Out(TABLE_BITS),
                "entry": Out(entry_layout(log2_states)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        filled = Signal()  # the buffer that the reader fills; the other one is numbered
        m.submodules.tokens = tokens = Memory(shape=TOKEN_BITS, depth=2 << self.most, init=[])
        tokens_write, tokens_read = tokens.write_port(), tokens.read_port()
        m.d.comb += [
            tokens_write.addr.eq(Cat(self.token_state, filled)),
            tokens_write.data.eq(self.token),
            tokens_write.en.eq(self.token_en),
        ]

        state = Signal(self.most)
        running = Signal()
        m.d.comb += tokens_read.addr.eq(Cat(state, ~filled))
        last_state = Signal()
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(self.most):
                with m.Case(log2):
                    m.d.comb += last_state.eq(state == (1 << log2) - 1)
        with m.If(self.start):
            m.d.sync += [filled.eq(~filled), running.eq(1), state.eq(0), self.entry_table.eq(self.table)]
        with m.Elif(running):
            m.d.sync += state.eq(state + 1)
            with m.If(last_state):
                m.d.sync += running.eq(0)

        # Second cycle: the state's token; third: the token's entry, which is written and moved on.
        second, third = Signal(), Signal()
        second_state, third_state = Signal(self.most), Signal(self.most)
        third_token = Signal(TOKEN_BITS)
        m.d.sync += [
            second.eq(running),
            third.eq(second),
            second_state.eq(state),
            third_state.eq(second_state),
            third_token.eq(tokens_read.data),
        ]
        m.d.comb += self.busy.eq(running | second | third)

        current = Signal(self.first_layout)
        following = Signal(self.first_layout)
        for buffer in range(2):
            memory = Memory(shape=self.first_layout, depth=TOKENS, init=[])
            m.submodules[f"following_{buffer}"] = memory
            write = memory.write_port()
            read = memory.read_port(transparent_for=(write,))
            m.d.comb += read.addr.eq(tokens_read.data)
            with m.If(filled == buffer):
                m.d.comb += [write.addr.eq(self.token), write.data.eq(self.first), write.en.eq(self.first_en)]
            with m.Else():
                m.d.comb += [write.addr.eq(third_token), write.data.eq(following), write.en.eq(third)]
                m.d.comb += current.eq(read.data)

        grown = Signal(self.most + 1)
        wrapped = Signal()
        m.d.comb += grown.eq(current.base + (1 << current.bits))
        with m.Switch(self.log2_states):
            for log2 in log2_states_cases(self.most):
                with m.Case(log2):
                    m.d.comb += wrapped.eq(grown[log2])
        m.d.comb += [
            following.base.eq(Mux(wrapped, 0, grown)),
            following.bits.eq(current.bits - wrapped),
            self.entry_en.eq(third),
            self.entry_state.eq(third_state),
            self.entry.token.eq(third_token),
            self.entry.bits.eq(current.bits),
            self.entry.base.eq(current.base),
        ]
        return m


class _Phase(enum.Enum):
    """What the builder reads or does."""

    IDLE = 0
    MAP = 1
    SHIFT = 2
    UNARY = 3
    NUMBER = 4
    COUNT = 5
    SPREAD = 6
    COUNTED = 7
    NUMBERING = 8
    LAST = 9
    DONE = 10


class TableBuilder(wiring.Component):
    """Reads the payload of a table set and writes its class map and decoding tables.

    Throughput: a bit, or a state, per cycle; the states of a table are numbered while the next table is read and
    spread. Eight tables of 512 states take 7,500 to 9,500 cycles. Back-pressure: it takes a word when it needs a bit
    of it, never earlier. Reset and ``start``: begin anew; what was built before is no longer a whole set.

    Parameters
    ----------
    log2_states
        log2 of the most states.

    Members
    -------
    start : In(1)
        Begin with the set of ``tables`` (less its bias) tables of two to the ``log2_states`` states.
    log2_states, tables : In
        From the header; steady from ``start`` on.
    i : In(stream of words)
        The payload.
    write : Out(TablesWrite)
        What goes into the memories.
    shifts : Out
        Low bits of each table.
    threshold : Out
        A lane with fewer unread bits refills.
    bad : Out(1)
        ``bad code``; the builder has stopped.
    done : Out(1)
        All is written; until the next ``start``.
    """

    def __init__(self, log2_states: int) -> None:
        self.most = log2_states
        super().__init__(
            {
                "start": In(1),
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "tables": In(TABLE_HEADER["tables"].width),
                "i": In(stream.Signature(WORD_BITS)),
                "write": Out(TablesWrite(log2_states)),
                "shifts": Out(data.ArrayLayout(SHIFT_BITS, MAX_TABLES)),
                "threshold": Out(range(MAX_WEIGHT_BITS + 1)),
                "bad": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        most = self.most
        cases = log2_states_cases(most)

        states = Signal(most + 1)
        step = Signal(most)
        m.d.comb += states.eq(1 << self.log2_states)
        first_count = Signal(most)
        first_order = Signal(ORDER_BITS)
        with m.Switch(self.log2_states):
            for log2 in cases:
                with m.Case(log2):
                    m.d.comb += [
                        step.eq(spread_step(log2)),
                        first_count.eq(first_prediction(log2)),
                        first_order.eq(golomb_order(first_prediction(log2))),
                    ]

        # Bits: the lowest unread one is at the bottom.
        word = Signal(WORD_BITS)
        bits_left = Signal(range(WORD_BITS + 1))
        reading = Signal()
        has_bit = Signal()
        bit = Signal()
        m.d.comb += [has_bit.eq(bits_left != 0), bit.eq(word[0]), self.i.ready.eq(reading & ~has_bit)]
        with m.If(reading & has_bit):
            m.d.sync += [word.eq(word >> 1), bits_left.eq(bits_left - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [word.eq(self.i.payload), bits_left.eq(WORD_BITS)]

        # A fixed-width number, least significant bit first.
        number = Signal(most + 2)
        place = Signal(range(most + 2))
        with m.If(reading & has_bit):
            m.d.sync += place.eq(place + 1)
            m.d.sync += number.bit_select(place, 1).eq(bit)

        table = Signal(TABLE_BITS)
        klass = Signal(CLASS_BITS)
        number_context = Signal(CONTEXT_BITS)
        m.d.comb += [
            self.write.map_klass.eq(klass),
            self.write.map_context.eq(number_context),
            self.write.map_table.eq(number),
        ]
        entry_width = Signal(range(TABLE_BITS + 1))
        with m.Switch(self.tables):
            for tables in range(1, MAX_TABLES + 1):
                with m.Case(tables - TABLE_HEADER["tables"].bias):
                    m.d.comb += entry_width.eq(map_width(tables))

        # Counts.
        prediction = Signal(most + 1)
        order = Signal(ORDER_BITS)
        width = Signal(ORDER_BITS)
        left = Signal(most + 1)
        index = Signal(TOKEN_BITS)
        mapped = Signal(most + 3)
        count = Signal(signed(most + 4))
        m.d.comb += [
            mapped.eq(number + (1 << width) - (1 << order)),
            count.eq(prediction + Mux(mapped[0], (mapped >> 1) + 1, -(mapped >> 1))),
        ]
        to_spread = Signal(most + 1)
        normal = Signal(most + 1)  # the count, shifted left until it reaches the number of states
        normal_bits = Signal(ORDER_BITS)
        counted = Signal(most + 1)
        is_normal = Signal()
        position = Signal(most)
        position_mask = Signal(most)
        m.d.comb += [
            position_mask.eq(states - 1),
            is_normal.eq(((normal & states) != 0) | (counted == 0)),
        ]

        m.submodules.numbering = numbering = StateNumbering(most)
        m.d.comb += [
            numbering.log2_states.eq(self.log2_states),
            numbering.token.eq(token_at(index)),
            numbering.token_state.eq(position),
            numbering.first.base.eq(normal & position_mask),
            numbering.first.bits.eq(normal_bits),
            numbering.table.eq(table),
            self.write.entry_en.eq(numbering.entry_en),
            self.write.entry.eq(numbering.entry),
            self.write.state.eq(numbering.entry_state),
            self.write.table.eq(numbering.entry_table),
        ]

        max_shift = Signal(SHIFT_BITS)
        m.d.sync += self.threshold.eq(self.log2_states + max_shift)
        phase = Signal(_Phase)
        with m.Switch(phase):
            with m.Case(_Phase.IDLE):
                pass
            with m.Case(_Phase.MAP):
                with m.If(place == entry_width):
                    m.d.sync += [place.eq(0), number.eq(0)]
                    m.d.comb += self.write.map_en.eq(1)
                    with m.If(number > self.tables):
                        m.d.comb += self.bad.eq(1)
                        m.d.sync += phase.eq(_Phase.IDLE)
                    with m.Elif(number_context == CONTEXTS - 1):
                        m.d.sync += [number_context.eq(0), klass.eq(klass + 1)]
                        with m.If(klass == CLASSES - 1):
                            m.d.sync += phase.eq(_Phase.SHIFT)
                    with m.Else():
                        m.d.sync += number_context.eq(number_context + 1)
                with m.Else():
                    m.d.comb += reading.eq(1)
            with m.Case(_Phase.SHIFT):
                with m.If(place == SHIFT_BITS):
                    m.d.sync += [
                        place.eq(0),
                        number.eq(0),
                        self.shifts[table].eq(number),
                        left.eq(states),
                        index.eq(0),
                        prediction.eq(first_count),
                        order.eq(first_order),
                        width.eq(first_order),
                        position.eq(0),
                    ]
                    with m.If(number[:SHIFT_BITS] > max_shift):
                        m.d.sync += max_shift.eq(number)
                    m.d.sync += phase.eq(_Phase.UNARY)
                    with m.If(self.log2_states + number[:SHIFT_BITS] > MAX_WEIGHT_BITS):
                        m.d.comb += self.bad.eq(1)
                        m.d.sync += phase.eq(_Phase.IDLE)
                with m.Else():
                    m.d.comb += reading.eq(1)
            with m.Case(_Phase.UNARY):
                m.d.comb += reading.eq(1)
                m.d.sync += [place.eq(0), number.eq(0)]
                with m.If(has_bit & bit):
                    m.d.sync += phase.eq(_Phase.NUMBER)
                with m.Elif(has_bit):
                    m.d.sync += width.eq(width + 1)
                    with m.If(width == self.log2_states + 1):
                        m.d.comb += self.bad.eq(1)
                        m.d.sync += phase.eq(_Phase.IDLE)
            with m.Case(_Phase.NUMBER):
                with m.If(place == width):
                    m.d.sync += phase.eq(_Phase.COUNT)
                with m.Else():
                    m.d.comb += reading.eq(1)
            with m.Case(_Phase.COUNT):
                m.d.sync += [
                    place.eq(0),
                    number.eq(0),
                    to_spread.eq(count),
                    counted.eq(count),
                    normal.eq(count),
                    normal_bits.eq(0),
                ]
                m.d.sync += phase.eq(_Phase.SPREAD)
                with m.If((count < 0) | (count > left)):
                    m.d.comb += self.bad.eq(1)
                    m.d.sync += phase.eq(_Phase.IDLE)
            with m.Case(_Phase.SPREAD):
                with m.If(to_spread != 0):
                    m.d.comb += numbering.token_en.eq(1)
                    m.d.sync += [to_spread.eq(to_spread - 1), position.eq((position + step) & position_mask)]
                with m.If(~is_normal):
                    m.d.sync += [normal.eq(normal << 1), normal_bits.eq(normal_bits + 1)]
                with m.If(is_normal & (to_spread[1:] == 0)):
                    m.d.comb += numbering.first_en.eq(counted != 0)
                    m.d.sync += phase.eq(_Phase.COUNTED)
            with m.Case(_Phase.COUNTED):
                m.d.sync += [left.eq(left - counted), prediction.eq(counted), index.eq(index + 1)]
                following_order = Signal(ORDER_BITS)
                with m.If((counted != 0) & (normal_bits < self.log2_states)):
                    m.d.comb += following_order.eq(self.log2_states - 1 - normal_bits)
                m.d.sync += [order.eq(following_order), width.eq(following_order)]
                m.d.sync += phase.eq(_Phase.UNARY)
                with m.If(left == counted):
                    m.d.sync += phase.eq(_Phase.NUMBERING)
                with m.Elif(index == TOKENS - 1):
                    m.d.comb += self.bad.eq(1)
                    m.d.sync += phase.eq(_Phase.IDLE)
            with m.Case(_Phase.NUMBERING), m.If(~numbering.busy):
                m.d.comb += numbering.start.eq(1)
                m.d.sync += table.eq(table + 1)
                m.d.sync += phase.eq(_Phase.SHIFT)
                with m.If(table == self.tables):
                    m.d.sync += phase.eq(_Phase.LAST)
            with m.Case(_Phase.LAST), m.If(~numbering.busy):
                m.d.sync += phase.eq(_Phase.DONE)
            with m.Case(_Phase.DONE):
                m.d.comb += self.done.eq(1)
        with m.If(self.start):
            m.d.sync += [
                phase.eq(_Phase.MAP),
                bits_left.eq(0),
                place.eq(0),
                number.eq(0),
                klass.eq(0),
                number_context.eq(0),
                table.eq(0),
                max_shift.eq(0),
            ]
        return m
