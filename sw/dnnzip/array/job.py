"""The PE array behind a link: its jobs, its sums and figures; how one is opened by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.format.array import ArrayShape
from dnnzip.format.program import Run, Walk
from dnnzip.link.opening import open_named


class ProgramError(ValueError):
    """A job contradicts itself, its image or the array; the message says where. Compilers do not make such jobs."""


@dataclass(frozen=True, eq=False)
class ArrayJob:
    """Input of an array: a memory image, the entries of it to fetch, and the vectors to multiply."""

    image: bytes  # the memory's content; see ``dnnzip.format.image``
    # The program; see ``dnnzip.format.program``.
    walks: Sequence[Walk]
    runs: Sequence[Run]
    # uint8 [vectors, columns]: the bytes of the vectors, in the order in which the runs use them.
    activations: NDArray[np.uint8]

    @property
    def vectors(self) -> int:
        """Vectors of all runs."""
        return sum(run.vectors for run in self.runs)

    @property
    def given(self) -> int:
        """Vectors whose sums are output."""
        return sum(run.vectors for run in self.runs if run.last)


@dataclass(frozen=True)
class ArrayFigures:
    """Clock cycles and memory traffic of a job, all 0 where the link has no clock."""

    cycles: int = 0  # clock cycles from the end of the reset to the last sum
    table_cycles: int = 0  # of these, until the table set was loaded; 0 where none was
    memory_words: int = 0  # bus words that came from the memory
    bus_words: int = 0  # words that moved on the on-chip bus
    busy_cycles: int = 0  # cycles in which a vector went into the array
    # Cycles in which a run waited for weights, for a vector, or for room for its sums.
    tile_wait_cycles: int = 0
    vector_wait_cycles: int = 0
    result_wait_cycles: int = 0
    seconds: float = 0.0  # time that the link itself took, without its start

    @classmethod
    def from_counters(
        cls, counters: Mapping[str, int], cycles: int, seconds: float, table_cycles: int = 0
    ) -> "ArrayFigures":
        """Return the figures of an array that has counted by the names of the hardware."""
        return cls(
            cycles,
            table_cycles,
            memory_words=counters["memory_words"],
            bus_words=counters["bus_moves"],
            busy_cycles=counters["vectors"],
            tile_wait_cycles=counters["lacks_tile"],
            vector_wait_cycles=counters["lacks_vector"],
            result_wait_cycles=counters["lacks_room"],
            seconds=seconds,
        )

    def __add__(self, other: "ArrayFigures") -> "ArrayFigures":
        """Return the figures of two jobs, one after the other."""
        return ArrayFigures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class ArrayResult:
    """Result of a job on an array."""

    sums: NDArray[np.int32]  # int32 [vectors given, rows]; what a row without weights holds has no meaning
    figures: ArrayFigures = field(default_factory=ArrayFigures)


class ArrayLink(Protocol):
    """Executes jobs on an array."""

    @property
    def shape(self) -> ArrayShape:
        """Dimensions of the array."""

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job, and return the sums of its runs with ``last``, in their order.

        Raises
        ------
        ProgramError
            The job contradicts itself.
        """


def check_job(job: ArrayJob, shape: ArrayShape) -> None:
    """Check a job as far as possible without its image.

    Parameters
    ----------
    job
        The job; its activations must be uint8 [vectors of all runs, columns].

    Raises
    ------
    ProgramError
        The vectors are not those of the runs, or a run uses accumulators or groups that the array does not have.
    """
    wanted = (job.vectors, shape.columns)
    if job.activations.dtype != np.uint8 or job.activations.shape != wanted:
        found = f"{job.activations.dtype} {job.activations.shape}"
        raise ProgramError(f"the runs need uint8 {wanted} activations, not {found}")
    for number, run in enumerate(job.runs):
        if run.vectors < 1 or run.base < 0 or run.base + run.vectors > shape.vectors:
            raise ProgramError(
                f"run {number} must stay in {shape.vectors} accumulators, not use {run.vectors} from {run.base} on"
            )
        if run.take >> shape.groups:
            raise ProgramError(f"run {number} must take tiles of {shape.groups} groups, not {run.take:#x}")


def open_array(name: str, shape: ArrayShape) -> ArrayLink:
    """Return an array by its name: ``golden``, or one that an installed extra provides; see ``open_named``."""
    link: ArrayLink = open_named("array", name, shape)
    return link
