"""The decompressor as Verilog, with its port list as plain data."""

from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape, Value
from amaranth.lib import data, wiring

from dnnzip_hw.decompressor import Decompressor, port_signature
from dnnzip_hw.float_map import FloatMap
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.yosys import yosys_ready

TOP = "dnnzip_decompressor"
FLOAT_MAP = "dnnzip_float_map"


def convert(component: wiring.Component, name: str) -> str:
    """Return the Verilog of ``component`` as module ``name``: the same text in every run.

    Parameters
    ----------
    component
        Not yet elaborated.
    name
        Of the top module.
    """
    with yosys_ready():
        text: str = verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)
    return text


def decompressor_verilog(parameters: DecompressorParameters) -> str:
    """Return the Verilog of a decompressor."""
    return convert(Decompressor(parameters), TOP)


def float_map_verilog(parameters: DecompressorParameters) -> str:
    """Return the Verilog of the map from codes to floats, to be placed behind a decompressor's output."""
    return convert(FloatMap(parameters), FLOAT_MAP)


def ports(parameters: DecompressorParameters) -> dict[str, Any]:
    """Return the decompressor's parameters and ports.

    For each port its direction and width, and, where its payload has fields, their offsets, widths and signs.
    """
    interface = port_signature(parameters).create()
    listed: list[dict[str, Any]] = [
        {"name": name, "direction": "input", "width": 1, "fields": []} for name in ("clk", "rst")
    ]
    for path, member, value in interface.signature.flatten(interface):
        listed.append(
            {
                "name": "__".join(str(part) for part in path),
                "direction": "input" if member.flow == wiring.In else "output",
                "width": len(Value.cast(value)),
                "fields": _fields(member.shape),
            }
        )
    return {
        "module": TOP,
        "clock": "clk",
        "reset": "rst",
        "parameters": {
            "lanes": parameters.lanes,
            "slots": parameters.slots,
            "log2_states": parameters.log2_states,
            "weight_bits": parameters.weight_bits,
            "line": parameters.line,
        },
        "ports": listed,
    }


def _fields(layout: Any) -> list[dict[str, Any]]:
    """Return the fields of a payload's layout; an array's elements are named ``weights[0]`` and so on."""
    if not isinstance(layout, data.StructLayout):
        return []
    listed = []
    for name, field in layout:
        if isinstance(field.shape, data.ArrayLayout):
            elements = [
                (f"{name}[{index}]", field.offset + element.offset, element.shape) for index, element in field.shape
            ]
        else:
            elements = [(name, field.offset, field.shape)]
        for element_name, offset, shape in elements:
            cast = Shape.cast(shape)
            listed.append({"name": element_name, "offset": offset, "width": cast.width, "signed": cast.signed})
    return listed
