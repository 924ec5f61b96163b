"""``make zoo``: the trained networks in ``DNNZIP_ZOO`` through compression, RTL and accuracy, at four bounds.

Exit status 1 if a check fails: a mismatch, a broken bound, a slow tensor, a baseline that is off by more than one
sample, or an accuracy that is off by more than half a point where it is known and within 10 points of the baseline.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from dnnzip.errors import CheckFailedError, InputError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.onnx.files import load_model
from dnnzip.presentation.chain_report import save_report
from dnnzip.presentation.tables import TextTable
from dnnzip.quantize.bound import Bound
from dnnzip.usecases import chain
from dnnzip.usecases.compress import CompressionOptions
from dnnzip_bench.catalogue import ENTRIES, Entry, zoo_folder
from dnnzip_bench.command import BUILD, run, show, told, write
from dnnzip_sim.link import SimulatedLink

BOUNDS = ("0.5%", "1%", "2%", "5%")
FOLDER = BUILD / "zoo"
LARGE_TENSOR = 65536
"""Fewest weights of a tensor that must decode at ``FEWEST_WEIGHTS_PER_CYCLE``."""
FEWEST_WEIGHTS_PER_CYCLE = 2.0
TOLERANCE = 0.5
COMPARED_WITHIN = 10.0


@dataclass(frozen=True)
class Baseline:
    """A row of the zoo's ``baseline.json``: top-1, a fraction, of a network on a whole evaluation set."""

    model: str
    data: str
    samples: int
    top1: float


def baselines(zoo: Path) -> list[Baseline]:
    """Return the rows of the zoo's ``baseline.json``.

    Raises
    ------
    InputError
        The folder or the file is not there.
    """
    path = zoo / "baseline.json"
    if not path.is_file():
        raise InputError(str(path), "is not there", "set DNNZIP_ZOO to the folder of the trained networks")
    return [Baseline(row["model"], row["data"], row["n"], row["top1"]) for row in json.loads(path.read_text())]


def baseline_row(expected: Baseline, zoo: Path) -> tuple[str, ...]:
    """Measure a network as it is, on its whole evaluation set; return the table's row.

    Raises
    ------
    CheckFailedError
        Its accuracy is off by more than one sample.
    """
    measured = evaluate(zoo / f"{expected.model}.onnx", zoo / f"{expected.data}.npz")
    row = (
        expected.model,
        expected.data,
        f"{measured.samples:,}",
        f"{100 * expected.top1:.2f}",
        f"{100 * measured.top1:.2f}",
    )
    right = round(expected.top1 * expected.samples)
    if measured.samples != expected.samples or abs(round(measured.top1 * measured.samples) - right) > 1:
        raise CheckFailedError(f"{': '.join(row[:2])}: top-1 is {row[4]} %, not {row[3]} %")
    return row


def run_entry(entry: Entry, bound: str, zoo: Path, folder: Path, link: SimulatedLink) -> chain.Result:
    """Run the whole chain on one network at one bound, the accuracy included where there is an evaluation set."""
    model = zoo / f"{entry.model}.onnx"
    own = folder / entry.model / bound.replace("%", "pc")
    job = chain.Job(load_model(model), CompressionOptions(Bound.parse(bound)), str(model), lambda: link, folder=own)
    data = zoo / f"{entry.data}.npz"
    result = chain.run(job, (lambda network: evaluate(network, data, entry.samples)) if entry.data else None)
    save_report(result)
    return result


def check(entry: Entry, bound: str, result: chain.Result) -> None:
    """Check a run's accuracy and the rate of its large tensors.

    Raises
    ------
    CheckFailedError
        One of them is off; the message says which.
    """
    where = f"{entry.model} at {bound}"
    assert result.simulation is not None
    for layer in result.simulation.layers:
        if layer.weights >= LARGE_TENSOR and layer.weights_per_cycle < FEWEST_WEIGHTS_PER_CYCLE:
            rate = f"{layer.weights_per_cycle:.2f} weights per cycle"
            raise CheckFailedError(f"{where}: layer {layer.name!r} decodes {rate}, not {FEWEST_WEIGHTS_PER_CYCLE}")
    if result.before is not None and result.after is not None and entry.known:
        expected, before, after = entry.known[BOUNDS.index(bound)], 100 * result.before.top1, 100 * result.after.top1
        if before - expected <= COMPARED_WITHIN and abs(after - expected) > TOLERANCE:
            raise CheckFailedError(f"{where}: top-1 is {after:.2f} %, not {expected:.2f} %")


def row(entry: Entry, bound: str, result: chain.Result) -> tuple[str, ...]:
    """Return the table's row of a run."""
    assert result.simulation is not None
    large = [layer.weights_per_cycle for layer in result.simulation.layers if layer.weights >= LARGE_TENSOR]
    accuracy = ("-", "-")
    if result.before and result.after:
        accuracy = (f"{100 * result.before.top1:.2f}", f"{100 * result.after.top1:.2f}")
    return (
        entry.model,
        bound,
        f"{result.summary.weights:,}",
        f"{result.summary.bits_per_weight:.3f}",
        f"{result.summary.ratio_fp32:.2f}",
        str(result.simulation.mismatches),
        f"{result.simulation.weights_per_cycle:.2f}",
        f"{min(large):.2f}" if large else "-",
        f"{result.simulation.weights_per_second / 1e6:.1f}",
        *accuracy,
    )


HEADER = (
    "network",
    "bound",
    "weights",
    "bits/weight",
    "ratio",
    "mismatches",
    "weights/cycle",
    "slowest large tensor",
    "M weights/s",
    "top-1 before %",
    "after %",
)
BASELINE_HEADER = ("network", "evaluation set", "samples", "top-1 expected %", "measured %")


def rows(zoo: Path) -> Iterator[tuple[str, ...]]:
    """Run every network at every bound; yield the table's rows as they come."""
    link = SimulatedLink()
    for entry in ENTRIES:
        for bound in BOUNDS:
            result = run_entry(entry, bound, zoo, FOLDER, link)
            check(entry, bound, result)
            yield row(entry, bound, result)


def followed(cells: Iterator[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Collect rows, each told as it comes."""
    done = []
    for line in cells:
        told("  ".join(line))
        done.append(line)
    return tuple(done)


@click.command()
def zoo() -> None:
    """Take the trained networks in $DNNZIP_ZOO through compression, RTL and accuracy, at four bounds."""
    place = zoo_folder()
    plain = TextTable(BASELINE_HEADER, followed(baseline_row(item, place) for item in baselines(place)))
    show(plain)
    table = TextTable(HEADER, followed(rows(place)))
    show(table)
    write(FOLDER / "zoo.md", f"{plain.markdown()}\n{table.markdown()}")


if __name__ == "__main__":
    run(zoo)
