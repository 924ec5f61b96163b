"""``make zoo``: the trained networks in ``DNNZIP_ZOO`` through compression, RTL and accuracy, at four bounds.

Exit status 1 if a check fails: a mismatch, a broken bound, a slow tensor, a baseline that is off by more than one
sample, or an accuracy that is off by more than half a point where it is known and within 10 points of the baseline.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from dnnzip.errors import CheckFailedError, InputError
from dnnzip.evaluation.accuracy import Accuracy, evaluate
from dnnzip.onnx.files import load_model
from dnnzip.presentation.chain_report import save_report
from dnnzip.quantize.bound import Bound
from dnnzip.usecases import chain
from dnnzip.usecases.compress import CompressionOptions
from dnnzip.usecases.simulate import Simulation
from dnnzip_bench.catalogue import ENTRIES, Entry, zoo_folder
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import BUILD, run, show, write
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


def measure_baseline(expected: Baseline, zoo: Path) -> tuple[Baseline, Accuracy]:
    """Measure a network as it is, on its whole evaluation set.

    Raises
    ------
    CheckFailedError
        Its accuracy is off by more than one sample.
    """
    measured = evaluate(zoo / f"{expected.model}.onnx", zoo / f"{expected.data}.npz")
    right = round(expected.top1 * expected.samples)
    if measured.samples != expected.samples or abs(round(measured.top1 * measured.samples) - right) > 1:
        raise CheckFailedError(
            f"{expected.model}: {expected.data}: top-1 is {100 * measured.top1:.2f} %, not {100 * expected.top1:.2f} %"
        )
    return expected, measured


def run_entry(entry: Entry, bound: str, zoo: Path, folder: Path, link: SimulatedLink) -> chain.Result:
    """Run the whole chain on one network at one bound, the accuracy included where there is an evaluation set."""
    model = zoo / f"{entry.model}.onnx"
    own = folder / entry.model / bound.replace("%", "pc")
    job = chain.Job(load_model(model), CompressionOptions(Bound.parse(bound)), str(model), lambda: link, folder=own)
    data = zoo / f"{entry.data}.npz"
    result = chain.run(job, (lambda network: evaluate(network, data, entry.samples)) if entry.data else None)
    save_report(result)
    return result


def simulated(result: chain.Result) -> Simulation:
    """Return the simulation of a run that is over."""
    assert result.simulation is not None
    return result.simulation


def rates(result: chain.Result) -> Sequence[tuple[str, float]]:
    """Return the name and the weights per cycle of each large tensor of a run."""
    layers = simulated(result).layers
    return [(layer.name, layer.weights_per_cycle) for layer in layers if layer.weights >= LARGE_TENSOR]


def check(entry: Entry, bound: str, result: chain.Result) -> None:
    """Check a run's accuracy and the rate of its large tensors.

    Raises
    ------
    CheckFailedError
        One of them is off; the message says which.
    """
    where = f"{entry.model} at {bound}"
    for name, rate in rates(result):
        if rate < FEWEST_WEIGHTS_PER_CYCLE:
            raise CheckFailedError(
                f"{where}: layer {name!r} decodes {rate:.2f} weights per cycle, not {FEWEST_WEIGHTS_PER_CYCLE}"
            )
    if result.before is not None and result.after is not None and entry.known:
        expected, before, after = entry.known[BOUNDS.index(bound)], 100 * result.before.top1, 100 * result.after.top1
        if before - expected <= COMPARED_WITHIN and abs(after - expected) > TOLERANCE:
            raise CheckFailedError(f"{where}: top-1 is {after:.2f} %, not {expected:.2f} %")


def slowest(result: chain.Result) -> str:
    """Return the weights per cycle of the slowest large tensor of a run."""
    found = rates(result)
    return f"{min(rate for _, rate in found):.2f}" if found else "-"


def top1(accuracy: Accuracy | None) -> str:
    """Return top-1 in percent, a dash where there is no evaluation set."""
    return f"{100 * accuracy.top1:.2f}" if accuracy else "-"


COLUMNS: Columns[chain.Result] = Columns(
    ("network", lambda result: Path(result.job.where).stem),
    ("bound", lambda result: result.job.options.bound.text),
    ("weights", lambda result: f"{result.summary.weights:,}"),
    ("bits/weight", lambda result: f"{result.summary.bits_per_weight:.3f}"),
    ("ratio", lambda result: f"{result.summary.ratio_fp32:.2f}"),
    ("mismatches", lambda result: str(simulated(result).mismatches)),
    ("weights/cycle", lambda result: f"{simulated(result).weights_per_cycle:.2f}"),
    ("slowest large tensor", slowest),
    ("M weights/s", lambda result: f"{simulated(result).weights_per_second / 1e6:.1f}"),
    ("top-1 before %", lambda result: top1(result.before)),
    ("after %", lambda result: top1(result.after)),
)
BASELINE_COLUMNS: Columns[tuple[Baseline, Accuracy]] = Columns(
    ("network", lambda pair: pair[0].model),
    ("evaluation set", lambda pair: pair[0].data),
    ("samples", lambda pair: f"{pair[1].samples:,}"),
    ("top-1 expected %", lambda pair: f"{100 * pair[0].top1:.2f}"),
    ("measured %", lambda pair: top1(pair[1])),
)


def runs(zoo: Path) -> Iterator[chain.Result]:
    """Run every network at every bound, and check it; yield the results as they come."""
    link = SimulatedLink()
    for entry in ENTRIES:
        for bound in BOUNDS:
            result = run_entry(entry, bound, zoo, FOLDER, link)
            check(entry, bound, result)
            yield result


@click.command()
def zoo() -> None:
    """Take the trained networks in $DNNZIP_ZOO through compression, RTL and accuracy, at four bounds."""
    place = zoo_folder()
    plain = BASELINE_COLUMNS.table(
        BASELINE_COLUMNS.followed(measure_baseline(item, place) for item in baselines(place))
    )
    show(plain)
    table = COLUMNS.table(COLUMNS.followed(runs(place)))
    show(table)
    write(FOLDER / "zoo.md", f"{plain.markdown()}\n{table.markdown()}")


if __name__ == "__main__":
    run(zoo)
