"""Programs of the PE array under Verilator: a harness with a memory, walks, runs, vectors and sums around it."""

from dnnzip_sim.array.harness import (
    Figures,
    Memory,
    Program,
    ProgramResult,
    build_array,
    run_program,
)

__all__ = ["Figures", "Memory", "Program", "ProgramResult", "build_array", "run_program"]
