"""The export of the decompressor's Verilog, kept by content."""

import subprocess
import sys

import pytest

from dnnzip_hw import DecompressorParameters
from dnnzip_sim import toolchain
from dnnzip_sim.build import BuildFailedError
from dnnzip_sim.verilog import decompressor_verilog

DEFAULT = DecompressorParameters()


@pytest.fixture
def exports(monkeypatch):
    """Replace the export; return the list of the parameters that it was called with."""
    called = []

    def pretend(top, parameters, path):
        assert top == "decompressor"
        called.append(DecompressorParameters(**parameters))
        path.write_text(f"// {parameters}")

    monkeypatch.setattr("dnnzip_sim.verilog._export", pretend)
    return called


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package that the Verilog is said to be made from; return its folder."""
    folder = tmp_path / "modules" / "pretended_hardware"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setattr("dnnzip_sim.verilog.SOURCE_PACKAGES", (folder.name,))
    return folder


def test_exported_once(exports, tmp_path):
    first = decompressor_verilog(DEFAULT, cache=tmp_path)
    assert decompressor_verilog(DEFAULT, cache=tmp_path) == first
    assert exports == [DEFAULT]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"module cut", b"\xff\xfe", None])
def test_a_damaged_text_is_exported_again(exports, tmp_path, damage):
    first = decompressor_verilog(DEFAULT, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.unlink()
    kept.mkdir() if damage is None else kept.write_bytes(damage)
    assert decompressor_verilog(DEFAULT, cache=tmp_path) == first
    assert len(exports) == 2
    assert kept.read_bytes() == whole


def test_other_parameters_other_verilog(exports, tmp_path):
    other = DecompressorParameters(lanes=2)
    assert decompressor_verilog(DEFAULT, cache=tmp_path) != decompressor_verilog(other, cache=tmp_path)
    assert exports == [DEFAULT, other]


def test_changed_source_is_exported_again(exports, package, tmp_path):
    cache = tmp_path / "cache"
    decompressor_verilog(DEFAULT, cache=cache)
    decompressor_verilog(DEFAULT, cache=cache)
    assert len(exports) == 1
    (package / "lane.py").write_text("LANES = 4")
    decompressor_verilog(DEFAULT, cache=cache)
    (package / "lane.py").write_text("LANES = 5")
    decompressor_verilog(DEFAULT, cache=cache)
    assert len(exports) == 3


def test_other_yosys_is_exported_again(exports, tmp_path, monkeypatch):
    decompressor_verilog(DEFAULT, cache=tmp_path)
    other = toolchain.Tool("yosys", toolchain.yosys().path, "Yosys 99", bundled=False)
    monkeypatch.setattr("dnnzip_sim.toolchain.yosys", lambda: other)
    decompressor_verilog(DEFAULT, cache=tmp_path)
    assert len(exports) == 2


@pytest.mark.usefixtures("package")
def test_export_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "Yosys gave up on line 5")
    )
    monkeypatch.setattr(toolchain, "environment", dict)
    with pytest.raises(BuildFailedError, match=r"(?s)export .* failed:.*Yosys gave up on line 5"):
        decompressor_verilog(DEFAULT, cache=tmp_path / "cache")
    assert not [*(tmp_path / "cache").iterdir()]


def test_package_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr("dnnzip_sim.verilog.SOURCE_PACKAGES", ("no_such_package",))
    with pytest.raises(BuildFailedError, match="no_such_package is not installed"):
        decompressor_verilog(DEFAULT, cache=tmp_path)


def test_text_is_the_same_in_every_process(tmp_path):
    first = decompressor_verilog(DEFAULT, cache=tmp_path / "first")
    assert "module dnnzip_decompressor(" in first
    assert decompressor_verilog(DEFAULT, cache=tmp_path / "second") == first
    assert sys.executable not in first
