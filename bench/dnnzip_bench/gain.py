"""``make gain``: networks with plain and with compressed weights through the simulated array; tables, JSON, page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from dnnzip.errors import CheckFailedError
from dnnzip.format.array import Placement
from dnnzip_bench.array.comparison import (
    BATCHES,
    PLAIN,
    WIDTHS,
    Case,
    Comparison,
    Outcome,
    compare,
    outcomes,
    parameters_for,
)
from dnnzip_bench.array.networks import networks
from dnnzip_bench.array.passage import Passage
from dnnzip_bench.catalogue import zoo_folder
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import BUILD, Listed, keep, page_option, run, show, told
from dnnzip_bench.pages import fill

FOLDER = BUILD / "gain"


@dataclass(frozen=True)
class Total:
    """A case with its decompressors at the array; with plain weights; and with its decompressors at the memory."""

    case: Case
    own: Passage
    plain: Passage
    at_memory: Passage

    @property
    def cycles(self) -> int:
        """Cycles from the first tile on, as tables stay loaded."""
        return self.own.cycles - self.own.start_cycles


def side(total: Total) -> str:
    """Return the rows and columns of the array."""
    parameters = parameters_for(total.case.width, total.case.placement)
    return f"{parameters.rows} x {parameters.columns}"


def ratio(total: Total) -> float:
    """Return the ratio of plain to compressed bytes."""
    before, after = (sum(layer.stored_bytes for layer in each.layers) for each in (total.plain, total.own))
    return before / after


TOTALS: Columns[Total] = Columns(
    ("network", lambda total: total.case.network),
    ("B/cycle", lambda total: str(total.case.width)),
    ("array", side),
    ("batch", lambda total: str(total.case.batch)),
    ("weights", lambda total: total.case.bound),
    ("cycles", lambda total: f"{total.cycles:,}"),
    ("speed-up", lambda total: f"{(total.plain.cycles - total.plain.start_cycles) / total.cycles:.3f}"),
    ("ratio", lambda total: f"{ratio(total):.3f}"),
    ("memory words", lambda total: f"{total.own.memory_words:,}"),
    ("bus words", lambda total: f"{total.own.bus_words:,}"),
    ("(at memory)", lambda total: f"{total.at_memory.bus_words:,}"),
    ("used %", lambda total: f"{100 * total.own.utilisation:.1f}"),
    ("tables", lambda total: f"{total.own.table_cycles:,}"),
    ("start", lambda total: f"{total.own.start_cycles:,}"),
    ("wrong", lambda total: str(total.own.mismatches + total.at_memory.mismatches)),
)
LAYERS: Columns[Comparison] = Columns(
    ("network, layer", lambda layer: layer.where[:60]),
    ("B/cycle", lambda layer: str(layer.case.width)),
    ("batch", lambda layer: str(layer.case.batch)),
    ("weights", lambda layer: layer.case.bound + ("" if layer.packed.compressed else ", left plain")),
    ("count", lambda layer: f"{layer.packed.weights:,}"),
    ("limit", lambda layer: layer.limit),
    ("cycles", lambda layer: f"{layer.packed.cycles:,}"),
    ("speed-up", lambda layer: f"{layer.speed_up:.3f}"),
    ("ratio", lambda layer: f"{layer.bytes_ratio:.3f}"),
    ("of ratio", lambda layer: f"{layer.speed_up / layer.bytes_ratio:.3f}"),
    ("memory words", lambda layer: f"{layer.packed.memory_words:,}"),
    ("bus words", lambda layer: f"{layer.packed.bus_words:,}"),
)


def totals_of(measured: Sequence[Outcome]) -> list[Total]:
    """Return each case but for its placement."""
    found = {outcome.case: outcome.passage for outcome in measured}
    return [
        Total(case, own, found[replace(case, bound=PLAIN)], found[replace(case, placement=Placement.MEMORY_INTERFACE)])
        for case, own in found.items()
        if case.placement is Placement.PE
    ]


def comparisons_of(measured: Sequence[Outcome]) -> list[Comparison]:
    """Return each layer of each compressed case, compared with itself with plain weights."""
    found = {outcome.case: outcome for outcome in measured}
    return [
        layer
        for outcome in measured
        if outcome.case.bound != PLAIN
        for layer in compare(found[replace(outcome.case, bound=PLAIN)], outcome)
    ]


def faults_of(layers: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each layer of which a rule does not hold."""
    return [
        f"{layer.where}: {layer.case.bound}, {layer.case.width} B/cycle, batch {layer.case.batch}, "
        f"decoders at {layer.case.placement}: {layer.fault}"
        for layer in layers
        if layer.fault
    ]


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
    totals = TOTALS.table(totals_of(measured))
    compared = comparisons_of(measured)
    faults = faults_of(compared)
    at_array = [layer for layer in compared if layer.case.placement is Placement.PE]
    layers = LAYERS.table(at_array)
    show(layers, totals)
    cases = {"cases": [outcome.as_json() for outcome in measured]}
    keep(FOLDER, "gain", cases, f"{totals.markdown()}\n{layers.markdown()}")
    fill(page, "gain", {"totals": totals.markdown()})
    mismatches = sum(outcome.passage.mismatches for outcome in measured)
    click.echo(
        f"{len(measured)} passages, {mismatches} mismatches, {len(at_array)} layers compared, {len(faults)} slower "
        f"than they may be. Also in {FOLDER}: gain.json, gain.md"
    )
    if faults or mismatches:
        raise CheckFailedError("gain: " + "; ".join([*faults, *([f"{mismatches} mismatches"] if mismatches else [])]))


if __name__ == "__main__":
    run(gain)
