"""The numbers of the page, as its script reads them: columns of plain JSON values."""

import math
from typing import Any

from dnnzip.exploration.schemas import ENERGY_PARTS, NOT_COMPRESSED
from dnnzip.report.evidence import ALL_BUT, Evidence, Kind, Setting, cost_of, machine_of
from dnnzip.report.headline import choose, closest, front

DIGITS = 7
"""Significant digits of a number on the page: more than any figure or cell shows."""

DETAIL_ROWS = 60_000
"""Layers times settings times machines whose numbers go to the page, about 5 MB of it at most. A large network's
exploration has millions; then the settings on a front come first, and the page says which are missing."""

SETTING_COLUMNS = (
    *("layers", "kind", "max_error", "bound_order", "scope", "codec"),
    *("samples", "top1", "top1_plain", "bytes"),
)
LAYER_FIGURES = ("latency_s", "latency_cycles", "energy_J", *(f"energy_{part}_J" for part in ENERGY_PARTS))


def payload(evidence: Evidence, max_drop: float) -> dict[str, Any]:
    """Return the data of the page.

    Parameters
    ----------
    evidence
        The exploration; it has a network.
    max_drop
        Accuracy that may be lost, a share of the samples.
    """
    network = evidence.network
    assert network is not None, "a page without a network has no numbers"
    names = [layer.name for layer in network.layers]
    rows = _details_first(evidence)
    shown = _within_limit(evidence, rows)
    layers, details = _details(evidence, shown, names)
    settings = evidence.settings
    return {
        "network": {"name": network.name, "top1": network.top1, "samples": network.samples, "bytes": network.bytes},
        "batch": evidence.request.batch if evidence.request else 1,
        "max_drop": max_drop,
        "machines": [vars(machine) for machine in evidence.machines],
        "settings": {
            **{name: [getattr(item, name) for item in settings] for name in SETTING_COLUMNS},
            "about": _about(evidence),
            "bits": [_short(item.bits_per_weight) for item in settings],
            "ratio": [_short(item.ratio) for item in settings],
        },
        "costs": [_machine_costs(evidence, number) for number in range(len(evidence.machines))],
        "layers": layers,
        "details": details,
    }


def _machine_costs(evidence: Evidence, machine: int) -> dict[str, dict[str, list[float | None]]]:
    costs = [evidence.costs.get((index, machine)) for index in range(len(evidence.settings))]
    return {
        side: {name: [_short(getattr(cost, side)[name]) if cost else None for cost in costs] for name in LAYER_FIGURES}
        for side in ("compressed", "plain")
    }


def _about(evidence: Evidence) -> list[list[str]]:
    """Return for each setting the layers that it tells something about: the one alone, the one left out, a group's."""
    settings = evidence.settings
    grouped = [index for index, setting in enumerate(settings) if setting.kind is Kind.GROUP]
    # Of settings with the same label, the first.
    groups = evidence.members({settings[index].layers: index for index in reversed(grouped)}.values())

    def about(setting: Setting) -> list[str]:
        if setting.kind is Kind.ONE:
            return [setting.layers]
        if setting.kind is Kind.BUT:
            return [setting.layers.removeprefix(ALL_BUT)]
        return groups.get(setting.layers, []) if setting.kind is Kind.GROUP else []

    return [about(setting) for setting in settings]


def _details_first(evidence: Evidence) -> list[int]:
    """Return all settings, those whose layers a reader wants to see first in front."""
    settings = evidence.settings
    wanted: list[int | None] = [choose(evidence, limit) for limit in (0.01, 0.02, 0.005, 0.0)]
    wanted.append(closest(evidence))
    gains = [item.top1 for item in settings]
    wanted += [index for index, item in enumerate(settings) if item.kind is Kind.TUNED]
    wanted += [index for index, item in enumerate(settings) if item.kind is Kind.ALL]
    wanted += front([item.bits_per_weight for item in settings], gains)
    for machine in range(len(evidence.machines)):
        for figure in ("energy_J", "latency_s"):
            known = [index for index in range(len(settings)) if (index, machine) in evidence.costs]
            best = front(
                [evidence.costs[index, machine].compressed[figure] for index in known],
                [gains[index] for index in known],
            )
            wanted += [known[place] for place in best]
    wanted += range(len(settings))
    return list(dict.fromkeys(index for index in wanted if index is not None))


def _within_limit(evidence: Evidence, order: list[int]) -> list[int]:
    if not evidence.layer_table.num_rows:
        return []
    rows = math.ceil(evidence.layer_table.num_rows / len(evidence.settings))
    return sorted(order[: max(1, DETAIL_ROWS // rows)])


def _details(
    evidence: Evidence, shown: list[int], names: list[str]
) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Return the layers with their plain costs on each machine, and their results in the settings shown."""
    network = evidence.network
    assert network is not None
    facts = {layer.name: layer for layer in network.layers}
    setting_of = {evidence.settings[index].key: index for index in shown}
    machine_numbers = {machine: number for number, machine in enumerate(evidence.machines)}
    rows = evidence.layer_rows(shown)
    # Layers that take time and have no weights are listed where they run; without any it is the network's order.
    order = list(dict.fromkeys([*(row["layer"] for row in rows), *names]))
    place = {name: number for number, name in enumerate(order)}
    machines = range(len(evidence.machines))
    empty = [None] * len(order)
    layers: list[dict[str, Any]] = [
        {
            "name": name,
            "operator": facts[name].operator if name in facts else None,
            "shape": list(facts[name].shape) if name in facts else [],
            "weights": facts[name].weights if name in facts else 0,
            "macs": facts[name].macs if name in facts else None,
            "stored_bits": facts[name].bits if name in facts else None,
            "reason": facts[name].reason if name in facts else None,
            "plain": [dict.fromkeys(LAYER_FIGURES) for _ in machines],
        }
        for name in order
    ]
    details: dict[int, dict[str, Any]] = {}
    for row in rows:
        index, machine, at = setting_of[row["encoding"]], machine_numbers[machine_of(row)], place[row["layer"]]
        if index not in details:
            columns = {name: list(empty) for name in ("codec", "bits", "bound", "largest_error", "mse", "unit")}
            costs = [{name: list(empty) for name in LAYER_FIGURES} for _ in machines]
            details[index] = {**columns, "costs": costs}
        detail = details[index]
        detail["codec"][at] = None if row["codec"] == NOT_COMPRESSED else row["codec"]
        detail["bits"][at] = _short(row["bits_per_weight"])
        for name in ("bound", "largest_error", "mse"):
            detail[name][at] = _short(row[name])
        detail["unit"][at] = row["unit"]
        cost = cost_of(row)
        for name in LAYER_FIGURES:
            detail["costs"][machine][name][at] = _short(cost.compressed[name])
            layers[at]["plain"][machine][name] = _short(cost.plain[name])
    return layers, details


def _short(value: float | None) -> float | None:
    """Return a number with as many digits as the page needs; None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")
