"""Properties of the AXI top: its stream ports, its register port and its registers, and the planted bugs.

As in ``properties``: a check's docstring is the property in words.
"""

from functools import reduce
from operator import add
from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, C, Cat, Module, Mux, Signal, Value

from dnnzip.format import WORD_BITS, WORD_BYTES
from dnnzip_hw.axi.counters import TURNS, Counters
from dnnzip_hw.axi.group import Group
from dnnzip_hw.axi.lite import RegisterBank
from dnnzip_hw.axi.pair import PairQueue
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.registers import (
    COUNTERS,
    GROUP,
    REGISTER_BYTES,
    SHARED,
    Access,
    Register,
    group_base,
)
from dnnzip_hw.axi.rows import RowPacker
from dnnzip_hw.axi.slice import RegisterSlice
from dnnzip_hw.axi.words import WordSplitter
from dnnzip_sim.formal.bugs import (
    QUEUE_BUGS,
    STREAM_BUGS,
    decays,
    input_is,
    item_is_doubled,
    second_is_lost,
    waiting_falls,
    waiting_flips,
)
from dnnzip_sim.formal.checks import SMALL, Property, stable
from dnnzip_sim.formal.opened import Opened
from dnnzip_sim.formal.wrapper import before

ITEM_BITS = 4
AXI = AxiParameters(SMALL, bus_bits=64, row_weights=4)
SHORT_COUNTER = 3
"""Bits of a counter, so that a proof gets to its largest value."""

WRITE_CYCLES, READ_CYCLES = 2, 2 + TURNS
"""Cycles that a write and a read may wait for their answers."""

NUMBER_BITS = 4
"""Width of the number of a weight, which wraps: more than a row and a beat hold."""


def _queue_of_two(m: Module, block: Any) -> tuple[Signal, Signal, Signal]:
    """Assert that a block is a queue of two; return how many items such a queue has, its oldest and its newest."""
    stable(m, block.o)
    held = Signal(range(3))
    oldest, newest = Signal(ITEM_BITS), Signal(ITEM_BITS)
    enters, leaves = block.i.valid & block.i.ready, block.o.valid & block.o.ready
    m.d.sync += held.eq(held + enters - leaves)
    with m.If(enters):
        m.d.sync += newest.eq(block.i.payload)
    with m.If((held - leaves)[: len(held)] == 0):
        m.d.sync += oldest.eq(block.i.payload)
    with m.Elif(leaves):
        m.d.sync += oldest.eq(newest)
    m.d.comb += [
        Assert(block.o.valid == (held != 0), "an item is lost"),
        Assert(~block.o.valid | (block.o.payload == oldest), "another item"),
        Assert(block.i.ready == (held != 2), "an item waits for nothing"),
        Assert(held <= 2, "help: more items than there are places"),
    ]
    return held, oldest, newest


def slice_keeps_order(m: Module, block: Any) -> None:
    """Items leave a register slice as they entered it, each once and in order, and wait unchanged."""
    held, _, newest = _queue_of_two(m, block)
    aside = block.probes.is_aside
    m.d.comb += [
        Assert(aside == (held == 2), "help: what is aside"),
        Assert(~aside | (block.probes.aside == newest), "help: what stands aside"),
    ]


def pair_keeps_order(m: Module, block: Any) -> None:
    """Items leave a queue of two as they entered it, each once and in order, and wait unchanged."""
    held, oldest, newest = _queue_of_two(m, block)
    items, first = block.probes.items, block.probes.first
    m.d.comb += [
        Assert(block.probes.has_two == (held == 2), "help: two items"),
        Assert(block.probes.free == first ^ (held == 1), "help: where the next one goes"),
        Assert((held == 0) | (Mux(first, items[1], items[0]) == oldest), "help: the oldest"),
        Assert((held != 2) | (Mux(first, items[0], items[1]) == newest), "help: the newest"),
    ]


def _beat_that_waits(m: Module, port: Any) -> tuple[Signal, Any]:
    """Return True if a block that keeps one beat has one, and the beat that it took last."""
    has, beat = Signal(), Signal.like(port.payload)
    with m.If(port.ready):
        m.d.sync += [has.eq(port.valid), beat.eq(port.payload)]
    return has, beat


