"""Compilation: how much of the codec's loops there is to compile, told from their sources; and what is kept of it."""

import ast
import errno
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from dnnzip.codec import kernels
from dnnzip.codec.ans import decoding_loops, encoding_loops
from dnnzip.codec.compiling import loop
from dnnzip.codec.line import choices, loops

COMPILED = {"loop", "inlined", "step", "njit"}
SLOW = {"zeros", "empty", "full", "array", "sum", "view", "astype", "copy"}
"""Methods and functions that NumPy has at once, and for which Numba compiles hundreds of lines for each type."""


def slow(source):
    """Return the uses, in a module's compiled functions, of features that take long to compile."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    compiled = [function for function in functions if COMPILED & set(map(_called, function.decorator_list))]
    nodes = [(function.name, node) for function in compiled for node in ast.walk(function)]
    return {f"{name}: {ast.unparse(node)}" for name, node in nodes if _is_slow(node)}


def _called(node):
    """Return the last word of what a call calls, or a name is."""
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _is_slow(node):
    if isinstance(node, ast.Assign):
        # A slice that takes another; one that takes a number is a plain loop.
        return all(
            isinstance(side, ast.Subscript) and isinstance(side.slice, ast.Slice)
            for side in (node.targets[0], node.value)
        )
    return isinstance(node, ast.Call) and _called(node) in SLOW


@pytest.mark.parametrize("module", [kernels, decoding_loops, encoding_loops, loops, choices])
def test_loops_work_in_arrays_of_their_callers(module):
    assert slow(Path(module.__file__).read_text(encoding="utf-8")) == set()


def test_what_takes_long_is_seen():
    body = "def f(a, b):\n    c = np.zeros(3)\n    a[:2] = b[:2]\n    a[:] = 0\n    return c.sum()"
    assert slow(f"@numba.njit(cache=True)\n{body}") == {"f: np.zeros(3)", "f: a[:2] = b[:2]", "f: c.sum()"}
    assert slow(body) == set()


def test_a_loop_that_makes_an_array_is_refused():
    made = loop(lambda size: np.zeros(size))
    with pytest.raises(numba.TypingError, match="zeros"):
        made(3)


# --- what is kept -----------------------------------------------------------------------------------------------------

CODE = """
from dnnzip.codec.compiling import compiled


@compiled
def twice(x):
    return 2 * x


@compiled(inline="always")
def half(x):
    return x // 2
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load the functions as another process would."""
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    path = tmp_path / "functions.py"
    path.write_text(CODE)

    def loaded():
        spec = importlib.util.spec_from_file_location("functions", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.twice(4) == 8
        return bool(module.twice.stats.cache_hits)

    return loaded


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda whole: whole[: len(whole) // 2], lambda _: b"garbage"])
def test_what_is_damaged_is_compiled_again(tmp_path, load, suffix, damage):
    assert not load()
    assert load()
    (kept,) = (tmp_path / "__pycache__").glob(f"functions.twice*.{suffix}")
    kept.write_bytes(damage(kept.read_bytes()))
    assert not load()
    assert load()


def test_a_full_disk_stops_nobody(tmp_path, load, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert not load()
    assert not load()
    assert list((tmp_path / "__pycache__").glob("*twice*")) == []


def test_without_a_folder_that_can_be_written_a_temporary_one_is_said_once(tmp_path):
    (tmp_path / "__pycache__").touch()
    (tmp_path / "functions.py").write_text(CODE)
    environment = {**os.environ, "HOME": os.devnull, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    code = "from functions import twice; import os; print(twice(4), os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    value, folder = done.stdout.split()
    said = "no place to keep the compiled codec (nowhere); made for this run alone, set NUMBA_CACHE_DIR to a folder"
    assert (value, done.stderr) == ("8", f"dnnzip: {said}\n")
    assert not os.path.lexists(folder)
