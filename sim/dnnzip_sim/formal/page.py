"""The page about the proofs, ``docs/formal.md``, made from the list of properties."""

from dnnzip.flow.tables import TextTable
from dnnzip_sim.formal.catalogue import PROPERTIES

_TEXT = """# What is proved of the RTL

`make formal` proves the properties below with Z3, through SymbiYosys, all from PyPI (`pip install 'dnnzip[formal]'`),
and then plants every bug named beside a property at the ports of its block and demands a counterexample. It
writes this page, and its results with times to `build/formal/formal.json`. `make formal FORMAL=--quick` proves a
few, as `make test` does.

A block's inputs, reset included, are free in every cycle, but for the rules of its ports that its docstring states. The
properties look at ports alone, so they hold for any block that keeps its ports.

- *induction, k = N*: proved for runs of any length: from the first N cycles, and from any N cycles without a violation
  to the next.
- Where a block within is named as free, its outputs are anything in every cycle: what is proved holds whatever it does.
- *all runs of N cycles*: searched from reset on, for every input; longer runs are not covered. What would have to be
  known for an induction is inside the blocks, where these proofs do not look.

{table}
## The properties

{sentences}
## What is not proved

- Progress of the whole decompressor is proved for streams that end within their first words. Longer ones, and table
  sets, which take thousands of cycles, are left to [the fault campaign](faults.md): none may pause for 15,000 cycles.
- That table memory is not written while weights are decoded is proved in part, by *writes*: entries are written only
  while states are numbered. That no set is being built while weights are decoded is the order of the decompressor's
  phases, which is simulated.
- That no more weights leave than a header declares is proved for two small streams (*as declared*), and the sizes of
  `raw` streams for up to 16 items (*size*). Larger counts, of up to 41 bits, are out of reach of a search from reset.
  Every stream of the fault campaign is held to its count.
- That the weights are the right ones is no matter of proof here, but of the comparisons with the reference decoder.
"""


def table() -> TextTable:
    """Return the table of what is proved and how."""
    header = ("property", "block", "free within", "method", "planted bugs")
    rows = ((p.name, p.component, ", ".join(p.free), p.method, ", ".join(p.mutants)) for p in PROPERTIES)
    return TextTable(header, tuple(rows))


def page() -> str:
    """Return the page."""
    sentences = "".join(f"- *{p.name}*, {p.component}: {p.sentence}\n" for p in PROPERTIES)
    return _TEXT.format(table=table().markdown().replace("---:", "---"), sentences=sentences.replace("``", "`"))