def words_are_those_of_beats(m: Module, block: Any) -> None:
    """Each word that a beat keeps is given once, in order, the last one of a stream with ``last``; a bad beat's never.

    A stream with a bad beat ends with one zero word. Words that wait stay as they are.
    """
    stable(m, block.o)
    has, beat = _beat_that_waits(m, block.i)
    count = AXI.bus_words
    sound = [(1 << WORD_BYTES * words) - 1 for words in range(count + 1)]  # what a beat may keep
    kept, is_sound = Signal(range(count + 1)), Signal()
    with m.Switch(beat.keep):
        for words, keep in enumerate(sound):
            with m.Case(keep):
                m.d.comb += [kept.eq(words), is_sound.eq(C(int(words > 0)) | ~beat.last)]
    leaves, gives = has & block.i.ready, block.o.valid & block.o.ready
    given, broken = Signal(range(count + 1)), Signal()  # words of this beat; a bad beat came in this stream
    m.d.sync += given.eq(Mux(leaves, 0, given + gives))
    with m.If(has & ~is_sound):
        m.d.sync += broken.eq(1)
    with m.If(leaves & beat.last):
        m.d.sync += broken.eq(0)
    bad = broken | (has & ~is_sound)
    pairs = [beat.keep.word_select(number, WORD_BYTES) for number in range(count)]
    m.d.comb += [
        Assert(has | block.i.ready, "a beat waits for nothing"),
        Assert((leaves & beat.last) == (gives & block.o.payload.last), "a stream ends twice or not at all"),
        Assert(block.bad == bad, "a beat is judged wrongly"),
        Assert(block.probes.waits == has, "help: a beat is there"),
        Assert(block.probes.data == beat.data, "help: the beat's data"),
        Assert(block.probes.last == beat.last, "help: the beat is the last"),
        Assert(block.probes.kept == Cat(pair.any() for pair in pairs), "help: the beat's words"),
        Assert(block.probes.is_bad == ~is_sound, "help: the beat is bad"),
        Assert(block.probes.drops == broken, "help: what is dropped"),
        Assert(block.probes.index == given, "help: the next word"),
        Assert((given == 0) | (has & is_sound & ~broken & (given < kept)), "help: a beat is begun"),
    ]
    with m.If(bad):
        m.d.comb += Assert(~block.o.valid | (broken & (block.o.payload.data == 0) & block.o.payload.last), "a bad word")
    with m.Else():
        m.d.comb += [
            Assert(block.o.valid == (has & (given < kept)), "a word is lost or doubled"),
            Assert(~has | (leaves == (given + gives == kept)), "a beat leaves before its last word, or later"),
            Assert(~block.o.valid | (block.o.payload.data == beat.data.word_select(given, WORD_BITS)), "another word"),
            Assert(~block.o.valid | (block.o.payload.last == (beat.last & (given + 1 == kept))), "a wrong end"),
        ]


