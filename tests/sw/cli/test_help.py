"""The help of every command: there without docstrings too, and completion, which loads no command of an extra."""

import json
import subprocess
import sys

from dnnzip import __version__
from dnnzip.cli import main as cli
from dnnzip.cli.catalogue import COMMANDS

HELP = """
import json
from click.testing import CliRunner
from dnnzip.cli.group import cli
names = ["", *cli.list_commands(None)]
print(json.dumps({name: CliRunner().invoke(cli, [*name.split(), "--help"]).output for name in names}))
"""

COMPLETION = """
import sys
from click.shell_completion import BashComplete
from dnnzip.cli.group import cli
found = BashComplete(cli, {}, "dnnzip", "_DNNZIP_COMPLETE").get_completions([], WORD)
ends = (".command", "hw.cli", "board.cli")
print(*(item.value for item in found), "|", *(name for name in sys.modules if name.endswith(ends)))
"""


def run(code, *options):
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_command_has_its_help_without_docstrings():
    plain, stripped = json.loads(run(HELP)), json.loads(run(HELP, "-OO"))
    assert stripped == plain
    assert len(plain) > 15
    for name, text in plain.items():
        usage, first, *_ = text.split("\n\n")
        assert usage.startswith("Usage: "), name
        assert first.strip(), name
        assert not first.strip().startswith(("Options:", "Commands:")), name


def test_names_are_completed_without_their_modules():
    names, loaded = run(COMPLETION.replace("WORD", "''")).split("|")
    assert {"compress", "explore", "rtl", "tune"} < set(names.split())
    assert not loaded.split()
    assert run(COMPLETION.replace("WORD", "'ex'")) == "explore |\n"
    assert "--version" in run(COMPLETION.replace("WORD", "'--'"))


def test_help_and_version(good):
    assert good("--version") == f"dnnzip, version {__version__}\n"
    out = good("--help")
    for command in ("compress", "decompress", "info", "verify", "evaluate", "simulate"):
        assert f"\n  {command} " in out
        # A summary in the list of commands is a whole sentence, and every option has a help text.
        assert f"Usage: dnnzip {command} " in good(command, "--help")
    assert "..." not in out.partition("Commands:")[2]


def test_every_option_has_a_help_text():
    for name in COMMANDS:
        command = cli.cli.get_command(None, name)
        assert command.help
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or parameter.help, (command.name, parameter.name)
