"""The simulated link: every stream is decoded by the RTL, compiled by Verilator, with cocotb in charge."""

import os
from collections.abc import Sequence
from dataclasses import replace

from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    MAX_LOG2_STATES,
    TABLE_HEADER,
    TABLES_MAGIC,
    WEIGHT_HEADER,
    WEIGHTS_MAGIC,
    WORD_BYTES,
    Codec,
    TableHeader,
    Verdict,
    VerdictError,
    WeightStream,
)
from dnnzip.link import LinkRun, StreamResult
from dnnzip.system.temporary import temporary_folder
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.build import Build
from dnnzip_sim.harness import PATIENCE_CYCLES, Outcome, build_harness
from dnnzip_sim.parallel import Simulators
from dnnzip_sim.run import SimulationFailedError


class SimulatedLink:
    """Decodes streams with the decompressor's RTL under Verilator; see ``dnnzip.link.api.Link``.

    The RTL is exported and compiled when it is first needed, and kept in the build cache. All streams of a call go
    through the decompressor back to back, at one word per cycle. Large networks are shared out among several
    simulators, which changes no result and no cycle; see ``dnnzip_sim.parallel``.

    Parameters
    ----------
    argument
        What follows a colon in the link's name: how many simulators there may be at once; as many as this process may
        use cores where it is empty.
    parameters
        Of the decompressor. By default those of the project, with as many states as the table set needs, and with
        ``line`` where a stream does.
    patience
        Cycles without progress after which the decompressor hangs.

    Members
    -------
    last_run
        Figures of the last ``decode`` that streamed anything, or None.
    """

    def __init__(
        self,
        argument: str = "",
        *,
        parameters: DecompressorParameters | None = None,
        patience: int = PATIENCE_CYCLES,
    ) -> None:
        if argument and not (argument.isascii() and argument.isdecimal() and int(argument)):
            raise InputError(
                f"{field_name('link')} sim:{argument}",
                "is no number of processes",
                f"{field_name('link')} sim:2, or {field_name('link')} sim",
            )
        self._processes = int(argument or len(os.sched_getaffinity(0)))
        self.last_run: LinkRun | None = None
        self._parameters = parameters
        self._patience = patience

    def build(self, tables: bytes = b"", streams: Sequence[bytes] = ()) -> Build:
        """Return the simulator for such streams with this table set, made now unless it is in the cache.

        Parameters
        ----------
        tables
            The table set stream; its header determines the number of states. Empty where no stream needs one.
        streams
            Weight streams; where one is a ``line`` stream, the decompressor has that core.
        """
        return build_harness(self._parameters or parameters_for(tables, streams))

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Load the table set, decode every weight stream in turn, and return a result for each.

        Parameters
        ----------
        tables
            The table set stream; empty where no stream needs one.
        streams
            Weight streams. One without a word ends as ``truncated``.

        Raises
        ------
        VerdictError
            If the table set is damaged.
        MissingToolError
            If Verilator, Yosys or a compiler is missing.
        BuildFailedError
            If the RTL does not compile.
        SimulationFailedError
            If the simulator fails, the decompressor hangs, or the number of results is not that of the streams.
        """
        offered = [stream for stream in ([tables] if tables else []) + list(streams) if stream]
        outcomes: list[Outcome] = []
        if offered:
            lanes = (self._parameters or parameters_for(tables, streams)).lanes
            simulators = Simulators(self.build(tables, streams), lanes, self._processes, self._patience)
            with temporary_folder() as folder:
                passage = simulators.stream(offered, folder, tables=bool(tables))
            outcomes = passage.outcomes
            self.last_run = LinkRun(
                weights=sum(outcome.weights.size for outcome in outcomes),
                cycles=outcomes[-1].end - outcomes[0].begin + 1,
                table_cycles=outcomes[0].cycles if tables else 0,
                seconds=passage.seconds,
            )
        remaining = iter(outcomes)
        if tables and (loaded := next(remaining)).verdict != Verdict.OK:
            raise VerdictError(loaded.verdict)
        return [
            _result(number, stream, next(remaining)) if stream else StreamResult(Verdict.TRUNCATED, None, 0)
            for number, stream in enumerate(streams)
        ]


def parameters_for(tables: bytes, streams: Sequence[bytes] = ()) -> DecompressorParameters:
    """Return the project's parameters, with as many states as the table set stream declares, where these can be.

    There is a core for ``line`` streams where one of ``streams`` begins as one.

    Parameters
    ----------
    tables
        The table set stream; without a whole header of one, the number of states is the project's.
    streams
        Weight streams, which may be damaged.
    """
    line = any(_is_line(stream) for stream in streams)
    return replace(DecompressorParameters(), log2_states=log2_states_for(tables), line=line)


def log2_states_for(tables: bytes) -> int:
    """Return log2 of the states that the project's decompressor has, or of those of a table set where it has more."""
    least = DecompressorParameters().log2_states
    if len(tables) < TABLE_HEADER.bytes or tables[0] != TABLES_MAGIC:
        return least
    declared = TableHeader.unpack(tables).log2_states
    return declared if least < declared <= MAX_LOG2_STATES else least


def _is_line(stream: bytes) -> bool:
    """Return True if the first word of a stream is that of a ``line`` stream."""
    if len(stream) < WORD_BYTES or stream[0] != WEIGHTS_MAGIC:
        return False
    return WEIGHT_HEADER.unpack(stream[:WORD_BYTES])["codec"] == Codec.LINE


def _result(number: int, stream: bytes, outcome: Outcome) -> StreamResult:
    """Return the stream's result, its codes ordered by channel."""
    if outcome.verdict != Verdict.OK:
        return StreamResult(outcome.verdict, None, outcome.cycles)
    header = WeightStream.from_bytes(stream).header
    if outcome.weights.size != header.weights:
        raise SimulationFailedError(
            f"weight stream {number} ended ok with {outcome.weights.size} weights; its header declares {header.weights}"
        )
    return StreamResult(outcome.verdict, codes_from_beats(outcome.weights, header), outcome.cycles)
