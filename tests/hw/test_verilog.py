"""Parameters, Verilog export and the ``rtl`` command: the decompressor and the AXI top."""

import json
import re

import pytest
from click.testing import CliRunner

from dnnzip.errors import InputError
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.axi import AxiParameters
from dnnzip_hw.axi.registers import as_c_header, as_markdown
from dnnzip_hw.axi.verilog import HEADER, REGISTERS
from dnnzip_hw.axi.verilog import TOP as AXI_TOP
from dnnzip_hw.cli import rtl
from dnnzip_hw.verilog import TOP, decompressor_verilog, ports

SMALL = ("--lanes", 1, "--slots", 1, "--states", 256)


def invoke(*arguments):
    return CliRunner().invoke(rtl, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.parametrize(
    ("make", "option", "value", "message"),
    [
        (DecompressorParameters, "lanes", 3, "lanes must be a power of two from 1 to 16, not 3"),
        (DecompressorParameters, "lanes", 0, "lanes must be a power of two from 1 to 16, not 0"),
        (DecompressorParameters, "slots", 32, "slots must be a power of two from 1 to 16, not 32"),
        (DecompressorParameters, "weight_bits", 9, "weight_bits must be 8 or 16, not 9"),
        (DecompressorParameters, "weight_bits", 12, "weight_bits must be 8 or 16, not 12"),
        (AxiParameters, "bus_bits", 24, "bus_bits must be a power of two from 16 to 128, not 24"),
        (AxiParameters, "bus_bits", 256, "bus_bits must be a power of two from 16 to 128, not 256"),
        (AxiParameters, "row_weights", 2, "row_weights must be a power of two from 4 to 64, not 2"),
        (AxiParameters, "groups", 3, "groups must be a power of two from 1 to 32, not 3"),
    ],
)
def test_a_wrong_parameter_is_named_and_so_is_its_option(tmp_path, make, option, value, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(**{option: value})
    name = f"--{option.replace('_', '-')}"
    with pytest.raises(InputError, match=f"^{re.escape(f'{name}: {message}')}"):
        invoke("-o", tmp_path, name, value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (DecompressorParameters, {"lanes": 8}, "lanes x slots must be at most 16, not 32"),
        (DecompressorParameters, {"log2_states": 7}, "log2_states must be 8 to 10, not 7"),
        (AxiParameters, {"row_weights": True}, "row_weights must be a power of two from 4 to 64, not True"),
        (AxiParameters, {"decompressor": None}, "decompressor must be DecompressorParameters, not None"),
    ],
)
def test_other_wrong_parameters_are_named(make, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**arguments)


def ports_of(text, top):
    """Return the direction and the width of each port of a module in Verilog, by its name."""
    module = text[text.index(f"module {top}(") :]
    module = module[: module.index("endmodule")]
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module, re.MULTILINE)
    }


def test_export_is_the_same_in_every_run_and_matches_the_port_list():
    parameters = DecompressorParameters(2, 2, 8, 8)
    text = decompressor_verilog(parameters)
    assert text == decompressor_verilog(parameters)
    assert not re.search(r"src =|\.py", text)
    listed = ports(parameters)
    assert listed["module"] == TOP
    assert ports_of(text, TOP) == {port["name"]: (port["direction"], port["width"]) for port in listed["ports"]}
    for port in listed["ports"]:
        if port["fields"]:
            assert sum(field["width"] for field in port["fields"]) == port["width"]


def test_smallest_decompressor_has_no_signal_without_bits():
    """Yosys writes one as ``[-1:0]``, which Verilator warns of; and a warning fails a build."""
    text = decompressor_verilog(DecompressorParameters(lanes=1, slots=1, log2_states=8))
    assert f"module {TOP}(" in text
    assert "[-1:0]" not in text


def test_command_writes_the_verilog_and_the_kit(tmp_path):
    folder = tmp_path / "new" / "rtl"
    result = invoke("-o", folder, *SMALL)
    assert result.exit_code == 0
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert written == sorted(
        [
            f"{TOP}.v",
            f"{TOP}.json",
            "README.md",
            "dnnzip_axi.v",
            "dnnzip_axi.json",
            "dnnzip_registers.h",
            "dnnzip_registers.md",
            "dnnzip_pkg.sv",
            "tb_dnnzip_decompressor.v",
            "c/dnnzip.c",
            "c/dnnzip.h",
            "c/dnnzip_decode.c",
            "c/dnnzip_format.h",
            "example/multiply.c",
            "sample/expected.hex",
            "sample/parameters.vh",
            "sample/words.hex",
        ]
    )
    assert result.output.split() == [str(folder / name) for name in sorted(written, key=result.output.index)]
    assert json.loads((folder / f"{TOP}.json").read_text())["parameters"]["lanes"] == 1


@pytest.mark.parametrize("states", [300, 128, 2048, 0])
def test_command_names_the_states(tmp_path, states):
    with pytest.raises(InputError, match=f"^--states: is {states}; it must be 256, 512 or 1024"):
        invoke("-o", tmp_path, "--states", states)
    assert not list(tmp_path.iterdir())


def test_command_leaves_nothing_where_it_cannot_write(tmp_path):
    place = tmp_path / "file"
    place.write_text("here")
    with pytest.raises(InputError, match="cannot be made"):
        invoke("-o", place, *SMALL)
    assert place.read_text() == "here"


@pytest.mark.parametrize(("groups", "prefixes"), [(1, ["s_axis"]), (2, ["s_axis_0", "s_axis_1"])])
def test_the_files_agree(tmp_path, groups, prefixes):
    folder = tmp_path / "new"
    assert invoke("-o", folder, *SMALL, "--weight-bits", "8", "--groups", groups, "--row-weights", 4).exit_code == 0
    assert {path.name for path in folder.iterdir()} > {f"{AXI_TOP}.json", f"{AXI_TOP}.v", HEADER, REGISTERS}
    assert as_markdown("group") in (folder / REGISTERS).read_text()
    assert (folder / HEADER).read_text() == as_c_header()
    listed = json.loads((folder / f"{AXI_TOP}.json").read_text())
    text = (folder / f"{AXI_TOP}.v").read_text()
    found = ports_of(text, AXI_TOP)
    assert found == {port["name"]: (port["direction"], port["width"]) for port in listed["ports"]}
    assert {name.removesuffix("_tdata") for name in found if name.startswith("s_axis") and "tdata" in name} == {
        *prefixes
    }
    assert found["s_axil_awaddr"] == ("input", 12)
    assert listed["parameters"]["row_weights"] == 4
    assert {register["name"] for register in listed["registers"]["blocks"]["group"]} > {"control", "weights"}


def test_an_unknown_target_is_a_usage_error(tmp_path):
    result = invoke("-o", tmp_path, "--target", "asic")
    assert result.exit_code == 2
    assert "--target" in result.output
    assert not list(tmp_path.iterdir())
