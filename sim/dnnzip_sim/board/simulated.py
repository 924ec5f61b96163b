"""A board that runs in the simulator while the body of a ``with`` talks to it."""

import concurrent.futures
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import files
from types import TracebackType

from dnnzip.system.temporary import temporary_folder
from dnnzip_hw.board.array_core import SerialArrayParameters
from dnnzip_hw.board.decompressor_core import SerialDecompressorParameters
from dnnzip_hw.memory import GENERIC
from dnnzip_sim.build import Build, build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.run import CocotbTests, Run, SimulationFailedError, run
from dnnzip_sim.verilog import SERIAL_TOP, serial_verilog

TOP = "dnnzip_board"
BENCH = "dnnzip_sim.benches.board"
DIVISOR = 4
START_SECONDS = 60
MILLION = 1_000_000
LINE_BITS = 10
_SOURCES = (f"{TOP}.sv", "line.cpp")


@dataclass(frozen=True)
class BoardRun:
    """Traffic on the simulated line, from the start of the board to its end."""

    cycles: int  # clock cycles of the board
    talking: int  # of these, from the first byte that the board sent to the last
    # Bytes that were sent in each direction, those lost on the way included.
    to_board: int
    from_board: int
    # Of these, bytes that did not arrive, and that arrived as another one.
    to_board_lost: int
    to_board_damaged: int
    from_board_lost: int
    from_board_damaged: int


def as_simulated(
    parameters: SerialDecompressorParameters | SerialArrayParameters,
) -> SerialDecompressorParameters | SerialArrayParameters:
    """Return a board's top with memories that a simulator knows, at the fastest line."""
    if isinstance(parameters, SerialArrayParameters):
        array = replace(parameters.array, decompressor=replace(parameters.array.decompressor, target=GENERIC))
        return replace(parameters, array=array, divisor=DIVISOR)
    return replace(parameters, decompressor=replace(parameters.decompressor, target=GENERIC), divisor=DIVISOR)


class SimulatedBoard:
    """Runs the board while the body of the ``with`` uses its port.

    Parameters
    ----------
    parameters
        Of the board; by default a decompressor of the default parameters at the fastest line.
    lost, damaged
        Chance of a byte to be lost or damaged, in both directions.
    seed
        Of these faults.

    Members
    -------
    port
        Name of the terminal, inside the ``with``.
    result
        What happened, after the ``with``.
    """

    def __init__(
        self,
        parameters: SerialDecompressorParameters | SerialArrayParameters | None = None,
        *,
        lost: float = 0.0,
        damaged: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.parameters = parameters or SerialDecompressorParameters(divisor=DIVISOR)
        self.port = ""
        self.result: BoardRun | None = None
        self._faults = {"lost": round(lost * MILLION), "damaged": round(damaged * MILLION), "seed": seed}

    def build(self) -> Build:
        """Return the simulator, made now unless it is in the cache."""
        sources = {name: (files(__package__) / name).read_text() for name in _SOURCES}
        sources[f"{SERIAL_TOP}.v"] = serial_verilog(self.parameters)
        return build(TOP, sources, options=OPTIONS)

    def __enter__(self) -> "SimulatedBoard":
        simulator = self.build()
        self._folder = ExitStack()
        folder = self._folder.enter_context(temporary_folder())
        self._stop, self._result = folder / "stop", folder / "result"
        port = folder / "port"
        arguments = {"port": port, "stop": self._stop, "result": self._result, **self._faults}
        arguments |= {"divisor": self.parameters.divisor, "owner": os.getpid()}
        plusargs = [f"+{name}={value}" for name, value in arguments.items()]
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._run = self._pool.submit(run, simulator, CocotbTests(BENCH, plusargs=plusargs), folder / "run")
        until = time.monotonic() + START_SECONDS
        while not port.exists() and not self._run.done() and time.monotonic() < until:
            time.sleep(0.02)
        if not port.exists():
            self._close()
            raise SimulationFailedError("the simulated board did not start")
        self.port = port.read_text().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> Run:
        """End the board and keep its record of the line."""
        try:
            self._stop.touch()
            done = self._run.result()
            self.result = BoardRun(*map(int, self._result.read_text().split()))
        finally:
            self._pool.shutdown()
            self._folder.close()
        return done
