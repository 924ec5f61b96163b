"""The accelerator as Verilog."""

from dnnzip_hw.array.accelerator import Accelerator
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.verilog import convert

TOP = "dnnzip_array"


def array_verilog(parameters: ArrayParameters) -> str:
    """Return the Verilog of an accelerator, module ``dnnzip_array``."""
    return convert(Accelerator(parameters), TOP)
