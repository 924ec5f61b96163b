"""The AXI top as Verilog, with its ports and registers as plain data."""

import json
from dataclasses import asdict

from amaranth.hdl import Value
from amaranth.lib.wiring import In

from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.registers import as_c_header, as_dict, as_manual
from dnnzip_hw.axi.top import AxiDecompressor
from dnnzip_hw.verilog import convert

TOP = "dnnzip_axi"
HEADER = "dnnzip_registers.h"
REGISTERS = "dnnzip_registers.md"


def axi_verilog(parameters: AxiParameters) -> str:
    """Return the Verilog of an AXI top, module ``dnnzip_axi``."""
    return convert(AxiDecompressor(parameters), TOP)


def axi_ports(parameters: AxiParameters) -> dict[str, object]:
    """Return the top's parameters, ports and registers as plain data."""
    top = AxiDecompressor.signature_of(parameters)
    interface = top.create()
    return {
        "module": TOP,
        "clock": "aclk",
        "reset": "aresetn",
        "parameters": asdict(parameters),
        "ports": [
            {
                "name": str(path[0]),
                "direction": "input" if member.flow == In else "output",
                "width": len(Value.cast(value)),
            }
            for path, member, value in top.flatten(interface)
        ],
        "registers": as_dict(),
    }


def axi_files(parameters: AxiParameters) -> dict[str, str]:
    """Return the files of an AXI top by name: Verilog, ports and registers as JSON, registers as C header and page."""
    return {
        f"{TOP}.v": axi_verilog(parameters),
        f"{TOP}.json": json.dumps(axi_ports(parameters), indent=2) + "\n",
        HEADER: as_c_header(),
        REGISTERS: as_manual(),
    }
