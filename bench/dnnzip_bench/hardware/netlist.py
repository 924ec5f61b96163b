"""The decompressor as gates: Verilog of the netlist, each output of a gate watched."""

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dnnzip_bench.asic import GATES, RAM_BITS
from dnnzip_bench.hardware.tools import yosys
from dnnzip_sim.build import cache_folder

MODULES = {kind: "gate" + kind.removeprefix("$").rstrip("_").lower() for kind in GATES}
"""Name in the Verilog of a cell of Yosys: ``$_NAND_`` becomes ``gate_nand``."""

_FUNCTIONS = {
    "$_NOT_": "~A",
    "$_NAND_": "~(A & B)",
    "$_NOR_": "~(A | B)",
    "$_AND_": "A & B",
    "$_OR_": "A | B",
    "$_ANDNOT_": "A & ~B",
    "$_ORNOT_": "A | ~B",
    "$_XOR_": "A ^ B",
    "$_XNOR_": "~(A ^ B)",
    "$_MUX_": "S ? B : A",
    "$_DFF_P_": "",
    "$_DFFE_PP_": "if (E) ",
}
"""Output of a combinational cell as an expression; of a flip-flop, the condition under which it takes its input."""

FLIP_FLOPS = tuple(kind for kind in GATES if kind.startswith("$_DFF"))

PER_CALL = 64
"""Outputs that go into C++ at once."""

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 2

_CELL = re.compile(r"^  (gate_\w+) \S+ \(\n(.*?)\n  \);", re.MULTILINE | re.DOTALL)
_MEMORY_BIT = re.compile(r"\[\d+\] ?\[\d+\] ?$")
"""End of the name of a row's bit, once a memory is flip-flops and nets are bits."""

_OUTPUT = re.compile(r"^    \.[YQ]\((.*)\),?$", re.MULTILINE)


@dataclass(frozen=True)
class Watched:
    """A netlist whose gates are watched."""

    verilog: str  # its text, with the modules of the gates and calls into C++ at every clock
    cells: tuple[int, ...]  # how many there are of each kind, in the order of `GATES`
    registers: int  # flip-flops that are no bits of a memory: those with a clock that never rests


def gate_netlist(source: str, top: str) -> str:
    """Map the module ``top``, a plain word, to gates; kept in the build cache, for it takes minutes.

    Memories of up to ``RAM_BITS`` become flip-flops and gates, which are more than the latches that they would be;
    larger ones stay memories.

    Raises
    ------
    RuntimeError
        If Yosys fails.
    """
    key = hashlib.sha256(json.dumps([RECIPE, source, top, GATES, RAM_BITS]).encode()).hexdigest()[:32]
    kept = cache_folder() / f"gates-{key}.v"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="gates-") as place:
            folder = Path(place)
            (folder / "source.v").write_text(source, encoding="utf-8")
            start = f"read_verilog source.v; prep -flatten -top {top}; memory -nomap; opt"
            yosys(f"{start}; write_json first.json; write_rtlil first.il", folder)
            cells = json.loads((folder / "first.json").read_text(encoding="utf-8"))["modules"][top]["cells"]
            sizes = {_size(cell["parameters"]) for cell in cells.values() if cell["type"].startswith("$mem")}
            small = "".join(
                f"select -add t:$mem_v2 r:SIZE={rows} %i r:WIDTH={width} %i; "
                for rows, width in sorted(sizes)
                if rows * width <= RAM_BITS
            )
            mapped = f"select -none; {small}memory_map; select -clear; " if small else ""
            kinds = " ".join(f"-cell {kind} 01" for kind in FLIP_FLOPS)
            renamed = "; ".join(f"chtype -set {name} t:{kind}" for kind, name in MODULES.items())
            yosys(
                f"read_rtlil first.il; {mapped}opt; alumacc; opt; techmap; opt -fast; dfflegalize {kinds}; opt_clean; "
                f"abc -g gates; opt_clean; {renamed}; splitnets; write_verilog -noattr gates.v",
                folder,
            )
            (folder / "gates.v").replace(kept)
    return kept.read_text(encoding="utf-8")


def _size(parameters: dict[str, str]) -> tuple[int, int]:
    return int(parameters["SIZE"], 2), int(parameters["WIDTH"], 2)


def watched(netlist: str) -> Watched:
    """Add to a netlist of ``gate_netlist``, whose clock is ``clk``, modules of its gates and calls that watch them."""
    outputs: dict[str, list[str]] = {kind: [] for kind in GATES}
    kinds = {name: kind for kind, name in MODULES.items()}
    for module, ports in _CELL.findall(netlist):
        (output,) = _OUTPUT.findall(ports)
        outputs[kinds[module]].append(output)
    calls: list[str] = []
    for number, names in enumerate(outputs.values()):
        for first in range(0, len(names), PER_CALL):
            group = ", ".join(names[first : first + PER_CALL])
            calls.append(f"    toggles_see({number}, {len(calls)}, {{{group}}});\n")
    body, end, rest = netlist.rpartition("endmodule")
    text = (
        f"{body}"
        '  import "DPI-C" function void toggles_open(input string file);\n'
        '  import "DPI-C" function void toggles_see(input int kind, input int place, input longint bits);\n'
        '  import "DPI-C" function void toggles_clock();\n'
        "  string toggles_file;\n"
        '  initial if ($value$plusargs("toggles=%s", toggles_file)) toggles_open(toggles_file);\n'
        f"  always @(posedge clk) begin\n{''.join(calls)}    toggles_clock();\n  end\n{end}{rest}"
    )
    cells = tuple(len(names) for names in outputs.values())
    registers = sum(not _MEMORY_BIT.search(name) for kind in FLIP_FLOPS for name in outputs[kind])
    return Watched(text + "".join(_module(kind) for kind in GATES), cells, registers)


def _module(kind: str) -> str:
    name, function = MODULES[kind], _FUNCTIONS[kind]
    if kind in FLIP_FLOPS:
        ports, action = "C, D, E, Q" if "E_" in kind else "C, D, Q", f"always @(posedge C) {function}Q <= D;"
        inputs = ports.removesuffix(", Q")
        return f"module {name}({ports}); input {inputs}; output reg Q; {action} endmodule\n"
    inputs = ", ".join(port for port in "ABS" if re.search(rf"\b{port}\b", function))
    return f"module {name}({inputs}, Y); input {inputs}; output Y; assign Y = {function}; endmodule\n"
