"""Messages of ``bootstrap.py`` about a machine before it downloads anything."""

import ast
import importlib.util
import re
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
    monkeypatch.setattr(module.subprocess, "run", refuse)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "BENCH_VENV", tmp_path / "bench")
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock")
    shutil.copytree(SCRIPT.parent / "lock", tmp_path / "lock")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return module


@pytest.fixture
def pip(bootstrap, monkeypatch):
    """Return the list of pip's calls, arguments and standard input; the environment is there, pip does nothing."""
    calls = []

    def make_venv(extra):
        (bootstrap.venv_of(extra) / "bin").mkdir(parents=True, exist_ok=True)
        (bootstrap.venv_of(extra) / "bin" / "python").touch()

    def run(command, *, input, check):
        assert command[1:6] == ["-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        assert check
        calls.append((command[0], command[6:], input.decode()))

    monkeypatch.setattr(bootstrap, "make_venv", make_venv)
    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    return calls


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


def test_a_changed_lock_is_installed(bootstrap, pip):
    assert bootstrap.main(["sim"]) == 0
    pip.clear()
    assert bootstrap.main(["sim"]) == 0
    assert pip == []
    with (bootstrap.LOCK / "sim.txt").open("a") as file:
        file.write("other==1.0\n")
    assert bootstrap.main(["sim"]) == 0
    assert len(pip) == 3


@pytest.mark.parametrize("extra", ["sim", "dev", "fpga", "fuzz", "bench"])
def test_pip_takes_nothing_from_outside_the_lock(extra, bootstrap, pip):
    assert bootstrap.main([extra]) == 0
    editable = ["--no-deps", "--no-build-isolation", "--editable", str(bootstrap.ROOT)]
    assert [arguments for _, arguments, _ in pip].count(editable) == 1
    for _, arguments, text in pip:
        if arguments != editable:
            assert {"--require-hashes", "--no-build-isolation", "-r"} < set(arguments)
            file = Path(arguments[-1])
            assert file.parent == bootstrap.LOCK or (str(file) == "/dev/stdin" and "--hash=sha256:" in text)


@pytest.mark.parametrize(("extra", "folder"), [("dev", ".venv"), ("fuzz", ".venv"), ("bench", "bench")])
def test_rivals_are_apart(extra, folder, bootstrap, pip):
    assert bootstrap.main([extra]) == 0
    assert {python for python, _, _ in pip} == {str(bootstrap.ROOT / folder / "bin" / "python")}


def test_optional_distributions_are_tried_one_by_one(bootstrap, pip):
    assert bootstrap.main(["bench"]) == 0
    texts = [text for _, _, text in pip if text]
    alone = [text.split("==")[0] for text in texts]
    assert all(len(re.findall(r"^\S", text, re.MULTILINE)) == 1 for text in texts)
    assert alone[-1] == "nncodec"
    assert {"pysz", "zfpy", "matplotlib", "pybind11"} < set(alone)
    assert "numpy" not in alone


@pytest.mark.usefixtures("pip")
def test_what_cannot_be_installed_is_named(bootstrap, monkeypatch, capsys):
    def run(command, *, input, **_):
        if input.startswith(b"atheris"):
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    assert bootstrap.main(["fuzz"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("dnnzip: atheris==")
    assert lines[1].endswith(" does not install here and is left out")
    assert bootstrap.is_installed("fuzz", bootstrap.digest())


def test_the_newest_stay_until_the_environment_goes(bootstrap, pip):
    def what_pip_does(verb):
        pip.clear()
        assert bootstrap.main([verb]) == 0
        return [arguments for _, arguments, _ in pip]

    newest = ["--upgrade", "--upgrade-strategy", "eager", "--editable"]
    what_pip_does("dev")
    what_pip_does("fpga")
    for _ in range(2):
        assert what_pip_does("latest") == [[*newest, f"{bootstrap.ROOT}[dev]"]]
    assert what_pip_does("dev") == what_pip_does("sim") == []
    assert what_pip_does("fpga") == [[*newest, f"{bootstrap.ROOT}[fpga]"]]
    assert what_pip_does("fuzz")[0] == [*newest, str(bootstrap.ROOT)]
    shutil.rmtree(bootstrap.VENV)
    assert what_pip_does("sim")[1][-1] == str(bootstrap.LOCK / "sim.txt")


@pytest.mark.usefixtures("pip")
def test_unfinished_newest_are_not_taken_for_finished_ones(bootstrap, monkeypatch):
    assert bootstrap.main(["dev"]) == 0

    def fail(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(bootstrap.subprocess, "run", fail)
    assert bootstrap.main(["latest"]) == 2
    assert not bootstrap.is_installed("dev", bootstrap.digest())


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
