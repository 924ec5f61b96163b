"""Latency and energy of a network on an accelerator: an analytical model, checked against public simulators.

It knows layers and constants alone: networks are read in `dnnzip.model`, both are joined in `dnnzip.flow`.
"""

from dnnzip.accelerator.configuration import (
    PRESETS,
    Accelerator,
    Placement,
    load_accelerator,
    parse_accelerator,
)
from dnnzip.accelerator.estimate import (
    Cycles,
    Energy,
    Estimate,
    Estimator,
    LayerEstimate,
    LayerModel,
    Timing,
    reductions,
)
from dnnzip.accelerator.layers import Kind, Layer, Network

__all__ = [
    "PRESETS",
    "Accelerator",
    "Cycles",
    "Energy",
    "Estimate",
    "Estimator",
    "Kind",
    "Layer",
    "LayerEstimate",
    "LayerModel",
    "Network",
    "Placement",
    "Timing",
    "load_accelerator",
    "parse_accelerator",
    "reductions",
]
