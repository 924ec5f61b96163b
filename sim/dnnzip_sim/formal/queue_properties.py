"""Properties of the decompressor's queues: order for any number of rows, and that none ever overflows.

As in ``properties``: a check's docstring is the property in words.
"""

from typing import Any

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.utils import ceil_log2

from dnnzip_hw import Decompressor
from dnnzip_hw.decompressor import Phase
from dnnzip_hw.memory import GENERIC, ICE40, TARGETS
from dnnzip_hw.queue import DEPTH, Queue
from dnnzip_sim.formal.bugs import inside, strobe_is_doubled, strobe_is_lost, waiting_flips
from dnnzip_sim.formal.checks import LINE, ON_ICE40, Property
from dnnzip_sim.formal.opened import Opened, one_hot
from dnnzip_sim.formal.wrapper import Change, before

ROW_BITS = 4
PLACES = range(DEPTH)


def _queues(block: Any) -> dict[str, Queue]:
    """Return the queues of a decompressor by their paths."""
    probes = block.probes
    return {
        "distributor.queue": probes.distributor.probes.queue,
        "output.beats": probes.output.probes.beats,
        "output.words": probes.output.probes.words,
    }


def rows_leave_in_order(m: Module, block: Any) -> None:
    """The n-th row read is the n-th that was written since the last flush, for any n: none is lost or doubled."""
    held = Signal(range(DEPTH + 1))
    written, read = Signal(PLACES), Signal(PLACES)  # how many, modulo the rows that there are
    m.d.comb += [Assume(~block.r_en | block.r_rdy), Assume(~block.w_en | block.r_en | (held < DEPTH - 1))]
    m.d.sync += [
        held.eq(Mux(block.flush, 0, held + block.w_en - block.r_en)),
        written.eq(Mux(block.flush, 0, written + block.w_en)),
        read.eq(Mux(block.flush, 0, read + block.r_en)),
    ]
    # Any row: what it is and whether it waits.
    number = AnyConst(ceil_log2(DEPTH))
    waits, kept = Signal(), Signal(ROW_BITS)
    with m.If(block.r_en & (read == number)):
        m.d.sync += waits.eq(0)
    with m.If(block.w_en & (written == number)):
        m.d.sync += [waits.eq(1), kept.eq(block.w_data)]
    with m.If(block.flush):
        m.d.sync += waits.eq(0)
    with m.If(block.r_rdy & (read == number)):
        m.d.comb += [
            Assert(waits, "a row that nobody wrote, or read before"),
            Assert(block.r_data == kept, "another row"),
        ]
    m.d.comb += [
        Assert(block.r_rdy == (held != 0), "a row is lost"),
        Assert(block.probes.w_place == written, "help: rows written"),
        Assert(block.probes.used == held, "help: rows used"),
        Assert(held < DEPTH, "help: rows held"),
        Assert((written - read)[: len(written)] == held[: len(written)], "help: rows between"),
        Assert(waits == ((number - read)[: len(read)] < held), "help: the row waits"),
        Assert(~waits | (block.row(block.probes.rows, number) == kept), "help: the row stands there"),
    ]
    if block.target != ICE40:
        m.d.comb += Assert(block.probes.r_place == read, "help: rows read")
        return
    head = block.probes.head
    m.d.comb += [
        Assert(head.second == (read + 1)[: len(read)], "help: the row after the oldest"),
        Assert(head.third == (read + 2)[: len(read)], "help: the row after that"),
        Assert(head.one == (held == 1), "help: one row"),
        Assert(head.two == (held == 2), "help: two rows"),
        Assert(
            ~(waits & (number == head.second)) | (Mux(head.is_fresh, head.fresh, head.read.data) == kept),
            "help: the row that comes next",
        ),
    ]


def queues_never_overflow(m: Module, block: Any) -> None:
    """Whatever words come and lanes do: no queue is written while it is full, none is read while it is empty."""
    m.d.comb += Assert(one_hot(block.probes.phases, Phase), "help: two phases")
    for path, queue in _queues(block).items():
        used = queue.probes.used
        m.d.comb += [
            Assert(~queue.w_en | queue.r_en | (used != DEPTH - 1), f"{path} overflows"),
            Assert(~queue.r_en | queue.r_rdy, f"{path} is read while it is empty"),
            Assert(queue.r_rdy == (used != 0), f"help: {path} has what it says"),
        ]
        if queue.target == ICE40:
            m.d.comb += [
                Assert(getattr(queue.probes.head, name) == (used == count), f"help: {path} has {name}")
                for name, count in (("one", 1), ("two", 2))
            ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


def row_stays(m: Module, block: Any, around: Any) -> None:
    """A row that was read is read again."""
    m.d.comb += block.r_en.eq(around.r_en & before(m, around.r_en, "again"))


@inside("probes.output")
def words_are_read_always(bug: Module, output: Any) -> None:
    """The queue of words is read in every cycle."""
    bug.d.comb += output.probes.words.r_en.eq(1)


@inside("probes.output")
def beats_come_always(bug: Module, output: Any) -> None:
    """A beat goes into its queue in every cycle."""
    bug.d.comb += output.probes.beats.w_en.eq(1)


@inside("probes.distributor.probes.queue")
def requests_have_room(bug: Module, queue: Any) -> None:
    """The queue of requests always says that it has room."""
    bug.d.sync += queue.room.eq(1)


def room_is_late(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
    """A queue says that it has no room when one row fits, which is too late."""
    for queue in _queues(block).values():
        bug = Module()
        bug.d.sync += queue.room.eq(queue.probes.used < DEPTH - 2)
        block.plant(queue, bug)


ROW_BUGS: dict[str, Change] = {
    "row lost": strobe_is_lost("w_en", 2),
    "row doubled": strobe_is_doubled("w_en"),
    "row flips": waiting_flips("r_rdy", "r_en", "r_data"),
    "read twice": row_stays,
}


def _ordered(target: str) -> Property:
    """Return the order of a queue that is built of a target's memories."""
    return Property(
        "order", f"Queue, {target}", lambda: Opened(Queue(ROW_BITS, target)), rows_leave_in_order, 3, True, ROW_BUGS,
        quick=target == GENERIC,
    )  # fmt: skip


WITHOUT_QUEUES = ("ring.history", "ring.rounds", "header*.check", "checksum", "raw_size", "builder")
"""Blocks that have no say in how full queues are, besides the lanes: they may do anything."""

QUEUE_PROPERTIES = (
    *map(_ordered, TARGETS),
    Property(
        "no overflow", "Decompressor, 1 lane, line", lambda: Opened(Decompressor(LINE)), queues_never_overflow,
        12, True, {"read always": words_are_read_always},
        {"written always": beats_come_always, "requests have room": requests_have_room, "room late": room_is_late},
        free=("ring.lane_0", "ring.value_0", *WITHOUT_QUEUES),
    ),
    Property(
        "no overflow", "Decompressor, 1 lane, iCE40", lambda: Opened(Decompressor(ON_ICE40)), queues_never_overflow,
        12, True, {"read always": words_are_read_always}, {"room late": room_is_late},
        free=("ring.lane_0", "ring.value_0", *WITHOUT_QUEUES),
    ),
)  # fmt: skip
