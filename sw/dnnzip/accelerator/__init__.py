"""Latency and energy of a network on an accelerator: an analytical model, checked against public simulators.

It knows layers and constants alone: networks are read in `dnnzip.onnx`, both are joined in `dnnzip.usecases`.
"""

from dnnzip.accelerator.configuration import (
    PRESETS,
    Accelerator,
    Departures,
    load_accelerator,
    parse_accelerator,
)
from dnnzip.accelerator.estimate import Cycles, Energy, Estimate, Estimator, LayerEstimate, Timing, reductions
from dnnzip.accelerator.layers import Kind, Layer, Network

__all__ = [
    "PRESETS",
    "Accelerator",
    "Cycles",
    "Departures",
    "Energy",
    "Estimate",
    "Estimator",
    "Kind",
    "Layer",
    "LayerEstimate",
    "Network",
    "Timing",
    "load_accelerator",
    "parse_accelerator",
    "reductions",
]
