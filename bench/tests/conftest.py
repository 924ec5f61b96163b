"""Fixtures of the bench's tests: its commands, run in this process."""

import pytest

from dnnzip_bench.command import run


@pytest.fixture
def bench(capsys):
    """Run a command of the bench; returns (status, standard output, standard error)."""

    def called(command, *arguments):
        with pytest.raises(SystemExit) as stopped:
            run(command, list(map(str, arguments)))
        return (stopped.value.code or 0, *capsys.readouterr())

    return called
