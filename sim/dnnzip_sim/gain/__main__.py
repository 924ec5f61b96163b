"""``make gain``: networks with plain and with compressed weights through the simulated array; tables, JSON, page."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.format.array import Placement
from dnnzip.presentation.tables import TextTable, stdout_console
from dnnzip.usecases.provenance import provenance
from dnnzip_sim.gain.comparison import BATCHES, BOUNDS, PLAIN, WIDTHS, Case, Outcome, compare, outcomes, parameters_for
from dnnzip_sim.gain.networks import networks
from dnnzip_sim.zoo import zoo_folder

FOLDER = Path("build") / "gain"

TOTALS = (
    "network",
    "B/cycle",
    "array",
    "batch",
    "weights",
    "cycles",
    "speed-up",
    "ratio",
    "memory words",
    "bus words",
    "(at memory)",
    "used %",
    "tables",
    "start",
    "wrong",
)
LAYERS = (
    "network, layer",
    "B/cycle",
    "batch",
    "weights",
    "count",
    "limit",
    "cycles",
    "speed-up",
    "ratio",
    "of ratio",
    "memory words",
    "bus words",
)


def total_rows(measured: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Return a row for each case but for its placement: cycles count from the first tile, as tables stay loaded."""
    found = {outcome.case: outcome for outcome in measured}
    rows: list[tuple[str, ...]] = []
    for outcome in measured:
        case, passage = outcome.case, outcome.passage
        if case.placement is not Placement.PE:
            continue
        plain = found[Case(case.network, PLAIN, case.width, case.batch, case.placement)].passage
        other = found[Case(case.network, case.bound, case.width, case.batch, Placement.MEMORY_INTERFACE)].passage
        parameters = parameters_for(case.width, case.placement)
        stored = sum(layer.stored_bytes for layer in passage.layers)
        before = sum(layer.stored_bytes for layer in plain.layers)
        cycles = passage.cycles - passage.start_cycles
        rows.append(
            (
                case.network,
                str(case.width),
                f"{parameters.rows} x {parameters.columns}",
                str(case.batch),
                case.bound,
                f"{cycles:,}",
                f"{(plain.cycles - plain.start_cycles) / cycles:.3f}",
                f"{before / stored:.3f}",
                f"{passage.memory_words:,}",
                f"{passage.bus_words:,}",
                f"{other.bus_words:,}",
                f"{100 * passage.utilisation:.1f}",
                f"{passage.table_cycles:,}",
                f"{passage.start_cycles:,}",
                str(passage.mismatches + other.mismatches),
            )
        )
    return rows


def layer_rows(measured: Sequence[Outcome]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return a row for each layer of each compressed case with decoders at the array, and what does not hold."""
    found = {outcome.case: outcome for outcome in measured}
    rows: list[tuple[str, ...]] = []
    faults: list[str] = []
    for outcome in measured:
        case = outcome.case
        if case.bound == PLAIN:
            continue
        plain = found[Case(case.network, PLAIN, case.width, case.batch, case.placement)]
        for layer in compare(plain, outcome):
            where = f"{case.network}, {layer.packed.name}"
            if layer.fault:
                faults.append(
                    f"{where}: {case.bound}, {case.width} B/cycle, batch {case.batch}, decoders at {case.placement}: "
                    f"{layer.fault}"
                )
            if case.placement is Placement.PE:
                rows.append(
                    (
                        where[:60],
                        str(case.width),
                        str(case.batch),
                        case.bound if layer.packed.compressed else f"{case.bound}, left plain",
                        f"{layer.packed.weights:,}",
                        layer.limit,
                        f"{layer.packed.cycles:,}",
                        f"{layer.speed_up:.3f}",
                        f"{layer.bytes_ratio:.3f}",
                        f"{layer.speed_up / layer.bytes_ratio:.3f}",
                        f"{layer.packed.memory_words:,}",
                        f"{layer.packed.bus_words:,}",
                    )
                )
    return rows, faults


def numbers(text: str) -> tuple[int, ...]:
    """Return whole numbers that stand with commas between them."""
    return tuple(int(part) for part in text.split(","))


@failing_in_one_line()
def main() -> int:
    """Measure; return the status of the process."""
    parser = argparse.ArgumentParser(prog="python -m dnnzip_sim.gain", description=__doc__)
    parser.add_argument("--widths", type=numbers, default=WIDTHS, help="bytes per cycle of the memory, 1,2,4,8")
    parser.add_argument("--batches", type=numbers, default=BATCHES, help="samples at once, 1,16")
    parser.add_argument("--networks", default="", help="names, with commas between them; by default all there are")
    parser.add_argument("--page", type=Path, help="write the tables into this Markdown file as well")
    options = parser.parse_args()
    zoo = zoo_folder()
    wanted = set(filter(None, options.networks.split(",")))
    measured: list[Outcome] = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        for network in networks(zoo if zoo.is_dir() else None):
            if wanted and network.name not in wanted:
                continue
            count = len(options.widths) * len(options.batches) * (1 + len(BOUNDS)) * len(Placement)
            task = progress.add_task(network.name, total=count)
            for outcome in outcomes(network, options.widths, options.batches):
                measured.append(outcome)
                progress.advance(task)
    totals = TextTable(TOTALS, tuple(total_rows(measured)))
    rows, faults = layer_rows(measured)
    layers = TextTable(LAYERS, tuple(rows))
    console = stdout_console()
    layers.show(console)
    totals.show(console)
    FOLDER.mkdir(parents=True, exist_ok=True)
    facts = {"provenance": provenance(), "cases": [outcome.as_json() for outcome in measured]}
    (FOLDER / "gain.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "gain.md").write_text(f"{totals.markdown()}\n{layers.markdown()}", encoding="utf-8")
    if options.page:
        write_page(options.page, totals)
    for fault in faults:
        print(f"dnnzip: {fault}", file=sys.stderr)
    console.print(
        f"{len(measured)} passages, {sum(outcome.passage.mismatches for outcome in measured)} mismatches, "
        f"{len(rows)} layers compared, {len(faults)} slower than they may be. Also in {FOLDER}: gain.json, gain.md",
        soft_wrap=True,
    )
    return 1 if faults or any(outcome.passage.mismatches for outcome in measured) else 0


START, END = "<!-- gain: totals -->", "<!-- /gain -->"


def write_page(path: Path, totals: TextTable) -> None:
    """Put the table between the marks of a page."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{START}\n\n{totals.markdown()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
