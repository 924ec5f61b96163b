"""Cost of a bit of each layer: the same for all, or its latency or energy by the accelerator model."""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from dnnzip.accelerator import Accelerator, Estimator, Network, Timing, estimator_of

#: The cost of a layer is taken at these bits per weight; in between it is about a straight line.
FEW_BITS, MANY_BITS = 1.0, 8.0

#: A bit that costs nothing would never be saved; it counts for so much of the mean.
LEAST_SHARE = 1e-3


class Objective(StrEnum):
    """Quantity to minimise."""

    BYTES = "bytes"
    LATENCY = "latency"
    ENERGY = "energy"


def prices(
    objective: Objective, weights: Iterable[str], network: Network | None = None, accelerator: Accelerator | None = None
) -> dict[str, float]:
    """Return the cost of a bit of each weight, in units of the mean cost.

    Parameters
    ----------
    objective
        The quantity to minimise.
    weights
        Names.
    network, accelerator
        Layers and accelerator, for latency and energy.
    """
    names = list(weights)
    if objective is Objective.BYTES or network is None or accelerator is None:
        return dict.fromkeys(names, 1.0)
    estimator = estimator_of(accelerator)
    few, many = (_costs(objective, estimator, network, bits) for bits in (FEW_BITS, MANY_BITS))
    slopes = {
        layer.name: max(after - before, 0.0) / ((MANY_BITS - FEW_BITS) * layer.weights)
        for layer, before, after in zip(network.layers, few, many, strict=True)
        if layer.weights
    }
    found = {name: slopes.get(name, 0.0) for name in names}
    mean = sum(found.values()) / len(found)
    return {name: max(slope / mean, LEAST_SHARE) if mean else 1.0 for name, slope in found.items()}


def _costs(objective: Objective, estimator: Estimator, network: Network, bits: float) -> list[float]:
    compressed = replace(network, layers=tuple(layer.compressed(bits) for layer in network.layers), table_bytes=0)
    layers = estimator.estimate(compressed, Timing.SERIAL, 1, 32).layers
    return [float(layer.latency if objective is Objective.LATENCY else layer.energy.total) for layer in layers]
