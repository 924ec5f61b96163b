"""The accelerator as Verilog, alone and with AXI ports."""

from dnnzip_hw.array.accelerator import Accelerator
from dnnzip_hw.array.axi import AxiArray
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.verilog import convert

TOP = "dnnzip_array"
AXI_TOP = "dnnzip_axi_array"


def array_verilog(parameters: ArrayParameters) -> str:
    """Return the Verilog of an accelerator, module ``dnnzip_array``."""
    return convert(Accelerator(parameters), TOP)


def axi_array_verilog(parameters: ArrayParameters) -> str:
    """Return the Verilog of an accelerator with AXI ports, module ``dnnzip_axi_array``."""
    return convert(AxiArray(parameters), AXI_TOP)
