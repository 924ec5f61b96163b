"""Latency and energy of a network on an accelerator: an analytical model, checked against public simulators.

It knows layers and constants alone: networks are read in `dnnzip.onnx`, both are joined in `dnnzip.usecases`.
"""

from dnnzip.accelerator.configuration import Accelerator
from dnnzip.accelerator.configuration_file import PRESETS, load_accelerator, parse_accelerator
from dnnzip.accelerator.estimator import Estimator
from dnnzip.accelerator.figures import Cycles, Energy, Estimate, LayerEstimate, Timing, reductions
from dnnzip.accelerator.layer_model import LayerModel
from dnnzip.accelerator.layers import Kind, Layer, Network
from dnnzip.accelerator.nocnn import estimator_of

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
    "Timing",
    "estimator_of",
    "load_accelerator",
    "parse_accelerator",
    "reductions",
]
