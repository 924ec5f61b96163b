"""Fixtures of all tests."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

from dnnzip.cli import main as cli
from dnnzip.cli.endings import DEBUG, INTERNAL_ERROR
from dnnzip.system import waits

sys.path.insert(0, str(Path(__file__).parent / "tests"))
import verdicts

# Here and in each process that a test starts, an internal error comes with its traceback.
os.environ[DEBUG] = "1"

# No example fails because the machine is busy.
hypothesis.settings.register_profile("dnnzip", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("dnnzip")

# Standard error is compared, also in the first run of a checkout, which compiles the codec.
os.environ[waits.SILENT] = "1"
os.environ.pop("COLUMNS", None)  # tables are as wide as in the documents

ZOO = Path(os.environ.get("DNNZIP_ZOO") or Path(__file__).parents[1] / "shared" / "zoo")


def pytest_addoption(parser):
    """Add ``--verdicts``."""
    parser.addoption("--verdicts", action="store_true", help="print how many verdicts of each decoder were compared")


def pytest_configure(config):
    """Count verdicts where that is asked for, before the first test is imported."""
    if config.getoption("--verdicts"):
        verdicts.install()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Add the counts of one of several processes."""
    verdicts.counts.update(getattr(node, "workeroutput", {}).get("verdicts", {}))


def pytest_sessionfinish(session):
    """Hand on the counts of this process, if it is one of several."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["verdicts"] = dict(verdicts.counts)


def pytest_terminal_summary(terminalreporter, config):
    """Print the counts."""
    if config.getoption("--verdicts"):
        terminalreporter.section("verdicts compared")
        for line in verdicts.lines():
            terminalreporter.line(line)


@pytest.hookimpl(trylast=True)  # of the tests that are chosen
def pytest_collection_modifyitems(config, items):
    """Put the slow tests first, and skip those that need the trained networks where those are absent."""
    if hasattr(config, "workerinput"):
        items[:] = slow_first(items, config.workerinput["workercount"])
    if (ZOO / "baseline.json").is_file():
        return
    for item in items:
        if item.get_closest_marker("zoo"):
            item.add_marker(pytest.mark.skip(reason=f"no trained networks in {ZOO}; point $DNNZIP_ZOO at them"))


def slow_first(items, workers):
    """Return the tests in an order for several processes, each of which begins with an equal share of the list.

    The slow ones come first in each share, so that no process is left with one when the others have ended.
    """
    parts = [[item for item in items if bool(item.get_closest_marker("slow")) == wanted] for wanted in (True, False)]
    return [
        item
        for number in range(workers)
        for part in parts
        for item in part[len(part) * number // workers : len(part) * (number + 1) // workers]
    ]


@pytest.fixture(scope="session")
def zoo():
    """Return the folder of the trained networks; for tests marked ``zoo``."""
    return ZOO


@pytest.fixture
def dnnzip(monkeypatch, capsys):
    """Run the command line in this process; returns (status, standard output, standard error).

    An internal error fails the test, whatever it expects.
    """

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dnnzip", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as error:
            status = error.code
        captured = capsys.readouterr()
        assert status != INTERNAL_ERROR, captured.err
        return status, captured.out, captured.err

    return run


@pytest.fixture
def fault(dnnzip, tmp_path):
    """Run a command that has to fail: one line, the status, no output, no file left; returns the line."""

    def state():
        return {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}

    def run(*arguments, status=2):
        before = state()
        got, out, err = dnnzip(*arguments)
        assert got == status, err
        assert out == ""
        assert err.startswith("dnnzip: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        assert state() == before
        return err.removeprefix("dnnzip: ").rstrip("\n")

    return run


@pytest.fixture
def good(dnnzip):
    """Run a command that has to succeed without a word on standard error; returns standard output."""

    def run(*arguments):
        status, out, err = dnnzip(*arguments)
        assert (status, err) == (0, "")
        return out

    return run
