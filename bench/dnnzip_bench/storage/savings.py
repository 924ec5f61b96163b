"""Savings of compressed weights in a network's latency and energy: estimates for every way of counting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dnnzip.accelerator import Estimator, Network, Timing, reductions

BASELINES = (32, 16, 8)
"""Bits of a weight that is not compressed."""

EDGE = "edge-lpddr4"


@dataclass(frozen=True)
class Saving:
    """Shares of a network's latency and energy, from 0 to 1, that are saved; below 0 where there is more."""

    latency: float
    energy: float
    energy_without_leakage: float


@dataclass(frozen=True)
class Counted:
    """A saving and how it was counted."""

    largest_only: bool  # whether the layer with the most weights alone is compressed
    timing: Timing  # whether a layer takes the sum or the longest of its parts
    baseline: int  # bits of a weight that is not compressed
    saving: Saving


def with_bits(network: Network, bits: Mapping[str, float]) -> Network:
    """Return a network whose layers take the given bits per weight, by their names; others stay as they are."""
    return replace(network, layers=tuple(layer.compressed(bits.get(layer.name)) for layer in network.layers))


def largest_only(network: Network) -> Network:
    """Return a network of which the layer with the most weights alone is compressed, the first of equal ones."""
    largest = max(network.layers, key=lambda layer: layer.weights)
    layers = tuple(layer if layer is largest else layer.compressed(None) for layer in network.layers)
    return replace(network, layers=layers)


def bits_per_weight(network: Network) -> float:
    """Return the bits per weight over the compressed layers."""
    packed = [layer for layer in network.layers if layer.bits_per_weight is not None]
    return sum((layer.bits_per_weight or 0.0) * layer.weights for layer in packed) / sum(
        layer.weights for layer in packed
    )


def saving(
    network: Network, estimator: Estimator, timing: Timing = Timing.SERIAL, baseline: int | None = None
) -> Saving:
    """Return the savings of a network's compressed layers; the baseline is the accelerator's where none is given."""
    before = estimator.estimate(network, timing, weight_bits=baseline, compressed=False)
    after = estimator.estimate(network, timing, weight_bits=baseline)
    saved = reductions(before, after)
    return Saving(saved["latency_reduction"], saved["energy_reduction"], saved["energy_reduction_without_leakage"])


def counted(network: Network, estimator: Estimator) -> Iterator[Counted]:
    """Visit all ways of counting: all layers or the largest, both timings, every baseline."""
    for only in (False, True):
        own = largest_only(network) if only else network
        for timing in Timing:
            for baseline in BASELINES:
                yield Counted(only, timing, baseline, saving(own, estimator, timing, baseline))
