"""Parameters, Verilog export and the ``rtl`` command."""

import json
import re

import pytest
from click.testing import CliRunner

from dnnzip.errors import InputError
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.cli import rtl
from dnnzip_hw.verilog import TOP, decompressor_verilog, ports


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 3}, "lanes must be a power of two from 1 to 16, not 3"),
        ({"lanes": 0}, "lanes must be a power of two from 1 to 16, not 0"),
        ({"slots": 32}, "slots must be a power of two from 1 to 16, not 32"),
        ({"lanes": 8}, "lanes x slots must be at most 16, not 32"),
        ({"log2_states": 7}, "log2_states must be 8 to 10, not 7"),
        ({"weight_bits": 12}, "weight_bits must be 8 or 16, not 12"),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DecompressorParameters(**arguments)


def test_export_is_the_same_in_every_run_and_matches_the_port_list():
    parameters = DecompressorParameters(2, 2, 8, 8)
    text = decompressor_verilog(parameters)
    assert text == decompressor_verilog(parameters)
    assert not re.search(r"src =|\.py", text)
    listed = ports(parameters)
    assert listed["module"] == TOP
    found = {}
    module = text[text.index(f"module {TOP}(") :]
    module = module[: module.index("endmodule")]
    for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module, re.MULTILINE):
        found[name] = (direction, int(high or 0) + 1)
    assert found == {port["name"]: (port["direction"], port["width"]) for port in listed["ports"]}
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
    result = CliRunner().invoke(
        rtl, ["-o", str(folder), "--lanes", "1", "--slots", "1", "--states", "256"], catch_exceptions=False
    )
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
            "sample/expected.hex",
            "sample/parameters.vh",
            "sample/words.hex",
        ]
    )
    assert result.output.split() == [str(folder / name) for name in sorted(written, key=result.output.index)]
    assert json.loads((folder / f"{TOP}.json").read_text())["parameters"]["lanes"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lanes", "3"], "--lanes: lanes must be a power of two from 1 to 16, not 3"),
        (["--states", "300"], "--states: is 300; it must be 256, 512 or 1024"),
        (["--states", "128"], "--states: is 128; it must be 256, 512 or 1024"),
        (["--states", "2048"], "--states: is 2048; it must be 256, 512 or 1024"),
        (["--states", "0"], "--states: is 0; it must be 256, 512 or 1024"),
        (["--weight-bits", "9"], "--weight-bits: weight_bits must be 8 or 16, not 9"),
    ],
)
def test_command_names_the_option(tmp_path, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        CliRunner().invoke(rtl, ["-o", str(tmp_path), *arguments], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


def test_command_leaves_nothing_where_it_cannot_write(tmp_path):
    place = tmp_path / "file"
    place.write_text("here")
    with pytest.raises(InputError, match="cannot be made"):
        CliRunner().invoke(
            rtl, ["-o", str(place), "--lanes", "1", "--slots", "1", "--states", "256"], catch_exceptions=False
        )
    assert place.read_text() == "here"
