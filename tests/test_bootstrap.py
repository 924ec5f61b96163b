"""What ``bootstrap.py`` says of a machine before it downloads anything."""

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """Return the script as a module, working on an empty folder and forbidden to start a program."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def refuse(command, **_):
        raise AssertionError(f"started {command}")

    monkeypatch.setattr(module.subprocess, "check_call", refuse)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return module


@pytest.mark.parametrize("name", ["g++", "make", "perl"])
def test_missing_program_is_one_line(name, bootstrap, monkeypatch, capsys):
    real = shutil.which
    monkeypatch.setattr(bootstrap.shutil, "which", lambda program: None if program == name else real(program))
    assert bootstrap.main(["sim"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"dnnzip: {name} is missing; on Debian or Ubuntu: apt-get install ")
    assert line.count("\n") == 1


def test_old_python_is_one_line(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (9, 9))
    assert bootstrap.main(["sim"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"dnnzip: Python 9.9 or newer is needed, {sys.executable} is 3.")
    assert line.count("\n") == 1


@pytest.mark.parametrize("name", ["venv", "ensurepip"])
def test_python_without_venv_is_one_line(name, bootstrap, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda module: None if module == name else real(module))
    assert bootstrap.main(["sim"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"dnnzip: {sys.executable} cannot make virtual environments; on Debian or Ubuntu: apt-get ")
    assert line.count("\n") == 1


def test_installed_once(bootstrap, monkeypatch):
    installed = []

    def install(extra):
        (bootstrap.VENV / "bin").mkdir(parents=True, exist_ok=True)
        (bootstrap.VENV / "bin" / "python").touch()
        installed.append(extra)

    monkeypatch.setattr(bootstrap, "install", install)
    for extra in ("sim", "sim", "dev", "dev", "sim"):
        assert bootstrap.main([extra]) == 0
    assert installed == ["sim", "dev"]
    (bootstrap.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert bootstrap.main(["sim"]) == 0
    assert installed == ["sim", "dev", "sim"]


def test_failed_installation_is_not_taken_for_a_finished_one(bootstrap, monkeypatch, capsys):
    def fail(extra):
        raise subprocess.CalledProcessError(1, ["pip", "install", extra])

    monkeypatch.setattr(bootstrap, "install", fail)
    assert bootstrap.main(["sim"]) == 2
    assert capsys.readouterr().err.endswith("dnnzip: installation failed: pip install sim\n")
    assert not bootstrap.is_installed("sim", bootstrap.digest())


def test_script_runs_on_an_old_python():
    """Its syntax stays within that of Python 3.6, so that an old Python gets as far as saying that it is too old."""
    ast.parse(SCRIPT.read_text(), feature_version=(3, 6))
