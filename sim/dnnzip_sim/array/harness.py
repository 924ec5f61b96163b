"""The harness that runs a job on the array at the speed of the compiled model.

The Verilog top ``dnnzip_array_harness`` holds the clock, the accelerator and, in C++ behind DPI, what is around it: a
memory with the image, the program, the vectors, the sums. cocotb starts it and waits.
"""

import struct
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.job import ArrayJob, check_job
from dnnzip.format.array import ArrayCounters
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_sim.build import Build, build
from dnnzip_sim.harness import BENCH, OPTIONS, PAUSES
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run
from dnnzip_sim.verilog import array_verilog

TOP = "dnnzip_array_harness"
PATIENCE_CYCLES = 100_000
"""Cycles without progress after which a job hangs; the building of the largest table set takes fewer."""

_SOURCES = (f"{TOP}.sv", "array.cpp")
_TOTALS = struct.Struct(f"<Qd{len(fields(ArrayCounters))}I")


@dataclass(frozen=True)
class Memory:
    """The memory behind the accelerator's read channels."""

    bytes_per_cycle: int = 0  # its bandwidth at most, in bytes per cycle; 0 for a bus word in each cycle
    latency: int = 20  # cycles from a burst's address to its first data, at least


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of the accelerator."""

    memory: Memory = Memory()  # the memory; by default one that is as fast as the bus
    patience: int = PATIENCE_CYCLES  # cycles without progress after which a job hangs
    pauses: int = 0  # seed of pauses on all streams; 0 for none
    reset_after: int = 0  # cycle of a reset, after which the job starts again; 0 for none
    reset_cycles: int = 1  # how long that reset lasts


QUIET = Surroundings()
"""A memory as fast as the bus, no pauses and no reset."""


@dataclass(frozen=True)
class JobResult:
    """Result of a job."""

    sums: NDArray[np.int32]  # int32 [vectors given, rows]
    # uint64 [runs, 2]: the cycle of each run's first and last vector, counted from the end of the reset.
    times: NDArray[np.uint64]
    cycles: int  # cycles until the last sum was given, or whatever came last
    figures: ArrayCounters  # what the accelerator counted
    seconds: float  # time that the simulator took, without its start and its end


def build_array(parameters: ArrayParameters) -> Build:
    """Return the Verilator build of the harness around an accelerator.

    Raises
    ------
    MissingToolError, BuildFailedError
        See ``dnnzip_sim.build.build``.
    """
    sources = {name: (files(__package__) / name).read_text() for name in _SOURCES}
    sources[PAUSES] = (files("dnnzip_sim.harness") / PAUSES).read_text()
    sources["dnnzip_array.v"] = array_verilog(parameters)
    constants = {"COLUMNS": parameters.columns, "ROWS": parameters.rows, "BUS_BITS": parameters.bus_bits}
    return build(TOP, sources, parameters=constants, options=OPTIONS)


def run_job(
    harness: Build, parameters: ArrayParameters, job: ArrayJob, folder: Path, around: Surroundings = QUIET
) -> JobResult:
    """Run a job.

    Parameters
    ----------
    harness
        What ``build_array`` made for ``parameters``.
    job
        What to run.
    folder
        For the files of the run.
    around
        The memory, the pauses, and a reset.

    Raises
    ------
    ProgramError
        If the job contradicts itself.
    SimulationFailedError
        If it hangs, or the accelerator reports an error, breaks a rule of its memory or sends too many sums.
    """
    check_job(job, parameters.shape)
    given, result, failure = (folder / name for name in ("job", "result", "failure"))
    image = job.image.ljust(-(-len(job.image) // parameters.bus_bytes) * parameters.bus_bytes, b"\0")
    facts = (
        around.patience,
        around.pauses,
        around.memory.bytes_per_cycle or parameters.bus_bytes,
        around.memory.latency,
        around.reset_after,
        around.reset_cycles,
        len(job.walks),
        len(job.runs),
        job.vectors,
        job.given,
        len(image),
    )
    with given.open("wb") as file:
        file.write(struct.pack(f"<{len(facts)}Q", *facts))
        file.write(b"".join(walk.pack() for walk in job.walks))
        file.write(b"".join(run.pack() for run in job.runs))
        file.write(np.ascontiguousarray(job.activations).tobytes())
        file.write(image)
    plusargs = [f"+job={given}", f"+result={result}", f"+failure={failure}"]
    run(harness, CocotbTests(BENCH, plusargs=plusargs), folder)
    return _read(result, len(job.runs), job.given, parameters.rows)


def _read(path: Path, runs: int, given: int, rows: int) -> JobResult:
    data = path.read_bytes()
    cycles, seconds, *figures = _TOTALS.unpack_from(data)
    times = np.frombuffer(data, "<u8", 2 * runs, _TOTALS.size).reshape(runs, 2)
    sums = np.frombuffer(data, "<i4", offset=_TOTALS.size + times.nbytes)
    if sums.size != given * rows:
        raise SimulationFailedError(f"the job gives {given} vectors of {rows} sums, {sums.size} sums came")
    return JobResult(sums.reshape(given, rows), times, cycles, ArrayCounters(*figures), seconds)
