"""Libraries' warnings of coming changes neither fail nor clutter what a user runs."""

import os
import subprocess
import sys

import pytest

from dnnzip.cli.announcements import CATEGORIES

COMMAND = """
import subprocess, sys, warnings
from dnnzip.cli import main as cli
def command(**_):
    warnings.warn("soon", {0})
    subprocess.run([sys.executable, "-c", "import warnings; warnings.warn('soon', {0})"], check=True)
cli.cli.main = command
cli.main()
"""


def run(code, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("category", [category.__name__ for category in CATEGORIES])
def test_the_command_line_and_what_it_starts_show_none(category):
    done = run(COMMAND.format(category))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("category", ["UserWarning", "RuntimeWarning"])
def test_other_warnings_are_shown(category):
    done = run(COMMAND.format(category))
    assert done.returncode == 0
    assert done.stderr.count(f"{category}: soon") == 2


@pytest.mark.parametrize("category", [category.__name__ for category in CATEGORIES])
def test_what_the_user_asks_for_counts(category):
    done = run(COMMAND.format(category), PYTHONWARNINGS="error")
    assert done.returncode != 0
    assert f"{category}: soon" in done.stderr
