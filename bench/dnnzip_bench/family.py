"""``make family``: the paper's family of compressors over the trained networks in ``DNNZIP_ZOO``, compared with ours.

Monotonic runs with least squares (`dnnzip_bench.monotonic_runs`) have a tolerance and no error bound. So for each
tolerance the error of every tensor is measured, and the same error is then given as a bound, tensor by tensor, to the
greedy segments and to ``ans``: three codecs that keep one largest error, their sizes with every byte counted, and what
is left of the accuracy. As lines spread their error otherwise than a grid does, ``ans`` is also given the root mean
square error of each tensor: a bound of sqrt(3) times that, which is what an even grid makes of its bound.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import click
import numpy as np

from dnnzip.evaluation.accuracy import evaluate
from dnnzip.onnx.weights import Weight
from dnnzip.presentation.tables import TextTable, number
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.grid import Quantised
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.tolerance import ranges_of
from dnnzip.usecases.provenance import provenance
from dnnzip.usecases.verify import require, verify
from dnnzip_bench.catalogue import ENTRIES, Entry, zoo_folder
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import BUILD, Listed, folder_option, keep, run, show
from dnnzip_bench.monotonic_runs import SMALLEST_BOUND, quantise_runs
from dnnzip_bench.pages import made_with
from dnnzip_bench.storage.methods import Stored, compressed, stored
from dnnzip_bench.storage.trained import TrainedNetwork, load_trained

TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Shares of a tensor's range that a step against its run's direction may have."""

SAMPLES = 200
"""Of each evaluation set, by default; every row takes three evaluations."""


@dataclass(frozen=True)
class Row:
    """A network at a tolerance."""

    network: str
    tolerance: float  # share of a tensor's range
    weights: int
    error_share: float  # largest measured error of a tensor as a share of its range, over the tensors
    rms_error_share: float  # root mean square error of a tensor as a share of its range, mean over the weights
    # Bits per weight of the runs; of greedy segments and `ans` at each tensor's largest error; and of `ans` at each
    # tensor's root mean square error.
    runs_bits: float
    greedy_bits: float
    ans_bits: float
    ans_rms_bits: float
    # Top-1 accuracy, a fraction, as it was and after each; None without an evaluation set.
    top1_before: float | None
    top1_runs: float | None
    top1_ans: float | None
    top1_ans_rms: float | None


def percent(share: float | None) -> str:
    """Return a share as a percentage, a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


COLUMNS: Columns[Row] = Columns(
    ("network", lambda row: row.network),
    ("delta", lambda row: f"{100 * row.tolerance:g} %"),
    ("max %", lambda row: f"{100 * row.error_share:.1f}"),
    ("rms %", lambda row: f"{100 * row.rms_error_share:.2f}"),
    ("runs", lambda row: f"{row.runs_bits:.3f}"),
    ("runs /32", lambda row: number(32 / row.runs_bits)),
    ("runs /16", lambda row: number(16 / row.runs_bits)),
    ("ans", lambda row: f"{row.ans_bits:.3f}"),
    ("ans /32", lambda row: number(32 / row.ans_bits)),
    ("ans /16", lambda row: number(16 / row.ans_bits)),
    ("ans rms", lambda row: f"{row.ans_rms_bits:.3f}"),
    ("ans rms /32", lambda row: number(32 / row.ans_rms_bits)),
    ("ans rms /16", lambda row: number(16 / row.ans_rms_bits)),
    ("greedy", lambda row: f"{row.greedy_bits:.3f}"),
    ("top-1", lambda row: percent(row.top1_before)),
    ("runs", lambda row: percent(row.top1_runs)),
    ("ans", lambda row: percent(row.top1_ans)),
    ("ans rms", lambda row: percent(row.top1_ans_rms)),
)


def measure(network: TrainedNetwork, tolerance: float, top1: float | None) -> Row:
    """Measure a network at a tolerance; ``top1`` is its accuracy as it is.

    Raises
    ------
    CheckFailedError
        A codec does not keep the measured error.
    """
    runs = [quantise_runs(weight, tolerance) for weight in network.weights]
    greedy = at_the_same_error(network.weights, runs, quantise_lines)
    ans = at_the_same_error(network.weights, runs, quantise)
    errors = [rms_error(weight, item) for weight, item in zip(network.weights, runs, strict=True)]
    ans_rms = [quantise(weight, even_bound(error)) for weight, error in zip(network.weights, errors, strict=True)]
    runs_bits, top1_runs = result(network, runs, "line")
    ans_bits, top1_ans = result(network, ans, "ans")
    ans_rms_bits, top1_ans_rms = result(network, ans_rms, "ans")
    shares = [
        share_of_range(weight, error) * weight.weights for weight, error in zip(network.weights, errors, strict=True)
    ]
    return Row(
        network.name,
        tolerance,
        weights=network.count,
        error_share=max(map(share_of_range, network.weights, (item.grid.max_error for item in runs))),
        rms_error_share=sum(shares) / network.count,
        runs_bits=runs_bits,
        greedy_bits=bits_per_weight(network, stored(compressed(network, greedy, "line"))),
        ans_bits=ans_bits,
        ans_rms_bits=ans_rms_bits,
        top1_before=top1,
        top1_runs=top1_runs,
        top1_ans=top1_ans,
        top1_ans_rms=top1_ans_rms,
    )


def share_of_range(weight: Weight, error: float) -> float:
    """Return an error as a share of the tensor's range."""
    span = float(ranges_of(weight, Scope.TENSOR))
    return error / span if span else 0.0


