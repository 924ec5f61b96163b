"""Gates and energy of the decompressor, compared with an array: ``make asic``, docs/synthesis.md.

Yosys maps to two-input gates; each counts as the NAND2 gates whose area a plain standard cell of its kind has.
Memories are not mapped: their bits are counted apart.
"""

import json
from pathlib import Path

import click
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.presentation.tables import TextTable
from dnnzip_bench.command import BUILD, page_option, run, show, write
from dnnzip_bench.hardware.tools import yosys
from dnnzip_bench.pages import fill
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.verilog import convert

GATES = {
    "$_NOT_": 0.67, "$_NAND_": 1.0, "$_NOR_": 1.0, "$_AND_": 1.33, "$_OR_": 1.33, "$_ANDNOT_": 1.33, "$_ORNOT_": 1.33,
    "$_XOR_": 2.0, "$_XNOR_": 2.0, "$_MUX_": 2.33, "$_DFF_P_": 4.67, "$_DFFE_PP_": 6.33,
}  # fmt: skip
"""NAND2 equivalents of a cell."""

RAM_BITS = 2048
"""A memory with more bits is a RAM macro; one with fewer is latches."""

LATCH_GATES = 2.0
"""NAND2 equivalents of a bit of a small memory, with its share of the read multiplexer."""

FOLDER = BUILD / "synthesis" / "asic"
ENTRY_BITS = 19
"""Of an entry of a lane's table."""

SIDE = 16
SRAM_PJ_PER_BIT = 10 / 64
"""10 pJ for 64 bits of an 8 KB SRAM at 45 nm (Horowitz, ISSCC 2014)."""

ADD_PJ = 0.1
"""A 32-bit addition at 45 nm (the same source)."""

LOGIC_PJ = 3.675
"""Of a weight, logic and clock, as ``make toggles`` counts it in a simulation of the netlist."""


class MacRow(wiring.Component):
    """A row of a weight-stationary array of 8-bit multiply-accumulate elements, to compare with.

    Activations enter from the left, sums come from the row above and go to the row below; weights move down while
    ``load`` is set. The array is as many such rows as a row has elements.

    Members
    -------
    load : In(1), weights : In, activation : In, above : In, sums : Out
        As above.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "load": In(1),
                "weights": In(data.ArrayLayout(signed(8), SIDE)),
                "activation": In(signed(8)),
                "above": In(data.ArrayLayout(signed(24), SIDE)),
                "sums": Out(data.ArrayLayout(signed(24), SIDE)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        moving = self.activation
        for column in range(SIDE):
            weight = Signal(signed(8), name=f"weight_{column}")
            activation = Signal(signed(8), name=f"activation_{column}")
            with m.If(self.load):
                m.d.sync += weight.eq(self.weights[column])
            m.d.sync += [activation.eq(moving), self.sums[column].eq(self.above[column] + weight * moving)]
            moving = activation
        return m


def gates(component: wiring.Component, name: str) -> tuple[float, int, int]:
    """Return the NAND2 equivalents of a component, its bits in small memories, and those in RAM macros."""
    folder = FOLDER
    write(folder / f"{name}.v", convert(component, name))
    cells = " ".join(f"-cell {cell} 01" for cell in GATES if cell.startswith("$_DFF"))
    yosys(
        f"read_verilog {name}.v; prep -flatten -top {name}; memory -nomap; opt; alumacc; opt; techmap; "
        f"opt -fast; dfflegalize {cells}; opt_clean; abc -g gates; opt_clean; write_json {name}.json",
        folder,
    )
    netlist = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["modules"][name]
    total, small, large = 0.0, 0, 0
    for cell in netlist["cells"].values():
        kind = cell["type"]
        if kind.startswith("$mem"):
            bits = int(cell["parameters"]["SIZE"], 2) * int(cell["parameters"]["WIDTH"], 2)
            small, large = (small, large + bits) if bits > RAM_BITS else (small + bits, large)
        elif kind != "$scopeinfo":  # it says what was flattened
            total += GATES[kind]
    return total, small, large


def tables() -> tuple[TextTable, str, TextTable]:
    """Return the gates, a sentence on what a weight costs, and the memory energy above which compression pays."""
    decompressor = gates(Decompressor(DecompressorParameters(weight_bits=8)), "dnnzip_decompressor")
    array = SIDE * gates(MacRow(), "mac_row")[0]
    logic = decompressor[0] + decompressor[1] * LATCH_GATES
    table = ENTRY_BITS * SRAM_PJ_PER_BIT
    each = table + LOGIC_PJ
    counted = TextTable(
        ("", "logic, NAND2", "bits in latches", "bits in RAM", "logic and latches, NAND2"),
        (
            ("decompressor, 4 lanes, 8-bit weights", *(f"{value:,.0f}" for value in decompressor), f"{logic:,.0f}"),
            (f"array, {SIDE} x {SIDE} int8, 24-bit sums", f"{array:,.0f}", "0", "0", f"{array:,.0f}"),
        ),
    )
    sentence = (
        f"The decompressor's logic is {100 * logic / (logic + array):.0f} % of both together. A weight costs "
        f"{table:.2f} pJ for its table entry ({ENTRY_BITS} bits) and {LOGIC_PJ:.2f} pJ of logic, {each:.2f} pJ in all."
    )
    pays = TextTable(
        ("bits per weight", "memory energy above which 8-bit weights pay to be compressed"),
        tuple((str(bits), f"{each / (8 - bits):.2f} pJ/bit") for bits in (2, 3, 4, 5, 6)),
    )
    return counted, sentence, pays


@click.command()
@page_option
def asic(page: Path | None) -> None:
    """Count the gates of the decompressor and of an array."""
    counted, sentence, pays = tables()
    show(counted, pays)
    click.echo(sentence)
    fill(page, "synthesis", {"gates": f"{counted.markdown()}\n{sentence}\n\n{pays.markdown()}"})


if __name__ == "__main__":
    run(asic)
