"""A short run of the commands' fuzzer, stopped once and continued; and the fuzzer itself: what it must notice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # command_calls and its neighbours, fuzz_commands

import command_calls  # noqa: E402 - found in this folder
import command_ends  # noqa: E402 - found in this folder
import command_progress  # noqa: E402 - found in this folder
import command_ways  # noqa: E402 - found in this folder
import fuzz_commands  # noqa: E402 - found in this folder

FUZZ = HERE / "fuzz_commands.py"
SEED = 15
CALLS, PROCESSES, INTERPRETERS = 2000, 188, 12
CUT_SHORT = {"bitstream", "rtl"}
STOP_BEHIND = 100


def fuzz(folder, *arguments):
    """Start the fuzzer; returns the process. It heeds interrupts, also where whoever runs the tests ignores them."""
    return subprocess.Popen(
        [sys.executable, FUZZ, "--folder", str(folder), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_every_command_ends_as_it_may(tmp_path):
    counts = ("--runs", CALLS + PROCESSES + INTERPRETERS, "--processes", PROCESSES, "--interpreters", INTERPRETERS)
    arguments = (*counts, "--seed", SEED)
    process = fuzz(tmp_path, *arguments)
    state = tmp_path / "state.json"
    while process.poll() is None and not (state.is_file() and json.loads(state.read_text())["done"] >= STOP_BEHIND):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 130, out
    assert "the same command goes on" in out
    done = json.loads(state.read_text())["done"]
    assert done >= STOP_BEHIND
    process = fuzz(tmp_path, *arguments)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    assert out.startswith(f"fuzz: seed {SEED}, {done:,} of {CALLS + PROCESSES + INTERPRETERS:,} calls done\n")
    facts = json.loads(state.read_text())
    assert facts["ways"] == {"call": CALLS, "process": PROCESSES, "interpreter": INTERPRETERS}
    # It got to the end of every command that is not cut short, and each was refused too.
    for name in command_calls.commands():
        assert set(facts["ends"][name]) >= ({"2"} if name in CUT_SHORT else {"0", "2"}), (name, facts["ends"][name])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the folder of the sound files."""
    folder = tmp_path_factory.mktemp("sound") / "sound"
    with command_ways.cut_short():
        fuzz_commands.make_sound_files(folder)
    return folder


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "dnnzip: internal error: KeyError: 'planted'"),
        ("exit", "fuzz: call 3: the process ended with -11"),
    ],
)
def test_a_planted_fault_is_found_kept_and_repeated(tmp_path, sound, monkeypatch, fault, said):
    shutil.copytree(sound, tmp_path / "sound")
    arguments = ("--commands", "info", "--runs", "12", "--interpreters", "0", "--seed", "4", "--plant", fault)
    process = fuzz(tmp_path, *arguments)
    out, _ = process.communicate()
    assert process.returncode == 1, out
    assert said in out
    assert "\nfuzz: 12 calls (12 by call), " in out
    kept = sorted(tmp_path.glob("failed-4-*.zip"))
    assert f"--replay {kept[0]}\n" in out
    call = command_calls.Call.load(kept[0])
    runner = command_ends.Runner(tmp_path / "again")
    assert runner.run(call, command_ways.in_process) in (0, 2)
    if fault == "raise":
        monkeypatch.setattr("dnnzip.usecases.summary.summarise", None)
        with pytest.raises(command_ends.FuzzError, match="status 70"):
            runner.run(call, command_ways.in_process)


def test_a_process_that_hangs_is_noticed(tmp_path):
    shared = command_progress.Shared(tmp_path / "running")
    shared.put(7)
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    assert fuzz_commands._wait(process, shared, 0.3) == "a call ran for more than 0.3 s"
    assert process.returncode == -signal.SIGKILL


FINE = b"dnnzip: a: is wrong\n"


@pytest.mark.parametrize(
    ("status", "out", "err", "written", "said"),
    [
        (70, b"", FINE, {}, "ended otherwise"),
        (-11, b"", FINE, {}, "ended otherwise"),
        (2, b"", b"", {}, "is not one line"),
        (2, b"", FINE + FINE, {}, "is not one line"),
        (1, b"", b"Error: wrong\n", {}, "is not one line"),
        (0, b"", b"warning\n", {}, "has words without a fault"),
        (2, b"", b"dnnzip: out of memory: a\n", {}, "was not foreseen"),
        (2, b"a table\n", FINE, {}, "failed, and printed 'a table"),
        (2, b"", FINE, {"out/made.onnx": b"x"}, "failed, and left out/made.onnx"),
        (2, b"", FINE, {"out/.made.onnx.1": b"x"}, "failed, and left out/.made.onnx.1"),
        (2, b"", FINE, {"out/there": b"x"}, "changed out/there"),
        (0, b"", b"", {"in/a.onnx": b"x"}, "changed in/a.onnx"),
        (0, b"", b"", {"out/made.onnx": b"x", "out/there": b"x"}, ""),
        (1, b"a table\n", FINE, {"out/facts.json": b"x"}, ""),
        (2, b"", FINE, {}, ""),
    ],
)
def test_a_wrong_end_is_noticed(tmp_path, status, out, err, written, said):
    arguments = ["verify", "in/a.onnx", "-o", "out/made.onnx", "--json", "out/there"]
    call = command_calls.Call(arguments, {"in/a.onnx": b"a", "out/there": b"b"})

    def way(_, out_file, err_file):
        os.write(out_file, out)
        os.write(err_file, err)
        for name, content in written.items():
            Path(name).write_bytes(content)
        return status

    runner = command_ends.Runner(tmp_path / "call")
    if not said:
        assert runner.run(call, way) == status
        return
    with pytest.raises(command_ends.FuzzError, match=re.escape(said)):
        runner.run(call, way)


def test_a_command_or_an_option_without_a_recipe_is_refused():
    found = command_calls.commands()
    command_calls.check_recipes(found)
    found["new"] = click.Command("new")
    with pytest.raises(LookupError, match=r"^no recipe in tests/fuzz/command_calls.py for new$"):
        command_calls.check_recipes(found)
    del found["new"]
    found["info"] = click.Command("info", params=[click.Option(["--new"])])
    with pytest.raises(LookupError, match=r"for info --new$"):
        command_calls.check_recipes(found)


def test_calls_are_made_again_alike(sound):
    files = fuzz_commands.make_sound_files(sound)
    one, other = (command_calls.Caller(files) for _ in range(2))
    assert [one.call(1, number) for number in range(20)] == [other.call(1, number) for number in range(20)]
