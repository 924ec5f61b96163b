"""Jobs of the PE array under Verilator: a harness with a memory, walks, runs, vectors and sums around it; the link."""

from dnnzip_sim.array.harness import JobResult, Memory, Surroundings, build_array, run_job
from dnnzip_sim.array.link import SimulatedArray

__all__ = ["JobResult", "Memory", "SimulatedArray", "Surroundings", "build_array", "run_job"]
