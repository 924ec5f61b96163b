"""The table of ``estimate`` and the lines under it."""

from dnnzip.accelerator import Energy, Estimate, LayerEstimate, reductions
from dnnzip.presentation.tables import TextTable, share
from dnnzip.usecases.estimate import Comparison

HEADER = (
    "layer",
    "operator",
    "weights",
    "bits/weight",
    "cycles",
    "compressed cycles",
    "saved cycles %",
    "uJ",
    "compressed uJ",
    "saved energy %",
    "saved without leakage %",
)
TRAFFIC_HEADER = ("layer", "operator", "weights", "bits/weight", "plain bytes", "compressed bytes", "saved bytes %")
OPTIONAL = ("operator", "weights", "uJ", "cycles", "compressed uJ", "compressed cycles", "bits/weight")
"""Columns that a narrow terminal does without: the savings stay."""


def estimation_table(result: Comparison) -> TextTable:
    """Return a row for each layer, with the sum of all; of an open network, those with weights and their bytes."""
    is_open = result.network.is_open
    figures = _traffic if is_open else _figures
    rows = [
        (
            layer.name,
            layer.operator,
            f"{layer.weights:,}" if layer.weights else "-",
            "-" if layer.bits_per_weight is None else f"{layer.bits_per_weight:.3f}",
            *figures(before, after),
        )
        for layer, before, after in result.pairs
        if layer.weights or not is_open
    ]
    weights = sum(layer.weights for layer in result.network.layers)
    total = ("total", "", f"{weights:,}", "", *figures(result.baseline, result.compressed))
    return TextTable(TRAFFIC_HEADER if is_open else HEADER, tuple(rows), total, OPTIONAL)


def summary_lines(result: Comparison) -> list[str]:
    """Return the totals of both timings, and the parts of the energy."""
    options, accelerator = result.options, result.accelerator
    lines = [
        (
            f"{accelerator.name}: {accelerator.description}; baseline of {result.weight_bits}-bit weights, batch "
            f"{options.batch}, decompressors at the {_PLACES[accelerator.decompressor.placement.value]}"
        )
    ]
    if result.network.is_open:
        return [*lines, *_left_out(result)]
    for timing, (before, after) in result.others.items():
        saved = reductions(before, after)
        lines.append(
            f"{timing.value:>8}: latency {_milliseconds(before)} -> {_milliseconds(after)} "
            f"({_percent(saved['latency_reduction'])}), energy {_microjoules(before.energy)} -> "
            f"{_microjoules(after.energy)} uJ ({_percent(saved['energy_reduction'])}), without leakage "
            f"{before.energy.dynamic * 1e6:,.3f} -> {after.energy.dynamic * 1e6:,.3f} uJ "
            f"({_percent(saved['energy_reduction_without_leakage'])})"
        )
    for name, estimate in (("baseline", result.baseline), ("compressed", result.compressed)):
        total = estimate.energy.total or 1.0
        shares = ", ".join(f"{part} {100 * value / total:.1f} %" for part, value in estimate.energy.as_json().items())
        lines.append(f"{name} energy ({options.timing.value}): {shares}")
    tables = result.table_set
    if tables is not None:
        lines.append(
            f"table set: {tables.weight_bytes:,.0f} bytes, {tables.latency:,.0f} cycles, {_microjoules(tables.energy)} "
            "uJ, once before the first inference and not in the sums above"
        )
    return [*lines, *_left_out(result)]


def _left_out(result: Comparison) -> list[str]:
    """Return a line for each kind of cost that is not in the figures."""
    network, lines = result.network, []
    if network.is_open:
        options = " ".join(f"--{option.replace('_', '-')} {value}" for option, value in network.open)
        lines.append(
            f"bytes of weights alone: cycles and energy need the sizes that the network leaves open ({options})"
        )
    elif not all(layer.is_sized for layer in network.layers):
        count = sum(not layer.is_sized for layer in network.layers)
        lines.append(f"layers of unknown shapes, of which the loading of their weights alone is counted: {count}")
    if network.unknown:
        names = ", ".join(f"{name} ({count})" for name, count in network.unknown.items())
        lines.append(f"operators that are not known and cost nothing above: {names}")
    return lines


_PLACES = {"pe": "processing elements", "memory-interface": "memory interfaces"}


def _figures(before: Estimate | LayerEstimate, after: Estimate | LayerEstimate) -> tuple[str, ...]:
    saved = reductions(before, after)
    return (
        f"{before.latency:,.0f}",
        f"{after.latency:,.0f}",
        share(saved["latency_reduction"]),
        _microjoules(before.energy),
        _microjoules(after.energy),
        share(saved["energy_reduction"]),
        share(saved["energy_reduction_without_leakage"]),
    )


def _traffic(before: Estimate | LayerEstimate, after: Estimate | LayerEstimate) -> tuple[str, ...]:
    plain, compressed = before.weight_bytes, after.weight_bytes
    return f"{plain:,.0f}", f"{compressed:,.0f}", share(1 - compressed / plain if plain else 0.0)


def _microjoules(energy: Energy) -> str:
    return f"{energy.total * 1e6:,.3f}"


def _milliseconds(estimate: Estimate) -> str:
    return f"{estimate.seconds * 1e3:,.4f} ms"


def _percent(saved: float) -> str:
    return f"saved {share(saved)} %"
