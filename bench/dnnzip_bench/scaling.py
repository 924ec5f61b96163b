"""Scaling of an exploration with its workers: tasks per second, and what a task costs besides its own work.

``python -m dnnzip_bench.scaling --page docs/explore.md`` measures and puts the table into the page. A network and
its samples may be given; the digits network of the package is measured in any case, with all of its test samples and
with one alone, which leaves little but what each task costs anyway. More workers than there are cores are measured with
tasks that wait most of the time: that shows what scheduler and writing of results allow, wherever the cores are.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from dnnzip import digits
from dnnzip.exploration.cluster import connected, encoding_on_worker
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.request import Options, plan_exploration
from dnnzip.exploration.run import run as explore
from dnnzip.exploration.task import Encoding, TaskResult
from dnnzip.presentation.tables import TextTable
from dnnzip.system.temporary import temporary_folder
from dnnzip.usecases.provenance import provenance
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import Listed, page_option, run, show, told
from dnnzip_bench.pages import fill, made_with

BOUNDS = ("0.5%", "1%", "2%", "3%", "5%", "8%", "13%", "20%")
LAYERS = ("all", "each", "all-but-one")
WARMING = ("40%",)
"""A bound of its own, so that the tasks that are measured are not the ones that warm the workers up."""

WAIT = 1.0
"""Seconds that a task waits where more workers than cores are measured: so long it takes no core from the others."""

WAITING_WORKERS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Measurement:
    """One exploration on a number of workers."""

    work: str
    workers: int
    tasks: int
    # Seconds from the first task's submission to the last result's file, the shipping of the workload included; the
    # start of workers is not.
    wall: float
    # Seconds that the tasks took on their workers, and such of a core, added up.
    inside: float
    inside_cpu: float
    # Seconds of a core that this process took meanwhile: scheduler, client, and the writing of results.
    client_cpu: float
    load: float  # the machine's load average just before: what others do at the same time

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return self.tasks / self.wall

    @property
    def beside(self) -> float:
        """Seconds of a worker for each task in which it was not at a task: shipping, messages, waiting."""
        return (self.workers * self.wall - self.inside) / self.tasks


def waiting_task(digest: str, encoding: Encoding, top1_plain: float) -> TaskResult:
    """Wait, then do the task; seconds are of both."""
    time.sleep(WAIT)
    result = encoding_on_worker(digest, encoding, top1_plain)
    return replace(result, spent=replace(result.spent, seconds=result.spent.seconds + WAIT))


def measure(
    work: str, options: Options, workers: int, task: Callable[[str, Encoding, float], TaskResult] = encoding_on_worker
) -> Measurement:
    """Explore with ``workers`` workers of this machine, each of which does ``task``, and take the time."""
    plan = plan_exploration(options)
    warming = plan_exploration(replace(options, max_error=WARMING))
    with temporary_folder() as place, connected(None, workers) as client:
        client.wait_for_workers(workers)
        # What is loaded and compiled once in the life of a worker.
        first, folder = (ExplorationFolder(place / name) for name in ("warm", "measured"))
        first.start(warming.request)
        explore(warming, first, client, warming.encodings, lambda _: None)
        folder.start(plan.request)
        folder.write_network(first.network())
        load = os.getloadavg()[0]
        begin, cpu_begin = time.perf_counter(), time.process_time()
        spent = explore(plan, folder, client, plan.encodings, lambda _: None, task)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu_begin
    inside, inside_cpu = sum(item.seconds for item in spent), sum(item.cpu_seconds for item in spent)
    return Measurement(work, workers, len(spent), wall, inside, inside_cpu, cpu, load)


def scaling_table(measured: Sequence[Measurement]) -> TextTable:
    """Return the table; a speed-up is over the same work's first row."""
    first: dict[str, Measurement] = {}
    for item in measured:
        first.setdefault(item.work, item)
    columns: Columns[Measurement] = Columns(
        ("work", lambda item: item.work),
        ("workers", lambda item: str(item.workers)),
        ("tasks", lambda item: str(item.tasks)),
        ("s", lambda item: f"{item.wall:.2f}"),
        ("tasks/s", lambda item: f"{item.rate:.2f}"),
        ("speed-up", lambda item: f"{item.rate / first[item.work].rate:.2f}"),
        ("work ms", lambda item: f"{1e3 * item.inside / item.tasks:.0f}"),
        ("beside ms", lambda item: f"{1e3 * item.beside:.0f}"),
        ("worker CPU ms", lambda item: f"{1e3 * item.inside_cpu / item.tasks:.0f}"),
        ("client CPU ms", lambda item: f"{1e3 * item.client_cpu / item.tasks:.1f}"),
        ("load", lambda item: f"{item.load:.1f}"),
    )
    return columns.table(measured)


@click.command()
@click.argument("model", required=False)
@click.option("--data", metavar="SET.npz", help="Samples for MODEL.")
@click.option("--samples", type=click.IntRange(1), help="Number of MODEL's samples.")
@click.option("--workers", type=Listed(click.IntRange(1)), default=(1, 2), show_default=True)
@page_option
def scaling(
    model: str | None, data: str | None, samples: int | None, workers: tuple[int, ...], page: Path | None
) -> None:
    """Measure how an exploration scales; MODEL is explored in addition to the package's own network."""
    if (model is None) != (data is None):
        raise click.UsageError("MODEL and --data belong together")
    own = Options(str(digits.MODEL), str(digits.TEST_SET), BOUNDS, layers=LAYERS)
    single = replace(own, samples=1)
    works = {"lenet5_digits, 1 sample": single, "lenet5_digits, 450 samples": own}
    if model is not None and data is not None:
        named = Path(model).stem + (f", {samples} samples" if samples else "")
        works[named] = Options(model, data, BOUNDS[1:5], layers=LAYERS, samples=samples)
    measured: list[Measurement] = []

    def note(measurement: Measurement) -> None:
        told(f"{measurement.work}: {measurement.workers} workers, {measurement.rate:.2f} tasks/s")
        measured.append(measurement)

    for work, options in works.items():
        for count in workers:
            note(measure(work, options, count))
    for count in WAITING_WORKERS:
        note(measure(f"the first, and {WAIT:g} s of waiting", single, count, waiting_task))
    table = scaling_table(measured)
    show(table)
    if page is not None:
        cores = len(os.sched_getaffinity(0))
        made = f"On {cores} cores. {made_with(provenance(('distributed', 'onnxruntime')))}"
        fill(page, "scaling", {"table": f"{table.markdown()}\n{made}"})


if __name__ == "__main__":
    run(scaling)
