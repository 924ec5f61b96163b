"""``make faults``: the campaign over all configurations, printed as tables and kept as JSON."""

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.errors import DnnzipError, InputError
from dnnzip.format import Verdict
from dnnzip.presentation.tables import TextTable, stdout_console
from dnnzip.usecases.provenance import provenance
from dnnzip_sim.faults.campaign import CONFIGURATIONS, Campaign, Counts
from dnnzip_sim.harness import build_harness
from dnnzip_sim.stimulus.damage import DAMAGE

STREAMS, RESETS = 100_000, 6_000
FOLDER = Path("build") / "faults"


def faults_table(counts: Counts) -> TextTable:
    """Return the table of broken streams: kinds of fault down, verdicts across."""
    seen = [verdict for verdict in Verdict if any(counts.verdicts[fault, verdict] for fault in DAMAGE)]
    rows = [[counts.verdicts[fault, verdict] for verdict in seen] for fault in DAMAGE]
    totals = [sum(column) for column in zip(*rows, strict=True)]
    return TextTable(
        ("fault", "streams", *(verdict.label for verdict in seen)),
        tuple(
            (fault, f"{sum(row):,}", *(f"{cell:,}" for cell in row)) for fault, row in zip(DAMAGE, rows, strict=True)
        ),
        ("total", f"{sum(totals):,}", *(f"{total:,}" for total in totals)),
    )


def resets_table(counts: Counts) -> TextTable:
    """Return the table of resets by where they hit."""
    return TextTable(
        ("reset", "times"),
        tuple((place, f"{times:,}") for place, times in sorted(counts.resets.items())),
        ("total", f"{sum(counts.resets.values()):,}"),
    )


def as_json(counts: Counts) -> dict[str, object]:
    """Return the counts as plain data."""
    return {
        "faults": {fault: {verdict.label: counts.verdicts[fault, verdict] for verdict in Verdict} for fault in DAMAGE},
        "sound": counts.sound,
        "weights": counts.weights,
        "referred": counts.referred,
        "resets": dict(sorted(counts.resets.items())),
        "cycles": counts.cycles,
    }


def share(total: int, parts: int) -> list[int]:
    """Return ``total`` in parts that are as equal as they can be."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def campaign(streams: int, resets: int, seed: int) -> dict[str, Counts]:
    """Run the campaign on every configuration; return the totals of each."""
    found = {}
    parts = zip(
        CONFIGURATIONS.items(), share(streams, len(CONFIGURATIONS)), share(resets, len(CONFIGURATIONS)), strict=True
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for (name, parameters), streams_here, resets_here in parts:
            task = progress.add_task(name, total=streams_here + resets_here)
            harness = build_harness(parameters)
            run = Campaign(harness, parameters, seed, lambda number, task=task: progress.advance(task, number))  # type: ignore[misc]
            run.faults(streams_here)
            run.resets(resets_here)
            found[name] = run.counts
    return found


@failing_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return the status of the process."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS, help="broken streams, over all configurations")
    parser.add_argument("--resets", type=int, default=RESETS, help="resets, likewise")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random; a new one where not given")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder of faults.json")
    options = parser.parse_args(arguments)
    seed = random.getrandbits(31) if options.seed is None else options.seed
    begin = time.monotonic()
    console = stdout_console()
    console.print(f"seed {seed}")
    try:
        for name in ("streams", "resets"):
            if getattr(options, name) < 0:
                raise InputError(f"--{name}", f"is {getattr(options, name)}", "give 0 or more")
        found = campaign(options.streams, options.resets, seed)
    except DnnzipError as error:
        print(f"dnnzip: {error}\ndnnzip: seed {seed}", file=sys.stderr)
        return error.exit_code
    total = Counts()
    for counts in found.values():
        total.add(counts)
    seconds = time.monotonic() - begin
    faults_table(total).show(console)
    resets_table(total).show(console)
    console.print(
        f"{total.faults:,} broken streams, each with the software's verdict; {total.sound:,} sound ones behind them, "
        f"all ok; {total.weights:,} weights compared; {total.referred:,} streams decoded by the reference too; "
        f"{total.cycles:,} clock cycles in {seconds:.0f} s",
        soft_wrap=True,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    content = {
        "provenance": provenance(),
        "seed": seed,
        "seconds": round(seconds, 1),
        "total": as_json(total),
        "configurations": {name: as_json(counts) for name, counts in found.items()},
    }
    (options.output / "faults.json").write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
