"""The command ``explore``: what it prints, what it refuses, how it is interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from io import StringIO

import onnx
import pytest
from rich.cells import cell_len
from rich.console import Console

from dnnzip import digits
from dnnzip.cli import explore as command
from dnnzip.errors import InputError
from dnnzip.exploration import cluster, request, run
from dnnzip.exploration.facts import NetworkFacts
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.front_table import front_table
from dnnzip.exploration.schemas import POINT_SCHEMA
from dnnzip.system.extras import how_to_install

MODEL = [str(digits.MODEL), "--data", str(digits.TEST_SET)]

HANGS_SECONDS = 600
"""Whoever waits longer waits for ever; nothing is measured by it."""


@pytest.fixture
def explore(dnnzip):
    """Run ``dnnzip explore`` on the digits network in this process; returns (status, standard output, error)."""

    return lambda *arguments: dnnzip("explore", *MODEL, *arguments)


def test_a_grid_is_explored_and_continued_without_a_cluster(explore, tmp_path, monkeypatch):
    arguments = (
        *("--max-error", "2%,8%", "--error-scope", "tensor,channel", "--layers", "all,largest"),
        *("--accelerator", "edge-lpddr4,paper-mesh-8x8", "--placement", "pe,memory-interface"),
        *("--samples", "60", "-o", tmp_path / "d", "--json", tmp_path / "j.json", "--workers", "1"),
    )
    status, out, err = explore(*arguments)
    assert (status, err) == (0, "")
    result = json.loads((tmp_path / "j.json").read_text(encoding="utf-8"))
    assert (result["encodings"], result["continued"], result["points"]) == (8, 0, 64)
    assert (result["plain"]["samples"], result["against"]) == (60, ["energy"])
    assert result["front"]
    assert all(row.keys() == set(POINT_SCHEMA.names) for row in result["front"])
    rows = ExplorationFolder(tmp_path / "d").points().to_pylist()
    for row in result["front"]:
        place = [other for other in rows if all(other[k] == row[k] for k in ("accelerator", "placement", "timing"))]
        assert not [other for other in place if other["top1"] >= row["top1"] and other["energy_J"] < row["energy_J"]]
    assert re.search(r"^ ?layers +max error +scope +codec +accelerator ", out, re.MULTILINE)
    assert "60 samples, 61,470 weights" in out
    assert f"8 encodings: {tmp_path / 'd'}" in out
    assert f"{len(result['front'])} of 64 points are on a front of accuracy against energy" in out

    def refuse(*_):
        raise AssertionError("a cluster was started for nothing")

    monkeypatch.setattr(cluster, "local_cluster", refuse)
    status, out, err = explore(*arguments, "--against", "bits,latency,energy")
    assert (status, err) == (0, "")
    assert "8 encodings, 8 of them from before" in out
    again = json.loads((tmp_path / "j.json").read_text(encoding="utf-8"))
    assert (again["continued"], again["points"]) == (8, 64)
    assert len(again["front"]) >= len(result["front"])
    status, out, err = explore(*arguments[:-4], "--quiet")
    assert (status, out, err) == (0, "", "")


def test_json_on_standard_output_is_all_there_is(good, tmp_path):
    out = good("explore", *MODEL, "--max-error", "5%", "--samples", "20", "-o", tmp_path / "d", "--json", "-")
    assert json.loads(out)["points"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-error", "5%,no"), "--max-error 'no': is not an error bound; give a share of the range"),
        (("--max-error", "5%,"), "--max-error: has an empty value; give values with a comma between two"),
        (
            ("--max-error", "5%", "--layers", "x*"),
            "--layers 'x*': 'x*' matches no weight that can be compressed",
        ),
        (("--max-error", "5%", "--codec", "zip"), "--codec 'zip': is not known; give one or several of auto,"),
        (("--max-error", "5%", "--against", "time"), "--against 'time': is not known; give one or several of"),
        (("--max-error", "5%", "--samples", "0"), "Invalid value for '--samples': 0 is not in the range x>=1."),
        (
            ("--max-error", "5%", "--scheduler", "x", "--workers", "2"),
            "--workers: is of this machine's processes",
        ),
        ((), "Missing option '--max-error'."),
    ],
)
def test_a_wrong_option_is_one_line_and_makes_no_folder(fault, tmp_path, arguments, message):
    assert fault("explore", *MODEL, *arguments, "-o", tmp_path / "d").startswith(message)


@pytest.mark.parametrize("place", ["d", "new/d"])
def test_a_run_that_is_refused_leaves_no_folder(explore, tmp_path, monkeypatch, place):
    """It would stand in the way of the same run with other options."""

    def refuse(_, folder, *__):
        folder.write_network(NetworkFacts(name="m", top1=1, samples=1, weights=0, bytes=0, layers=()))
        raise InputError("--layers", "do not suit", "others")

    monkeypatch.setattr(cluster, "connected", lambda *_: nullcontext())
    monkeypatch.setattr(run, "run", refuse)
    arguments = ("--max-error", "5%", "--samples", "20", "-o", tmp_path / place)
    assert explore(*arguments) == (2, "", "dnnzip: --layers: do not suit; others\n")
    assert explore(*arguments, "--workers", "100000000")[0] == 2
    assert not list(tmp_path.iterdir())
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "tune.json").write_text("{}")
    assert explore(*arguments)[0] == 2
    assert [path.name for path in (tmp_path / place).iterdir()] == ["tune.json"]


def test_another_exploration_is_not_mixed_in(explore, good, fault, tmp_path):
    assert explore("--max-error", "5%", "--samples", "20", "-o", tmp_path / "d", "--workers", "1")[0] == 0
    line = fault("explore", *MODEL, "--max-error", "6%", "--samples", "20", "-o", tmp_path / "d")
    assert line == (
        f'{tmp_path / "d"}: holds another exploration: its max_error is ["5%"] and not ["6%"]; '
        "give its options again to continue it, or another folder"
    )
    path = next((tmp_path / "d" / "results").iterdir())
    path.write_bytes(path.read_bytes()[:500])
    line = fault("explore", *MODEL, "--max-error", "5%", "--samples", "20", "-o", tmp_path / "d")
    assert line.startswith(f"{path}: is damaged (")
    assert line.endswith("; remove it and run 'dnnzip explore' again")
    path.unlink()
    good("explore", *MODEL, "--max-error", "5%", "--samples", "20", "-o", tmp_path / "d", "--workers", "1")
    assert path.exists()


@pytest.mark.parametrize("finds", ["command", "worker"])
def test_a_network_that_does_not_run_is_one_line(fault, tmp_path, monkeypatch, finds):
    """The model's weights are fine; it does not run, as the command finds out before its workers do."""
    if finds == "worker":
        monkeypatch.setattr(request, "score_output", lambda *_: "logits")
    model = onnx.load(digits.MODEL)
    for node in model.graph.node:
        if node.op_type == "Div":
            node.op_type = "Bernoulli"
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("seed", "no number"))
    onnx.save(model, tmp_path / "broken.onnx")
    arguments = ("--max-error", "5%", "-o", tmp_path / "d", "--workers", "1")
    line = fault("explore", tmp_path / "broken.onnx", *MODEL[1:], *arguments)
    assert line.startswith(f"{tmp_path / 'broken.onnx'}: does not run in onnxruntime (")


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("against", ["bits", "energy"])
def test_a_narrow_table_keeps_what_tells_settings_apart(width, against):
    """Columns of one text go first, then costs that accuracy is not weighed against; their texts are said."""
    names = [f"all but StatefulPartitionedCall/block_{number}/Conv2D/ReadVariableOp:0" for number in range(3)]
    rows = [
        {
            "layers": name,
            "max_error": bound,
            "scope": "tensor",
            "codec": "auto",
            "accelerator": "edge-lpddr4",
            "placement": "memory-interface",
            "timing": timing,
            "top1": 0.9833,
            "top1_plain": 1.0,
            "bits_per_weight": 1.289,
            "latency_reduction": -0.484,
            "energy_reduction": 0.5213,
        }
        for name in names
        for bound in ("0.5%", "10%")
        for timing in ("serial", "overlap")
    ]
    out = StringIO()
    front_table(rows, [against]).show(Console(file=out, width=width, highlight=False))
    text = out.getvalue()
    assert max(map(cell_len, text.splitlines())) <= width
    for part in ("…0/", "…1/", "…2/") if width > 60 else ():
        assert text.count(part) == 4, part
    cost = {"bits": "1.289", "energy": "52.1"}[against]
    for cell in ("98.33", cost):
        assert len(re.findall(rf"{cell}(?!\d)", text)) == len(rows)
    assert text.count("serial") == text.count("overlap") == text.count("0.5%") == text.count("10%") == len(rows) / 2
    words = " ".join(text.split())
    for said in ("scope (always tensor)", "codec (always auto)", "placement (always memory-interface)"):
        assert (said in words) == (width >= 60)


