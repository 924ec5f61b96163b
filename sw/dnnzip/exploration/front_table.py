"""Table that ``explore`` shows at its end: the Pareto-optimal points on each accelerator."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dnnzip.exploration.facts import NetworkFacts, Request
from dnnzip.exploration.pareto import objectives_of, pareto_front
from dnnzip.presentation.tables import TextTable, share

Row = dict[str, Any]
"""A row of `record.POINT_SCHEMA`."""

PLACE = ("accelerator", "placement", "timing")
"""Points of different ones of these are no rivals: they answer different questions."""

COSTS = {"bits": "bits_per_weight", "latency": "latency_s", "energy": "energy_J"}
"""Costs that accuracy may be weighed against: the user's word, and its column."""

COST_HEADINGS = {"bits": "bits/weight", "latency": "saved latency %", "energy": "saved energy %"}
"""Their columns in the table."""

CHOICES = ("scope", "codec", "placement", "timing", "accelerator", "max error")
"""Columns of settings, the first to go first where all rows agree."""

HEADER = ("layers", "max error", "scope", "codec", *PLACE, "top1 %", "points lost", *COST_HEADINGS.values())


def front_of(rows: Sequence[Row], against: Sequence[str]) -> list[Row]:
    """Return the points of the Pareto fronts of accuracy and costs: one front for each `PLACE`.

    Parameters
    ----------
    rows
        All points.
    against
        Words of `COSTS`.

    Returns
    -------
    Those of a place together, the most bits first.
    """
    places: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        places.setdefault(tuple(row[name] for name in PLACE), []).append(row)
    front: list[Row] = []
    for place in sorted(places):
        own = places[place]
        kept = pareto_front(objectives_of(own, [COSTS[word] for word in against], ["top1"]))
        chosen = [own[number] for number in np.flatnonzero(kept)]
        front += sorted(chosen, key=_order)
    return front


def _order(row: Row) -> tuple[Any, ...]:
    # Of equal points, always the same one comes first.
    return -row["bits_per_weight"], *(row[name] for name in ("layers", "max_error", "scope", "codec"))


def front_table(front: Sequence[Row], against: Sequence[str]) -> TextTable:
    """Return the fronts as a table; latency and energy as shares saved against plain weights.

    A narrow terminal does without columns that say the same in all rows, and without costs other than those that
    accuracy is weighed against; what tells two rows apart stays.
    """
    rows = tuple(_cells(row) for row in front)
    same = [name for name in CHOICES if len({row[HEADER.index(name)] for row in rows}) == 1]
    spare = [COST_HEADINGS[word] for word in COSTS if word not in against]
    return TextTable(HEADER, rows, optional=(*same, "points lost", *spare))


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["layers"],
        *(row[name] for name in ("max_error", "scope", "codec", *PLACE)),
        f"{100 * row['top1']:.2f}",
        f"{100 * (row['top1_plain'] - row['top1']):.2f}",
        f"{row['bits_per_weight']:.3f}",
        *(share(row[name]) for name in ("latency_reduction", "energy_reduction")),
    )


def front_lines(
    network: NetworkFacts, rows: Sequence[Row], front: Sequence[Row], found: int, against: Sequence[str], folder: str
) -> list[str]:
    """Return the lines under the table.

    Parameters
    ----------
    network
        The plain network.
    rows, front
        All points, and those of the table.
    found
        Number of encodings that an earlier run had finished.
    against
        Words of `COSTS`.
    folder
        The results.
    """
    encodings = len({row["encoding"] for row in rows})
    continued = f", {found} of them from before" if found else ""
    return [
        f"plain network: top1 {100 * network.top1:.2f} % of {network.samples} samples, {network.weights:,} weights",
        f"{len(front)} of {len(rows)} points are on a front of accuracy against {', '.join(against)}",
        f"{encodings} encodings{continued}: {folder}",
    ]


def exploration_json(
    request: Request,
    network: NetworkFacts,
    rows: Sequence[Row],
    front: Sequence[Row],
    found: int,
    against: Sequence[str],
    folder: str,
) -> dict[str, Any]:
    """Return the documented JSON object; its points have the columns of `record.POINT_SCHEMA`.

    For the parameters see `front_lines`.
    """
    return {
        "folder": folder,
        "encodings": request.encodings,
        "continued": found,
        "points": len(rows),
        "plain": {"top1": network.top1, "samples": network.samples, "weights": network.weights, "bytes": network.bytes},
        "against": list(against),
        "front": list(front),
    }
