"""Compiled functions are kept where they can be, and made again where what was kept is damaged."""

import errno
import importlib.util
import os
import subprocess
import sys

import pytest

CODE = """
from dnnzip.compiled import compiled


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
