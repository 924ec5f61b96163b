"""The slow first starts, begun in the background."""

import pytest

from dnnzip.errors import MissingToolError
from dnnzip_sim import first_start, toolchain


@pytest.fixture(autouse=True)
def forgotten():
    """Let each test look for Yosys anew."""
    toolchain.yosys.cache_clear()
    yield
    toolchain.yosys.cache_clear()


def test_both_are_done_when_the_body_was_left(monkeypatch):
    done = []
    monkeypatch.setattr(first_start, "start_yosys", lambda: done.append("yosys"))
    monkeypatch.setattr(first_start, "prepare", lambda options: done.append(list(options)))
    with first_start.begun(["--assert"]):
        pass
    assert sorted(done, key=str) == [["--assert"], "yosys"]


def test_yosys_that_does_not_start(tmp_path, monkeypatch):
    program = tmp_path / "yosys"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(program))
    monkeypatch.setattr(first_start, "prepare", lambda options: None)  # noqa: ARG005 - the signature of prepare
    with (
        pytest.raises(MissingToolError, match=rf"^yosys at {program}, where \$YOSYS points, does not start; "),
        first_start.begun(),
    ):
        pass
