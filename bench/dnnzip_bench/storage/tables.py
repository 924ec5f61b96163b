"""The tables of ``make paper``."""

from collections.abc import Callable, Mapping, Sequence

from dnnzip.accelerator import Timing
from dnnzip.presentation.tables import TextTable, share
from dnnzip_bench.columns import Columns
from dnnzip_bench.storage.claim import PUBLISHED_ENERGY, PUBLISHED_LATENCY, Subject
from dnnzip_bench.storage.equal import Equal
from dnnzip_bench.storage.savings import BASELINES, Counted, Saving
from dnnzip_bench.storage.trained import Drop

FAMILY_BASELINE = 16

WAYS_HEADER = (
    "network",
    "bits from",
    "layers",
    "timing",
    *(f"{what}, {bits}" for bits in BASELINES for what in ("latency", "energy", "no leakage")),
)


def _parts(saving: Saving) -> tuple[str, str, str]:
    return share(saving.latency), share(saving.energy), share(saving.energy_without_leakage)


def _seen(drop: Drop | None) -> str:
    if drop is None:
        return "not measured"
    return "-" if drop.seen is None else f"{drop.seen:+.2f}"


def _unseen(drop: Drop | None) -> str:
    return f"{drop.unseen:+.2f}" if drop else ""


def _saved(largest_only: bool, part: int) -> Callable[[Subject], str]:
    return lambda subject: _parts(subject.way(largest_only, Timing.SERIAL, FAMILY_BASELINE).saving)[part]


CLAIM: Columns[Subject] = Columns(
    ("network", lambda subject: subject.name),
    ("bits from", lambda subject: subject.source),
    ("bits/weight", lambda subject: f"{subject.bits_per_weight:.3f}"),
    ("all layers: latency", _saved(False, 0)),
    ("energy", _saved(False, 1)),
    ("no leakage", _saved(False, 2)),
    ("largest layer: latency", _saved(True, 0)),
    ("energy", _saved(True, 1)),
    ("no leakage", _saved(True, 2)),
    ("top-1 lost: seen", lambda subject: _seen(subject.drop)),
    ("unseen", lambda subject: _unseen(subject.drop)),
    ("largest layer", lambda subject: "" if subject.largest_drop is None else f"{subject.largest_drop:+.2f}"),
)
EQUAL: Columns[Equal] = Columns(
    ("network", lambda row: row.network),
    ("stored as", lambda row: row.method),
    ("setting", lambda row: row.setting),
    ("bits/weight", lambda row: f"{row.bits_per_weight:.3f}"),
    ("top-1 lost: seen", lambda row: _seen(row.drop)),
    ("unseen", lambda row: _unseen(row.drop)),
    ("keeps 1 point", lambda row: "no" if row.is_over else "yes"),
    ("family: latency", lambda row: share(row.family.latency)),
    ("energy", lambda row: share(row.family.energy)),
    ("edge: latency", lambda row: share(row.edge.latency)),
    ("energy", lambda row: share(row.edge.energy)),
)


def claim_table(subjects: Sequence[Subject]) -> TextTable:
    """Return the claim's table: ``serial``, against 16 bits, with what was published."""
    most = (share(PUBLISHED_LATENCY), share(PUBLISHED_ENERGY))
    return CLAIM.table(subjects, ("the paper, at most", "", "", *most, "", "", "", "", "", "", ""))


def ways_table(subjects: Sequence[Subject]) -> TextTable:
    """Return every way of counting: layers, timing, baseline, leakage."""
    rows = []
    for subject in subjects:
        for only in (False, True):
            for timing in Timing:
                own: list[Counted] = [subject.way(only, timing, baseline) for baseline in BASELINES]
                cells = [part for way in own for part in _parts(way.saving)]
                rows.append((subject.name, subject.source, "largest" if only else "all", timing.value, *cells))
    return TextTable(WAYS_HEADER, tuple(rows))


def equal_table(rows: Sequence[Equal]) -> TextTable:
    """Return the table of methods at equal accuracy."""
    return EQUAL.table(rows)


def highest_table(highest: Mapping[str, tuple[float, str]]) -> TextTable:
    """Return the bits that represent networks without trained weights, and whose they are."""
    rows = tuple((role, f"{bits:.3f}", name) for role, (bits, name) in highest.items())
    return TextTable(("layer", "bits/weight", "the highest of the zoo"), rows)
