"""The AXI top's Verilog, as the ``rtl`` command writes it."""

import json
import re

import pytest
from click.testing import CliRunner

from dnnzip.errors import InputError
from dnnzip_hw.axi.registers import as_c_header, as_markdown
from dnnzip_hw.axi.verilog import HEADER, REGISTERS, TOP
from dnnzip_hw.cli import rtl

SMALL = ["--lanes", "1", "--slots", "1", "--states", "256", "--weight-bits", "8"]


def invoke(*arguments):
    return CliRunner().invoke(rtl, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.parametrize(("groups", "prefixes"), [(1, ["s_axis"]), (2, ["s_axis_0", "s_axis_1"])])
def test_the_files_agree(tmp_path, groups, prefixes):
    folder = tmp_path / "new"
    assert invoke("-o", folder, *SMALL, "--groups", groups, "--row-weights", 4).exit_code == 0
    assert {path.name for path in folder.iterdir()} > {f"{TOP}.json", f"{TOP}.v", HEADER, REGISTERS}
    assert as_markdown("group") in (folder / REGISTERS).read_text()
    assert (folder / HEADER).read_text() == as_c_header()
    listed = json.loads((folder / f"{TOP}.json").read_text())
    text = (folder / f"{TOP}.v").read_text()
    module = text[text.index(f"module {TOP}(") :]
    module = module[: module.index("endmodule")]
    found = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module, re.MULTILINE)
    }
    assert found == {port["name"]: (port["direction"], port["width"]) for port in listed["ports"]}
    assert {name.removesuffix("_tdata") for name in found if name.startswith("s_axis") and "tdata" in name} == {
        *prefixes
    }
    assert found["s_axil_awaddr"] == ("input", 12)
    assert listed["parameters"]["row_weights"] == 4
    assert {register["name"] for register in listed["registers"]["blocks"]["group"]} > {"control", "weights"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bus-bits", "24"], "--bus-bits: bus_bits must be a power of two from 16 to 128, not 24"),
        (["--row-weights", "2"], "--row-weights: row_weights must be a power of two from 4 to 64, not 2"),
        (["--groups", "3"], "--groups: groups must be a power of two from 1 to 32, not 3"),
        (["--lanes", "3"], "--lanes: lanes must be a power of two from 1 to 16, not 3"),
        (["--states", "300"], "--states: is 300; it must be 256, 512 or 1024"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        invoke("-o", tmp_path, *arguments)
    assert not list(tmp_path.iterdir())


def test_an_unknown_target_is_a_usage_error(tmp_path):
    result = invoke("-o", tmp_path, "--target", "asic")
    assert result.exit_code == 2
    assert "--target" in result.output
    assert not list(tmp_path.iterdir())
