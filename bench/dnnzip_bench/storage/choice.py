"""Choice of a method's setting: the fewest bits that keep the accuracy, by the samples that may be seen."""

from collections.abc import Sequence

from dnnzip_bench.command import told
from dnnzip_bench.storage.methods import Method
from dnnzip_bench.storage.records import Record, Records


def keeps(records: Records, record: Record, limit: float) -> bool:
    """Return True if the samples that may be seen lose at most ``limit`` points."""
    return 100 * (records.plain().seen - record.right.seen) <= limit + 1e-9


def measured(records: Records, method: Method) -> Record:
    """Return a method's record, and say on a terminal that it is made."""
    told(f"{records.network.name}: {method.key}")
    return records.measure(method)


def climb(records: Records, ladder: Sequence[Method], limit: float) -> Record | None:
    """Return the boldest setting that keeps a limit, in points, found by halving; None where no tried one does.

    The ladder goes from the mildest setting up. What they lose need not rise strictly: the one that is found keeps the
    limit, and the next one does not.
    """
    best: Record | None = None
    kept, lost = -1, len(ladder)
    while lost - kept > 1:
        middle = (kept + lost) // 2
        record = measured(records, ladder[middle])
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
    return max((measured(records, method) for method in methods), key=lambda record: record.right.seen)
