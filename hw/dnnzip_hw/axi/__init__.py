"""The decompressor behind AXI: AXI4-Stream in and out, AXI4-Lite registers, several groups side by side."""

from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.top import AxiDecompressor

__all__ = ["AxiDecompressor", "AxiParameters"]
