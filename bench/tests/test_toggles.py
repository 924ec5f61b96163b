"""The counting of toggles: the adder against sums, the counter against bits, the netlist's text, the figures in use."""

import ctypes
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dnnzip.accelerator import PRESETS, load_accelerator
from dnnzip_bench.asic import GATES, LOGIC_PJ, SRAM_PJ_PER_BIT
from dnnzip_bench.hardware.adder import BITS, GATES_PER_BIT, nand_outputs, toggles_per_addition
from dnnzip_bench.hardware.netlist import MODULES, gate_netlist, watched
from dnnzip_bench.toggles import LayerToggles, table
from dnnzip_sim import toolchain

PAGE = Path(__file__).parents[1] / "synthesis-attempts.md"
ENTRY_BITS = 19

NETLIST = """module top(clk, a, b, q);
  gate_nand _1_ (
    .A(a),
    .B(b),
    .Y(_n_)
  );
  gate_dff_p _2_ (
    .C(clk),
    .D(_n_),
    .Q(q)
  );
  gate_dffe_pp _3_ (
    .C(clk),
    .D(_n_),
    .E(a),
    .Q(\\words.rows[3][1] )
  );
endmodule
"""


def test_the_gates_of_the_adder_add():
    rng = np.random.default_rng(7)
    a, b = (rng.integers(0, 1 << 32, 500, dtype=np.uint64) for _ in range(2))
    gates = nand_outputs(a, b)
    assert gates.shape == (500, BITS * GATES_PER_BIT)
    sums = gates[:, 7::GATES_PER_BIT].astype(np.uint64)
    total = (sums << np.arange(BITS, dtype=np.uint64)).sum(axis=1)
    assert np.array_equal(total, (a + b) & np.uint64(0xFFFFFFFF))


def test_an_addition_of_equal_numbers_changes_nothing_and_of_random_ones_some_gates():
    gates = nand_outputs(np.full(2, 5, np.uint64), np.full(2, 9, np.uint64))
    assert np.array_equal(gates[0], gates[1])
    assert toggles_per_addition() == pytest.approx(118.8, abs=0.05)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """Return the counter as a library."""
    folder = tmp_path_factory.mktemp("counter")
    (folder / "svdpi.h").write_text("")
    (folder / "counter.cpp").write_text((files("dnnzip_bench.hardware") / "counter.cpp").read_text())
    compiler = toolchain.system_tool("g++").path
    command = [compiler, "-shared", "-fPIC", "-I.", "counter.cpp", "-o", "counter.so"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "counter.so"))
    library.toggles_see.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong]
    return library


def test_the_counter_counts_bits_that_change_by_kind(counter, tmp_path):
    path = tmp_path / "counts"
    counter.toggles_open(str(path).encode())
    for first, second in ((0b1010, -1), (0b1001, -1), (0b1001, 0)):
        counter.toggles_see(0, 0, first)
        counter.toggles_see(3, 1, second)
        counter.toggles_clock()
    counts = np.fromfile(path, "<u8").reshape(-1, len(GATES))
    assert counts[:, 0].tolist() == [0, 2, 2]
    assert counts[:, 3].tolist() == [0, 0, 64]
    assert counts.sum() == 68


def test_the_counter_has_a_place_for_every_kind():
    text = (files("dnnzip_bench.hardware") / "counter.cpp").read_text()
    assert re.search(r"kKinds = (\d+)", text)[1] == str(len(GATES))


def test_every_output_of_a_netlist_is_watched_and_memory_bits_are_no_registers():
    found = watched(NETLIST)
    assert dict(zip(GATES, found.cells, strict=True)) == {
        kind: int(kind in ("$_NAND_", "$_DFF_P_", "$_DFFE_PP_")) for kind in GATES
    }
    assert found.registers == 1
    kinds = list(GATES)
    for kind, output in (("$_NAND_", "_n_"), ("$_DFF_P_", "q"), ("$_DFFE_PP_", r"\words.rows[3][1] ")):
        assert f"toggles_see({kinds.index(kind)}, " in found.verilog
        assert f"{{{output}}}" in found.verilog
    assert all(f"module {name}(" in found.verilog for name in MODULES.values())
    assert found.verilog.count("toggles_see(") == 3 + 1, "three calls and the import"


def test_small_memories_become_gates_and_large_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("DNNZIP_CACHE", str(tmp_path))
    memory = (
        "module top(input clk, input [9:0] w, input [9:0] r, input [7:0] d, input en, output reg [7:0] q);\n"
        "  reg [7:0] m [0:{last}];\n"
        "  always @(posedge clk) begin if (en) m[w] <= d; q <= m[r]; end\nendmodule\n"
    )
    small = gate_netlist(memory.replace("{last}", "7"), "top")
    assert sum(watched(small).cells) > 64
    assert "reg [7:0]" not in small
    large = gate_netlist(memory.replace("{last}", "1023"), "top")
    assert re.search(r"reg \[7:0\] .*\[1023:0\]", large)
    assert len(list(tmp_path.glob("gates-*.v"))) == 2


def test_the_table_adds_layers_up():
    layers = [LayerToggles("1%", name, 100, 50, (0,) * len(GATES), 1000.0, 500.0) for name in ("a", "b")]
    result = table(layers, 200.0, 1e-3)
    assert result.rows[0] == ("1%, a", "100", "50", "2.00", "10.0", "0.010", "0.005", "0.015")
    assert result.total == ("all", "200", "100", "2.00", "10.0", "0.010", "0.005", "0.015")


def test_what_is_used_is_what_was_counted():
    text = PAGE.read_text(encoding="utf-8")
    counted = re.search(r"a weight takes ([\d.]+) pJ of logic and clock", " ".join(text.split()))
    assert float(counted[1]) == LOGIC_PJ
    for name in PRESETS:
        energy = load_accelerator(name).decompressor.energy
        assert energy.value == pytest.approx(1e-12 * (ENTRY_BITS * SRAM_PJ_PER_BIT + LOGIC_PJ), abs=6e-15)
        assert "make toggles" in energy.source
