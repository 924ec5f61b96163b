"""Results of tuning on the trained networks: ``python -m dnnzip_bench.tune``, or ``make tune``.

Each network is tuned, verified weight by weight and compared with the best single bound. What is done for a network
stays in the build folder, and is taken up where the same is asked for again; an interrupted search goes on.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnnzip.cli.output import Output
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.onnx.files import load_model, save_model
from dnnzip.presentation.tables import TextTable
from dnnzip.system.outputs import OutputSet
from dnnzip.tuning.drop import parse_drop
from dnnzip.tuning.journal import Journal
from dnnzip.tuning.options import TuningOptions
from dnnzip.tuning.tuner import Tuner
from dnnzip.usecases.verify import require, verify
from dnnzip_bench.catalogue import ENTRIES, zoo_folder
from dnnzip_bench.command import BUILD, make_folder, page_option, run, show, told, write_json
from dnnzip_bench.pages import fill

FOLDER = BUILD / "tune"

DIGITS = "lenet5_digits"

HEADER = (
    "network",
    "samples",
    "folds",
    "top-1 plain",
    "tuned",
    "drop",
    "95 % interval",
    "bits/weight",
    "single bound",
    "its bits",
    "saving",
    "kindest bound",
    "its bits",
    "saving",
    "seconds",
)


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


def row(content: dict[str, Any]) -> tuple[str, ...]:
    """Return a network's row of the table."""
    accuracy = content["accuracy"]
    singles = [content[name] for name in ("single_bound", "kindest_single_bound")]
    low, high = accuracy["interval"]
    return (
        content["network"],
        f"{accuracy['samples']:,}",
        str(accuracy["folds"]),
        f"{100 * accuracy['plain_top1']:.2f}",
        f"{100 * accuracy['tuned_top1']:.2f}",
        f"{100 * accuracy['drop']:.2f}",
        f"{100 * low:.2f} to {100 * high:.2f}",
        f"{content['totals']['bits_per_weight_all']:.3f}",
        *(
            cell
            for single in singles
            for cell in (
                f"{single['bound']} {single['scope']}",
                f"{single['bits_per_weight']:.3f}",
                f"{100 * single['saving']:.1f} %",
            )
        ),
        f"{content['seconds']:.0f}",
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
    rows = []
    for job in jobs(networks):
        rows.append(row(tuned(job, drop, seed)))
        told("  ".join(rows[-1]))
    table = TextTable(HEADER, tuple(rows))
    show(table)
    if page is not None:
        fill(page, "tune", {"networks": table.markdown()})


if __name__ == "__main__":
    run(tune)
