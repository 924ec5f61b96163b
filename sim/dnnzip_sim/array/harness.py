"""The harness that runs a program on the array at the speed of the compiled model.

The Verilog top ``dnnzip_array_harness`` holds the clock, the accelerator and, in C++ behind DPI, what is around it: a
memory with the image, the program, the vectors, the sums. cocotb starts it and waits.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.format.program import Run, Walk
from dnnzip_hw.array.accelerator import FIGURES
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_sim.build import Build, build
from dnnzip_sim.harness import BENCH, OPTIONS
from dnnzip_sim.run import SimulationFailedError, run
from dnnzip_sim.verilog import array_verilog

TOP = "dnnzip_array_harness"
PATIENCE_CYCLES = 100_000
"""Cycles without progress after which a program hangs; the building of the largest table set takes fewer."""

_SOURCES = (f"{TOP}.sv", "array.cpp")
_TOTALS = struct.Struct(f"<Qd{len(FIGURES)}I4x")


@dataclass(frozen=True)
class Memory:
    """The memory behind the accelerator's read channels.

    Parameters
    ----------
    bytes_per_cycle
        What it gives at most; 0 for a bus word in each cycle.
    latency
        Cycles from a burst's address to its first data, at least.
    """

    bytes_per_cycle: int = 0
    latency: int = 20


@dataclass(frozen=True)
class Program:
    """What is run.

    Parameters
    ----------
    image
        The memory's content from address 0 on.
    walks, runs
        See ``dnnzip.format.program``.
    vectors
        uint8 [vectors, columns]: the bytes of the activations.
    """

    image: bytes
    walks: Sequence[Walk]
    runs: Sequence[Run]
    vectors: NDArray[np.uint8]

    @property
    def given(self) -> int:
        """Vectors of sums that the program gives."""
        return sum(run.vectors for run in self.runs if run.last)


@dataclass(frozen=True)
class Figures:
    """What the accelerator counted; see ``dnnzip_hw.array.accelerator.FIGURES``."""

    vectors: int
    lacks_tile: int
    lacks_vector: int
    lacks_room: int
    bus_moves: int
    memory_words: int
    runs: int


@dataclass(frozen=True)
class ProgramResult:
    """What a program gave.

    Parameters
    ----------
    sums
        int32 [vectors given, rows].
    times
        uint64 [runs, 2]: the cycle of each run's first and last vector, counted from the end of the reset.
    cycles
        Cycles until nothing more came.
    figures
        What the accelerator counted.
    seconds
        Time that the simulator took, without its start and its end.
    """

    sums: NDArray[np.int32]
    times: NDArray[np.uint64]
    cycles: int
    figures: Figures
    seconds: float


def build_array(parameters: ArrayParameters, *, cache: Path | None = None) -> Build:
    """Return the Verilator build of the harness around an accelerator.

    Raises
    ------
    MissingToolError, BuildFailedError
        See ``dnnzip_sim.build.build``.
    """
    sources = {name: (files(__package__) / name).read_text() for name in _SOURCES}
    sources["dnnzip_array.v"] = array_verilog(parameters, cache=cache)
    constants = {"COLUMNS": parameters.columns, "ROWS": parameters.rows, "BUS_BITS": parameters.bus_bits}
    return build(TOP, sources, parameters=constants, options=OPTIONS, cache=cache)


def run_program(
    harness: Build,
    parameters: ArrayParameters,
    program: Program,
    folder: Path,
    *,
    memory: Memory | None = None,
    patience: int = PATIENCE_CYCLES,
    pauses: int = 0,
    reset_after: int = 0,
) -> ProgramResult:
    """Run a program.

    Parameters
    ----------
    harness
        What ``build_array`` made for ``parameters``.
    program
        What to run.
    folder
        For the files of the run.
    memory
        The memory; by default one that is as fast as the bus.
    patience
        Cycles without progress after which the program hangs.
    pauses
        Seed of pauses on all streams; 0 for none.
    reset_after
        Cycle of a reset, after which the program starts again; 0 for none.

    Raises
    ------
    ValueError
        If the runs do not use as many vectors as there are.
    SimulationFailedError
        If the program hangs, or the accelerator reports an error, breaks a rule of its memory or gives too much.
    """
    memory = memory or Memory()
    used = sum(run.vectors for run in program.runs)
    if program.vectors.shape != (used, parameters.columns) or program.vectors.dtype != np.uint8:
        raise ValueError(
            f"vectors must be uint8 {(used, parameters.columns)}, not {program.vectors.dtype} {program.vectors.shape}"
        )
    job, result, failure = (folder / name for name in ("job", "result", "failure"))
    image = program.image.ljust(-(-len(program.image) // parameters.bus_bytes) * parameters.bus_bytes, b"\0")
    facts = (
        patience,
        pauses,
        memory.bytes_per_cycle or parameters.bus_bytes,
        memory.latency,
        reset_after,
        len(program.walks),
        len(program.runs),
        used,
        program.given,
        len(image),
    )
    with job.open("wb") as file:
        file.write(struct.pack(f"<{len(facts)}Q", *facts))
        file.write(b"".join(walk.pack() for walk in program.walks))
        file.write(b"".join(run.pack() for run in program.runs))
        file.write(np.ascontiguousarray(program.vectors).tobytes())
        file.write(image)
    plusargs = [f"+job={job}", f"+result={result}", f"+failure={failure}"]
    run(harness, BENCH, expected_tests=1, folder=folder, plusargs=plusargs)
    return _read(result, len(program.runs), program.given, parameters.rows)


def _read(path: Path, runs: int, given: int, rows: int) -> ProgramResult:
    data = path.read_bytes()
    cycles, seconds, *figures = _TOTALS.unpack_from(data)
    times = np.frombuffer(data, "<u8", 2 * runs, _TOTALS.size).reshape(runs, 2)
    sums = np.frombuffer(data, "<i4", offset=_TOTALS.size + times.nbytes)
    if sums.size != given * rows:
        raise SimulationFailedError(f"the program gives {given} vectors of {rows} sums, {sums.size} sums came")
    return ProgramResult(sums.reshape(given, rows), times, cycles, Figures(*figures), seconds)
