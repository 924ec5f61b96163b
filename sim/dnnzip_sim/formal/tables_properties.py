"""Property of the whole decompressor, seen from inside: its tables stay as they are while weights are decoded.

As in ``properties``: a check's docstring is the property in words.
"""

from typing import Any

from amaranth.hdl import Assert, C, Cat, Module, Mux, Signal

from dnnzip.format import TABLE_HEADER, WEIGHT_HEADER, WORD_BITS, Codec, Verdict
from dnnzip_hw import Decompressor, DecompressorParameters
from dnnzip_hw.decompressor import Phase
from dnnzip_hw.header import first_word
from dnnzip_hw.layouts import WEIGHT_HEADER_LAYOUT
from dnnzip_hw.tables import _Phase as BuilderPhase
from dnnzip_sim.formal.bugs import inside
from dnnzip_sim.formal.checks import LINE, ON_ICE40, Property
from dnnzip_sim.formal.opened import Opened, is_any, one_hot
from dnnzip_sim.formal.wrapper import Change, before


def tables_rest_while_decoding(m: Module, block: Any) -> None:
    """No table's entry or row is written from a stream's preparation on until its last turn has left the ring."""
    builder, ring, header, loaded = block.probes.builder, block.probes.ring, block.probes.header, block.probes.loaded
    top, of_builder = block.probes.phases, builder.probes.phases
    for lane in ring.probes.lanes:
        write = lane.tables
        decodes = top.at(Phase.PREPARE) | ring.run | ring.flying
        m.d.comb += Assert(~(decodes & (write.entry_en | write.row_en)), "a table is written while weights are decoded")

    within = builder.probes
    stages, busy = Cat(within.numbering.probes.stages), within.numbering.busy
    stops, started, begins = within.stops, within.started, within.begins
    fails_any = within.fails | within.fails_unsupported
    decoding = is_any(top, Phase.COLUMNS, Phase.OFFSETS, Phase.PREPARE, Phase.WEIGHTS)
    built = of_builder.at(BuilderPhase.DONE)
    m.d.comb += [
        Assert(one_hot(top, Phase), "help: two phases"),
        Assert(one_hot(of_builder, BuilderPhase), "help: two phases of the builder"),
        # A builder that has got to the rows has waited for the numbering, and nothing begins there.
        Assert(busy | ~stages.any(), "help: states are numbered unnoticed"),
        Assert(~is_any(of_builder, BuilderPhase.ROWS, BuilderPhase.DONE) | ~stages.any(), "help: numbered when done"),
        Assert(
            ~is_any(of_builder, BuilderPhase.NUMBERING, BuilderPhase.ROWS, BuilderPhase.DONE)
            | ~Cat(fails_any, within.read_table, within.read_shift).any(),
            "help: a builder fails that is done",
        ),
        # Tables are loaded while a whole set stands there, and a cycle after the builder begins with the next one.
        Assert(~loaded | built, "help: no set is loaded"),
        Assert(~loaded | ~(stops | started) | (top.at(Phase.CHOOSE) & header.is_tables), "help: begun unnoticed"),
        Assert(~loaded | ~begins, "help: begun"),
        Assert(
            ~(is_any(top, Phase.TABLES, Phase.PAYLOAD_END, Phase.CRC, Phase.VERDICT) & header.is_tables & built)
            | ~Cat(stops, started, begins).any(),
            "help: begun when done",
        ),
        Assert(
            ~(is_any(top, Phase.PAYLOAD_END, Phase.CRC, Phase.VERDICT) & header.is_tables) | built,
            "help: a set ends unfinished",
        ),
        Assert(
            ~is_any(top, Phase.RAW_SIZE, Phase.RAW, Phase.LINE, Phase.WEIGHTS_END) | ~header.is_tables,
            "help: a set has weights",
        ),
        Assert(~decoding | (loaded & ~header.is_tables), "help: weights without tables"),
        Assert(~ring.flying | is_any(top, Phase.WEIGHTS, Phase.DRAIN), "help: late weights"),
    ]
    # What the header's verdict says. Its first word is judged once the cycles after it are over.
    words, since, count = header.probes.words, header.probes.since, header.probes.count
    without = [Codec.RAW, Codec.LINE] if block.parameters.line else [Codec.RAW]  # the codecs that need no tables
    needs = ~header.is_tables & ~Cat(header.weights.codec == codec for codec in without).any()
    first = Signal(WORD_BITS)
    with m.Switch(count):
        for number in range(1, WEIGHT_HEADER.words + 1):
            with m.Case(number):
                m.d.comb += first.eq(words.word_select(WEIGHT_HEADER.words - number, WORD_BITS))
    codec = first_word(WEIGHT_HEADER, first).codec
    arriving = header.word_en | since.any()
    of_header = is_any(top, Phase.HEADER, Phase.JUDGE, Phase.BEGIN, Phase.CHOOSE)
    whole = count == Mux(header.is_tables, TABLE_HEADER.words, WEIGHT_HEADER.words)
    m.d.comb += [
        Assert(
            is_any(top, Phase.HEADER, Phase.DRAIN, Phase.END, Phase.RESTART) | ~arriving,
            "help: a word of the header comes late",
        ),
        Assert(
            ~of_header
            | header.is_tables
            | (header.early != Verdict.OK)
            | (count == 0)
            | ((count == 1) & arriving)
            | Cat(codec == known for known in (Codec.ANS, *without)).any(),
            "help: an unknown codec",
        ),
        Assert(~is_any(top, Phase.JUDGE, Phase.BEGIN, Phase.CHOOSE) | whole, "help: a header is judged early"),
        Assert(
            ~is_any(top, Phase.JUDGE, Phase.BEGIN, Phase.CHOOSE) | (header.early == Verdict.OK), "help: judged in vain"
        ),
        Assert(~is_any(top, Phase.BEGIN, Phase.CHOOSE) | ~needs | loaded, "help: begun without tables"),
        Assert(~top.at(Phase.JUDGE) | (header.verdict != Verdict.OK) | ~needs | loaded, "help: judged without tables"),
    ]


