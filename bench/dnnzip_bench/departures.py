"""Effect of each of nocnn's departures from the model: the table on docs/accelerator.md."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import click

from dnnzip.accelerator import Estimator, load_accelerator, reductions
from dnnzip.accelerator.nocnn import NONE, Departures, Nocnn, free
from dnnzip.presentation.tables import TextTable
from dnnzip_bench.command import page_option, run, show
from dnnzip_bench.family_networks import NETWORKS
from dnnzip_bench.pages import fill

PRESET = "paper-mesh-8x8"
RATIO = 3
HEADER = ("", "baseline cycles, %", "baseline energy, %", "latency saved, %", "energy saved, %")


def figures(estimator: Estimator) -> Iterator[tuple[float, float, float, float]]:
    """Return, for each network, its baseline's cycles and energy, and what is saved of both."""
    for network in NETWORKS.values():
        plain = network()
        bits = estimator.accelerator.weight_bits / RATIO
        packed = replace(plain, layers=tuple(layer.compressed(bits) for layer in plain.layers))
        before, after = estimator.estimate(plain), estimator.estimate(packed)
        saved = reductions(before, after)
        yield before.latency, before.energy.total, saved["latency_reduction"], saved["energy_reduction"]


def table() -> TextTable:
    """Return the table, against the tool with the cost of decompressors."""
    machine = load_accelerator(PRESET)
    tool = Nocnn(machine)
    variants: dict[str, Estimator] = {f"all of the tool's ways, as in `{PRESET}`": tool}
    variants |= {
        f"without `{each.name}`": Nocnn(machine, replace(Departures(), **{each.name: False}))
        for each in fields(Departures)
    }
    variants["decompressors that cost nothing"] = Nocnn(free(machine))
    variants["none of them"] = Nocnn(machine, NONE)
    first = list(figures(tool))
    rows = []
    for name, estimator in variants.items():
        found = list(figures(estimator))
        cells = [
            " / ".join(f"{100 * (own[part] / base[part] - 1):+.1f}" for own, base in zip(found, first, strict=True))
            for part in (0, 1)
        ]
        cells += [" / ".join(f"{100 * own[part]:.1f}" for own in found) for part in (2, 3)]
        rows.append((name, *cells))
    return TextTable(HEADER, tuple(rows))


@click.command()
@page_option
def departures(page: Path | None) -> None:
    """Estimate the paper's networks with each departure switched off."""
    made = table()
    show(made)
    fill(page, "nocnn", {"departures": made.markdown()})


if __name__ == "__main__":
    run(departures)
