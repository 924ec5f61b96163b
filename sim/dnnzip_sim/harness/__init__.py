"""The harness that streams a whole network through the decompressor at the speed of the compiled model.

The Verilog top ``dnnzip_harness`` holds the clock, the decompressor and, in C++ behind DPI, the memories: words of all
streams in, weights and verdicts out. It offers a word in every cycle and takes every beat, or pauses at random on both
sides, and it can reset the decompressor on the way. cocotb starts it and waits; a decompressor that makes no progress
for ``PATIENCE_CYCLES`` ends the run with an error that names the stream.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import WORD_BYTES, Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.build import Build, build
from dnnzip_sim.run import CocotbTests, SimulationFailedError, started
from dnnzip_sim.verilog import VERILATOR_OPTIONS, decompressor_verilog

TOP = "dnnzip_harness"
BENCH = "dnnzip_sim.benches.network"
PATIENCE_CYCLES = 100_000
"""Cycles without a word taken or a beat delivered after which it hangs; the largest table set takes fewer to build."""

OPTIONS = (
    "--timing",
    "--timescale",
    "1ns/1ns",
    "-CFLAGS",
    "-std=c++20",
    "--converge-limit",
    "5000",
    *VERILATOR_OPTIONS,
)
PAUSES = "pauses.h"
"""The source that all harnesses include for their pauses."""

_SOURCES = (f"{TOP}.sv", "memory.cpp", PAUSES)
_TOTALS = struct.Struct("<Qd")
_VERDICTS = {int(verdict) for verdict in Verdict}
_OUTCOME = struct.Struct("<4Q")
_RESET = struct.Struct("<3Q")
_CUT = 255  # as memory.cpp has it


@dataclass(frozen=True)
class Outcome:
    """Passage of one stream through the decompressor."""

    verdict: Verdict  # the cause of its end beat
    weights: NDArray[np.int16]  # int16: the weights of its beats, idle lanes left out
    # The cycle in which its first word was taken, and the one in which its end beat was given.
    begin: int
    end: int

    @property
    def cycles(self) -> int:
        """Clock cycles from the first word to the end beat, both counted."""
        return self.end - self.begin + 1


@dataclass(frozen=True)
class Cut:
    """Output for a stream that a reset cut off."""

    weights: NDArray[np.int16]  # int16: the weights of the beats that had left
    begun: bool  # whether its first word was taken before the cycle in which the reset was decided


@dataclass(frozen=True)
class Reset:
    """A reset of the decompressor."""

    # The streams before this one are cut off where they have not ended; the next to be offered is this one.
    streams: int
    after: int  # in which cycle, counted from the reset before; earlier where all streams before it have ended
    cycles: int = 1  # how long it lasts, at least 1


@dataclass(frozen=True)
class Passage:
    """Result of a run of the harness."""

    ended: Sequence[Outcome | Cut]  # one per stream, in order
    cycles: int  # clock cycles of the whole run
    seconds: float  # time that the simulator took for them, without its start and its end

    @property
    def outcomes(self) -> list[Outcome]:
        """Outcomes of the streams that no reset cut off."""
        return [outcome for outcome in self.ended if isinstance(outcome, Outcome)]


@dataclass(frozen=True)
class Conditions:
    """Conditions of a run of the harness."""

    patience: int = PATIENCE_CYCLES  # cycles without progress after which the decompressor hangs
    # Seed of random pauses on both sides, which come and go; 0 for none. With pauses, beats that wait are watched.
    pauses: int = 0
    resets: Sequence[Reset] = ()  # in the order of their ``streams``
    plusargs: Sequence[str] = ()  # more of them, for what the Verilog looks at


PLAIN = Conditions()
"""No pauses and no resets."""


def build_harness(
    parameters: DecompressorParameters, verilog: str | None = None, sources: Mapping[str, str] | None = None
) -> Build:
    """Return the Verilator build of the harness around a decompressor.

    Parameters
    ----------
    parameters
        Of the decompressor.
    verilog
        Text with the module ``dnnzip_decompressor`` and all that it needs; the decompressor's own when not given.
    sources
        More of them, by file name, for what the Verilog calls.
    """
    every_source = {name: (files(__name__) / name).read_text() for name in _SOURCES}
    every_source |= {"dnnzip_decompressor.v": verilog or decompressor_verilog(parameters), **(sources or {})}
    constants = {"LANES": parameters.lanes, "WEIGHT_BITS": parameters.weight_bits}
    return build(TOP, every_source, parameters=constants, options=OPTIONS)


def stream_through(harness: Build, streams: Sequence[bytes], folder: Path, conditions: Conditions = PLAIN) -> Passage:
    """Send the streams through the decompressor, back to back but for resets, and return what came out.

    Parameters
    ----------
    harness, streams, folder, conditions
        As for ``streaming``.

    Raises
    ------
    SimulationFailedError
        If the decompressor hangs, breaks the order of its beats, changes one that waits, or returns another number
        of results than streams.
    """
    with streaming(harness, streams, folder, conditions) as finished:
        return finished()


@contextmanager
def streaming(
    harness: Build, streams: Sequence[bytes], folder: Path, conditions: Conditions = PLAIN
) -> Iterator[Callable[[], Passage]]:
    """Start sending the streams through the decompressor, and yield a function that waits for the results.

    It returns and raises what ``stream_through`` does. What still runs when the block is left is killed.

    Parameters
    ----------
    harness
        What ``build_harness`` returned.
    streams
        Table set streams and weight streams, none of them empty; an odd last byte is filled up with zeros.
    folder
        An empty folder for the files of the run; its owner removes it.
    conditions
        Pauses, resets and patience.
    """
    job, result, weights, failure = (folder / name for name in ("job", "result", "weights", "failure"))
    _write_job(job, streams, conditions.resets)
    given: dict[str, object] = {"job": job, "result": result, "weights": weights, "failure": failure}
    given |= {"patience": conditions.patience, "pauses": conditions.pauses}
    plusargs = [*(f"+{name}={value}" for name, value in given.items()), *conditions.plusargs]
    with started(harness, CocotbTests(BENCH, plusargs=plusargs), folder) as passed:

        def finished() -> Passage:
            passed()
            passage = _read_results(result, weights)
            if len(passage.ended) != len(streams):
                raise SimulationFailedError(f"{len(streams)} streams went in, {len(passage.ended)} results came out")
            return passage

        yield finished


def _write_job(path: Path, streams: Sequence[bytes], resets: Sequence[Reset]) -> None:
    with path.open("wb") as file:
        lengths = [(len(stream) + WORD_BYTES - 1) // WORD_BYTES for stream in streams]
        file.write(struct.pack(f"<{2 + len(lengths)}Q", len(lengths), *lengths, len(resets)))
        file.write(b"".join(_RESET.pack(reset.streams, reset.after, reset.cycles) for reset in resets))
        for stream, length in zip(streams, lengths, strict=True):
            file.write(stream.ljust(length * WORD_BYTES, b"\0"))


def _read_results(result: Path, weights: Path) -> Passage:
    totals = result.read_bytes()
    ended: list[Outcome | Cut] = []
    cycles, seconds = _TOTALS.unpack_from(totals)
    codes = np.fromfile(weights, "<i2").astype(np.int16, copy=False)
    first = 0
    for begin, end, count, verdict in _OUTCOME.iter_unpack(totals[_TOTALS.size :]):
        codes_here = codes[first : first + count]
        first += count
        if verdict == _CUT:
            ended.append(Cut(codes_here, begin < end))
        elif verdict in _VERDICTS:
            ended.append(Outcome(Verdict(verdict), codes_here, begin, end))
        else:
            raise SimulationFailedError(f"stream {len(ended)} ended with cause {verdict}, which is no verdict")
    return Passage(ended, cycles, seconds)
