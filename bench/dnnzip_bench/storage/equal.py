"""The first question of any reviewer: how many bits other ways to store the same weights take at equal accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

from dnnzip.accelerator import Estimator, Network, Timing, load_accelerator
from dnnzip.accelerator.nocnn import Nocnn
from dnnzip_bench.departures import free
from dnnzip_bench.storage.methods import ANS, ANS_LADDERS, FIXED, INT4_METHODS, LINE_LADDER, TUNED, Method
from dnnzip_bench.storage.records import Record, Records
from dnnzip_bench.storage.savings import EDGE, Saving, saving, with_bits
from dnnzip_bench.storage.trained import Drop

LIMIT = 1.0
"""Points of accuracy that a network may lose."""

OURS = (ANS, TUNED)
"""Methods that pay for their decompressor; all others decode for nothing."""


@dataclass(frozen=True)
class Equal:
    """A method on a network."""

    network: str
    method: str
    setting: str
    bits_per_weight: float  # everything counted
    drop: Drop  # accuracy lost, in points, on samples that a choice saw and on others
    family: Saving  # saved in the family's preset, `serial`, against 16 bits
    edge: Saving  # saved in `edge-lpddr4`, `overlap`, against 8 bits

    @property
    def is_over(self) -> bool:
        """Return True if it loses more than the limit on samples that no choice saw."""
        return self.drop.unseen > LIMIT + 1e-9


def keeps(records: Records, record: Record, limit: float) -> bool:
    """Return True if the samples that may be seen lose at most ``limit`` points."""
    return 100 * (records.plain().seen - record.right.seen) <= limit + 1e-9


def climb(records: Records, ladder: Sequence[Method], limit: float) -> Record | None:
    """Return the boldest setting that keeps a limit, in points, found by halving; None where no tried one does.

    The ladder goes from the mildest setting up. What they lose need not rise strictly: the one that is found keeps the
    limit, and the next one does not.
    """
    best: Record | None = None
    kept, lost = -1, len(ladder)
    while lost - kept > 1:
        middle = (kept + lost) // 2
        record = records.measure(ladder[middle])
        if keeps(records, record, limit):
            best, kept = record, middle
        else:
            lost = middle
    return best


def best_of_ladders(records: Records, ladders: Sequence[Sequence[Method]], limit: float) -> Record | None:
    """Return the setting with the fewest bits of several ladders; None where none keeps the limit."""
    found = [record for ladder in ladders if (record := climb(records, ladder, limit)) is not None]
    return min(found, key=lambda record: record.bits_per_weight, default=None)


def most_right(records: Records, methods: Sequence[Method]) -> Record:
    """Return the setting that leaves the most samples right, the first of equal ones."""
    return max(map(records.measure, methods), key=lambda record: record.right.seen)


def best_of_each(records: Records) -> list[Record]:
    """Measure every method on a network, each at its best setting; one that never keeps the limit at its mildest."""
    return [
        *map(records.measure, FIXED),
        most_right(records, INT4_METHODS),
        climb(records, LINE_LADDER, LIMIT) or records.measure(LINE_LADDER[0]),
        best_of_ladders(records, ANS_LADDERS, LIMIT) or records.measure(ANS_LADDERS[0][0]),
    ]


class Judges:
    """The two accelerators by which methods are compared."""

    def __init__(self) -> None:
        family, edge = load_accelerator("paper-mesh-8x8"), load_accelerator(EDGE)
        self._estimators: dict[bool, tuple[Estimator, Estimator]] = {
            True: (Nocnn(family), Estimator(edge)),
            False: (Nocnn(free(family)), Estimator(free(edge))),
        }

    def judge(self, layers: Network, record: Record, drop: Drop) -> Equal:
        """Estimate what a method saves on a network whose layers are named as its tensors, at this drop."""
        packed = with_bits(layers, record.each)
        family, edge = self._estimators[record.method in OURS]
        return Equal(
            layers.name,
            record.method,
            record.setting,
            record.bits_per_weight,
            drop,
            saving(packed, family, Timing.SERIAL, 16),
            saving(packed, edge, Timing.OVERLAP, 8),
        )
