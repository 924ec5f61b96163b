"""Table that ``explore`` shows at its end: the Pareto-optimal points on each accelerator."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.pareto import objectives_of, pareto_front
from dnnzip.presentation.tables import TextTable, share

Row = dict[str, Any]
"""A row of `schemas.POINT_SCHEMA`."""

PLACE = ("accelerator", "placement", "timing")
"""Points of different ones of these are no rivals: they answer different questions."""

COSTS = {"bits": "bits_per_weight", "latency": "latency_s", "energy": "energy_J"}
"""Costs that accuracy may be weighed against: the user's word, and its column."""

COST_HEADINGS = {"bits": "bits/weight", "latency": "saved latency %", "energy": "saved energy %"}
"""Their columns in the table."""

CHOICES = ("scope", "codec", "placement", "timing", "accelerator", "max error")
"""Columns of settings, the first to go first where all rows agree."""

HEADER = ("layers", "max error", "scope", "codec", *PLACE, "top1 %", "points lost", *COST_HEADINGS.values())


@dataclass(frozen=True, eq=False)
class Fronts:
    """The Pareto fronts of accuracy and costs in an explored folder: one front for each `PLACE`."""

    # The results, and their folder as the user named it.
    folder: ExplorationFolder
    name: str
    against: Sequence[str]  # words of `COSTS`
    found: int  # number of encodings that an earlier run had finished

    @cached_property
    def rows(self) -> list[Row]:
        """All points."""
        rows: list[Row] = self.folder.points().to_pylist()
        return rows

    @cached_property
    def front(self) -> list[Row]:
        """The points on the fronts; those of a place together, the most bits first."""
        places: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows:
            places.setdefault(tuple(row[name] for name in PLACE), []).append(row)
        front: list[Row] = []
        for place in sorted(places):
            own = places[place]
            kept = pareto_front(objectives_of(own, [COSTS[word] for word in self.against], ["top1"]))
            front += sorted((own[number] for number in np.flatnonzero(kept)), key=_order)
        return front

    def table(self) -> TextTable:
        """Return the fronts as a table."""
        return front_table(self.front, self.against)

    def lines(self) -> list[str]:
        """Return the lines under the table."""
        network = self.folder.network()
        encodings = len({row["encoding"] for row in self.rows})
        continued = f", {self.found} of them from before" if self.found else ""
        on_front = f"{len(self.front)} of {len(self.rows)} points are on a front"
        return [
            f"plain network: top1 {100 * network.top1:.2f} % of {network.samples} samples, {network.weights:,} weights",
            f"{on_front} of accuracy against {', '.join(self.against)}",
            f"{encodings} encodings{continued}: {self.name}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object; its points have the columns of `schemas.POINT_SCHEMA`."""
        return {
            "folder": self.name,
            "encodings": self.folder.request().encodings,
            "continued": self.found,
            "points": len(self.rows),
            "plain": self.folder.network().model_dump(include={"top1", "samples", "weights", "bytes"}),
            "against": list(self.against),
            "front": self.front,
        }


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
