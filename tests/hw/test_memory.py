"""The block RAM primitive, by a behavioural model of it, equals the memory that tools infer."""

import re
import shutil
import subprocess
from importlib.resources import files

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip_hw.memory import ECP5, GENERIC, RegisteredMemory
from dnnzip_hw.verilog import convert

MODEL = (files("dnnzip_hw.kit") / "dp16kd.v").read_text(encoding="utf-8")
CYCLES = 4000


class Both(wiring.Component):
    """Both memories on the same ports; ``differ`` where they read differently."""

    def __init__(self, width, depth):
        self.width, self.depth = width, depth
        super().__init__(
            {
                "write_en": In(1),
                "write_addr": In(range(depth)),
                "write_data": In(width),
                "read_addr": In(range(depth)),
                "data_generic": Out(width),
                "data_ecp5": Out(width),
            }
        )

    def elaborate(self, platform):  # noqa: ARG002 - Amaranth's signature
        m = Module()
        for target, data in ((GENERIC, self.data_generic), (ECP5, self.data_ecp5)):
            m.submodules[target] = memory = RegisteredMemory(self.width, self.depth, target)
            m.d.comb += [
                memory.write_en.eq(self.write_en),
                memory.write_addr.eq(self.write_addr),
                memory.write_data.eq(self.write_data),
                memory.read_addr.eq(self.read_addr),
                data.eq(memory.read_data),
            ]
        return m


BENCH = """
module bench;
  reg clk = 0, rst = 0, write_en = 0;
  reg [{address}:0] write_addr = 0, read_addr = 0;
  reg [{data}:0] write_data = 0;
  wire [{data}:0] data_generic, data_ecp5;
  both dut (.clk(clk), .rst(rst), .write_en(write_en), .write_addr(write_addr), .write_data(write_data),
            .read_addr(read_addr), .data_generic(data_generic), .data_ecp5(data_ecp5));
  integer cycle, differ = 0, same = 0;
  initial begin
    for (cycle = 0; cycle < {depth} + {cycles}; cycle = cycle + 1) begin
      // All rows once, in order, then at random; never a row that is read in the same cycle.
      write_en = cycle < {depth} || $urandom % 2;
      write_addr = cycle < {depth} ? cycle : $urandom;
      write_data = {{$urandom, $urandom}};
      read_addr = $urandom;
      if (read_addr == write_addr) read_addr = read_addr ^ 1;
      #1 clk = 1;
      #1 clk = 0;
      if (cycle > {depth} + 2) if (data_generic === data_ecp5) same = same + 1; else differ = differ + 1;
    end
    $display("same %0d differ %0d", same, differ);
  end
endmodule
"""


def compared(width, depth, model, folder):
    """Return in how many cycles the memories read the same, and in how many not."""
    bench = BENCH.format(address=(depth - 1).bit_length() - 1, data=width - 1, depth=depth, cycles=CYCLES)
    source = folder / "bench.v"
    source.write_text(convert(Both(width, depth), "both") + model + bench, encoding="utf-8")
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", folder / "bench", source], check=True)
    printed = subprocess.run(["vvp", "-N", folder / "bench"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, re.search(r"same (\d+) differ (\d+)", printed).groups()))


pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is missing")


@pytest.mark.parametrize(("width", "depth"), [(19, 4096), (6, 512), (16, 512), (20, 8192), (9, 2048), (36, 1024)])
def test_primitive_and_generic_memory_read_the_same(width, depth, tmp_path):
    same, differ = compared(width, depth, MODEL, tmp_path)
    assert differ == 0
    assert same > CYCLES - 10


def test_a_primitive_without_its_output_register_would_be_seen(tmp_path):
    wrong = MODEL.replace("assign DOB = OUT_B;", "assign DOB = ROW_B;")
    assert wrong != MODEL
    _, differ = compared(19, 4096, wrong, tmp_path)
    assert differ > CYCLES // 2
