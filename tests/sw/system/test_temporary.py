"""Temporary files and folders: removed by their owner, or by the next process once the owner has gone."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from dnnzip.errors import InputError
from dnnzip.system import temporary
from dnnzip.system.temporary import PREFIX, SUFFIX, remove_all, remove_leftovers, temporary_file, temporary_folder


@pytest.fixture(autouse=True)
def next_process(monkeypatch):
    """Let this process search folders as a new one would."""
    monkeypatch.setattr(temporary, "_SEARCHED", set())


def leftover(folder, name="1"):
    return folder / f"{PREFIX}{name}{SUFFIX}"


def searched(folder):
    """Return the names in a folder that another process has made something in."""
    with temporary_file(folder) as mine:
        return sorted(path.name for path in folder.iterdir() if path != mine)


def test_a_block_leaves_nothing(tmp_path):
    with temporary_file(tmp_path) as file, temporary_folder(tmp_path) as folder:
        assert file.read_bytes() == b""
        (folder / "inner").mkdir()
        (folder / "inner" / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_was_moved_stays(tmp_path):
    with temporary_file(tmp_path) as file, temporary_folder(tmp_path) as folder:
        file.rename(tmp_path / "file")
        folder.rename(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_permissions_are_those_of_the_mask(tmp_path):
    mask = os.umask(0o027)
    try:
        with temporary_file(tmp_path) as file, temporary_file(tmp_path, 0o600) as own, temporary_folder() as folder:
            assert [path.stat().st_mode & 0o777 for path in (file, own, folder)] == [0o640, 0o600, 0o700]
    finally:
        os.umask(mask)


def test_the_end_of_the_program_removes_what_is_left(tmp_path):
    with temporary_file(tmp_path), temporary_folder(tmp_path) as folder:
        (folder / "file").touch()
        remove_all()
        assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from dnnzip.system.temporary import *\n"
        "folder = Path(sys.argv[1])\n"
        "with temporary_file(folder), temporary_folder(folder) as inner:\n"
        "    (inner / 'file').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert len(list(tmp_path.iterdir())) == 2
    assert searched(tmp_path) == []


def test_leftovers_of_processes_that_the_program_killed_are_removed(tmp_path, monkeypatch):
    """The folder has been searched by then."""
    monkeypatch.setattr(temporary, "system_folder", lambda: tmp_path / "others")
    (tmp_path / "others").mkdir()
    with temporary_file(tmp_path):
        for folder in (tmp_path, tmp_path / "others"):
            leftover(folder).touch()
    remove_leftovers()
    assert [path.name for path in tmp_path.rglob("*")] == ["others"]


def test_a_living_process_keeps_its_own(tmp_path):
    with temporary_file(tmp_path) as file, temporary_folder(tmp_path) as folder:
        temporary._SEARCHED.clear()
        assert searched(tmp_path) == sorted([file.name, folder.name])


def test_others_are_left_alone(tmp_path, monkeypatch):
    """Those of another host, those of another user, those that a link leads to, and files of other names."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "kept").touch()
    kept = tmp_path / ".dnnzip-00000000-1.tmp", tmp_path / f"{PREFIX}1", tmp_path / ".out.onnx.77.tmp"
    for path in kept:
        path.touch()
    leftover(tmp_path, "link").symlink_to(target)
    os.mkfifo(leftover(tmp_path, "pipe"))
    assert {path.name for path in kept} < set(searched(tmp_path))
    assert [path.name for path in target.iterdir()] == ["kept"]

    leftover(tmp_path).touch()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    monkeypatch.setattr(temporary, "_SEARCHED", set())
    assert leftover(tmp_path).name in searched(tmp_path)


def test_nothing_is_removed_where_there_are_no_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    leftover(tmp_path).touch()
    monkeypatch.setattr(fcntl, "flock", flock)
    assert searched(tmp_path) == [leftover(tmp_path).name]


def test_a_file_that_another_process_takes_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """It looks between the making and the locking."""
    real, hits = fcntl.flock, []

    def flock(handle, how):
        # Another thread of this process may lock a file elsewhere.
        if not hits and (made := list(tmp_path.iterdir())):
            hits.extend(made)
            hits[0].unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with temporary_file(tmp_path) as file:
        assert file.exists()
        assert file != hits[0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_no_room_among_the_temporary_files_is_said(number):
    def write():
        with temporary_folder():
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=r"cannot be written \(.*\); make room there, or set TMPDIR"):
        write()


def test_no_folder_for_temporary_files_is_said(monkeypatch):
    def gettempdir():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(temporary.tempfile, "gettempdir", gettempdir)
    with pytest.raises(InputError, match=r"^temporary files: no folder for them can be written; set TMPDIR to one$"):
        temporary_folder().__enter__()


def test_other_errors_of_a_block_stay_what_they_are():
    def fail():
        with temporary_folder() as folder:
            (folder / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        fail()
