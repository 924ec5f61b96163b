"""Effect of each of nocnn's departures from the model: the table on docs/accelerator.md."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from dnnzip.accelerator import Accelerator, Cycles, Energy, Estimator, LayerModel, load_accelerator, reductions
from dnnzip.accelerator.machine import Machine
from dnnzip.accelerator.nocnn import Nocnn, NocnnLayer
from dnnzip.presentation.tables import TextTable
from dnnzip_bench.command import page_option, run, show
from dnnzip_bench.family_networks import NETWORKS
from dnnzip_bench.pages import fill

PRESET = "paper-mesh-8x8"
RATIO = 3
HEADER = ("", "baseline cycles, %", "baseline energy, %", "latency saved, %", "energy saved, %")


class Departure(NamedTuple):
    """One of the tool's ways of counting: what differs from the model of its methods, its layers' and their leakage."""

    tool: tuple[str, ...] = ()
    layer: tuple[str, ...] = ()
    leakage: tuple[str, ...] = ()


DEPARTURES = {
    "whole_bytes_per_cycle": Departure(tool=("memory_rate",)),
    "whole_counts": Departure(
        tool=("memory_cycles",),
        layer=("_work", "input_bytes", "_per_core_output", "_moved", "_per_core_weights", "_operand_bits"),
    ),
    "convolutions_keep_no_leakage": Departure(leakage=("local_memory_leakage",)),
    "elements_do_not_leak": Departure(leakage=("computation_leakage",)),
    "interface_routers_do_not_leak": Departure(leakage=("communication_leakage",)),
    "memory_leaks_outside_transfers": Departure(leakage=("main_memory_leakage",)),
    "spill_of_all_but_one_core": Departure(layer=("_spilled",)),
    "spill_energy_of_local_part": Departure(layer=("_spill_read",)),
    "local_reads_by_ranges": Departure(layer=("_pairs",)),
    "loads_skip_local_memory": Departure(layer=("_written",)),
}


def without(accelerator: Accelerator, name: str) -> Nocnn:
    """Return the tool with the model's way of counting for one of its own."""
    departure = DEPARTURES[name]

    class Layer(NocnnLayer):
        def _leakage(self, cycles: Cycles, latency: float, decoders: int) -> Energy:
            leaked = LayerModel._leakage(self, cycles, latency, decoders)
            own = {part: getattr(leaked, part) for part in departure.leakage}
            return replace(super()._leakage(cycles, latency, decoders), **own)

    class Tool(Nocnn):
        layer_model = Layer

    for method in departure.layer:
        setattr(Layer, method, vars(LayerModel)[method])
    for method in departure.tool:
        setattr(Tool, method, vars(Machine)[method])
    return Tool(accelerator)


def free(accelerator: Accelerator) -> Accelerator:
    """Return an accelerator whose decompressors take neither time nor energy."""
    nothing = {"start": 0.0, "table_build": 0.0, "energy": 0.0, "leakage": 0.0, "weights_per_cycle": math.inf}
    section = accelerator.decompressor
    constants = {name: getattr(section, name).model_copy(update={"value": value}) for name, value in nothing.items()}
    return accelerator.model_copy(update={"decompressor": section.model_copy(update=constants)})


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
    variants |= {f"without `{name}`": without(machine, name) for name in DEPARTURES}
    variants["decompressors that cost nothing"] = Nocnn(free(machine))
    variants["none of them"] = Estimator(machine)
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
