"""The tables of ``make paper``."""

from collections.abc import Mapping, Sequence

from dnnzip.accelerator import Timing
from dnnzip.presentation.tables import TextTable
from dnnzip_bench.storage.claim import PUBLISHED_ENERGY, PUBLISHED_LATENCY, Subject
from dnnzip_bench.storage.equal import Equal
from dnnzip_bench.storage.savings import BASELINES, Counted, Saving
from dnnzip_bench.storage.trained import Drop

FAMILY_BASELINE = 16

CLAIM_HEADER = (
    "network",
    "bits from",
    "bits/weight",
    "all layers: latency",
    "energy",
    "no leakage",
    "largest layer: latency",
    "energy",
    "no leakage",
    "top-1 lost: seen",
    "unseen",
    "largest layer",
)
WAYS_HEADER = (
    "network",
    "bits from",
    "layers",
    "timing",
    *(f"{what}, {bits}" for bits in BASELINES for what in ("latency", "energy", "no leakage")),
)
EQUAL_HEADER = (
    "network",
    "stored as",
    "setting",
    "bits/weight",
    "top-1 lost: seen",
    "unseen",
    "keeps 1 point",
    "family: latency",
    "energy",
    "edge: latency",
    "energy",
)


def percent(share: float) -> str:
    """Return a share as a percentage; what rounds to zero has no sign."""
    return f"{round(100 * share, 1) + 0.0:.1f}"


def _parts(saving: Saving) -> tuple[str, str, str]:
    return percent(saving.latency), percent(saving.energy), percent(saving.energy_without_leakage)


def _lost(drop: Drop | None) -> tuple[str, str]:
    if drop is None:
        return "not measured", ""
    return "-" if drop.seen is None else f"{drop.seen:+.2f}", f"{drop.unseen:+.2f}"


def claim_table(subjects: Sequence[Subject]) -> TextTable:
    """Return the claim's table: ``serial``, against 16 bits, with what was published."""
    rows = []
    for subject in subjects:
        ways = [subject.way(only, Timing.SERIAL, FAMILY_BASELINE).saving for only in (False, True)]
        cells = [part for saving in ways for part in _parts(saving)]
        rows.append(
            (
                subject.name,
                subject.source,
                f"{subject.bits_per_weight:.3f}",
                *cells,
                *_lost(subject.drop),
                "" if subject.largest_drop is None else f"{subject.largest_drop:+.2f}",
            )
        )
    most = (percent(PUBLISHED_LATENCY), percent(PUBLISHED_ENERGY))
    return TextTable(CLAIM_HEADER, tuple(rows), ("the paper, at most", "", "", *most, "", "", "", "", "", "", ""))


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
    return TextTable(
        EQUAL_HEADER,
        tuple(
            (
                row.network,
                row.method,
                row.setting,
                f"{row.bits_per_weight:.3f}",
                *_lost(row.drop),
                "no" if row.is_over else "yes",
                percent(row.family.latency),
                percent(row.family.energy),
                percent(row.edge.latency),
                percent(row.edge.energy),
            )
            for row in rows
        ),
    )


def highest_table(highest: Mapping[str, tuple[float, str]]) -> TextTable:
    """Return the bits that represent networks without trained weights, and whose they are."""
    rows = tuple((role, f"{bits:.3f}", name) for role, (bits, name) in highest.items())
    return TextTable(("layer", "bits/weight", "the highest of the zoo"), rows)
