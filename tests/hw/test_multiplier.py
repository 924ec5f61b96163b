# amaranth: UnusedElaboratable=no
"""ECP5's multiplier, by a behavioural model of it, yields the values of weights that shifting and negating yields."""

import re
import shutil
import subprocess
from dataclasses import replace
from importlib.resources import files

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip_hw.layouts import coded_layout
from dnnzip_hw.memory import ECP5, GENERIC
from dnnzip_hw.multiplier import Multiplier
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.value import LATENCY, Value
from dnnzip_hw.verilog import convert

MODEL = (files("dnnzip_hw.kit") / "mult18x18d.v").read_text(encoding="utf-8")


class Both(wiring.Component):
    """Both kinds of ``Value`` on the same weight; low bits that are not the weight's are zero on ECP5."""

    def __init__(self, parameters):
        self.parameters = parameters
        code_bits = parameters.code_bits
        self.layout = coded_layout(parameters)
        super().__init__(
            {
                "coded": In(self.layout.size),
                "generic": Out(code_bits),
                "ecp5": Out(code_bits),
                "outside_generic": Out(1),
                "outside_ecp5": Out(1),
            }
        )

    def elaborate(self, platform):  # noqa: ARG002 - Amaranth's signature
        m = Module()
        low_bits = self.parameters.low_bits
        coded = self.layout(self.coded)
        for target, code, outside in (
            (GENERIC, self.generic, self.outside_generic),
            (ECP5, self.ecp5, self.outside_ecp5),
        ):
            m.submodules[target] = value = Value(replace(self.parameters, target=target))
            m.d.comb += [value.coded.eq(coded), code.eq(value.code), outside.eq(value.outside)]
            if target == ECP5:
                for bit in range(low_bits):
                    m.d.comb += value.coded.low[bit].eq(coded.low[bit] & (coded.shift >= low_bits - bit))
        return m


BENCH = """
module bench;
  reg clk = 0, rst = 0;
  reg [{top}:0] coded = 0;
  wire [{code}:0] generic_code, ecp5_code;
  wire outside_generic, outside_ecp5;
  both dut (.clk(clk), .rst(rst), .coded(coded), .generic(generic_code), .ecp5(ecp5_code),
            .outside_generic(outside_generic), .outside_ecp5(outside_ecp5));
  integer number, differ = 0, same = 0;
  initial begin
    // Every weight there is, one per cycle.
    for (number = 0; number < (1 << {bits}) + {latency}; number = number + 1) begin
      coded = number;
      #1 clk = 1;
      #1 clk = 0;
      if (number >= {latency}) begin
        if (generic_code === ecp5_code && outside_generic === outside_ecp5) same = same + 1;
        else begin
          if (!differ) $display("weight %0d: expected %0d, got %0d", number - {latency} + 1, generic_code, ecp5_code);
          differ = differ + 1;
        end
      end
    end
    $display("same %0d differ %0d", same, differ);
  end
endmodule
"""


def compared(weight_bits, model, folder):
    """Return for how many weights both are the same, and for how many not, and what was printed."""
    both = Both(DecompressorParameters(weight_bits=weight_bits))
    bits = both.layout.size
    bench = BENCH.format(top=bits - 1, bits=bits, code=both.parameters.code_bits - 1, latency=LATENCY)
    source = folder / "bench.v"
    source.write_text(convert(both, "both") + model + bench, encoding="utf-8")
    subprocess.run(["iverilog", "-g2012", "-s", "bench", "-o", folder / "bench", source], check=True)
    printed = subprocess.run(["vvp", "-N", folder / "bench"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"same (\d+) differ (\d+)", printed)
    return int(found[1]), int(found[2]), 1 << bits, printed


needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is missing")


@needs_icarus
@pytest.mark.parametrize("weight_bits", [8, 16])
def test_product_and_shifted_value_are_the_same(weight_bits, tmp_path):
    same, differ, weights, printed = compared(weight_bits, MODEL, tmp_path)
    assert differ == 0, printed
    assert same == weights


@needs_icarus
def test_a_multiplier_without_its_output_register_would_be_seen(tmp_path):
    wrong = MODEL.replace("PRODUCT <= KEPT_A * KEPT_B", "PRODUCT <= A * B")
    assert wrong != MODEL
    _, differ, weights, _ = compared(8, wrong, tmp_path)
    assert differ > weights // 2


@pytest.mark.parametrize(("a_bits", "b_bits"), [(0, 4), (19, 4), (4, 0), (4, 19)])
def test_factors_that_do_not_fit_are_refused(a_bits, b_bits):
    with pytest.raises(ValueError, match=r"^[ab]_bits must be 1 to 18, not (0|19)$"):
        Multiplier(a_bits, b_bits)
