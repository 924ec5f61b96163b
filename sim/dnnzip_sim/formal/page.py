"""The page about the proofs, ``docs/formal.md``, made from the list of properties."""

from dnnzip.presentation.tables import TextTable
from dnnzip_sim.formal.catalogue import PROPERTIES

_TEXT = """# What is proved of the RTL

`make formal` proves the properties below with Z3, through SymbiYosys, all from PyPI (the extra `formal`), and then
plants every bug named next to a property and demands a counterexample. It writes this page, and its results with times
to `build/formal/formal.json`: about twenty minutes on one core, a line per proof where it runs on a terminal.
`make formal FORMAL=--quick` proves a few, as `make slow` does.

A block's inputs, reset included, are free in every cycle, but for the rules of its ports that its docstring states.
What a property says, it says of ports. Where an induction has to know more, it is told what holds inside the block,
which is proved along with the property.

- *induction, k = N*: proved for runs of any length: from the first N cycles, and from any N cycles without a violation
  to the next.
- Where a block within is named as free, its outputs are anything in every cycle: what is proved holds whatever it does.
- *all runs of N cycles*: searched from reset on, for every input; longer runs are not covered.
- *Far bugs* take thousands of cycles from reset to show: a table set has to be built first. No counterexample can be
  demanded there; it is demanded that the induction does not go through with them.

{table}
## The properties

{sentences}
## What is proved of each boundary

{boundaries}
## What is not proved

- Progress of the whole decompressor is proved for streams that end within their first words. Longer ones, and table
  sets, which take thousands of cycles, are left to [the fault campaign](faults.md): none may pause for 15,000 cycles.
- *words*, *no overflow* and *tables rest* are proved of a decompressor with one lane and the core for `line` streams,
  the last one also of the default decompressor; the AXI blocks with the parameters that the table names or the smallest
  ones that have several words, lanes and places. Other parameters are simulated.
- That no more weights leave than a header declares is proved for two small streams (*as declared*), and the sizes of
  `raw` streams for up to 16 items (*size*). Larger counts, of up to 41 bits, are out of reach of a search from reset.
  Every stream of the fault campaign is held to its count.
- That the weights are the right ones is no matter of proof here, but of the comparisons with the reference decoder.
"""


BOUNDARIES = (
    (
        "words in", "the source's rule",
        "any length: each word goes to one part that wants it, in order (*words*)", "none of the next stream's",
    ),
    (
        "beats out", "any length (*stable*)",
        "10 cycles through the output (*order*), 12 cycles of end beats (*one end*)",
        "the weights of two small streams are counted (*as declared*)",
    ),
    (
        "AXI4-Stream in", "the source's rule", "any length (*order*, WordSplitter and PairQueue)",
        "a bad beat ends its stream",
    ),
    (
        "AXI4-Stream out", "any length, over soft resets too (*stable*, Group)",
        "any length (*order*, RowPacker and RegisterSlice)",
        "a packet for each stream; nothing of one after a reset of one cycle (*silent after reset*)",
    ),
    (
        "AXI4-Lite", "any length (*answers*)", "any length: one answer for each request (*answers*)",
        "answered in time; fields hold what was written (*registers*); errors stay until cleared (*errors stay*)",
    ),
    ("queues", "", "any length (*order*)", "none overflows, whatever is decoded (*no overflow*)"),
    ("distributor", "its words never wait (*never waits*)", "12 and 9 cycles (*one place*, *all served*)", ""),
    ("table memory", "", "", "not written while weights are decoded, any length (*tables rest*)"),
    ("on-chip bus", "10 cycles (*order*, Hops)", "10 cycles (*order*, Hops)", ""),
    (
        "array's memory port", "10 cycles (*stable*, BurstReader)", "14 cycles: room for all that comes (*room*)",
        "faults and errors stay",
    ),
    ("serial link", "", "", "not proved; frames carry checksums, and tests break them"),
)  # fmt: skip
"""Proofs of each boundary: waiting payloads, loss and doubling, and others."""


def boundaries() -> TextTable:
    """Return the table of what is proved of each boundary."""
    return TextTable(("boundary", "waits unchanged", "nothing lost, nothing doubled", "besides"), BOUNDARIES, names=4)


def table() -> TextTable:
    """Return the table of what is proved and how."""
    header = ("property", "block", "free within", "method", "planted bugs", "far bugs")
    rows = (
        (p.name, p.component, ", ".join(p.free), p.method, ", ".join(p.mutants), ", ".join(p.far)) for p in PROPERTIES
    )
    return TextTable(header, tuple(rows), names=len(header))


def page() -> str:
    """Return the page."""
    sentences = "".join(f"- *{p.name}*, {p.component}: {p.sentence}\n" for p in PROPERTIES)
    return _TEXT.format(
        table=table().markdown(),
        sentences=sentences.replace("``", "`"),
        boundaries=boundaries().markdown(),
    )
