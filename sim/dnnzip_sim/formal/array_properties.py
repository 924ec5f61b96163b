"""Properties of the PE array's memory side, interface and control, and the planted bugs that must be noticed.

As in ``properties``: a check's docstring is the property in words.
"""

from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Value

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.array.bursts import BurstReader
from dnnzip_hw.array.feed import WordFeed
from dnnzip_hw.array.hops import Hops
from dnnzip_hw.array.interface import PEArrayInterface
from dnnzip_hw.array.parameters import PAGE_BYTES, ArrayParameters
from dnnzip_hw.array.plain import PlainWeights
from dnnzip_hw.array.runs import RunControl
from dnnzip_hw.array.sums import SPACING
from dnnzip_hw.array.walker import ImageWalker
from dnnzip_sim.formal.bugs import QUEUE_BUGS, STREAM_BUGS, decays, input_is
from dnnzip_sim.formal.checks import Property, assume_stable, count_of, in_order, stable, waits_unchanged
from dnnzip_sim.formal.wrapper import before

NARROW = DecompressorParameters(2, 2, 8, 8)
SMALL = ArrayParameters(NARROW, columns=2, vectors=16, burst=2, buffer=4, hops=1)
WIDE = ArrayParameters(NARROW, columns=2, vectors=16, bus_bits=256, burst=2, buffer=4)
"""A bus word holds an entry of the image's table, so that a search gets far."""

ITEM_BITS = 4


def bus_keeps_order(m: Module, block: Any) -> None:
    """Items leave the on-chip bus as they entered it, in the same order, and wait unchanged."""
    in_order(m, Value.cast(block.i.payload), block.i.valid & block.i.ready, Value.cast(block.o.payload), block.o)
    stable(m, block.o)


def words_are_stable(m: Module, block: Any) -> None:
    """If bus words keep the rules of a stream, then so do the words that are made of them."""
    assume_stable(m, block.i)
    stable(m, block.o)


def _fetches(block: Any) -> list[Any]:
    """Return the ports of a reader of bursts for one group: of the group, of the walker, and for all groups."""
    return [getattr(block, f"fetch_{reader}") for reader in range(3)]


def bursts_stay_in_a_page(m: Module, block: Any) -> None:
    """Fetches of aligned addresses yield aligned bursts of at most ``burst`` beats that do not leave their page."""
    size = SMALL.bus_bytes
    for fetch in _fetches(block):
        m.d.comb += [
            Assume(fetch.payload.address[: (size - 1).bit_length()] == 0),
            Assume(fetch.payload.words != 0),
        ]
    beats = block.ar.payload.length + 1
    start = block.ar.payload.address[: (PAGE_BYTES - 1).bit_length()]
    with m.If(block.ar.valid):
        m.d.comb += [
            Assert(start + beats * size <= PAGE_BYTES, "a burst leaves its page"),
            Assert(block.ar.payload.address[: (size - 1).bit_length()] == 0, "a burst is not aligned"),
            Assert(beats <= SMALL.burst, "a burst is too long"),
        ]


def data_finds_room(m: Module, block: Any) -> None:
    """Bus words that were asked for and not yet taken never pass the buffer's size, where only one reader fetches."""
    first, *others = _fetches(block)
    m.d.comb += [Assume(first.payload.words != 0), *(Assume(~fetch.valid) for fetch in others)]
    asked = count_of(m, block.ar.valid & block.ar.ready, "asked", (block.ar.payload.length + 1)[:3])
    taken = count_of(m, block.o_0.valid & block.o_0.ready, "taken")
    with m.If(taken <= asked):  # else the memory sends what nobody asked for
        m.d.comb += Assert(asked <= taken + SMALL.buffer, "more was asked for than there is room for")


def complete_tiles_are_not_written(m: Module, block: Any) -> None:
    """A tile that is complete is not written, and stays complete until it is taken."""
    m.d.comb += Assume(~block.take | block.complete)
    waited = before(m, block.complete & ~block.take, "waited")
    m.d.comb += Assert(~(block.write_en & block.complete), "a complete tile is written")
    with m.If(waited):
        m.d.comb += Assert(block.complete, "a complete tile is lost")


def errors_stay(m: Module, block: Any) -> None:
    """Once a group's weights are not to be used, the cause stays, and nothing more is taken."""
    cause = before(m, block.cause, "cause_before")
    with m.If(cause != 0):
        m.d.comb += [
            Assert(block.cause == cause, "the cause changed"),
            Assert(~block.i.ready & ~block.parts.ready, "something is taken after an error"),
        ]


