"""The PE array behind a link: what it is built for, what it is told, what it gives; how one is opened by its name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.format import MAX_LOG2_LANES
from dnnzip.format.program import MAX_GROUPS, Run, Walk
from dnnzip.system import extras

ENTRY_POINTS = "dnnzip.arrays"

MAX_ROWS_PER_GROUP = 1 << MAX_LOG2_LANES
MAX_COLUMNS = 64
MIN_VECTORS, MAX_VECTORS = 16, 1 << 15


class ProgramError(ValueError):
    """A job contradicts itself, its image or the array; the message says where. Compilers do not make such jobs."""


@dataclass(frozen=True)
class ArrayShape:
    """How large an array is.

    Parameters
    ----------
    groups
        Lane groups: a power of two from 1 to 16.
    rows_per_group
        Rows that a group feeds, one for each of its virtual lanes: a power of two from 1 to 16.
    columns
        Positions of a channel that the array multiplies at once, 1 to 64.
    vectors
        Accumulators of each row: a power of two from 16 to 32768.
    lanes
        Hardware lanes of a group, which divide its rows: a power of two. 0 stands for a quarter of them, or one.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    groups: int = 1
    rows_per_group: int = 16
    columns: int = 16
    vectors: int = 1024
    lanes: int = 0

    def __post_init__(self) -> None:
        _check_power("groups", self.groups, 1, MAX_GROUPS)
        _check_power("rows_per_group", self.rows_per_group, 1, MAX_ROWS_PER_GROUP)
        if not 1 <= self.columns <= MAX_COLUMNS:
            raise ValueError(f"columns must be 1 to {MAX_COLUMNS}, not {self.columns}")
        _check_power("vectors", self.vectors, MIN_VECTORS, MAX_VECTORS)
        if self.lanes == 0:
            object.__setattr__(self, "lanes", max(1, self.rows_per_group // 4))
        _check_power("lanes", self.lanes, 1, self.rows_per_group)

    @property
    def slots(self) -> int:
        """Virtual lanes that take turns on a hardware lane."""
        return self.rows_per_group // self.lanes

    @property
    def rows(self) -> int:
        """Rows of the array."""
        return self.groups * self.rows_per_group


@dataclass(frozen=True, eq=False)
class ArrayJob:
    """What an array is told: a memory image, which of its entries to fetch, which vectors to multiply.

    Parameters
    ----------
    image
        The memory's content; see ``dnnzip.format.image``.
    walks, runs
        The program; see ``dnnzip.format.program``.
    activations
        uint8 [vectors, columns]: the bytes of the vectors, in the order in which the runs use them.
    """

    image: bytes
    walks: Sequence[Walk]
    runs: Sequence[Run]
    activations: NDArray[np.uint8]

    @property
    def vectors(self) -> int:
        """Vectors of all runs."""
        return sum(run.vectors for run in self.runs)

    @property
    def given(self) -> int:
        """Vectors whose sums are given out."""
        return sum(run.vectors for run in self.runs if run.last)


@dataclass(frozen=True)
class ArrayFigures:
    """What a job took, all 0 where the link has no clock.

    Parameters
    ----------
    cycles
        Clock cycles from the end of the reset to the last sum.
    table_cycles
        Of these, until the table set was loaded; 0 where none was.
    memory_words
        Bus words that came from the memory.
    bus_words
        Words that moved on the on-chip bus.
    busy_cycles
        Cycles in which a vector went into the array.
    tile_wait_cycles, vector_wait_cycles, result_wait_cycles
        Cycles in which a run waited for weights, for a vector, or for room for its sums.
    seconds
        Time that the link itself took, without its start.
    """

    cycles: int = 0
    table_cycles: int = 0
    memory_words: int = 0
    bus_words: int = 0
    busy_cycles: int = 0
    tile_wait_cycles: int = 0
    vector_wait_cycles: int = 0
    result_wait_cycles: int = 0
    seconds: float = 0.0

    def __add__(self, other: "ArrayFigures") -> "ArrayFigures":
        """Return the figures of two jobs, one after the other."""
        return ArrayFigures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class ArrayResult:
    """What an array made of a job.

    Parameters
    ----------
    sums
        int32 [vectors given, rows]; what a row without weights holds has no meaning.
    figures
        What it took.
    """

    sums: NDArray[np.int32]
    figures: ArrayFigures = field(default_factory=ArrayFigures)


class ArrayLink(Protocol):
    """Executes jobs on an array.

    Members
    -------
    shape
        How large the array is.
    """

    @property
    def shape(self) -> ArrayShape:
        """How large the array is."""
        ...

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job, and return the sums of its runs with ``last``, in their order.

        Raises
        ------
        ProgramError
            The job contradicts itself.
        """
        ...


def check_job(job: ArrayJob, shape: ArrayShape) -> None:
    """Check what can be seen of a job without its image.

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
    """Return the array of a link's name: ``golden``, or one that an installed extra provides (``sim``, ``serial``).

    What follows a colon in the name, for example the port in ``serial:/dev/ttyUSB0``, goes to the link.

    Raises
    ------
    InputError
        If there is no such link.
    MissingToolError
        If it needs an extra that is not installed.
    """
    kind, _, argument = name.partition(":")
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        raise InputError(field_name("link"), f"no array is named {kind!r}", f"one of {', '.join(sorted(found))}")
    try:
        factory = found[kind].load()
    except (ImportError, AttributeError) as error:
        missing = getattr(error, "name", None) or found[kind].value
        raise extras.missing(f"{field_name('link')} {kind}", missing, extras.LINKS.get(kind, "")) from error
    link: ArrayLink = factory(shape, argument) if argument else factory(shape)
    return link


def _check_power(name: str, value: int, least: int, most: int) -> None:
    """Raise ValueError unless ``value`` is a power of two in the range."""
    if not least <= value <= most or value & value - 1:
        raise ValueError(f"{name} must be a power of two from {least} to {most}, not {value}")
