"""Findings of ``dnnzip doctor`` on an installation, whole and with things missing."""

import json
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from dnnzip.doctor import caches, packages, tools
from dnnzip.doctor.diagnosis import Diagnosis, diagnose
from dnnzip.doctor.packages import Package, read_packages
from dnnzip_sim.build import cache_folder


def test_the_report_of_this_installation(dnnzip, tmp_path):
    target = tmp_path / "doctor.json"
    status, out, err = dnnzip("doctor", "--json", target)
    found = json.loads(target.read_text())
    assert status == (1 if found["missing"] else 0), err
    assert found["packages"]["numpy"] in out
    assert found["extras"]["sim"]["installed"]
    assert {"g++", "make", "perl", "verilator", "yosys"} <= {tool["name"] for tool in found["tools"]}
    assert all(cache["bytes"] >= 0 for cache in found["caches"])
    # The lines in a pipe and on a terminal are for a bug report: no user's name is in them.
    assert str(Path.home()) not in out + target.read_text()


def test_the_home_folder_is_not_told(dnnzip, tmp_path, monkeypatch):
    home = tmp_path / "somebody"
    program = home / "bin" / "yosys"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{shutil.which('sh')}\necho Yosys 0.33 of {home}\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DNNZIP_CACHE", str(home / "cache"))
    monkeypatch.setenv("PATH", f"{program.parent}:{Path(shutil.which('sh')).parent}")
    status, out, err = dnnzip("doctor")
    assert "yosys: ~/bin/yosys, Yosys 0.33 of ~ (from PATH)" in out
    assert "simulator builds: ~/cache, 0.0 MB" in out
    assert "somebody" not in out + err
    assert status in (0, 1)


def test_an_extra_that_lacks_a_tool_is_a_fault(dnnzip, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, err = dnnzip("doctor")
    assert status == 1
    assert "missing: g++ is missing, for the extra sim: on Debian or Ubuntu: apt-get install g++" in out
    assert err.startswith("dnnzip: doctor: 3 missing, the first: g++ is missing")
    assert err.count("\n") == 1


def found_without(monkeypatch, *names):
    """Diagnose an installation that lacks these distributions."""
    present = packages.version

    def version(name):
        if name in names:
            raise PackageNotFoundError(name)
        return present(name)

    monkeypatch.setattr(packages, "version", version)
    return diagnose()


def test_an_extra_that_is_not_installed_is_none(monkeypatch):
    found = found_without(monkeypatch, "pillow", "cocotb")
    lines = list(found.lines())
    assert any(
        line.startswith("extra images: not installed (pillow is missing); pip install '.[images]' ") for line in lines
    )
    assert not found.is_installed("sim")
    assert found.is_installed("hw")
    assert not any("pillow" in line or "cocotb" in line for line in found.missing())


def test_a_package_of_dnnzip_itself_that_is_missing_or_old_is_a_fault(monkeypatch):
    found = found_without(monkeypatch, "rich")
    assert next(found.missing()).startswith("rich is missing: pip install '.' in a checkout, ")
    old = Diagnosis({"": [Package("numpy", ">=2.4", "2.3.1")]}, {name: [] for name in tools.TOOLS}, [])
    assert next(old.missing()).startswith("numpy is 2.3.1, needed is >=2.4: ")
    none = Diagnosis({}, {name: [] for name in tools.TOOLS}, [])
    assert [line.partition(":")[0] for line in none.missing()] == ["dnnzip is not installed as a package"]


@pytest.mark.parametrize(
    ("wanted", "found", "is_right"),
    [
        (">=2.4", "2.4", True),
        (">=2.4", "2.10.1", True),
        (">=2.4", "2.3.9", False),
        (">=5.48.0", "5.48", True),
        (">=0.70.0.0.post1259", "0.70.0.0.post1260", True),
        (">=0.70.0.0.post1259", "0.69.0.0.post1300", False),
        ("==2.13.0", "2.13.0+cpu", True),
        ("", "1", True),
        (">=1", None, False),
    ],
)
def test_versions_are_compared_by_their_numbers(wanted, found, is_right):
    assert Package("x", wanted, found).is_right is is_right


def test_extras_are_those_of_the_project():
    assert set(packages.FOR_USERS) <= read_packages().keys()
    assert {package.name for package in read_packages()[""]} >= {"numpy", "numba", "onnx"}
    assert {extra for extras, *_ in tools.TOOLS.values() for extra in extras} <= set(packages.FOR_USERS)


def test_the_builds_cache_is_that_of_the_simulator(monkeypatch, tmp_path):
    def of_doctor():
        return next(cache.path for cache in caches.find_caches() if cache.variable == "DNNZIP_CACHE")

    monkeypatch.delenv("DNNZIP_CACHE", raising=False)
    assert of_doctor() == cache_folder()
    monkeypatch.setenv("DNNZIP_CACHE", str(tmp_path / "c"))
    assert of_doctor() == cache_folder()


def test_a_cache_says_its_size_and_whether_it_can_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "cache"
    assert caches.Cache("c", folder, "X").is_writable
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(bytes(1000))
    (folder / "b").symlink_to(tmp_path / "nowhere")
    assert 1000 <= caches.Cache("c", folder, "X").bytes < 1100
    monkeypatch.setattr(caches.os, "access", lambda *_: False)
    assert not caches.Cache("c", folder, "X").is_writable
    assert not caches.Cache("c", folder / "a" / "in a file", "X").is_writable
