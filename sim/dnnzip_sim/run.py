"""Run a cocotb test module on a build, and believe nothing but its result file.

A filter that matches no test leaves an empty result and a clean exit status; so does a test module whose tests are all
skipped. Whoever starts a run therefore says how many tests it has, and any other number is a failure.
"""

import json
import os
import random
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cocotb_tools.check_results import get_results

from dnnzip_sim import toolchain
from dnnzip_sim.build import Build, log_tail

ERRORS = "errors.log"
"""Standard error of the runner, which starts the simulator."""


class SimulationFailedError(RuntimeError):
    """A test failed, another number of tests ran than was said, or the simulator ended without a result.

    The message names the seed and ends with the tail of the log.
    """


@dataclass(frozen=True)
class Run:
    """A run that passed."""

    tests: int  # how many tests were executed
    seed: int  # the seed of cocotb's random numbers
    seconds: float  # wall-clock time, the simulator's start included
    log: Path  # what the simulator and the tests printed
    results: Path  # the result file, JUnit XML


@dataclass(frozen=True)
class CocotbTests:
    """The cocotb tests of a run.

    Raises
    ------
    ValueError
        When ``expected`` is not positive.
    """

    # Import name of the module that holds them. It is imported inside the simulator.
    module: str
    expected: int = 1  # how many must be executed, at least one; skipped ones do not count
    filter: str | None = None  # regular expression; only the tests whose full name it finds are run
    plusargs: Sequence[str] = ()  # arguments that the simulated design reads, each with its ``+``
    # Further environment variables for the test module. They win over this process' own.
    env: Mapping[str, str] = field(default_factory=dict)
    python_path: Sequence[Path] = ()  # folders to import from, before those of this process
    seed: int | None = None  # seed of the random numbers; ``$COCOTB_RANDOM_SEED`` or a new one when not given
    timeout_seconds: float | None = None  # wall-clock limit, from the start of the wait; none when not given

    def __post_init__(self) -> None:
        if self.expected < 1:
            raise ValueError(f"expected must be at least 1, not {self.expected}")


def run(build: Build, tests: CocotbTests, folder: Path) -> Run:
    """Run tests on ``build``; return only when all of them passed.

    Parameters
    ----------
    build, tests, folder
        As for ``started``.

    Raises
    ------
    MissingToolError
        When a tool is missing.
    SimulationFailedError
        Otherwise, unless every test passed and there were exactly as many as expected.
    """
    with started(build, tests, folder) as finished:
        return finished()


@contextmanager
def started(build: Build, tests: CocotbTests, folder: Path) -> Iterator[Callable[[], Run]]:
    """Start tests on ``build``, and yield a function that waits for their end.

    It returns the run, or raises as ``run`` does. A simulator that still runs when the block is left is killed.

    Parameters
    ----------
    build
        What to simulate.
    tests
        Which tests, and how.
    folder
        Where the tests run and where the log and the result file go; made when it is not there.

    Raises
    ------
    MissingToolError
        When a tool is missing.
    """
    seed = tests.seed
    if seed is None:
        seed = int(os.environ.get("COCOTB_RANDOM_SEED") or random.getrandbits(31))  # no secret depends on it
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    log, results = folder / "simulation.log", folder / "results.xml"
    for stale in (log, results):
        stale.unlink(missing_ok=True)
    job = {
        "test_module": tests.module,
        "hdl_toplevel": build.top,
        "hdl_toplevel_lang": "verilog",
        "build_dir": str(build.folder),
        "test_dir": str(folder),
        "results_xml": str(results),
        "log_file": str(log),
        "plusargs": list(tests.plusargs),
        "seed": seed,
        "test_filter": tests.filter,
    }
    context = f"cocotb run of {tests.module} on {build.top} (seed {seed}, log in {log})"
    start = time.monotonic()
    with _simulator(job, _environment(tests.module, tests.env, tests.python_path), folder) as process:

        def finished() -> Run:
            try:
                status = process.wait(tests.timeout_seconds)
            except subprocess.TimeoutExpired:
                reason = f"{context} took longer than {tests.timeout_seconds} s:\n{log_tail(log)}"
                raise SimulationFailedError(reason) from None
            if not log.is_file():
                raise SimulationFailedError(f"{context} did not start:\n{log_tail(folder / ERRORS)}")
            executed = _checked(results, log, tests.expected, context)
            if status != 0:  # it is 0 even where tests failed
                raise SimulationFailedError(f"{context}: the simulator ended with status {status}:\n{log_tail(log)}")
            return Run(executed, seed, time.monotonic() - start, log, results)

        yield finished


def _environment(test_module: str, env: Mapping[str, str], python_path: Sequence[Path]) -> dict[str, str]:
    """Return the environment of the run: the tools', without what would redirect cocotb, with ``env``."""
    result = {
        name: value
        for name, value in toolchain.environment().items()
        # PYTEST_CURRENT_TEST changes the runner's behaviour, COCOTB_* another run's would change this one's.
        if name != "PYTEST_CURRENT_TEST" and not name.startswith("COCOTB_")
    }
    # This process' sys.path, so that a module found here is found inside the simulator too.
    result["PYTHONPATH"] = os.pathsep.join([str(Path(path).absolute()) for path in python_path] + sys.path)
    # cocotb lets pytest show the values of failed assertions. In every module and with all of pytest's plugins, as it
    # does by itself, that takes two seconds at each start; the tests' own module is enough.
    result["COCOTB_REWRITE_ASSERTION_FILES"] = f"{test_module.rpartition('.')[2]}.py"
    result["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    result.update(env)
    return result


@contextmanager
def _simulator(
    job: Mapping[str, object], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the simulator, its standard error going to a file in the folder; kill it where it outlives the block."""
    given = folder / "job.json"
    given.write_text(json.dumps(job))
    with (
        given.open() as source,
        (folder / ERRORS).open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "dnnzip_sim.cocotb_job", "test"],
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=dict(environment),
            start_new_session=True,  # so that its end is that of the simulator as well, the runner's child
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)


def _checked(results: Path, log: Path, expected_tests: int, context: str) -> int:
    """Return the number of executed tests, after checking that it is the expected one and that none failed."""
    try:
        present, failed = get_results(results)
        skipped = len(ET.parse(results).getroot().findall(".//skipped"))
    except (RuntimeError, ET.ParseError) as error:
        raise SimulationFailedError(f"{context} ended without a result:\n{log_tail(log)}") from error
    executed = present - skipped
    if failed:
        raise SimulationFailedError(f"{context}: {failed} of {executed} tests failed:\n{log_tail(log)}")
    if executed != expected_tests:
        raise SimulationFailedError(
            f"{context}: {executed} tests were executed, {expected_tests} expected:\n{log_tail(log)}"
        )
    return executed
