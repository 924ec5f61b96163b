"""Verilator has nothing to warn of in our RTL, and what it warns of does not end a user's build."""

import pytest

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.array import ArrayParameters
from dnnzip_hw.array.verilog import AXI_TOP as ARRAY_TOP
from dnnzip_hw.axi import AxiParameters
from dnnzip_sim.array.harness import build_array
from dnnzip_sim.board.simulated import SimulatedBoard
from dnnzip_sim.build import build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.link import SimulatedLink
from dnnzip_sim.verilog import AXI_TOP, axi_array_verilog, axi_verilog, decompressor_verilog

NARROWED = "module narrowed (input [7:0] in, output [3:0] out); assign out = in; endmodule\n"


AXI = {
    "everything": AxiParameters(DecompressorParameters(log2_states=10, line=True), bus_bits=32),
    "wide": AxiParameters(DecompressorParameters(2, 2, 8, 8), bus_bits=128, row_weights=8, groups=2),
    "narrow": AxiParameters(DecompressorParameters(1, 4, 8, 16), bus_bits=16),
}


def built(top, text):
    return build(top, {f"{top}.v": text}, options=OPTIONS)


OURS = {
    "decompressor": lambda: built("dnnzip_decompressor", decompressor_verilog(DecompressorParameters())),
    "everything": lambda: built(AXI_TOP, axi_verilog(AXI["everything"])),
    "wide": lambda: built(AXI_TOP, axi_verilog(AXI["wide"])),
    "narrow": lambda: built(AXI_TOP, axi_verilog(AXI["narrow"])),
    "array": lambda: built(ARRAY_TOP, axi_array_verilog(ArrayParameters())),
    "harness": lambda: SimulatedLink().build(),
    "array harness": lambda: build_array(ArrayParameters()),
    "board": lambda: SimulatedBoard().build(),
}

NOT_SIMULATED = ("narrow", "array", "board")
"""Verilator alone runs on them; no other test needs the program, and the others find it in the cache."""


def warnings_of(made):
    log = (made.folder / "build.log").read_text(errors="replace")
    return [line for line in log.splitlines() if line.startswith("%Warning")]


@pytest.mark.slow
def test_a_warning_does_not_end_a_build():
    (warning,) = warnings_of(build("narrowed", {"narrowed.v": NARROWED}))
    assert warning.startswith("%Warning-WIDTHTRUNC: ")


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_verilator_warns_of_nothing_in_our_rtl(name, monkeypatch):
    if name in NOT_SIMULATED:
        monkeypatch.setattr("dnnzip_sim.build.MAKE_OPTIONS", ("--dry-run",))
    assert warnings_of(OURS[name]()) == []
