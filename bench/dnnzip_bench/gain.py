"""``make gain``: networks with plain and with compressed weights through the simulated array; tables, JSON, page."""

from collections.abc import Sequence
from pathlib import Path

import click

from dnnzip.errors import CheckFailedError
from dnnzip.format.array import Placement
from dnnzip.presentation.tables import TextTable
from dnnzip_bench.array.comparison import BATCHES, PLAIN, WIDTHS, Case, Outcome, compare, outcomes, parameters_for
from dnnzip_bench.array.networks import networks
from dnnzip_bench.catalogue import zoo_folder
from dnnzip_bench.command import BUILD, Listed, keep, page_option, run, show, told
from dnnzip_bench.pages import fill

FOLDER = BUILD / "gain"

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


@click.command()
@click.option("--widths", type=Listed(int), default=WIDTHS, help="Bytes per cycle of the memory.")
@click.option("--batches", type=Listed(int), default=BATCHES, help="Samples at once.")
@click.option("--networks", "wanted", type=Listed(str), default=(), help="By default all that there are.")
@page_option
def gain(widths: tuple[int, ...], batches: tuple[int, ...], wanted: tuple[str, ...], page: Path | None) -> None:
    """Run networks with plain and with compressed weights through the simulated array; status 1 where a check fails."""
    zoo = zoo_folder()
    measured: list[Outcome] = []
    for network in networks(zoo if zoo.is_dir() else None):
        if wanted and network.name not in wanted:
            continue
        for outcome in outcomes(network, widths, batches):
            told(f"{outcome.case}: {outcome.passage.cycles:,} cycles")
            measured.append(outcome)
    totals = TextTable(TOTALS, tuple(total_rows(measured)))
    rows, faults = layer_rows(measured)
    layers = TextTable(LAYERS, tuple(rows))
    show(layers, totals)
    cases = {"cases": [outcome.as_json() for outcome in measured]}
    keep(FOLDER, "gain", cases, f"{totals.markdown()}\n{layers.markdown()}")
    if page:
        fill(page, "gain", {"totals": totals.markdown()})
    mismatches = sum(outcome.passage.mismatches for outcome in measured)
    click.echo(
        f"{len(measured)} passages, {mismatches} mismatches, {len(rows)} layers compared, {len(faults)} slower than "
        f"they may be. Also in {FOLDER}: gain.json, gain.md"
    )
    if faults or mismatches:
        raise CheckFailedError("gain: " + "; ".join([*faults, *([f"{mismatches} mismatches"] if mismatches else [])]))


if __name__ == "__main__":
    run(gain)