# --- planted bugs ----------------------------------------------------------------------------------------------------


def weights_begin(m: Module, block: Any) -> None:
    """Begin where a set is loaded and a weight stream's header judged: to get there takes thousands of cycles."""
    begun = before(m, C(1), "begun")
    probes = block.probes
    phases, of_builder, of_header = probes.phases, probes.builder.probes.phases, probes.header.probes
    top, builder, header = Module(), Module(), Module()
    with top.If(~begun):
        top.d.sync += [
            probes.loaded.eq(1), phases.at(Phase.HEADER).eq(0), phases.at(Phase.CHOOSE).eq(1),
        ]  # fmt: skip
    with builder.If(~begun):
        builder.d.sync += [of_builder.at(BuilderPhase.IDLE).eq(0), of_builder.at(BuilderPhase.DONE).eq(1)]
    with header.If(~begun):
        header.d.sync += [
            of_header.count.eq(WEIGHT_HEADER.words),
            WEIGHT_HEADER_LAYOUT(of_header.words).codec.eq(Codec.ANS),
        ]
    block.plant(block, top)
    block.plant(probes.builder, builder)
    block.plant(probes.header, header)


def rows_when_done(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
    """The last row of the class map is written on and on once the builder is done."""
    weights_begin(m, block)
    bug, builder = Module(), block.probes.builder
    bug.d.comb += builder.write.row_en.eq(is_any(builder.probes.phases, BuilderPhase.ROWS, BuilderPhase.DONE))
    block.plant(builder, bug)


def entry_when_done(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
    """The last entry is written on and on once the builder is done."""
    weights_begin(m, block)
    bug, builder = Module(), block.probes.builder
    bug.d.comb += builder.write.entry_en.eq(builder.probes.numbering.entry_en | builder.done)
    block.plant(builder, bug)


@inside()
def set_stays_loaded(bug: Module, block: Any) -> None:
    """The set that was loaded counts as loaded while the next one is built."""
    loaded = block.probes.loaded
    with bug.If(block.probes.phases.at(Phase.CHOOSE)):
        bug.d.sync += loaded.eq(loaded)


@inside("probes.header")
def any_set_will_do(bug: Module, header: Any) -> None:
    """Streams are decoded without a look at whether a set is loaded."""
    bug.d.sync += header.probes.fits.eq(1)


@inside()
def built_for_weights(bug: Module, block: Any) -> None:
    """The builder starts with every stream."""
    bug.d.comb += block.probes.builder.start.eq(block.probes.phases.at(Phase.BEGIN))


@inside("probes.builder")
def done_too_early(bug: Module, builder: Any) -> None:
    """The builder says that it is done while it numbers the states of the last table."""
    bug.d.comb += builder.done.eq(is_any(builder.probes.phases, BuilderPhase.NUMBERING, BuilderPhase.DONE))


@inside("probes.builder.probes.numbering")
def numbered_unnoticed(bug: Module, numbering: Any) -> None:
    """The numbering says that it is idle while its last entries are on their way."""
    running, *_ = numbering.probes.stages
    bug.d.sync += numbering.busy.eq(numbering.start | running)


WITHOUT_DATA = ("ring.history", "ring.rounds", "header*.check", "checksum", "raw_size", "distributor", "output")
"""Blocks that have no say in when tables are written, besides the lanes: they may do anything."""

TABLES_BUGS: dict[str, Change] = {"rows when done": rows_when_done, "entry when done": entry_when_done}

TABLES_PROPERTIES = (
    Property(
        "tables rest", "Decompressor, 1 lane, line", lambda: Opened(Decompressor(LINE)), tables_rest_while_decoding,
        12, True, TABLES_BUGS,
        {
            "stays loaded": set_stays_loaded, "any set": any_set_will_do, "built for weights": built_for_weights,
            "done early": done_too_early, "numbered unnoticed": numbered_unnoticed,
        },
        free=("ring.lane_0", "ring.value_0", "line", *WITHOUT_DATA),
    ),
    Property(
        "tables rest", "Decompressor, 1 lane, iCE40", lambda: Opened(Decompressor(ON_ICE40)),
        tables_rest_while_decoding, 12, True, {"entry when done": entry_when_done},
        free=("ring.lane_0", "ring.value_0", *WITHOUT_DATA),
    ),
    Property(
        "tables rest", "Decompressor, 4 lanes, 4 slots", lambda: Opened(Decompressor(DecompressorParameters())),
        tables_rest_while_decoding, 12, True, TABLES_BUGS,
        free=(*(f"ring.{part}_{lane}" for part in ("lane", "value") for lane in range(4)), *WITHOUT_DATA),
    ),
)  # fmt: skip
