"""What the tests of the command line share."""

import sys

import pytest

from dnnzip import cli


@pytest.fixture
def dnnzip(monkeypatch, capsys):
    """Run the command line in this process; returns (status, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dnnzip", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as error:
            status = error.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
