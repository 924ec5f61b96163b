"""A network's streams through several simulators at once, with the results of one.

Each simulator gets the table set, a run of consecutive weight streams, and before these the stream that comes before
them in the network: what it leaves behind in the decompressor is what they would find there. Cycles are counted from
the end of that stream on, so that they are those of one simulator that has all streams, to the cycle.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from dnnzip.format import TABLES_MAGIC, WEIGHT_HEADER, WORD_BYTES, WeightHeader
from dnnzip_sim.build import Build
from dnnzip_sim.harness import PATIENCE_CYCLES, Conditions, Passage, stream_through, streaming
from dnnzip_sim.run import SimulationFailedError

LEAST_CYCLES = 40_000
"""For fewer of them, about a tenth of a second, no further simulator is started."""

MOST_WEIGHTS_PER_WORD = 16
"""A header that is damaged may declare any number of weights; more than this number per word are not believed."""


@dataclass(frozen=True)
class Simulators:
    """Several simulators of one decompressor."""

    harness: Build  # what ``build_harness`` returned
    lanes: int  # of the decompressor; decides with the streams' lengths how they are shared out
    processes: int  # how many simulators there may be
    patience: int = PATIENCE_CYCLES  # cycles without progress after which the decompressor hangs

    def stream(self, streams: Sequence[bytes], folder: Path, *, tables: bool) -> Passage:
        """Send the streams through, and return the results that one simulator would return.

        Parameters
        ----------
        streams, folder
            As for ``dnnzip_sim.harness.stream_through``.
        tables
            Whether the first stream is a table set, which all the others need.

        Returns
        -------
        Its ``seconds`` are those of the slowest simulator.

        Raises
        ------
        SimulationFailedError
            As from ``stream_through``.
        """
        first = int(tables)
        costs = [_cycles(stream, self.lanes) for stream in streams[first:]]
        shares = shared_out(costs, max(1, min(self.processes, sum(costs) // LEAST_CYCLES)))
        conditions = Conditions(self.patience)
        # What a table set in their midst changes, all streams behind it must find.
        if len(shares) <= 1 or any(stream[0] == TABLES_MAGIC for stream in streams[first:]):
            return stream_through(self.harness, streams, folder, conditions)
        try:
            return self._joined(streams, first, shares, folder)
        except SimulationFailedError:
            # One simulator with all streams fails in the same way, and says at which stream of the network.
            stream_through(self.harness, streams, _new(folder / "all"), conditions)
            raise

    def _joined(self, streams: Sequence[bytes], first: int, shares: Sequence[int], folder: Path) -> Passage:
        starts = [first + sum(shares[:number]) for number in range(len(shares))]
        conditions = Conditions(self.patience)
        with ExitStack() as stack:
            waits = []
            for number, (start, share) in enumerate(zip(starts, shares, strict=True)):
                before = max(first, start - 1)
                given = [*streams[:first], *streams[before : start + share]]
                part = streaming(self.harness, given, _new(folder / str(number)), conditions)
                waits.append(stack.enter_context(part))
            passages = [wait() for wait in waits]
        outcomes = passages[0].outcomes
        cycles = passages[0].cycles
        for passage in passages[1:]:
            shift = outcomes[-1].end - passage.outcomes[first].end
            outcomes += [
                replace(outcome, begin=outcome.begin + shift, end=outcome.end + shift)
                for outcome in passage.outcomes[first + 1 :]
            ]
            cycles = passage.cycles + shift
        return Passage(outcomes, cycles, max(passage.seconds for passage in passages))


def shared_out(costs: Sequence[int], parts: int) -> list[int]:
    """Return the number of consecutive streams for each part, so that the largest part costs as little as possible.

    Each part but the first also costs the stream before it. There may be fewer parts than allowed, where more gain
    nothing.

    Parameters
    ----------
    costs
        Of the streams, in order, none of them negative.
    parts
        How many parts there may be.
    """
    low, high = max(costs, default=0), sum(costs)
    while low < high:
        middle = (low + high) // 2
        if len(_filled(costs, middle)) <= parts:
            high = middle
        else:
            low = middle + 1
    return _filled(costs, high)


def _filled(costs: Sequence[int], most: int) -> list[int]:
    """Return parts that cost at most so much, unless they hold a single stream, each as long as it can be."""
    shares: list[int] = []
    spent = 0
    for number, cost in enumerate(costs):
        if shares and spent + cost <= most:
            shares[-1] += 1
            spent += cost
        else:
            spent = cost + (costs[number - 1] if number else 0)
            shares.append(1)
    return shares


def _cycles(stream: bytes, lanes: int) -> int:
    """Return about how many cycles a stream takes: one per word, or the lanes' share of its weights if that is more."""
    words = -(-len(stream) // WORD_BYTES)
    if len(stream) < WEIGHT_HEADER.bytes:
        return words
    weights = WeightHeader.unpack(stream).weights
    return max(words, min(weights, words * MOST_WEIGHTS_PER_WORD) // lanes)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
