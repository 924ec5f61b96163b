"""Boards and their bitstreams, up to the tools: place and route takes minutes and is `make bitstream`'s part."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import io, wiring
from click.testing import CliRunner

from dnnzip.errors import CheckFailedError, InputError, MissingToolError
from dnnzip.format.frames import Top
from dnnzip_hw.board import bitstream as bitstreams
from dnnzip_hw.board.bitstream import TOOLS, BoardTop, build_bitstream
from dnnzip_hw.board.boards import BAUD, BOARDS
from dnnzip_hw.board.cli import bitstream


class Blinker(wiring.Component):
    """A top that needs a clock and a pin."""

    def __init__(self, board, top):
        self.board, self.top = board, top
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.sync += led.o.eq(~led.o)
        return m


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_the_line_divides_every_board_s_clock(board):
    assert board.design().divisor * BAUD == board.clock
    assert board.make_platform().default_clk_constraint.frequency == board.clock


@pytest.mark.parametrize(
    ("name", "top"),
    [("ulx3s-85f", Top.DECOMPRESSOR), ("icebreaker", Top.DECOMPRESSOR), ("ulx3s-85f", Top.ARRAY)],
)
def test_the_top_finds_its_pins(name, top, monkeypatch):
    board = BOARDS[name]
    for variable in (*TOOLS, "OPENFPGALOADER"):
        monkeypatch.setenv(variable, "true")
    platform = board.make_platform()
    plan = platform.prepare(BoardTop(board, top), "top", nextpnr_opts="--seed 3")
    script = plan.files[f"{plan.script}.sh"]
    assert "--seed 3" in script
    assert "timing-allow-fail" not in script, "a build that misses its clock must fail"


REPORT = {
    "fmax": {"clk": {"achieved": 31.4159, "constraint": 25.0}},
    "utilization": {"TRELLIS_COMB": {"used": 100, "available": 24288}, "PLL": {"used": 0, "available": 2}},
}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put programs in the place of all tools; return a function that says what place and route reports."""
    report = tmp_path / "prepared.json"
    program = tmp_path / "tool"

    def says(fmax=31.4159, status=0, output=""):
        report.write_text(json.dumps(REPORT | {"fmax": {"clk": {"achieved": fmax}}}))
        program.write_text(
            f"#!/bin/sh\ncp {report} report.json\nfor each; do case $each in *.bit) echo bits > $each ;; esac\ndone\n"
            f"echo '{output}'\nexit {status}\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    for variable in TOOLS:
        monkeypatch.setenv(variable, str(program))
    monkeypatch.setattr(bitstreams, "BoardTop", Blinker)  # the real one takes seconds to elaborate
    says()
    return says


def invoke(*arguments):
    return CliRunner().invoke(bitstream, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.usefixtures("tools")
def test_the_command_prints_and_keeps_a_summary(tmp_path):
    folder = tmp_path / "new" / "bits"
    result = invoke("--board", "ulx3s-25f", "-o", folder, "--seed", 7)
    assert result.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["dnnzip_ulx3s_25f.bit", "dnnzip_ulx3s_25f.json"]
    kept = json.loads((folder / "dnnzip_ulx3s_25f.json").read_text())
    assert kept["fmax_MHz"] == 31.42
    assert kept["seed"] == 7
    assert kept["utilization"]["TRELLIS_COMB"] == {"used": 100, "available": 24288}
    assert kept["parameters"]["decompressor"]["lanes"] == 4
    assert kept["top"] == "decompressor"
    assert "amaranth" in kept["tools"]
    assert re.search(r"clock +25\.0 MHz, possible 31\.4 MHz", result.output)
    assert "100 of 24,288 (0 %)" in result.output
    assert "PLL" not in result.output
    assert json.loads(invoke("--board", "ulx3s-25f", "-o", folder, "--seed", 7, "--json", "-").output)["seed"] == 7


@pytest.mark.usefixtures("tools")
def test_the_array_has_files_and_rows_of_its_own(tmp_path):
    folder = tmp_path / "bits"
    result = invoke("--board", "ulx3s-85f", "--top", "array", "-o", folder)
    assert result.exit_code == 0
    names = ["dnnzip_ulx3s_85f_array.bit", "dnnzip_ulx3s_85f_array.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    kept = json.loads((folder / names[1]).read_text())
    assert kept["top"] == "array"
    assert kept["parameters"]["array"]["decompressor"]["lanes"] == 2
    assert re.search(r"array +groups 1, columns 8, vectors 512", result.output)
    assert re.search(r"weight memory +262,144 bytes", result.output)


@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if board.array is None])
def test_a_board_that_the_array_does_not_fit_is_named(name, tmp_path):
    message = f"top array: the array does not fit {name} ({BOARDS[name].chip}); board ulx3s-85f"
    with pytest.raises(InputError, match=re.escape(message)):
        invoke("--board", name, "--top", "array", "-o", tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        build_bitstream(BOARDS[name], tmp_path, 1, Top.ARRAY)


def test_an_unknown_top_is_named(tmp_path):
    with pytest.raises(InputError, match="--top: no top is named 'pe'; one of decompressor, array"):
        invoke("--board", "ulx3s-85f", "--top", "pe", "-o", tmp_path)


def test_a_missed_clock_is_a_failed_build(tools, tmp_path):
    tools(fmax=24.99)
    with pytest.raises(CheckFailedError, match=r"ulx3s-25f reaches 24\.99 MHz, its clock has 25\.0; try --seed"):
        build_bitstream(BOARDS["ulx3s-25f"], tmp_path / "bits", 1)
    assert not list((tmp_path / "bits").iterdir())


def test_a_tool_that_fails_leaves_its_log_alone(tools, tmp_path):
    tools(status=1, output="ERROR: Unable to place cell")
    folder = tmp_path / "bits"
    with pytest.raises(CheckFailedError, match=r"was not built \(ERROR: Unable to place cell\); log in .*\.log"):
        build_bitstream(BOARDS["ulx3s-25f"], folder, 1)
    assert [path.name for path in folder.iterdir()] == ["dnnzip_ulx3s_25f.log"]


def test_a_missing_tool_is_named(monkeypatch, tmp_path):
    for variable in TOOLS:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(bitstreams.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(bitstreams.shutil, "which", lambda _: None)
    with pytest.raises(MissingToolError, match=r"bitstream: yosys is not installed; pip install '\.\[fpga\]' in "):
        build_bitstream(BOARDS["icebreaker"], tmp_path, 1)


def test_an_unknown_board_is_named(tmp_path):
    message = "--board: no board is named 'ulx4'; one of ulx3s-85f, ulx3s-25f, icebreaker, hx8k-b-evn"
    with pytest.raises(InputError, match=re.escape(message)):
        invoke("--board", "ulx4", "-o", tmp_path)


@pytest.mark.usefixtures("tools")
def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    place = tmp_path / "file"
    place.write_text("here")
    with pytest.raises(InputError, match=r"file: cannot be written \(.*\); name a place that can be"):
        invoke("--board", "ulx3s-25f", "-o", place)
    assert place.read_text() == "here"


def test_the_environment_stays_as_it_was(tools, tmp_path):
    del tools
    before = dict(os.environ)
    build_bitstream(BOARDS["ulx3s-25f"], Path(tmp_path) / "bits", 1)
    assert dict(os.environ) == before
