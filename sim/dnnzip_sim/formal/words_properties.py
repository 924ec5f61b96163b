"""Properties of the way of a word from the decompressor's input to the part that wants it.

As in ``properties``: a check's docstring is the property in words.
"""

from functools import reduce
from operator import add
from typing import Any

from amaranth.hdl import Assert, C, Cat, Module, Signal, Value

from dnnzip.format import Verdict
from dnnzip_hw import Decompressor
from dnnzip_hw.decompressor import Phase
from dnnzip_hw.tables import _Phase as BuilderPhase
from dnnzip_sim.formal.bugs import inside
from dnnzip_sim.formal.checks import LINE, ON_ICE40, Property
from dnnzip_sim.formal.opened import Opened, is_any, one_hot
from dnnzip_sim.formal.wrapper import Change, before


def words_go_where_they_belong(m: Module, block: Any) -> None:
    """Each word that is taken goes to one part of the decompressor that wants it, once and in order.

    None goes to a stream before its own, and none beyond a stream's payload to the lanes.
    """
    probes, phases = block.probes, block.probes.phases
    header, builder, distributor = probes.header, probes.builder, probes.distributor
    goes, gets, line_gets, ended = probes.goes, probes.gets, probes.line_gets, probes.ended
    # A queue of one, as plain as can be.
    held, kept = Signal(), Signal.like(Value.cast(block.i.payload))
    enters = block.i.valid & block.i.ready
    with m.If(goes):
        m.d.sync += held.eq(0)
    with m.If(enters):
        m.d.sync += [held.eq(1), kept.eq(block.i.payload)]
    takers = (gets, line_gets, distributor.taken)
    wanting = (Phase.HEADER, Phase.TABLES, Phase.RAW, Phase.COLUMNS, Phase.OFFSETS, Phase.CRC, Phase.DRAIN)
    payload = (
        Phase.TABLES, Phase.RAW_SIZE, Phase.RAW, Phase.LINE, Phase.COLUMNS, Phase.OFFSETS, Phase.PREPARE, Phase.WEIGHTS
    )  # fmt: skip
    m.d.comb += [
        Assert(~goes | held, "a word that nobody brought"),
        Assert(~enters | ~held | goes, "a word is lost"),
        Assert(~held | (Cat(probes.word, probes.word_last) == kept), "another word"),
        Assert(reduce(add, takers, C(0, 2)) == goes, "a word goes to two parts or to none"),
        Assert(~gets | is_any(phases, *wanting), "a word goes to a part that wants none"),
        Assert(~line_gets | phases.at(Phase.LINE), "a word goes to the lines that are none"),
        Assert(~distributor.taken | is_any(phases, Phase.WEIGHTS), "a word goes to lanes that rest"),
        Assert(~(goes & ended), "a word of the next stream is taken"),
        Assert(~((distributor.taken | line_gets) & probes.payload_over), "a word goes beyond a stream's payload"),
        Assert(~(header.word_en & header.probes.whole), "a header gets a word too many"),
        Assert(
            ~builder.i.valid | builder.i.ready | (builder.verdict != Verdict.OK) | is_any(phases, Phase.DRAIN),
            "a word of a table set is lost",
        ),
        Assert(~is_any(phases, *payload) | probes.in_payload, "help: not in the payload"),
        Assert(one_hot(phases, Phase), "help: two phases"),
        Assert(one_hot(builder.probes.phases, BuilderPhase), "help: two phases of the builder"),
        Assert(probes.has_word == held, "help: a word is there"),
    ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


@inside()
def word_is_kept(bug: Module, block: Any) -> None:
    """A word stays on offer after it has gone, where no other one came."""
    has_word = block.probes.has_word
    with bug.If(block.probes.goes & ~block.i.valid):
        bug.d.sync += has_word.eq(has_word)


def words_are_replaced(m: Module, block: Any, around: Any) -> None:
    """A word is taken while one waits."""
    m.d.comb += around.i.ready.eq(block.i.ready | before(m, ~block.i.ready, "waits"))
    bug = Module()
    bug.d.comb += block.i.ready.eq(1)
    block.plant(block, bug)


@inside()
def end_is_overlooked(bug: Module, block: Any) -> None:
    """Words are offered after a stream's last one."""
    bug.d.sync += block.probes.offered.eq(block.probes.has_word & ~block.probes.goes)


@inside()
def header_takes_all(bug: Module, block: Any) -> None:
    """A word is taken for the header in every cycle."""
    with bug.If(block.probes.phases.at(Phase.HEADER)):
        bug.d.sync += block.probes.taking.eq(1)


@inside()
def payload_is_endless(bug: Module, block: Any) -> None:
    """The end of the payload is not noticed in time."""
    bug.d.comb += block.probes.over_soon.eq(0)


WORD_BUGS: dict[str, Change] = {
    "word kept": word_is_kept,
    "words replaced": words_are_replaced,
    "end overlooked": end_is_overlooked,
    "header takes all": header_takes_all,
}

WITHOUT_DATA = ("ring.history", "ring.rounds", "header*.check", "checksum", "raw_size", "output")
"""Blocks that have no say in where words go, besides the lanes: they may do anything."""

WORDS_PROPERTIES = (
    Property(
        "words", "Decompressor, 1 lane, line", lambda: Opened(Decompressor(LINE)), words_go_where_they_belong, 10, True,
        WORD_BUGS, {"payload endless": payload_is_endless}, free=("ring.lane_0", "ring.value_0", *WITHOUT_DATA),
        search=16,
    ),
    Property(
        "words", "Decompressor, 1 lane, iCE40", lambda: Opened(Decompressor(ON_ICE40)), words_go_where_they_belong,
        10, True, {"words replaced": words_are_replaced}, free=("ring.lane_0", "ring.value_0", *WITHOUT_DATA),
        search=16,
    ),
)  # fmt: skip
