"""Results of tuning on the trained networks: ``python -m dnnzip_bench.tune``, or ``make tune``.

Each network is tuned, verified weight by weight and compared with the best single bound. What is done for a network
stays in the build folder, and is taken up where the same is asked for again; an interrupted search goes on.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnnzip.cli.output import Output
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.onnx.files import load_model, save_model
from dnnzip.system.outputs import OutputSet
from dnnzip.tuning.drop import parse_drop
from dnnzip.tuning.journal import Journal
from dnnzip.tuning.options import TuningOptions
from dnnzip.tuning.tuner import Tuner
from dnnzip.usecases.verify import require, verify
from dnnzip_bench.catalogue import ENTRIES, zoo_folder
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import BUILD, make_folder, page_option, run, show, write_json
from dnnzip_bench.pages import fill

FOLDER = BUILD / "tune"

DIGITS = "lenet5_digits"


@dataclass(frozen=True)
class Job:
    """A network and its labelled samples."""

    name: str
    model: Path
    data: Path


def jobs(wanted: tuple[str, ...]) -> list[Job]:
    """Return the networks to tune: the digits, and those that the folder of trained networks has.

    Raises
    ------
    InputError
        A name is not among them.
    """
    zoo = zoo_folder()
    every = [Job(DIGITS, MODEL, TEST_SET)]
    every += [Job(entry.model, zoo / f"{entry.model}.onnx", zoo / f"{entry.data}.npz") for entry in ENTRIES]
    there = [job for job in every if job.model.is_file() and job.data.is_file()]
    names = [job.name for job in there]
    for name in wanted:
        if name not in names:
            raise InputError(name, "is not there", f"give one of {', '.join(names)}; point DNNZIP_ZOO at the networks")
    return [job for job in there if not wanted or job.name in wanted]


def tuned(job: Job, max_drop: float, seed: int) -> dict[str, Any]:
    """Tune a network, or take up what an earlier run with the same settings found."""
    tuner = Tuner(job.model, load_dataset(job.data), TuningOptions(max_drop=max_drop, seed=seed, compare=True))
    settings = json.loads(json.dumps(tuner.settings()))
    result, state = FOLDER / f"{job.name}.json", FOLDER / f"{job.name}.journal"
    if result.is_file():
        known: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        if known.get("settings") == settings:
            return known
    try:
        journal = Journal(state, settings, resume=state.is_file())
    except InputError:
        # Of other settings: it starts anew.
        state.unlink()
        journal = Journal(state, settings, resume=False)
    start = time.monotonic()
    before = float(journal.measured("seconds", lambda: 0.0))
    with Output(None, False, OutputSet()).progress(job.name, tuner.steps) as step:

        def count(what: str) -> None:
            journal.write("seconds", before + time.monotonic() - start)
            step(what)

        outcome = tuner.tune(journal, count)
    require(verify(load_model(job.model), outcome.compressed, str(job.model)))
    save_model(outcome.compressed.model, FOLDER / f"{job.name}.dnz.onnx")
    seconds = before + time.monotonic() - start
    content = {
        "network": job.name,
        "settings": settings,
        "seconds": seconds,
        **outcome.as_json(),
    }
    write_json(result, content)
    journal.remove()
    return content


def interval(accuracy: dict[str, Any]) -> str:
    """Return the interval of a drop in percent."""
    low, high = accuracy["interval"]
    return f"{100 * low:.2f} to {100 * high:.2f}"


def single(which: str, name: str) -> tuple[tuple[str, Callable[[dict[str, Any]], str]], ...]:
    """Return the columns of a single bound for all layers, ``which`` in the results and ``name`` in the table."""
    return (
        (name, lambda found: f"{found[which]['bound']} {found[which]['scope']}"),
        ("its bits", lambda found: f"{found[which]['bits_per_weight']:.3f}"),
        ("saving", lambda found: f"{100 * found[which]['saving']:.1f} %"),
    )


COLUMNS: Columns[dict[str, Any]] = Columns(
    ("network", lambda found: str(found["network"])),
    ("samples", lambda found: f"{found['accuracy']['samples']:,}"),
    ("folds", lambda found: str(found["accuracy"]["folds"])),
    ("top-1 plain", lambda found: f"{100 * found['accuracy']['plain_top1']:.2f}"),
    ("tuned", lambda found: f"{100 * found['accuracy']['tuned_top1']:.2f}"),
    ("drop", lambda found: f"{100 * found['accuracy']['drop']:.2f}"),
    ("95 % interval", lambda found: interval(found["accuracy"])),
    ("bits/weight", lambda found: f"{found['totals']['bits_per_weight_all']:.3f}"),
    *single("single_bound", "single bound"),
    *single("kindest_single_bound", "kindest bound"),
    ("seconds", lambda found: f"{found['seconds']:.0f}"),
)


@click.command()
@click.argument("networks", nargs=-1)
@click.option("--max-drop", default="1%", show_default=True, help="Drop in accuracy that is allowed.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is random.")
@page_option
def tune(networks: tuple[str, ...], max_drop: str, seed: int, page: Path | None) -> None:
    """Tune NETWORKS, by default the digits and the trained networks in $DNNZIP_ZOO."""
    make_folder(FOLDER)
    drop = parse_drop(max_drop)
    table = COLUMNS.table(COLUMNS.followed(tuned(job, drop, seed) for job in jobs(networks)))
    show(table)
    fill(page, "tune", {"networks": table.markdown()})


if __name__ == "__main__":
    run(tune)
