"""The PE array of a board on a serial port."""

import time

import numpy as np

from dnnzip.array.board_job import job_orders
from dnnzip.array.job import ArrayFigures, ArrayJob, ArrayResult
from dnnzip.errors import InputError, field_name
from dnnzip.format import Verdict
from dnnzip.format.array import MISPLACED, ArrayFault, ArrayShape
from dnnzip.format.frames import ARRAY_RESULT, MEMORY_UNIT, Top
from dnnzip.link.serial_port import SerialLine, parse_port
from dnnzip.link.session import Session, Statistics, too_many_states


class SerialArray:
    """Executes jobs on the array of a board; see ``dnnzip.array.job.ArrayLink``.

    Weights go into the board's block RAM with each job, as much of a layer at a time as fits.

    Cycles are those in which a vector went into the array or a run waited for its weights: the line, which is slower by
    far, does not count, and neither does what happens while it brings the next vector.

    Parameters
    ----------
    shape
        The array that jobs are made for: the board's groups, rows and columns, and at most its accumulators.
    argument
        The text behind ``serial:`` in the link's name; see ``parse_port``.

    Members
    -------
    statistics
        Counts of frames on the line in the last job.

    Raises
    ------
    InputError
        If the port cannot be opened, nothing or something else answers, or the board's array is another one.
    """

    def __init__(self, shape: ArrayShape, argument: str = "") -> None:
        self.shape = shape
        self._port, self._baud = parse_port(argument)
        self._name = f"{field_name('link')} serial:{self._port}"
        self.statistics = Statistics()
        with SerialLine(self._port, self._baud) as line:
            self._memory = self._open(line).hello["memory"] * MEMORY_UNIT

    def execute(self, job: ArrayJob) -> ArrayResult:
        """Execute a job, and return the sums of its runs with ``last``, in their order.

        Raises
        ------
        ProgramError
            The job contradicts itself.
        InputError
            The board is gone, is another one now, or cannot do the job.
        """
        begun = time.perf_counter()
        message = job_orders(job, self.shape, self._memory)
        with SerialLine(self._port, self._baud) as line:
            session = self._open(line)
            self.statistics = session.statistics
            (answer,) = session.exchange([message])
        said = ARRAY_RESULT.unpack(answer.end.ljust(ARRAY_RESULT.bytes, b"\0"))
        self._check(said, session.hello)
        wanted = 4 * job.given * self.shape.rows
        if len(answer.body) != wanted:
            raise InputError(self._name, f"the board gave {len(answer.body)} bytes of sums", f"these are {wanted}")
        cycles = said["vectors"] + said["lacks_tile"]
        figures = ArrayFigures.from_counters(said, cycles, time.perf_counter() - begun)
        sums = np.frombuffer(answer.body, "<i4").reshape(job.given, self.shape.rows)
        return ArrayResult(sums.astype(np.int32), figures)

    def _open(self, line: SerialLine) -> Session:
        """Return a session with the board, reset, after a look at what it has."""
        session = Session(line, self._name)
        session.open(Top.ARRAY)
        said, shape = session.hello, self.shape
        rows, vectors = said["lanes"] * said["slots"], 1 << said["log2_vectors"]
        fits = (said["groups"], rows, said["columns"]) == (shape.groups, shape.rows_per_group, shape.columns)
        if not fits or shape.vectors > vectors:
            raise InputError(
                self._name,
                f"the board's array has {said['groups'] * rows} rows, {said['columns']} columns and {vectors} vectors",
                " ".join(f"{field_name(name)} {said[name]}" for name in ("groups", "lanes", "slots", "columns"))
                + f" {field_name('vectors')} {vectors}",
            )
        return session

    def _check(self, said: dict[str, int], hello: dict[str, int]) -> None:
        """Raise if the job was not done."""
        cause, fault = said["cause"], said["fault"]
        if fault:
            known = next((one.sentence for one in ArrayFault if one == fault), f"fault {fault}")
            raise InputError(self._name, f"the board stopped: {known}", "build the bitstream with this dnnzip")
        if cause == Verdict.UNSUPPORTED:
            raise too_many_states(self._name, hello)
        if cause:
            what = "does not hold what its entry says" if cause == MISPLACED else f"ends with {_label(cause)!r}"
            raise InputError(self._name, f"a stream of the layer {what}", "compress the model again")


def _label(cause: int) -> str:
    """Return the name of a verdict, or its number where it is none."""
    return next((verdict.label for verdict in Verdict if verdict == cause), str(cause))