def rows_hold_the_weights(m: Module, block: Any) -> None:
    """The n-th weight of a stream's packet is the n-th of its beats, for any n: none is lost, doubled or changed.

    All rows but a packet's last are full, each end of a stream ends a packet, and rows that wait stay as they are.
    """
    stable(m, block.o)
    lanes, width, places = SMALL.lanes, SMALL.weight_bits, AXI.row_weights
    # Weights stand in the lowest lanes, and the end beat has none.
    mask = block.i.payload.mask
    m.d.comb += [Assume((mask & (mask + 1)[:lanes]) == 0), Assume(block.i.payload.last == (mask == 0))]
    # A beat that waits joins the row when it leaves.
    has, beat = _beat_that_waits(m, block.i)
    drops = Signal()
    with m.If(block.i.ready):
        m.d.sync += drops.eq(block.drop_empty)
    row = block.o.payload
    offered = Mux(has, reduce(add, beat.mask, C(0, NUMBER_BITS)), 0)
    come = Mux(block.i.ready, offered, 0)
    keeps = [row.keep[place * width // 8] for place in range(places)]
    leave = Mux(block.o.valid & block.o.ready, reduce(add, keeps, C(0, NUMBER_BITS)), 0)
    ends = has & block.i.ready & beat.last
    came, left = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
    m.d.sync += [came.eq(Mux(ends, 0, came + come)), left.eq(Mux(ends, 0, left + leave))]
    some = Signal()  # the stream has weights
    m.d.sync += some.eq(~ends & (some | (come != 0)))
    # Any weight.
    number, kept = AnyConst(NUMBER_BITS), Signal(width)
    before_it = Signal(NUMBER_BITS)
    m.d.comb += before_it.eq(number - came)
    assert lanes == 2
    own = [beat.weights[lane].as_unsigned() for lane in range(lanes)]
    weight = Mux(before_it < offered, Mux(before_it == 0, own[0], own[1]), kept)
    with m.If(block.i.ready):
        m.d.sync += kept.eq(weight)
    held = Signal(NUMBER_BITS)
    m.d.comb += held.eq(came - left)
    m.d.comb += [
        Assert(~block.o.valid | row.last | Cat(keeps).all(), "a row is not full"),
        Assert(~block.o.valid | ((Cat(keeps) & (Cat(keeps) + 1)[:places]) == 0), "a row has gaps"),
        Assert(~ends | ((left + leave)[:NUMBER_BITS] == came), "a weight is lost"),
        Assert((block.o.valid & block.o.ready & row.last) == (ends & ~(drops & ~some)), "an end is lost"),
        Assert(~block.o.valid | (row.last == beat.last), "another end"),
        Assert(held <= places, "help: a row is too full"),
        Assert(some == (held != 0), "help: a row is empty"),
    ]
    for place in range(places):
        here = (left + place)[:NUMBER_BITS] == number
        m.d.comb += [
            Assert(~(block.o.valid & keeps[place] & here) | (row.data.word_select(place, width) == weight), "changed"),
            Assert(~(here & (place < held)) | (block.probes.row[place] == kept), "help: the weight in the row"),
        ]
    # What is worked out of a beat as it comes.
    total, overflows = held + offered, held + offered > places
    m.d.comb += [
        Assert(block.probes.held == has, "help: a beat is there"),
        Assert(
            block.probes.fill == Mux(has & beat.last, 0, Mux(overflows, total - places, total)),
            "help: the row's fill",
        ),
    ]
    with m.If(has):
        m.d.comb += [
            Assert(beat.last == (beat.mask == 0), "help: an end has no weights"),
            Assert((beat.mask & (beat.mask + 1)[:lanes]) == 0, "help: the lowest lanes"),
            Assert(block.probes.last == beat.last, "help: the beat's end"),
            Assert(block.probes.gives == Mux(beat.last, ~(drops & ~some), overflows), "help: a row leaves with it"),
            Assert(
                block.probes.keep == Cat((overflows & ~beat.last) | (place < held) for place in range(places)),
                "help: what the row keeps",
            ),
        ]
        with m.Switch(held):
            for fill in range(places + 1):
                with m.Case(fill):
                    own_places = [(fill + lane) % places for lane in range(lanes)]
                    masks = {place: beat.mask[lane] for lane, place in enumerate(own_places)}
                    here = Cat(masks.get(place, C(0, 1)) for place in range(places))
                    joins = Cat(masks.get(place, C(0, 1)) if place >= fill else C(0, 1) for place in range(places))
                    m.d.comb += [
                        Assert(block.probes.here == Mux(beat.last, 0, here), "help: the beat's places"),
                        Assert(block.probes.joins == joins, "help: what joins the row"),
                        *(
                            Assert(~beat.mask[lane] | (block.probes.weights[place] == own[lane]), "help: its weights")
                            for lane, place in enumerate(own_places)
                        ),
                    ]


def _reads_as(register: Register, ports: Any) -> tuple[Value, Value]:
    """Return from the register map what a register reads as, and whether that is told in this cycle."""
    if register.is_counter:
        return ports.counter.value, ports.counter.number == COUNTERS.index(register.name)
    total: Value = C(0, 8 * REGISTER_BYTES)
    for field in register.fields:
        if field.access not in (Access.PULSE, Access.DATA):
            total = total | (getattr(ports, register.member(field)) << field.first)
    return total[: 8 * REGISTER_BYTES], C(1)


def _map(block: Any) -> dict[int, tuple[Value, Value]]:
    """Return by its address what each register of a bank for one group reads as, and whether that is told now."""
    blocks = ((0, SHARED, block.shared), (group_base(0), GROUP, block.groups[0]))
    return {
        base + register.offset: _reads_as(register, ports)
        for base, registers, ports in blocks
        for register in registers
    }


def _channel(bus: Any, name: str) -> tuple[Value, Value, Value]:
    """Return a channel's ``valid``, ``ready`` and payload."""
    payload = {
        "aw": ["addr", "prot"],
        "w": ["data", "strb"],
        "ar": ["addr", "prot"],
        "b": ["resp"],
        "r": ["data", "resp"],
    }
    parts = [Value.cast(getattr(bus, f"{name}{part}")) for part in payload[name]]
    return getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready"), Cat(parts)


def _keeps_still(m: Module, bus: Any, name: str) -> Value:
    """Return True if a channel that waited is as it was."""
    valid, ready, payload = _channel(bus, name)
    waited = before(m, valid & ~ready, f"{name}_waited")
    return ~waited | (valid & (payload == before(m, payload, f"{name}_before")))


def _outstanding(m: Module, bus: Any, asks: str, answers: str) -> Signal:
    """Return the number of requests taken whose answers were not."""
    (asked, asks_ready, _), (answered, answer_ready, _) = _channel(bus, asks), _channel(bus, answers)
    count = Signal(3, name=f"outstanding_{asks}")
    m.d.sync += count.eq(count + (asked & asks_ready) - (answered & answer_ready))
    return count


def lite_answers_each_once(m: Module, block: Any) -> None:
    """Each write and each read is answered once, and an answer that is not taken stays as it is.

    A write is answered two cycles after it came, or after the answer before was taken, and a read after as many more as
    pass until a counter is told.
    """
    bus = block.bus
    number = block.groups[0].counter.number
    m.d.comb += Assume(number == (before(m, number, "number_before") + 1)[: len(number)])  # each in its turn
    m.d.comb += [Assume(_keeps_still(m, bus, name)) for name in ("aw", "w", "ar")]
    m.d.comb += [Assert(_keeps_still(m, bus, name), "an answer changed while it waited") for name in ("b", "r")]
    addresses, data, reads = (_outstanding(m, bus, *pair) for pair in (("aw", "b"), ("w", "b"), ("ar", "r")))
    waiting = ((addresses != 0) & (data != 0) & ~bus.bvalid, (reads != 0) & ~bus.rvalid)
    waits = [Signal(range(READ_CYCLES + 2), name=f"{name}_waits") for name in ("write", "read")]
    m.d.sync += [count.eq(Mux(still, count + 1, 0)) for count, still in zip(waits, waiting, strict=True)]
    m.d.comb += [
        Assert(~bus.bvalid | ((addresses != 0) & (data != 0)), "an answer to no write"),
        Assert(~bus.rvalid | (reads != 0), "an answer to no read"),
        Assert(waits[0] <= WRITE_CYCLES, "a write is not answered"),
        Assert(waits[1] <= READ_CYCLES, "a read is not answered"),
        Assert(addresses == bus.bvalid + ~bus.awready, "an address waits for nothing"),
        Assert(data == bus.bvalid + ~bus.wready, "data wait for nothing"),
        Assert(reads == ~bus.arready, "a read waits for nothing"),
    ]


def registers_hold_what_is_written(m: Module, block: Any) -> None:
    """A control field is what was last written to it, byte by byte, and a read returns the value of its register.

    Nothing else changes a field, and a register that is handed on is never handed on without a write of all of it.
    """
    bus, group = block.bus, block.groups[0]
    address, data, strobes = Signal.like(bus.awaddr), Signal.like(bus.wdata), Signal.like(bus.wstrb)
    with m.If(bus.awvalid & bus.awready):
        m.d.sync += address.eq(bus.awaddr)
    with m.If(bus.wvalid & bus.wready):
        m.d.sync += [data.eq(bus.wdata), strobes.eq(bus.wstrb)]
    answered = bus.bvalid & ~before(m, bus.bvalid, "b_before")
    written = Cat(strobe.replicate(8) for strobe in strobes)
    begun = before(m, C(1), "begun")
    for register in GROUP:
        here = (address >> 2) == (group_base(0) + register.offset) // REGISTER_BYTES
        for field in register.fields:
            if field.access is not Access.CONTROL:
                continue
            bits = slice(field.first, field.first + field.width)
            port = getattr(group, register.member(field))
            was = before(m, port, f"was_{field.name}")
            merged = (data[bits] & written[bits]) | (was & ~written[bits])
            m.d.comb += Assert(~begun | (port == Mux(answered & here, merged, was)), f"{field.name} is another")
    handed, pulses = group.load.valid, [group.control_reset, group.control_clear_errors, group.control_clear_counters]
    m.d.comb += [
        Assert(~before(m, handed, "handed") | answered, "a word is handed on without a write"),
        Assert(~Cat(pulses).any() | answered, "something acts without a write"),
        Assert(~handed | (written[: WORD_BITS + 1].all()), "half a word is handed on"),
    ]
    asked = Signal.like(bus.araddr)
    with m.If(bus.arvalid & bus.arready):
        m.d.sync += asked.eq(bus.araddr)
    value, told = Signal(8 * REGISTER_BYTES), Signal(init=1)
    with m.Switch(asked[2:]):
        for place, (content, is_told) in _map(block).items():
            with m.Case(place // REGISTER_BYTES):
                m.d.comb += [value.eq(content), told.eq(is_told)]
    m.d.comb += [
        Assert(address == block.probes.write_address, "help: where"),
        Assert(data == block.probes.write_value, "help: what"),
        Assert(strobes == block.probes.write_strobes, "help: which bytes"),
        Assert(asked == block.probes.read_address, "help: what is asked"),
    ]
    value_before, told_before = before(m, value, "value_before"), before(m, told, "told_before")
    came = bus.rvalid & ~before(m, bus.rvalid, "r_before")
    m.d.comb += Assert(~came | ((bus.rdata == value_before) & told_before), "another value is read")


def errors_stay(m: Module, block: Any) -> None:
    """Errors, and the first cause, stay in the register ``error`` until that is cleared."""
    registers = block.registers
    clears = before(m, registers.control_clear_errors, "clears")
    for name in ("any", "bad_keep", "load_lost"):
        flag = getattr(registers, f"error_{name}")
        m.d.comb += Assert(~before(m, flag, f"{name}_before") | clears | flag, f"{name} is forgotten")
    had = before(m, registers.error_any, "had")
    cause = before(m, registers.error_first_cause, "cause_before")
    lost = before(m, registers.load.valid & ~registers.load.ready, "lost")
    m.d.comb += [
        Assert(~had | clears | (registers.error_first_cause == cause), "the first cause changed"),
        Assert(~lost | registers.error_load_lost, "a lost word is not told"),
    ]


def counters_only_rise(m: Module, block: Any) -> None:
    """A counter never goes down or round, but within 20 cycles after a clear or a reset."""
    limit = 20
    number = AnyConst(len(block.o.number))
    known, last = Signal(), Signal(SHORT_COUNTER)
    told = block.o.number == number
    with m.If(told):
        m.d.sync += [known.eq(1), last.eq(block.o.value)]
    since = Signal(range(limit + 1))
    with m.If(block.clear):
        m.d.sync += since.eq(0)
    with m.Elif(since != limit):
        m.d.sync += since.eq(since + 1)
    m.d.comb += [
        Assert(~(told & known & (since == limit)) | (block.o.value >= last), "a counter goes down"),
        Assert(~known | (block.row(block.probes.totals, number) == last), "help: what stands in the memory"),
        Assert(block.probes.turn == 1 << block.probes.number, "help: whose turn it is"),
    ]


def rows_are_stable(m: Module, block: Any) -> None:
    """A row on ``o`` that is not taken stays valid and keeps its payload until it is, soft resets or not."""
    stable(m, block.o)


def silent_after_reset(m: Module, block: Any) -> None:
    """For two cycles after a reset of one cycle or more there is no row, and no error, verdict or event is told.

    The block within is reset in the second of them: what comes later is not of what was before.
    """
    registers = block.registers
    age = Signal(2)  # cycles since the reset, up to the second
    m.d.sync += age.eq(Mux(age == 2, 2, age + 1))
    is_new = age != 2
    told = (
        "error_any",
        "error_first_cause",
        "error_bad_keep",
        "status_tables",
        "status_load_done",
        "status_load_cause",
    )
    m.d.comb += Assert(~is_new | ~block.o.valid, "a row is left")
    for name in told:
        m.d.comb += Assert(~is_new | (getattr(registers, name) == 0), f"{name} is left")
    leave = block.probes.leave
    m.d.comb += [
        Assert((age != 0) | ~block.probes.counters.count, "an event is counted"),
        Assert((age != 0) | block.restart, "help: the block within is reset next"),
        Assert((age != 0) | (leave.i.ready & ~leave.i.valid), "help: nothing is in the exit, or on its way to it"),
    ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


def half_words_pass(m: Module, block: Any, around: Any) -> None:
    """A word of which one byte is kept counts as whole."""
    keep = around.i.payload.keep
    m.d.comb += block.i.payload.keep.eq(keep | (keep >> 1) & 0x55)


def last_row_is_empty(m: Module, block: Any, around: Any) -> None:
    """The last row keeps nothing."""
    with m.If(block.o.payload.last):
        m.d.comb += around.o.payload.keep.eq(0)


def weights_swap(m: Module, block: Any, around: Any) -> None:
    """Two weights of a row change places."""
    data, width = block.o.payload.data, SMALL.weight_bits
    m.d.comb += around.o.payload.data[: 2 * width].eq(Cat(data[width : 2 * width], data[:width]))


def answer_is_doubled(m: Module, block: Any, around: Any) -> None:
    """The answer to a read is given twice."""
    again = Signal()
    m.d.comb += block.bus.rready.eq(around.bus.rready & again)
    m.d.sync += again.eq(block.bus.rvalid & around.bus.rready & ~again)


def read_is_wrong(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
    """A bit that is read is always 0."""
    m.d.comb += around.bus.rdata[1].eq(0)


def control_decays(m: Module, block: Any, around: Any) -> None:
    """The control ``enable`` goes back to 1 by itself."""
    cleared = before(m, ~block.groups[0].control_enable, "cleared")
    m.d.comb += around.groups[0].control_enable.eq(block.groups[0].control_enable | cleared)


def row_stays(m: Module, block: Any, around: Any) -> None:
    """A row that waits is there for one more cycle, whatever comes."""
    waited = Signal(reset_less=True)
    m.d.sync += waited.eq(block.o.valid & ~around.o.ready)
    m.d.comb += around.o.valid.eq(block.o.valid | waited)


def error_stays(m: Module, block: Any, around: Any) -> None:
    """An error outlasts a reset by a cycle."""
    earlier = Signal(reset_less=True)
    m.d.sync += earlier.eq(block.registers.error_any)
    m.d.comb += around.registers.error_any.eq(block.registers.error_any | earlier)


def cleared_by_counters(m: Module, block: Any, around: Any) -> None:
    """Errors are cleared with the counters."""
    registers = around.registers
    m.d.comb += block.registers.control_clear_errors.eq(
        registers.control_clear_errors | registers.control_clear_counters
    )


def counter_goes_round(m: Module, block: Any, around: Any) -> None:
    """A counter has two bits, and goes round."""
    m.d.comb += around.o.value.eq(block.o.value[:2])


AXI_PROPERTIES = (
    Property(
        "order", "RegisterSlice", lambda: Opened(RegisterSlice(ITEM_BITS)), slice_keeps_order, 2, True, QUEUE_BUGS,
        quick=True,
    ),
    Property(
        "order", "PairQueue", lambda: Opened(PairQueue(ITEM_BITS)), pair_keeps_order, 2, True, QUEUE_BUGS,
    ),
    Property(
        "order", "WordSplitter, 4 words", lambda: Opened(WordSplitter(AXI)), words_are_those_of_beats, 2, True,
        {"beat lost": second_is_lost, "word doubled": item_is_doubled, "half words": half_words_pass, **STREAM_BUGS},
    ),
    Property(
        "order", "RowPacker, 2 lanes to 4", lambda: Opened(RowPacker(AXI)), rows_hold_the_weights, 2, True,
        {
            "beat lost": second_is_lost, "row doubled": item_is_doubled, "last row empty": last_row_is_empty,
            "weights swap": weights_swap, **STREAM_BUGS,
        },
    ),
    Property("stable", "Group", lambda: Group(AXI), rows_are_stable, 2, True, STREAM_BUGS, free=("core",)),
    Property(
        "silent after reset", "Group", lambda: Opened(Group(AXI)), silent_after_reset, 2, True,
        {"row stays": row_stays, "error stays": error_stays}, free=("core",), quick=True,
    ),
    Property(
        "answers", "RegisterBank", lambda: RegisterBank(1), lite_answers_each_once, 12, True,
        {
            "answer falls": waiting_falls("bus.bvalid", "bus.bready"), "answer doubled": answer_is_doubled,
            "read flips": waiting_flips("bus.rvalid", "bus.rready", "bus.rdata"),
        },
    ),
    Property(
        "registers", "RegisterBank", lambda: Opened(RegisterBank(1)), registers_hold_what_is_written, 4, True,
        {"read wrong": read_is_wrong, "strobes ignored": input_is("bus.wstrb", -1), "control decays": control_decays},
    ),
    Property(
        "errors stay", "Group", lambda: Group(AXI), errors_stay, 2, True,
        {"error decays": decays("registers.error_load_lost"), "cleared by counters": cleared_by_counters},
        free=("core",),
    ),
    Property(
        "counters", "Counters", lambda: Opened(Counters(dict.fromkeys(COUNTERS, 1), bits=SHORT_COUNTER)),
        counters_only_rise, 12, True, {"goes round": counter_goes_round}, search=60,
    ),
)  # fmt: skip
