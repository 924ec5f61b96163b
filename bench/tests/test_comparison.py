"""The comparison sees a broken bound, names what is missing, and writes its page."""

import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generated_task import generated_task

from dnnzip.errors import InputError
from dnnzip_bench.coders import rivals
from dnnzip_bench.coders.measure import run
from dnnzip_bench.coders.memory import own_peak, peak_of
from dnnzip_bench.coders.ours import Dnnzip
from dnnzip_bench.coders.page import page
from dnnzip_bench.coders.results import QUICK, Comparison, read_reference
from dnnzip_bench.coders.tables import bits_table
from dnnzip_bench.coders.task import per_channel_int8, weights_of

ROOT = Path(__file__).parents[2]
BENCH_PYTHON = ROOT / "build" / "bench" / "venv" / "bin" / "python"


class Sloppy(Dnnzip):
    """A coder that loses a little more than it may."""

    name = "sloppy"

    def decode(self, streams):
        return [
            np.add(rows, np.asarray(1e-3, rows.dtype)) if rows.dtype.kind == "f" else rows + 1
            for rows in super().decode(streams)
        ]


@pytest.mark.parametrize("bound", ["1%", "0lsb"])
def test_a_broken_bound_is_reported(bound):
    ours, sloppy = run(generated_task(bound), [Dnnzip, Sloppy])
    assert (ours.broken, sloppy.broken) == (0, 1)
    assert sloppy.error > ours.error


def test_a_broken_bound_is_in_the_table():
    task = generated_task()
    floats = run(task, [Dnnzip, Sloppy])
    comparison = Comparison([Dnnzip, Sloppy], [], floats=floats)
    comparison.entropy["generated", "1%"] = task.entropy()
    table = bits_table(comparison)
    assert "BROKEN on 1" in table.rows[1][-1]
    assert "BROKEN" not in table.rows[0][-1]
    assert comparison.broken == [floats[1]]


def test_times_are_taken_in_turns():
    turns = []

    class Watched(Dnnzip):
        name = "watched"

        def encode(self):
            turns.append("watched")
            return super().encode()

    class Other(Watched):
        name = "other"

        def encode(self):
            turns.append("other")
            return Dnnzip.encode(self)

    results = run(generated_task("5%"), [Watched, Other], rounds=2)
    assert turns == ["watched", "other"] * 3
    assert all(result.encode_speed > 0 and result.decode_speed > 0 for result in results)


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(rivals.MODULES, "pysz", "no_such_module")
    coders, left_out = rivals.installed()
    assert rivals.Sz3 not in coders
    assert any(line.startswith("SZ3 is left out: pysz cannot be imported") for line in left_out)
    assert len(coders) + len(left_out) == len(rivals.CODERS)


def test_the_page_names_what_is_left_out():
    generated = [replace(r, encode_seconds=1.0, decode_seconds=1.0) for r in run(generated_task(), [Dnnzip])]
    integers = run(generated_task("0lsb", "int8"), [Dnnzip])
    comparison = Comparison([Dnnzip], ["SZ3 is left out: no wheel"], {}, [], integers, generated)
    comparison.entropy["int8", "0lsb"] = 1.0
    comparison.peak_memory = {"compress": 100_000_000}
    text = page(comparison, QUICK, "make bench")
    assert "- SZ3 is left out: no wheel." in text
    assert "`compress` 100 MB" in text
    assert "Bits against bound" not in text


def test_int8_rounds_to_nearest_even_per_channel():
    (weight,) = generated_task().weights
    integers = per_channel_int8(weight)
    rows = weight.layout.to_channels(weight.array).astype(np.float64)
    codes = integers.layout.to_channels(integers.array)
    assert codes.dtype == np.int8
    assert (np.abs(codes).max(axis=1) == 127).all()
    np.testing.assert_array_equal(codes, np.rint(rows / (np.abs(rows).max(axis=1, keepdims=True) / 127)))


def test_generated_weights_are_always_the_same():
    first, again = (generated_task().weights[0] for _ in range(2))
    assert first.weights >= 20_000
    np.testing.assert_array_equal(first.array, again.array)


def test_a_missing_network_is_said():
    with pytest.raises(InputError, match=r"^nowhere\.onnx: is not there; set DNNZIP_ZOO to the folder"):
        weights_of(Path("nowhere.onnx"))


def test_the_reference_is_optional(tmp_path):
    assert read_reference(tmp_path / "none.json") == {}
    path = tmp_path / "codecs.json"
    path.write_text('{"models": {"net": {"bits_per_weight": {"0.001": {"nncodec_exact_step": 7.5}}}}}')
    assert read_reference(path) == {("net", "0.1%"): 7.5}


def test_peak_memory_is_of_a_process_of_its_own():
    assert 1_000_000 < peak_of(["--version"]) < 10 * own_peak()


def test_every_rival_is_in_the_extra():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    listed = " ".join([*extra, (ROOT / "lock" / "nncodec.in").read_text()])
    assert all(package in listed for package in rivals.MODULES)


@pytest.mark.zoo
@pytest.mark.slow
def test_the_quick_comparison(zoo, tmp_path):
    python = BENCH_PYTHON if BENCH_PYTHON.exists() else Path(sys.executable)
    modules = ["matplotlib", "threadpoolctl", *rivals.MODULES.values()]
    probe = subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"the other compressors are not installed, make bench brings them: {probe.stderr.splitlines()[-1]}")
    done = subprocess.run(
        [python, "-m", "dnnzip_bench.comparison", "--quick", "-o", tmp_path, "--json", tmp_path / "bench.json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DNNZIP_ZOO": str(zoo)},
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "bench.md").read_text()
    assert "left out" not in text
    assert "BROKEN" not in text
    assert all(f"| {coder.name} |" in text for coder in rivals.CODERS)
    assert (tmp_path / "bench.svg").read_text().startswith("<?xml")
    assert (tmp_path / "bench.json").stat().st_size > 1000
