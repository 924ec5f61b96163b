"""The end of a command that met what nobody foresaw: one line, status 70, the traceback for whoever asks for it."""

import os
import re
import subprocess
import sys

import click
import pytest

from dnnzip import digits
from dnnzip.cli import main as cli
from dnnzip.cli.endings import DEBUG, INTERNAL_ERROR, failing_in_one_line, place_of
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.inputs.memory import memory_for

LINE = re.compile(
    r"dnnzip: internal error: (?P<reason>.*) \((?P<place>[^() ]+:\d+)\); please report it with the output of 'dnnzip "
    r"doctor' and with the traceback, which 'dnnzip --debug' in front of the command, or DNNZIP_DEBUG=1, shows\n"
)


@pytest.fixture
def ended(monkeypatch, capsys):
    """Run the command line without asking for tracebacks; returns (status, standard error)."""
    monkeypatch.delenv(DEBUG, raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dnnzip", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        assert captured.out == ""
        return stopped.value.code, captured.err

    return run


@pytest.fixture
def fault(monkeypatch):
    """Plant an exception into the reading of a compressed model."""

    def plant(error):
        def broken(*_, **__):
            raise error

        monkeypatch.setattr("dnnzip.onnx.opening.open_compressed_file", broken)

    return plant


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("planted"), "KeyError: 'planted'"),
        (ValueError("two\n  lines\x1b[31m"), r"ValueError: two lines\x1b[31m"),
        (AssertionError(), "AssertionError"),
        (RecursionError("maximum recursion depth exceeded"), "RecursionError: maximum recursion depth exceeded"),
        (OSError(5, "Input/output error", "\udcff.bin"), r"OSError: [Errno 5] Input/output error: '\udcff.bin'"),
        (ValueError("x" * 5000), "ValueError: " + "x" * 288 + "..."),
        (ExceptionGroup("several", [KeyError(1)]), "ExceptionGroup: several (1 sub-exception)"),
    ],
)
def test_what_nobody_foresaw_is_one_line(ended, fault, error, reason):
    fault(error)
    status, err = ended("info", "a.onnx")
    found = LINE.fullmatch(err)
    assert found, err
    assert (status, found["reason"]) == (INTERNAL_ERROR, reason)


def test_the_line_names_the_innermost_place_of_ours(ended, monkeypatch, tmp_path):
    monkeypatch.setattr("dnnzip.quantize.bound.math", None)
    status, err = ended("compress", "a.onnx", "-o", tmp_path / "b.onnx", "--max-error", "1%")
    assert status == INTERNAL_ERROR
    assert LINE.fullmatch(err)["place"].startswith("dnnzip/quantize/bound.py:")


@pytest.mark.parametrize("arguments", [("--debug", "info", "a.onnx"), ("info", "a.onnx", "--debug")])
def test_debug_shows_the_traceback_before_the_line(ended, fault, arguments):
    fault(KeyError("planted"))
    status, err = ended(*arguments)
    assert status == INTERNAL_ERROR
    assert err.startswith("Traceback (most recent call last):\n")
    assert LINE.fullmatch(err.splitlines(keepends=True)[-1])
    # A call does not ask for the next one.
    assert LINE.fullmatch(ended("info", "a.onnx")[1])


@pytest.mark.parametrize(("value", "shows"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_environment_asks_for_the_traceback(ended, fault, monkeypatch, value, shows):
    fault(KeyError("planted"))
    monkeypatch.setenv(DEBUG, value)
    status, err = ended("info", "a.onnx")
    assert (status, err.startswith("Traceback")) == (INTERNAL_ERROR, shows)


def test_debug_changes_nothing_about_errors_of_the_user(ended, tmp_path):
    name = tmp_path / "a.onnx"
    line = f"dnnzip: {name}: cannot be read (No such file or directory); name an ONNX file\n"
    assert ended("--debug", "info", name) == (2, line)
    assert ended("info", name, "--debug") == (2, line)


def test_memory_that_nobody_asked_for_by_name(ended, fault):
    fault(MemoryError("Unable to allocate 4.00 GiB"))
    status, err = ended("info", "a.onnx")
    place = r"\(\S+:\d+\)"
    assert status == InputError.exit_code
    assert re.fullmatch(
        rf"dnnzip: out of memory: MemoryError: Unable to allocate 4.00 GiB {place}; "
        r"use a machine with more memory\n",
        err,
    )


def test_every_command_takes_debug_at_its_end():
    root = click.Context(cli.cli, info_name="dnnzip")
    for name in cli.cli.list_commands(root):
        command = cli.cli.get_command(root, name)
        ctx = click.Context(command, info_name=name, parent=root)
        assert any("--debug" in parameter.opts for parameter in command.get_params(ctx)), name


@pytest.mark.parametrize("command", ["explore", "report", "tune", "rtl", "bitstream"])
def test_commands_of_extras_end_alike(ended, monkeypatch, command):
    def broken(*_, **__):
        raise KeyError("planted")

    monkeypatch.setattr(cli.cli.get_command(click.Context(cli.cli), command), "invoke", broken)
    required = {
        "explore": ("m.onnx", "--data", "d.npz", "--max-error", "1%", "-o", "out"),
        "report": ("out",),
        "tune": ("m.onnx", "--max-drop", "1%", "-o", "o.onnx"),
        "rtl": ("-o", "out"),
        "bitstream": ("--board", "ulx3s-85f"),
    }
    status, err = ended(command, *required[command])
    assert (status, LINE.fullmatch(err)["reason"]) == (INTERNAL_ERROR, "KeyError: 'planted'")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a", "is wrong"), 2, "dnnzip: a: is wrong\n"),
        (CheckFailedError("two\nlines"), 1, "dnnzip: two lines\n"),
        (KeyError("planted"), INTERNAL_ERROR, None),
    ],
)
def test_other_entry_points_end_alike(monkeypatch, capsys, error, status, said):
    monkeypatch.delenv(DEBUG, raising=False)

    @failing_in_one_line()
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        main()
    err = capsys.readouterr().err
    assert stopped.value.code == status
    assert err == said if said else LINE.fullmatch(err)


def test_the_place_is_not_one_of_a_library_inside_of_a_folder_of_our_name():
    with pytest.raises(ValueError, match="invalid literal") as caught, memory_for("a", "b", 1):
        exec(compile("int('x')", "/home/u/dnnzip/.venv/lib/python3.11/site-packages/numpy/a.py", "exec"))
    assert "numpy" not in place_of(caught.value)
    with pytest.raises(ValueError, match="invalid literal") as caught:
        exec(compile("int('x')", "/home/u/dnnzip/.venv/lib/python3.11/site-packages/dnnzip_hw/kit/a.py", "exec"))
    assert place_of(caught.value) == "dnnzip_hw/kit/a.py:1"


def test_a_real_process(tmp_path):
    script = (
        "import dnnzip.onnx.opening as opening, dnnzip.cli.main as cli\n"
        "def broken(*_): raise KeyError('planted')\n"
        "opening.open_compressed_file = broken\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", script, "info", str(digits.MODEL)]
    environment = {name: value for name, value in os.environ.items() if name != DEBUG}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (INTERNAL_ERROR, "")
    assert LINE.fullmatch(done.stderr)
