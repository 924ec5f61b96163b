"""The PE array: weights from a memory image, through decompressors or past them, into a weight-stationary array."""

from dnnzip_hw.array.accelerator import Accelerator
from dnnzip_hw.array.parameters import ArrayParameters

__all__ = ["Accelerator", "ArrayParameters"]
