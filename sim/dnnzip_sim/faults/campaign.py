"""The campaign: broken streams, each followed by a sound one, through the RTL; every end compared with software.

The fast decoder says what has to come, as it equals the reference (their tests, and ``make fuzz``); for a random share
of the streams the reference is asked as well and must say the same. A table set is read by ``TableSet.from_bytes``, the
only software for it.
"""

import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dnnzip.codec import fast
from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.errors import CheckFailedError
from dnnzip.format import TABLES_MAGIC, Limits, TableSet, Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.build import Build
from dnnzip_sim.harness import Conditions, Cut, Outcome, Reset, stream_through
from dnnzip_sim.run import SimulationFailedError
from dnnzip_sim.stimulus.damage import DAMAGE, damaged
from dnnzip_sim.stimulus.outcomes import SoftwareResult, SoftwareRow
from dnnzip_sim.stimulus.streams import any_stream
from dnnzip_sim.stimulus.table_sets import any_table_set

REFERENCE_SHARE = 0.02
"""Share of the streams that the reference decodes too."""

TABLE_SET_SHARE = 0.15
"""Share of table sets among the broken streams."""

PAUSED_SHARE = 0.75
"""Share of the passages with random pauses on both sides."""

PATIENCE_CYCLES = 15_000
"""Cycles without progress that count as hanging; the longest table set takes 9,500."""

FAMILIES, STREAMS = 18, 12
STAY = 24
"""Broken streams after which the table set changes, on average."""

FAULTS_PER_PASSAGE = 8_000
GROUPS_PER_PASSAGE = 1_000

CONFIGURATIONS = {
    "4 x 4 lanes, 512 states, 16 bits, line": DecompressorParameters(4, 4, 9, 16, line=True),
    "4 x 4 lanes, 512 states, 8 bits": DecompressorParameters(4, 4, 9, 8),
    "1 x 1 lane, 256 states, 16 bits": DecompressorParameters(1, 1, 8, 16),
}


@dataclass(frozen=True)
class Family:
    """A sound table set stream, about how many cycles it takes, and sound weight streams for it."""

    tables: bytes
    table_cycles: int
    weights: tuple[bytes, ...]


def any_family(rng: random.Random, limits: Limits, streams: int) -> Family:
    """Return a family of any sizes for a decoder with these limits.

    Parameters
    ----------
    limits
        Of the decoder; the table set and the streams keep to them.
    streams
        Number of weight streams.
    """
    tables = any_table_set(rng, limits)
    cycles = len(tables.counts) * (5 << tables.log2_states) // 2 + 500
    return Family(tables.to_bytes(), cycles, tuple(any_stream(rng, tables, limits) for _ in range(streams)))


@dataclass(frozen=True)
class Item:
    """A stream on its way: ``fault`` is a key of ``DAMAGE``, or None where it is sound."""

    stream: bytes
    fault: str | None


@dataclass
class Counts:
    """Totals of a campaign."""

    verdicts: Counter[tuple[str, Verdict]] = field(default_factory=Counter)  # broken streams by (fault, verdict)
    sound: int = 0  # sound streams that had to end with ``ok``, and did so with the right codes
    weights: int = 0  # weights of streams that ended with ``ok``, each compared
    referred: int = 0  # streams that the reference has decoded too
    resets: Counter[str] = field(default_factory=Counter)  # resets by where they hit
    cycles: int = 0  # clock cycles

    @property
    def faults(self) -> int:
        """Broken streams."""
        return sum(self.verdicts.values())

    def add(self, other: "Counts") -> None:
        """Add the totals of another campaign."""
        self.verdicts.update(other.verdicts)
        self.resets.update(other.resets)
        self.sound += other.sound
        self.weights += other.weights
        self.referred += other.referred
        self.cycles += other.cycles


