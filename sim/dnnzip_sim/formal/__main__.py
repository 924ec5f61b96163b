"""``make formal``: every proof, then every planted bug, printed as a table and kept as JSON."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.errors import CheckFailedError
from dnnzip.presentation.tables import TextTable, stdout_console
from dnnzip.usecases.provenance import provenance
from dnnzip_sim.formal.catalogue import PROPERTIES
from dnnzip_sim.formal.checks import Property
from dnnzip_sim.formal.page import page
from dnnzip_sim.formal.prover import NOT_PROVED, PROVED, REFUTED, Proof, Result, prove
from dnnzip_sim.formal.wrapper import Bench, Shell

FOLDER = Path("build") / "formal"


@dataclass(frozen=True)
class Row:
    """A proof, or with a ``bug`` a planted bug that it had to find, and its result."""

    name: str
    component: str
    bug: str
    method: str
    seconds: float
    result: str
    step: int
    expected: str

    @property
    def is_right(self) -> bool:
        """Return True if the result is the expected one."""
        return self.result == self.expected

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        outcome = f"found in cycle {self.step}" if self.result == REFUTED and self.is_right else self.result
        mark = "" if self.is_right else "  WRONG"
        return self.name, self.component, self.bug, self.method, f"{self.seconds:.1f} s", outcome + mark


def proof(proved: Property) -> Row:
    """Prove a property."""
    result = prove(Bench(proved.make(), proved.check), _proof_of(proved, "block"))
    return _row(proved, "", proved.method, result, PROVED)


def planted(proved: Property, bug: str) -> Row:
    """Plant a bug and look for it."""
    bench = Bench(Shell(proved.make(), proved.mutants[bug]), proved.check)
    search = replace(_proof_of(proved, "block.block"), depth=proved.search, induction=False, helps=False)
    return _row(proved, bug, f"search to cycle {proved.search}", prove(bench, search), REFUTED)


def weakened(proved: Property, bug: str) -> Row:
    """Plant a bug that is too far from reset for a search, and see that the induction does not go through."""
    bench = Bench(Shell(proved.make(), proved.far[bug]), proved.check)
    return _row(proved, bug, proved.method, prove(bench, _proof_of(proved, "block.block")), NOT_PROVED)


def _proof_of(proved: Property, block: str) -> Proof:
    """Return the method for a bench in which the property's own block stands at the path ``block``."""
    free = [f"{block}.{name}" for name in proved.free]
    return Proof(proved.depth, proved.induction, proved.as_registers, free)


def _row(proved: Property, bug: str, method: str, result: Result, expected: str) -> Row:
    seconds = round(result.seconds, 1)
    return Row(proved.name, proved.component, bug, method, seconds, result.status, result.step, expected)


def rows(properties: Sequence[Property], *, mutants: bool) -> Iterator[Row]:
    """Yield the rows as they come."""
    for proved in properties:
        yield proof(proved)
        if mutants:
            for bug in proved.mutants:
                yield planted(proved, bug)
            for bug in proved.far:
                yield weakened(proved, bug)


def table(found: Sequence[Row]) -> TextTable:
    """Return the table of results."""
    return TextTable(
        ("property", "block", "planted bug", "method", "time", "result"), tuple(row.cells() for row in found)
    )


@failing_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proofs; return the status of the process."""
    parser = argparse.ArgumentParser(prog="make formal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only what the test suite proves too")
    parser.add_argument("--no-mutants", action="store_true", help="without the planted bugs")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder of formal.json")
    parser.add_argument("--page", type=Path, default=None, help="where to write the page about what is proved")
    options = parser.parse_args(arguments)
    chosen = [proved for proved in PROPERTIES if proved.quick or not options.quick]
    begin = time.monotonic()
    found = []
    for row in rows(chosen, mutants=not options.no_mutants):
        found.append(row)
        if sys.stderr.isatty():
            print("  ".join(row.cells()), file=sys.stderr)
    table(found).show(stdout_console())
    wrong = [row for row in found if not row.is_right]
    options.output.mkdir(parents=True, exist_ok=True)
    content = {
        "provenance": provenance(),
        "seconds": round(time.monotonic() - begin, 1),
        "rows": [asdict(row) for row in found],
    }
    (options.output / "formal.json").write_text(json.dumps(content, indent=2) + "\n")
    if options.page is not None:
        options.page.write_text(page())
    if wrong:
        raise CheckFailedError(f"{len(wrong)} of {len(found)} proofs came out wrong")
    print(f"{len(found)} proofs and planted bugs, all as they must be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
