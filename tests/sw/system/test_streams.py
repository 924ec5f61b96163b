"""Standard streams that are full, closed, or cannot encode a name: one line, a status, no traceback."""

import json
import os
import subprocess
import sys

import pytest

FULL = "dnnzip: standard output: cannot be written (No space left on device); name a file with room\n"

# Each case is a fork, so that the imports are paid once.
CASES = """
import json, os, sys
from pathlib import Path
from dnnzip import __main__
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.usecases import compress as compression

c = Path("c.onnx")
CASES = {
    "help": ["--help"], "help of compress": ["compress", "--help"], "nothing": [],
    "info": ["info", c], "model": ["decompress", c, "-o", "-"], "missing": ["info", "missing"],
}

def run(arguments, numbers, is_closed, is_buffered):
    child = os.fork()
    if not child:
        said = os.open("said", os.O_CREAT | os.O_TRUNC | os.O_RDWR)
        full = os.open("/dev/full", os.O_WRONLY)
        for number in (1, 2):
            os.dup2(full if number in numbers else said, number)
        if not is_buffered:
            sys.stdout.reconfigure(write_through=True)
        for number in numbers if is_closed else ():
            os.close(number)
            setattr(sys, {1: "stdout", 2: "stderr"}[number], None)
        sys.argv = ["dnnzip", *map(str, arguments)]
        try:
            __main__.main()
            status = 0
        except SystemExit as error:
            status = error.code or 0
        if sys.stdout:  # as at the end of Python
            sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), Path("said").read_text(errors="replace")

run(["compress", MODEL, "-o", c, "--max-error", "2%"], [], False, True)
found = {}
for name, arguments in CASES.items():
    found[name] = [
        run(arguments, numbers, is_closed, is_buffered)
        for numbers, is_closed, is_buffered in (
            ([1], False, True), ([1], False, False), ([2], False, True), ([1, 2], False, True), ([2], True, True),
        )
    ]
json.dump(found, sys.stdout)
"""


def python(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        cwd=cwd,
        capture_output=True,
        check=False,
    )


def test_full_and_closed_streams(tmp_path):
    done = python("-c", CASES, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    fails = {"nothing", "missing"}
    for name, (buffered, unbuffered, full_errors, both, closed) in json.loads(done.stdout).items():
        status = 2 if name in fails else 0
        if name in fails:
            assert buffered[0] == unbuffered[0] == 2, name
            assert "Traceback" not in buffered[1] + unbuffered[1]
        else:
            assert buffered == unbuffered == [2, FULL], name
        assert both == [2, ""], name
        assert full_errors[0] == closed[0] == status, name
        assert bool(full_errors[1]) == bool(closed[1]) == (not status), name


@pytest.mark.parametrize("numbers", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_file_gets_the_number_of_a_closed_stream(tmp_path, numbers):
    code = f"""
import os
from dnnzip.system.streams import occupy
for number in {numbers}:
    os.close(number)
occupy()
file = open({str(tmp_path / "file")!r}, "w")
os._exit(0 if file.fileno() > 2 else 1)
"""
    assert python("-c", code).returncode == 0


NOT_UTF8 = """
import json, os, shutil, sys
from pathlib import Path
from dnnzip.cli import main as cli
from dnnzip.digits import MODEL, TEST_SET
folder = Path(os.fsdecode(b"gr\\xfc\\xdfe")).absolute()
folder.mkdir()
model, plain, compressed = folder / "m.onnx", folder / "p.onnx", folder / "c.onnx"
shutil.copy(MODEL, model)
for arguments in (
    ["compress", model, "-o", compressed, "--max-error", "2%", "--tables", folder / "t", "--json", folder / "j"],
    ["decompress", compressed, "-o", plain, "--json", "-"],
    ["verify", model, compressed, "--json", "-"],
    ["info", compressed],
    ["image", compressed, "-o", folder / "image", "--json", "-"],
    ["estimate", compressed, "--accelerator", "edge-lpddr4", "--json", "-"],
    ["info", folder / "missing"],
):
    sys.argv = ["dnnzip", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as error:
        sys.stdout.flush()
        os._exit(error.code)
"""


def test_a_path_that_is_no_utf8(tmp_path):
    done = python("-c", NOT_UTF8, cwd=tmp_path)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, line.split(": ")[1]) == (2, rf"{tmp_path}/gr\udcfc\udcdfe/missing")
    assert done.stdout.count(b"\n}\n") == 4  # objects of --json
    assert len(list((tmp_path / os.fsdecode(b"gr\xfc\xdfe")).iterdir())) == 6


# A limit of a file's size simulates the room on a disk; each case is a fork.
NO_ROOM = """
import json, os, resource, sys
from pathlib import Path
from dnnzip import __main__
from dnnzip.digits import MODEL
from dnnzip.usecases import compress as compression

def run(limit, *arguments):
    child = os.fork()
    if not child:
        os.dup2(os.open("said", os.O_CREAT | os.O_TRUNC | os.O_RDWR), 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.argv = ["dnnzip", *map(str, arguments)]
        try:
            __main__.main()
            status = 0
        except SystemExit as error:
            status = error.code or 0
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, Path("said").read_text(), sorted(path.name for path in Path.cwd().rglob("*") if path.is_file())

compress = ["compress", MODEL, "--max-error", "2%", "--quiet", "-o"]
run(1 << 30, *compress, "c.onnx")
json.dump([
    run(2_000, *compress, "o.onnx"),  # the spool
    run(20_000, *compress, "o.onnx"),  # the model
    run(2_000, *compress, "-"),  # the spool of standard output, among the temporary files
    run(20_000, "decompress", "c.onnx", "-o", "o.onnx"),
    run(3_000, "image", "c.onnx", "-o", "image"),
    run(300, "info", "c.onnx", "--json", "j.json"),
], sys.stdout)
"""


def test_a_disk_without_room_is_one_line_and_leaves_no_output(tmp_path):
    done = python("-c", NO_ROOM, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    for status, said, files in json.loads(done.stdout):
        assert (status, said.count("\n")) == (2, 1)
        assert ": cannot be written (File too large); make room " in said
        assert files == ["c.onnx", "said"]
