"""The integration kit: what ``dnnzip rtl`` writes next to the Verilog, for engineers who have no Python.

The format's numbers as a C header and as a SystemVerilog package, both made from ``dnnzip.format``; a decoder in C; a
testbench that checks itself, with its sample streams. Files that are not generated are in the folder ``files``.
"""

from dnnzip_hw.kit.contents import kit_files

__all__ = ["kit_files"]