class Campaign:
    """A campaign against one build of the harness.

    Parameters
    ----------
    harness
        Of a decompressor with ``parameters``.
    parameters
        Its parameters.
    seed
        Of all that is random.
    advance
        Called with the number of broken streams or resets that are done.
    plusargs
        For the Verilog, see ``Conditions``.
    """

    def __init__(
        self,
        harness: Build,
        parameters: DecompressorParameters,
        seed: int,
        advance: Callable[[int], None] = lambda _: None,
        plusargs: Sequence[str] = (),
    ) -> None:
        self.limits = parameters.limits
        self._harness = harness
        self._rng = random.Random(f"faults {parameters} {seed}")
        self._advance = advance
        self._plusargs = plusargs
        self._families = [any_family(self._rng, self.limits, STREAMS) for _ in range(FAMILIES)]
        self.counts = Counts()

    def faults(self, number: int) -> None:
        """Send ``number`` broken streams, each with a sound one behind it.

        Raises
        ------
        CheckFailedError
            If a stream ends otherwise than software says, hangs or breaks a rule of the beats; the message holds it.
        """
        while number > 0:
            here = min(number, FAULTS_PER_PASSAGE)
            items = list(_until(self._items(), here))
            before = self.counts.sound
            self._passage(items)
            assert self.counts.sound - before == sum(item.fault is None for item in items)
            self._advance(here)
            number -= here

    def resets(self, number: int) -> None:
        """Reset the decompressor ``number`` times in the middle of anything; what follows must be as from the start.

        Raises
        ------
        CheckFailedError
            As from ``faults``.
        """
        while number > 0:
            here = min(number, GROUPS_PER_PASSAGE)
            groups, resets = [], []
            for _ in range(here + 1):  # one more, which no reset cuts off
                items, after = self._group()
                groups += items
                resets.append(Reset(len(groups), after, self._rng.randrange(1, 4)))
            self._passage(groups, resets[:-1])
            self._advance(here)
            number -= here

    def _items(self) -> Iterator[Item]:
        """Yield broken and sound streams in turn without end; the table set that is needed goes before a sound one."""
        rng = self._rng
        row = SoftwareRow(self.limits, fast.decode)
        family: Family | None = None
        needed: TableSet | None = None
        while True:
            if family is None or rng.random() < 1 / STAY:
                family = rng.choice(self._families)
                row.take(family.tables)
                needed = row.loaded
                yield Item(family.tables, None)
            fault = rng.choice(list(DAMAGE))
            stream = family.tables if rng.random() < TABLE_SET_SHARE else rng.choice(family.weights)
            made = damaged(rng, fault, stream, rng.choice((*family.weights, family.tables)))
            row.take(made)
            yield Item(made, fault)
            if row.loaded != needed:
                row.take(family.tables)
                yield Item(family.tables, None)
            yield Item(rng.choice(family.weights), None)

    def _group(self) -> tuple[list[Item], int]:
        """Return a few streams to be cut off by a reset, and in which cycle: mostly in one of the weight streams."""
        rng = self._rng
        family = rng.choice(self._families)
        items = [Item(family.tables, None)]
        for _ in range(rng.randrange(1, 7)):
            stream = rng.choice(family.weights)
            fault = rng.choice((None, *DAMAGE))
            items.append(Item(damaged(rng, fault, stream, family.tables) if fault else stream, fault))
        first, weights = family.table_cycles, sum(len(item.stream) for item in items[1:])
        if rng.random() < 0.15:  # nothing is loaded after a reset
            del items[0]
            first = 0
        elif rng.random() < 0.2:
            first, weights = 1, first
        return items, first + rng.randrange(1, weights)

    def _passage(self, items: Sequence[Item], resets: Sequence[Reset] = ()) -> None:
        rng = self._rng
        pauses = rng.randrange(1, 1 << 31) if rng.random() < PAUSED_SHARE else 0
        conditions = Conditions(PATIENCE_CYCLES, pauses, resets, self._plusargs)
        with tempfile.TemporaryDirectory(prefix="dnnzip-faults-") as folder:
            try:
                passage = stream_through(self._harness, [item.stream for item in items], Path(folder), conditions)
            except SimulationFailedError as error:
                raise CheckFailedError(_broken_rule(str(error), items)) from error
        self.counts.cycles += passage.cycles
        row = SoftwareRow(self.limits, fast.decode)
        starts = {reset.streams for reset in resets}
        hit: tuple[Item, Cut] | None = None
        for number, (item, outcome) in enumerate(zip(items, passage.ended, strict=True)):
            if number in starts:
                self.counts.resets[_place_of(hit)] += 1
                row, hit = SoftwareRow(self.limits, fast.decode), None
            loaded = row.loaded
            verdict, decoded = row.take(item.stream)
            if isinstance(outcome, Cut):
                if hit is None:
                    hit = item, outcome
                    self._check_count(item, outcome, decoded)
                continue
            self._check(item, outcome, verdict, decoded)
            if decoded is not None and rng.random() < REFERENCE_SHARE:
                self._refer(item, decoded, SoftwareRow(self.limits), loaded)

    def _check(self, item: Item, outcome: Outcome, verdict: Verdict, decoded: SoftwareResult | None) -> None:
        """Compare how a stream ended with what software says."""
        if outcome.verdict != verdict:
            raise CheckFailedError(_what(item) + f": the RTL says {outcome.verdict.label}, software {verdict.label}")
        self._check_count(item, outcome, decoded)
        if verdict == Verdict.OK and decoded is not None:
            assert decoded.header is not None
            if outcome.weights.size < decoded.header.weights:
                raise CheckFailedError(
                    _what(item) + f": ends with ok after {outcome.weights.size} of {decoded.header.weights} weights"
                )
            if not np.array_equal(codes_from_beats(outcome.weights, decoded.header), decoded.codes):
                raise CheckFailedError(_what(item) + ": ends with ok, but its weights are others")
            self.counts.weights += outcome.weights.size
        if item.fault is not None:
            self.counts.verdicts[item.fault, verdict] += 1
        elif verdict == Verdict.OK:
            self.counts.sound += 1

    def _check_count(self, item: Item, outcome: Outcome | Cut, decoded: SoftwareResult | None) -> None:
        """Check that no more weights left than a sound header declares."""
        declared = decoded.header.weights if decoded is not None and decoded.header is not None else 0
        if outcome.weights.size > declared:
            raise CheckFailedError(_what(item) + f": gave {outcome.weights.size} weights, {declared} are declared")

    def _refer(self, item: Item, decoded: SoftwareResult, referee: SoftwareRow, loaded: TableSet | None) -> None:
        """Check the fast decoder by the reference."""
        referee.loaded = loaded
        verdict, expected = referee.take(item.stream)
        same = verdict == decoded.verdict
        if same and verdict == Verdict.OK:
            assert expected is not None
            same = np.array_equal(np.array(expected.codes), decoded.codes)
        if not same:
            raise CheckFailedError(_what(item) + ": the fast decoder and the reference differ")
        self.counts.referred += 1


def _place_of(hit: tuple[Item, Cut] | None) -> str:
    """Return where a reset hit: in the first stream that it cut off."""
    if hit is None:
        return "after the end beat of the last stream"
    item, cut = hit
    if not cut.begun:
        return "between streams"
    if item.stream[0] == TABLES_MAGIC:
        return "in a table set"
    return "in a weight stream, weights had left" if cut.weights.size else "in a weight stream, before its first weight"


def _until(items: Iterator[Item], faults: int) -> Iterator[Item]:
    """Yield the next items, up to the sound stream behind the last of ``faults`` broken ones."""
    seen = 0
    for item in items:
        yield item
        seen += item.fault is not None
        if seen == faults and item.fault is None and item.stream[0] != TABLES_MAGIC:
            return


def _broken_rule(message: str, items: Sequence[Item]) -> str:
    """Return the complaint of the harness, with the stream that it names."""
    found = re.search(r"AssertionError: (.*?\bstream (\d+) of \d+.*)", message)
    return f"{found[1]}; {_what(items[int(found[2])])}" if found else message


def _what(item: Item) -> str:
    return f"{item.fault or 'sound'} stream {item.stream.hex()}"
