"""The dnnzip decompressor as synthesizable hardware, written in Amaranth.

Every width, field and constant derives from ``dnnzip.format``, the only part of ``dnnzip`` that this package imports.
"""

from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.float_map import FloatMap
from dnnzip_hw.layouts import beat_layout, word_layout
from dnnzip_hw.parameters import DecompressorParameters

__all__ = ["Decompressor", "DecompressorParameters", "FloatMap", "beat_layout", "word_layout"]