def rms_error(weight: Weight, item: Quantised) -> float:
    """Return the root mean square error of a tensor's weights, in their unit."""
    restored = item.grid.restore(item.codes, weight.layout).astype(np.float64)
    return float(np.sqrt(np.mean((restored - weight.array.astype(np.float64)) ** 2)))


def even_bound(rms: float) -> Bound:
    """Return the bound at which errors that are spread evenly have this root mean square."""
    value = max(math.sqrt(3) * rms, SMALLEST_BOUND)
    return Bound(Fraction(value), Unit.ABSOLUTE, repr(value), "root mean square")


def at_the_same_error(
    weights: Sequence[Weight], runs: Sequence[Quantised], quantiser: Callable[[Weight, Bound], Quantised]
) -> list[Quantised]:
    """Return each tensor again, its measured error as the bound of another quantiser."""
    bounds = [Bound(Fraction(item.grid.max_bound), Unit.ABSOLUTE, item.grid.spec, "measured") for item in runs]
    return [quantiser(weight, bound) for weight, bound in zip(weights, bounds, strict=True)]


def bits_per_weight(network: TrainedNetwork, found: Stored) -> float:
    """Return the bits of all tensors, everything counted, per weight."""
    return sum(found.bits.values()) / network.count


def result(network: TrainedNetwork, results: Sequence[Quantised], codec: str) -> tuple[float, float | None]:
    """Compress a network, verify it, and return (bits per weight, top-1 or None)."""
    model = compressed(network, results, codec)
    require(verify(network.model, model, network.name))
    found = stored(model)
    return bits_per_weight(network, found), evaluate(found.model, network.data).top1 if network.data else None


def rows(zoo: Path, entries: Sequence[Entry], tolerances: Sequence[float], samples: int) -> Iterator[Row]:
    """Measure every network at every tolerance; yield the rows as they come."""
    for entry in entries:
        network = load_trained(replace(entry, samples=samples), zoo)
        top1 = evaluate(network.model, network.data).top1 if network.data else None
        for tolerance in tolerances:
            yield measure(network, tolerance, top1)


def page(table: TextTable, samples: int, seconds: float) -> str:
    """Return the Markdown page of the sweep."""
    return (
        "# The paper's family over the zoo\n\n"
        "Monotonic runs with least squares at a tolerance delta, a share of each tensor's range; it bounds no error,\n"
        "so the largest is measured, tensor by tensor. `ans` and `greedy` segments are given that error as their\n"
        "bound; `ans rms` is given sqrt(3) times each tensor's root mean square error, which an even grid makes of\n"
        "that bound. `max` and `rms` are shares of a tensor's range: the largest, and the mean over the weights. Then\n"
        "come bits per weight, every byte of headers, checksums and table set counted, ratios to weights of 32 and 16\n"
        f"bits, and top-1 accuracy in percent over {samples} samples from all of each set.\n\n"
        f"{table.markdown()}\n"
        f"Measured in {seconds:.0f} s. {made_with(provenance())}\n"
    )


@click.command()
@click.option("--samples", type=click.IntRange(1), default=SAMPLES, help="Of each evaluation set, evenly from all.")
@click.option("--networks", "names", type=Listed(click.Choice([entry.model for entry in ENTRIES])), default=())
@folder_option(BUILD / "family", "Folder of family.md and family.json.")
def family(samples: int, names: tuple[str, ...], folder: Path) -> None:
    """Sweep the paper's family of compressors over the trained networks in $DNNZIP_ZOO, compared with ans."""
    begin = time.monotonic()
    chosen = [entry for entry in ENTRIES if not names or entry.model in names]
    measured = COLUMNS.followed(rows(zoo_folder(), chosen, TOLERANCES, samples))
    table = COLUMNS.table(measured)
    show(table)
    content = {"samples": samples, "rows": [asdict(row) for row in measured]}
    keep(folder, "family", content, page(table, samples, time.monotonic() - begin))


if __name__ == "__main__":
    run(family)
