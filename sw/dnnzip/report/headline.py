"""The setting that a report leads with: the fewest bits at an accepted loss of accuracy; and Pareto fronts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dnnzip.exploration.pareto import pareto_front
from dnnzip.report.captions import setting_name
from dnnzip.report.evidence import Evidence

TOLERANCE = 1e-9
"""Tolerance of a comparison of accuracies: a loss of ten samples in a thousand is one point, in spite of rounding."""


def choose(evidence: Evidence, max_drop: float) -> int | None:
    """Return the setting with the fewest bits per weight among those that lose no more accuracy than is accepted.

    Of two with the same bits the more accurate one is taken.

    Parameters
    ----------
    evidence
        The exploration.
    max_drop
        Accuracy that may be lost, a share of the samples.

    Returns
    -------
    The setting's index; None where every setting loses more, or there is none.
    """
    accepted = [index for index, setting in enumerate(evidence.settings) if setting.drop <= max_drop + TOLERANCE]
    settings = evidence.settings
    return min(accepted, key=lambda index: (settings[index].bits_per_weight, -settings[index].top1), default=None)


def closest(evidence: Evidence) -> int | None:
    """Return the setting that loses the least accuracy, and of several that with the fewest bits; None without any."""
    settings = evidence.settings
    return min(
        range(len(settings)), key=lambda index: (settings[index].drop, settings[index].bits_per_weight), default=None
    )


def front(costs: Sequence[float], gains: Sequence[float]) -> list[int]:
    """Return the points that no other one beats: none has less cost and as much gain, or more gain at the same cost.

    Parameters
    ----------
    costs
        Less is better.
    gains
        More is better; as many.

    Returns
    -------
    Indices, by rising cost; of equal points the first.
    """
    objectives = np.column_stack([np.asarray(costs, np.float64), -np.asarray(gains, np.float64)])
    points = {
        (costs[index], gains[index]): index for index in reversed(np.flatnonzero(pareto_front(objectives)).tolist())
    }
    return [points[point] for point in sorted(points)]


def as_json(evidence: Evidence, max_drop: float) -> dict[str, Any]:
    """Return the headline as the documented JSON object."""
    index = choose(evidence, max_drop)
    counts = {"settings": len(evidence.settings), "points": len(evidence.costs), "max_drop": max_drop}
    if index is None:
        return {**counts, "best": None}
    setting = evidence.settings[index]
    best = {
        "name": setting_name(setting, evidence.codecs),
        "layers": setting.layers,
        "max_error": setting.max_error,
        "error_scope": setting.scope,
        "codec": setting.codec,
        "bits_per_weight": setting.bits_per_weight,
        "bytes": setting.bytes,
        "ratio": setting.ratio,
        "samples": setting.samples,
        "top1": setting.top1,
        "top1_plain": setting.top1_plain,
        "estimates": [
            {
                **vars(machine),
                "latency_reduction": cost.reduction("latency_s"),
                "energy_reduction": cost.reduction("energy_J"),
                "energy_reduction_without_leakage": cost.reduction_without_leakage,
            }
            for number, machine in enumerate(evidence.machines)
            if (cost := evidence.costs.get((index, number)))
        ],
    }
    return {**counts, "best": best}
