"""The table of commands: where each one is, its summary for lists that do not load it, and the extra that it needs."""

from typing import NamedTuple


class Listed(NamedTuple):
    """A command of the table.

    Parameters
    ----------
    summary
        Its help's first sentence.
    module
        Where it is; empty for a command of another package, which is found by its entry point.
    extra
        The extra that it needs, if any.
    """

    summary: str
    module: str = ""
    extra: str = ""


ENTRY_POINTS = "dnnzip.commands"
"""Group of the entry points by which other packages bring commands."""

COMMANDS = {
    "bitstream": Listed("Build a bitstream: decompressor or array on a board.", extra="fpga"),
    "compress": Listed("Compress a model's weights within an error bound.", "dnnzip.cli.compression"),
    "decompress": Listed("Write the plain model of a compressed one.", "dnnzip.cli.compression"),
    "doctor": Listed("Show what is installed, and what is missing.", "dnnzip.cli.health"),
    "estimate": Listed("Estimate latency and energy on an accelerator.", "dnnzip.cli.estimation"),
    "evaluate": Listed("Measure a model's accuracy with onnxruntime.", "dnnzip.cli.accuracy"),
    "explore": Listed("Try layers, bounds, codecs and accelerators.", "dnnzip.cli.explore", "explore"),
    "image": Listed("Write a model's streams as a memory image.", "dnnzip.cli.decoding"),
    "info": Listed("Show what a compressed model holds.", "dnnzip.cli.compression"),
    "quantize": Listed("Quantise a network to 8 bits with onnxruntime.", "dnnzip.cli.accuracy"),
    "report": Listed("Show what `dnnzip explore` or `dnnzip tune` found.", "dnnzip.cli.report", "report"),
    "rtl": Listed("Write the decompressor as Verilog, with a kit around it.", extra="hw"),
    "run": Listed("Run a whole 8-bit network on the PE array.", "dnnzip.cli.array"),
    "simulate": Listed("Decode every stream in the RTL and compare all bits.", "dnnzip.cli.decoding"),
    "tune": Listed("Choose a bound for every layer, from labelled samples.", "dnnzip.cli.tune"),
    "verify": Listed("Check a compressed model against its original.", "dnnzip.cli.compression"),
}
