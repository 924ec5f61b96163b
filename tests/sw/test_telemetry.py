"""No process of dnnzip reports to anyone: onnxruntime's telemetry is off, and seen to be on without dnnzip.

A library that is preloaded (guard.cpp) sees the sockets of native code too.
"""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnnzip import digits
from dnnzip.system import waits

ROOT = Path(__file__).parents[2]
ALONE = "import onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
OURS = "sys.argv[0] = 'dnnzip'; from dnnzip.cli.main import main; main()"
DATA = ["--data", str(digits.TEST_SET)]
SECONDS = 120  # until onnxruntime reports, about ten on an idle machine

RUNTIMES = {
    Path("sw/dnnzip/evaluation/runtime.py"),
    Path("sw/dnnzip/onnxruntime.py"),
    Path("bench/dnnzip_bench/load_one.py"),
}
"""The modules that load onnxruntime: for sessions of ours, for users' own, and to compare the two."""


@pytest.fixture(scope="session")
def guard(tmp_path_factory):
    """Return the preloaded library."""
    library = tmp_path_factory.mktemp("guard") / "guard.so"
    source = Path(__file__).with_name("guard.cpp")
    subprocess.run(["g++", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Place:
    """Empty folders in the place of a user's, where nothing says that onnxruntime should be quiet."""

    def __init__(self, folder, guard):
        self.folder = folder
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir(parents=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "LD_PRELOAD": str(guard),
            "GUARD_LOG": str(folder / "log"),
            waits.SILENT: "1",  # standard error is compared, and the first run of a checkout compiles the codec
        }

    def command(self, code, *arguments):
        return [sys.executable, "-c", f"import sys; {code}", *map(str, arguments)]

    def start(self, code, *arguments):
        """Start Python code; afterwards the process waits until its standard input is closed."""
        command = self.command(f"{code}; sys.stdin.read()", *arguments)
        return subprocess.Popen(command, cwd=self.folder / "work", env=self.environment, stdin=subprocess.PIPE)

    def run(self, code, *arguments):
        command = self.command(code, *arguments)
        return subprocess.run(
            command, cwd=self.folder / "work", env=self.environment, capture_output=True, text=True, check=False
        )

    @property
    def hosts(self):
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def left(self):
        """Files in the home folder and among temporary ones, but for the locks that Dask leaves."""
        found = [path for name in ("home", "tmp") for path in (self.folder / name).rglob("*") if path.is_file()]
        names = sorted(path.relative_to(self.folder).as_posix() for path in found)
        return [name for name in names if not name.startswith("tmp/dask-scratch-space/")]


@pytest.mark.slow
def test_nothing_is_sent_while_onnxruntime_alone_would(tmp_path, guard):
    ours, alone = Place(tmp_path / "ours", guard), Place(tmp_path / "alone", guard)
    first = ours.start(OURS, "evaluate", digits.MODEL, *DATA, "--quiet", "--json", "done.json")
    done = tmp_path / "ours" / "work" / "done.json"
    until = time.monotonic() + SECONDS
    while not done.exists() and first.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    # From here on, ours has had onnxruntime for longer than the other.
    second = alone.start(ALONE, digits.MODEL)
    while not alone.hosts and second.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    for process in (first, second):
        process.communicate()
    assert done.exists()
    assert (ours.hosts, ours.left) == ([], [])
    # The guard sees what there is to see.
    assert any("microsoft" in host for host in alone.hosts)
    assert "tmp/.ses" in alone.left


COMMANDS = {
    "evaluate": ["evaluate", digits.MODEL, *DATA],
    "quantize": ["quantize", digits.MODEL, *DATA, "-o", "q.onnx"],
    "compress": ["compress", digits.MODEL, "--max-error", "2%", "-o", "m.dnz.onnx"],
    "tune": ["tune", digits.MODEL, *DATA, "--samples", "60", "--max-drop", "5%", "-o", "m.dnz.onnx"],
    "explore": ["explore", digits.MODEL, *DATA, "--max-error", "5%", "-o", "d", "--workers", "1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_leaves_no_file_and_asks_for_no_host(tmp_path, guard, name):
    place = Place(tmp_path, guard)
    done = place.run(OURS, *COMMANDS[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert place.hosts == []
    assert place.left == []
    assert not list((tmp_path / "work").rglob(".ses"))


@pytest.mark.slow
def test_run_leaves_no_file(tmp_path, guard):
    place = Place(tmp_path, guard)
    assert place.run(OURS, "quantize", digits.MODEL, *DATA, "-o", "q.onnx").returncode == 0
    done = place.run(OURS, "run", "q.onnx", *DATA, "--link", "golden", "--samples", "5", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert (place.hosts, place.left) == ([], [])


def test_onnxruntime_alone_leaves_files(tmp_path, guard):
    place = Place(tmp_path, guard)
    assert place.run(ALONE, digits.MODEL).returncode == 0
    assert "tmp/.ses" in place.left
    assert any("deviceid" in name for name in place.left)


def imports(source):
    """Return the modules that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def loads_onnxruntime(source):
    return any(
        name.partition(".")[0] == "onnxruntime" and not name.startswith("onnxruntime.quantization")
        for name in imports(source)
    )


def test_no_other_module_loads_onnxruntime():
    """Elsewhere, sessions would print warnings; the environment is set by the package, before any of its modules."""
    files = [path for folder in ("sw", "hw", "sim", "bench", "docs") for path in (ROOT / folder).rglob("*.py")]
    found = {path.relative_to(ROOT) for path in files if loads_onnxruntime(path.read_text(encoding="utf-8"))}
    assert found == RUNTIMES
    assert loads_onnxruntime("from onnxruntime.capi import x")


@pytest.mark.parametrize("before", ["0", "", None])
def test_the_package_sets_the_environment_whatever_it_was(before):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    script = "import dnnzip, os, sys; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment | ({} if before is None else {"ORT_DISABLE_TELEMETRY": before}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 False\n"
