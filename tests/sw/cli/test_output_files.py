"""Outputs of every command: files, devices and pipes, and a reader that leaves early."""

import os
import subprocess

import pytest
from command_models import DNNZIP

from dnnzip.digits import MODEL, TEST_SET
from dnnzip.system import waits


def test_an_output_that_is_there_is_replaced_and_keeps_its_mode(good, tmp_path):
    target = tmp_path / "m.onnx"
    target.write_text("old")
    target.chmod(0o640)
    good("compress", MODEL, "-o", target, "--max-error", "5%", "--layers", "conv1*")
    assert target.stat().st_mode & 0o777 == 0o640
    good("info", target)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("target", ["/dev/stdout", "pipe"])
def test_an_output_that_is_no_regular_file_is_written_through(digits, tmp_path, target):
    path, _ = digits
    expected = tmp_path / "plain.onnx"
    subprocess.run([DNNZIP, "decompress", path, "-o", expected, "--quiet"], check=True)
    if target == "pipe":
        target = tmp_path / "fifo"
        os.mkfifo(target)
        with subprocess.Popen([DNNZIP, "decompress", path, "-o", target]) as process:
            content = target.read_bytes()
        assert (process.returncode, target.is_fifo()) == (0, True)
    else:
        done = subprocess.run([DNNZIP, "decompress", path, "-o", target, "--quiet"], capture_output=True, check=True)
        assert done.stderr == b""
        content = done.stdout
    assert content == expected.read_bytes()


def test_standard_output_that_goes_to_a_file_keeps_what_stood_in_it(digits, tmp_path):
    path, _ = digits
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        subprocess.run([DNNZIP, "info", path, "--json", "-"], stdout=file, check=True)
    assert log.read_bytes().startswith(b"before\n{")


def test_json_to_a_device(digits, good):
    assert good("info", digits[0], "--json", "/dev/null", "--quiet") == ""


def test_a_reader_that_leaves_early_makes_no_noise(digits):
    command = f"'{DNNZIP}' info '{digits[0]}' --json - | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_the_installed_program_runs_in_any_folder(digits, tmp_path):
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [DNNZIP, "evaluate", digits[0], "--data", TEST_SET, "--samples", "20"],
        cwd=tmp_path / "here",
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", waits.SILENT: "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(20 samples)" in done.stdout
    assert done.stderr == ""
    assert list((tmp_path / "here").iterdir()) == []