def test_a_missing_extra_is_told(fault, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "NEEDED", ("distributed", "no_such_package"))
    line = fault("explore", *MODEL, "--max-error", "5%", "-o", tmp_path / "d")
    assert line == f"explore: no_such_package is not installed; {how_to_install('explore')}"


def test_help_needs_no_cluster():
    """The package's help lists every command, and must not wait for Dask and Arrow to load."""
    script = (
        "import sys; from click.testing import CliRunner; from dnnzip.cli.group import cli;"
        "result = CliRunner().invoke(cli, ['--help']); assert 'explore' in result.output, result.output;"
        "print(*sorted({'distributed', 'dask', 'pyarrow', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start", "work"])
def test_an_interrupt_ends_it_soon_and_leaves_what_is_done(tmp_path, moment):
    """Sent to the whole process group, as a terminal does."""
    folder = ExplorationFolder(tmp_path / "d")
    arguments = ["--max-error", "1%,2%,3%,4%,5%,6%,7%,8%", "--layers", "all,each,all-but-one", "-o", str(folder.path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "dnnzip", "explore", *MODEL, *arguments, "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Its own group, and interrupts as they are in a terminal, however the tests were started.
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        deadline = time.monotonic() + HANGS_SECONDS
        wanted = folder.path / "request.json" if moment == "start" else folder.path / "results"
        while not (wanted.is_file() or (wanted.is_dir() and len(list(wanted.glob("*.parquet"))) >= 3)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        group = os.getpgid(process.pid)
        os.killpg(group, signal.SIGINT)
        # It ends, rather than to go through the rest.
        out, err = process.communicate(timeout=HANGS_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "dnnzip: interrupted\n")
    assert_all_gone(group)
    done = folder.finished()
    assert len(done) < 88
    assert moment == "start" or len(done) >= 3
    assert not list(folder.path.rglob("*.tmp"))


def assert_all_gone(group):
    """Wait for the last worker of a process group to be gone."""
    deadline = time.monotonic() + HANGS_SECONDS
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, "a worker is left over"
        time.sleep(0.05)
