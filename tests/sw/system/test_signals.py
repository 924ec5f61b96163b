"""Signals end the program in one line, with the status of a shell, with its children, and leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SENT = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]
signals = pytest.mark.parametrize(("number", "status", "word"), SENT, ids=[word for *_, word in SENT])


def heeding():
    """Let a process heed all signals, however the tests were started."""
    for number, *_ in SENT:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(*arguments, before=heeding, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        preexec_fn=before,
        check=False,
    )


@signals
@pytest.mark.parametrize("called", [("-m", "dnnzip"), ("-c", "from dnnzip.__main__ import main; main()")])
def test_a_signal_during_imports_is_one_line(tmp_path, number, status, word, called):
    (tmp_path / "click.py").write_text(f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(60)")
    ended = run(*called, "--version", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", f"dnnzip: {word}\n")


INTERRUPTING = """
import os, signal, sys
from dnnzip.system import signals
signals.interrupt()
"""


@signals
def test_children_and_their_children_end_too(number, status, word):
    """A shell starts another, which starts a process that ignores signals and does not hold our pipes."""
    code = f"""{INTERRUPTING}
import subprocess
try:
    child = subprocess.Popen(
        ["sh", "-c", "setsid sh -c 'trap \\"\\" 1 2 15; sleep 1000 >&- 2>&- & echo $! $$; wait'; true"],
        stdout=subprocess.PIPE, text=True,
    )
    print(child.pid, child.stdout.readline(), flush=True)
    os.kill(os.getpid(), {int(number)})
    child.wait()
except KeyboardInterrupt:
    print(signals.status(), signals.message())
"""
    ended = run("-c", code)
    numbers, said = ended.stdout.strip().split("\n\n")
    assert (said, ended.stderr) == (f"{status} {word}", "")
    assert len(numbers.split()) == 3
    for number_of_child in numbers.split():
        assert not is_running(int(number_of_child))


def is_running(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"  # one whose parent has not asked for its status yet


def test_an_interrupt_that_python_drops_is_raised_again():
    code = f"""{INTERRUPTING}
import time
class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
Finalized()
try:
    time.sleep(60)
except KeyboardInterrupt:
    print(signals.status())
"""
    ended = run("-c", code)
    assert (ended.stdout, ended.stderr) == ("143\n", "")


def test_a_signal_that_is_ignored_stays_so():
    """As ``nohup`` asks for."""
    code = f"""{INTERRUPTING}
signal.raise_signal(signal.SIGHUP)
signals.ignore()
print(signals.came(), signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
"""
    ended = run("-c", code, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (ended.stdout, ended.stderr) == ("0 True\n", "")


# Each case is a fork, so that the imports are paid once; a signal comes when everything is under way.
CASES = """
import json, os, signal, sys
from pathlib import Path
from dnnzip import __main__
from dnnzip.system import temporary
from dnnzip.usecases import compress as compression
from dnnzip.digits import MODEL
from dnnzip.evaluation import accuracy
from dnnzip.onnx import files
folder = Path.cwd() / "outputs"
system = Path(os.environ["TMPDIR"])
folder.mkdir(), system.mkdir()
real = files._write_message, accuracy.open_session
found = {}

def case(name, place, number):
    def hit(*arguments, **options):
        os.kill(os.getpid(), number)
        return real[place](*arguments, **options)
    child = os.fork()
    if not child:
        os.dup2(os.open(system.parent / "said", os.O_CREAT | os.O_TRUNC | os.O_RDWR), 2)
        os.dup2(2, 1)
        module, attribute = ((files, "_write_message"), (accuracy, "open_session"))[place]
        if number:
            setattr(module, attribute, hit)
        if place:
            sys.argv = ["dnnzip", "evaluate", str(MODEL), "--data", str(MODEL.parent / "digits_test.npz")]
        else:
            out = str(folder / "out.onnx")
            sys.argv = ["dnnzip", "compress", str(MODEL), "-o", out, "--max-error", "2%", "--quiet"]
        try:
            __main__.main()
            os._exit(0)
        except SystemExit as error:
            os._exit(error.code or 0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    there = sorted(path.name for place in (folder, system) for path in place.iterdir())
    found[name] = status, (system.parent / "said").read_text().strip(), there

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    case(f"compress {number}", 0, number)
case("evaluate", 1, signal.SIGTERM)
case("killed", 0, signal.SIGKILL)
case("next", 0, 0)
json.dump(found, sys.stdout)
"""


def test_what_is_under_way_is_cleaned_up(tmp_path):
    ended = run("-c", CASES, TMPDIR=str(tmp_path / "system"), PYTHONPATH=os.pathsep.join(sys.path), cwd=tmp_path)
    assert ended.stderr == ""
    found = json.loads(ended.stdout)
    for number, status, word in SENT:
        assert found[f"compress {number}"] == [status, f"dnnzip: {word}", []]
    assert found["evaluate"] == [143, "dnnzip: terminated", []]
    status, _, there = found["killed"]
    assert (status, len(there)) == (-signal.SIGKILL, 2)  # the output and its spool
    assert found["next"] == [0, "", ["out.onnx"]]
