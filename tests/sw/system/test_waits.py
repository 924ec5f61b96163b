"""Waits of a first run: said once on standard error, with a clock on a terminal, and not by the library."""

import os
import pty
import subprocess
import sys

import numba
import pytest

from dnnzip.codec import compiling
from dnnzip.system import waits

WHAT = "boiling the kettle, about a minute"
SCRIPT = f"""
import sys
from dnnzip.system import waits
waits.show_waits()
for _ in range(2):
    with waits.waiting_for({WHAT!r}):
        pass
print("tea")
"""


@pytest.fixture
def shown(monkeypatch):
    """Show the waits of this process, all of them for the first time."""
    monkeypatch.setattr(waits, "_begun", {})
    monkeypatch.setattr(waits, "_shown", waits._say_nothing)
    monkeypatch.delenv(waits.SILENT, raising=False)
    waits.show_waits()


def test_the_library_says_nothing(capsys):
    waits.show_waits(False)
    with waits.waiting_for(WHAT):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("shown")
def test_a_pipe_gets_one_line(capsys):
    with waits.waiting_for(WHAT):
        assert capsys.readouterr() == ("", f"dnnzip: {WHAT}\n")
    with pytest.raises(KeyError), waits.waiting_for(WHAT):
        raise KeyError
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("shown")
def test_a_variable_and_a_closed_stream_keep_it_quiet(capsys, monkeypatch):
    monkeypatch.setenv(waits.SILENT, "1")
    waits.show_waits()
    with waits.waiting_for(WHAT):
        pass
    monkeypatch.delenv(waits.SILENT)
    waits.show_waits()
    monkeypatch.setattr(sys, "stderr", None)
    with waits.waiting_for(WHAT):
        pass
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_clock_and_leaves_nothing():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"} | {waits.SILENT: ""}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True
    )
    os.close(theirs)
    written = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.stdout == b"tea\n"
    assert f"dnnzip: {WHAT}: 0 s" in written
    assert written.rstrip().endswith("\x1b[2K")


@pytest.mark.usefixtures("shown")
def test_compilation_is_a_wait_and_a_kept_result_is_none(capsys, monkeypatch):
    monkeypatch.setattr(compiling, "WHAT", WHAT)
    added = numba.njit(lambda left, right: left + right)
    assert added(1, 2) == 3
    assert capsys.readouterr() == ("", f"dnnzip: {WHAT}\n")
    assert added(2, 3) == 5
    waits._begun.clear()
    assert added(3, 4) == 7
    assert capsys.readouterr() == ("", "")


def test_quiet_is_heard(dnnzip, monkeypatch):
    asked = []
    for module in ("main", "output"):
        monkeypatch.setattr(f"dnnzip.cli.{module}.show_waits", lambda is_shown=True: asked.append(is_shown))
    assert dnnzip("doctor", "--quiet")[0] in (0, 1)
    assert asked == [True, False]
