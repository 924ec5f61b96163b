"""A short run of the fuzzer, and the fuzzer itself: it notices each kind of escape and says how to see it again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
RUNS = 3000


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Return a folder for the loops as compiled with checked ranges; they are none of the ordinary ones."""
    return tmp_path_factory.mktemp("checked")


def fuzz(folder, *arguments, compiled=None):
    """Run the fuzzer; with ``compiled``, a compiled loop that reads out of range raises."""
    environment = dict(os.environ)
    if compiled:
        environment |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(compiled)}
    command = [sys.executable, FUZZ, "--engine", "random", "--seed", "7", "--folder", folder, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_nothing_escapes(tmp_path, compiled):
    done = fuzz(tmp_path, "--runs", RUNS, compiled=compiled)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{RUNS:,} inputs, 0 escapes" in done.stdout
    # It got behind the checks of each kind: sound ends, refused ones, and the rules that only a decoder can tell.
    for end in ("stream ok", "stream bad state", "stream bad code", "stream truncated", "stream trailing"):
        assert f"{end}: " in done.stdout
    for end in ("table set ok", "table set bad code", "container ok", "container refused", "array ok", "array refused"):
        assert f"{end}: " in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "running"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "an exception escaped"),
        ("memory", "an exception escaped"),
        # It has all loops compiled anew, with checks.
        pytest.param("range", "an exception escaped", marks=pytest.mark.slow),
        ("exit", "the process ended with -11"),
        ("hang", "an input ran for more than 1 s"),
    ],
)
def test_an_escape_is_noticed_and_repeated(tmp_path, compiled, fault, said):
    # The last fault is seen in checked loops alone.
    done = fuzz(tmp_path, "--plant", fault, "--seconds", "1", compiled=compiled if fault == "range" else None)
    assert done.returncode == 1
    assert f"fuzz: {said}\n" in done.stdout
    (crash,) = tmp_path.glob("crash-*")
    assert f"tests/fuzz/fuzz.py {crash}\n" in done.stdout
    if fault == "raise":
        again = fuzz(tmp_path, crash)
        assert (again.returncode, "1 inputs, 0 escapes" in again.stdout) == (0, True), again.stdout + again.stderr
