"""An exploration from its plan to a full folder: tasks go out, results are written as they come."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm.core import CommClosedError

from dnnzip.errors import CheckFailedError, InputError, field_name
from dnnzip.exploration import interrupts
from dnnzip.exploration.cluster import Shipment, encoding_on_worker, plain_on_worker
from dnnzip.exploration.facts import NetworkFacts
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.request import Plan
from dnnzip.exploration.task import Encoding, Spent, TaskResult

_DEADLY = "took down each worker that tried it; look at the workers' memory, and run the same command again to continue"

LOOK_SECONDS = 0.02
"""So often results and interrupts are looked for while neither is there."""


def remaining(plan: Plan, folder: ExplorationFolder) -> list[Encoding]:
    """Return the encodings whose results are not there yet.

    Raises
    ------
    InputError
        A file of the results is damaged.
    """
    finished = folder.finished()
    return [encoding for encoding in plan.encodings if encoding.hash not in finished]


def run(
    plan: Plan,
    folder: ExplorationFolder,
    client: Client,
    encodings: Sequence[Encoding],
    step: Callable[[str], None],
    task: Callable[[str, Encoding, float], TaskResult] = encoding_on_worker,
) -> list[Spent]:
    """Run encodings and write their results.

    A worker that dies costs the task that it was at: the scheduler assigns it to another. A task over which several
    workers have died is run again by itself after all others, and named at the end where that fails too.

    Parameters
    ----------
    plan
        The exploration.
    folder
        Its folder, started; results are written as they come.
    client
        Of the cluster.
    encodings
        The encodings to run, see `remaining`.
    step
        Called with an encoding's hash when its results are there.
    task
        Function that a worker calls with the workload's digest, an encoding, and the accuracy of the plain network.

    Returns
    -------
    The time of each encoding on its worker, in the order in which they ended.

    Raises
    ------
    InputError
        A setting does not suit the network; or the cluster is gone.
    CheckFailedError
        Workers died over a task, again and again.
    KeyboardInterrupt
        An interrupt that `connected` postpones came before the last result was there.
    """
    spent: list[Spent] = []
    try:
        with shipped(client, plan) as digest:
            if not folder.has_network():
                folder.write_network(_plain(client, digest))
            top1 = folder.network().top1

            def written(chosen: Sequence[Encoding], attempt: str) -> list[Encoding]:
                """Write the results of encodings; return those over which workers died."""
                killed = []
                for encoding, result in _results(client, task, digest, chosen, top1, attempt):
                    if result is None:
                        killed.append(encoding)
                        continue
                    folder.write_results(result.encoding, result.points, result.layers)
                    spent.append(result.spent)
                    step(result.encoding)
                return killed

            # Tasks that shared a worker with one that killed it are suspected too; each is run again alone to tell.
            killed = [encoding for suspect in written(encodings, "first") for encoding in written([suspect], "alone")]
    except (CancelledError, CommClosedError):
        # A future that is waited for is cancelled; one whose result is just being fetched loses its connection.
        raise InputError(
            field_name("scheduler"), "the cluster is gone", "start it and run the same command again to continue"
        ) from None
    if killed:
        others = f" (and {len(killed) - 1} more)" if len(killed) > 1 else ""
        raise CheckFailedError(f"{killed[0].title}{others}: {_DEADLY}")
    return spent


@contextmanager
def shipped(client: Client, plan: Plan) -> Iterator[str]:
    """Bring the workload to all workers and yield its digest; they forget it when the block ends.

    Raises
    ------
    InputError
        A worker cannot read it.
    """
    shipment = Shipment(plan.workload)
    try:
        client.register_plugin(shipment, name=shipment.name)
    except ImportError as error:
        raise InputError(
            field_name("scheduler"),
            f"a worker has no {error.name}",
            "install the extra explore in every worker's environment",
        ) from None
    try:
        yield shipment.digest
    except BaseException:
        if _stays(client):
            _forget(client, shipment)
        raise
    _forget(client, shipment)


def _forget(client: Client, shipment: Shipment) -> None:
    # Where the cluster is gone, nothing is left to forget it.
    with suppress(OSError, ValueError, TimeoutError, CancelledError):
        client.unregister_worker_plugin(shipment.name)


def _stays(client: Client) -> bool:
    """Return True if the cluster outlives this run: then it is left clean; ours is killed without waiting."""
    return client.cluster is None


def _plain(client: Client, digest: str) -> NetworkFacts:
    future = client.submit(plain_on_worker, digest, key=f"dnnzip-plain-{digest}", pure=False)
    try:
        facts: NetworkFacts = next(_as_completed(client, [future])).result()
    except KilledWorker:
        raise CheckFailedError(f"the plain network {_DEADLY}") from None
    return facts


def _as_completed(client: Client, futures: list[Future[Any]]) -> Iterator[Future[Any]]:
    """Visit futures as they are done; heed an interrupt before each, and while none is done."""
    done = as_completed(futures, loop=client.loop)
    while not done.is_empty():
        interrupts.check()
        if done.has_ready():
            yield next(done)
        else:
            sleep(LOOK_SECONDS)


def _results(
    client: Client,
    task: Callable[[str, Encoding, float], TaskResult],
    digest: str,
    encodings: Sequence[Encoding],
    top1: float,
    attempt: str,
) -> Iterator[tuple[Encoding, TaskResult | None]]:
    """Submit tasks and visit results as they come; None where workers died over a task.

    The scheduler knows a task by its key, of which the attempt is a part: it would answer the next one with what it
    knows of the last.
    """
    waiting: dict[Future[TaskResult], Encoding] = {}
    try:
        keys = [f"dnnzip_encoding-{digest}-{encoding.hash}-{attempt}" for encoding in encodings]
        count = len(encodings)
        # All at once: task by task, the scheduler would take in a graph for each.
        futures = client.map(task, [digest] * count, encodings, [top1] * count, key=keys, pure=False)
        waiting.update(zip(futures, encodings, strict=True))
        del futures
        # Not all futures are held: a result is let go as soon as it is written.
        for future in _as_completed(client, list(waiting)):
            encoding = waiting.pop(future)
            try:
                yield encoding, future.result()
            except KilledWorker:
                yield encoding, None
    finally:
        if waiting and _stays(client):
            with suppress(OSError, TimeoutError):
                client.cancel(list(waiting))