def vectors_meet_whole_tiles(m: Module, block: Any) -> None:
    """A vector goes only with complete tiles, with room for its results, and not into accumulators that are in use."""
    m.d.comb += [
        Assert((block.take & ~block.complete) == 0, "a tile is taken that is not complete"),
        Assert(~block.goes | (block.i.valid & block.i.ready), "a vector goes that is not there"),
        Assert(~block.goes | ~block.last | block.room, "a vector goes without room for its results"),
        Assert(block.goes | (block.take == 0), "a tile is taken without a vector"),
    ]
    goes, address = block.goes, block.address
    for age in range(1, SPACING):
        goes = before(m, goes, f"went_{age}")
        address = before(m, address, f"address_{age}")
        m.d.comb += Assert(~(block.goes & goes & (address == block.address)), "accumulators are in use")


def faults_stay(m: Module, block: Any) -> None:
    """Once a walk has stopped with a fault, the fault stays, and no part is given and nothing fetched any more."""
    fault = before(m, block.fault, "fault_before")
    gives = Cat(block.fetch.valid, block.fetch_all.valid, block.fetch_0.valid, block.parts_0.valid)
    with m.If(fault != 0):
        m.d.comb += [
            Assert(block.fault == fault, "the fault changed"),
            Assert(~gives.any(), "something is given after a fault"),
        ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


def address_moves(m: Module, block: Any, around: Any) -> None:
    """A burst's address counts on while it waits."""
    waited = before(m, block.ar.valid & ~block.ar.ready, "waited")
    m.d.comb += around.ar.payload.address.eq(block.ar.payload.address + waited)


def burst_is_longer(m: Module, block: Any, around: Any) -> None:
    """A burst has a beat more than it should have."""
    m.d.comb += around.ar.payload.length.eq(block.ar.payload.length + 1)


def tile_is_written(m: Module, block: Any, around: Any) -> None:
    """The first weight of the next tile is written before the complete one is taken."""
    m.d.comb += around.write_en.eq(block.write_en | block.complete)


def tile_is_lost(m: Module, block: Any, around: Any) -> None:
    """A complete tile counts as taken after a cycle."""
    waited = before(m, block.complete, "waited")
    m.d.comb += [around.complete.eq(block.complete & ~waited), block.take.eq(waited)]


ARRAY_PROPERTIES = (
    Property(
        "order", "Hops", lambda: Hops(ITEM_BITS, 2), bus_keeps_order, 10, False,
        QUEUE_BUGS, quick=True,
    ),
    Property("stable", "WordFeed", lambda: WordFeed(SMALL), words_are_stable, 2, True, STREAM_BUGS),
    Property(
        "stable", "PlainWeights", lambda: PlainWeights(NARROW), waits_unchanged("A beat of plain weights"), 12, False,
        STREAM_BUGS,
    ),
    Property(
        "stable", "BurstReader", lambda: BurstReader(SMALL, 1), waits_unchanged("A burst's address", "ar"), 10,
        False, {"address moves": address_moves}, as_registers=True,
    ),
    Property(
        "pages", "BurstReader", lambda: BurstReader(SMALL, 1), bursts_stay_in_a_page, 10, False,
        {"longer": burst_is_longer}, as_registers=True,
    ),
    Property(
        "room", "BurstReader", lambda: BurstReader(SMALL, 1), data_finds_room, 14, False,
        {"longer": burst_is_longer}, as_registers=True, search=14,
    ),
    Property(
        "whole tiles", "PEArrayInterface", lambda: PEArrayInterface(SMALL), complete_tiles_are_not_written, 3, True,
        {"written early": tile_is_written, "tile lost": tile_is_lost}, quick=True,
    ),
    Property(
        "errors stay", "PEArrayInterface", lambda: PEArrayInterface(SMALL), errors_stay, 2, True,
        {"cause decays": decays("cause")},
    ),
    Property(
        "whole tiles", "RunControl", lambda: RunControl(SMALL), vectors_meet_whole_tiles, 5, True,
        {"tile early": input_is("complete", 1), "room always": input_is("room", 1)}, quick=True,
    ),
    Property(
        "faults stay", "ImageWalker", lambda: ImageWalker(WIDE), faults_stay, 10, False,
        {"fault decays": decays("fault")},
    ),
)  # fmt: skip
