"""An exploration from its plan to a full folder: tasks go out, results are written as they come."""

from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from distributed import Client, Future, KilledWorker, as_completed

from dnnzip.errors import CheckFailedError, InputError
from dnnzip.exploration.cluster import ALLOWED_FAILURES, Shipment, encoding_on_worker, plain_on_worker
from dnnzip.exploration.record import ExplorationFolder, NetworkFacts
from dnnzip.exploration.request import Plan
from dnnzip.exploration.task import Encoding, TaskResult


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
) -> list[float]:
    """Run encodings and write what comes out.

    A worker that dies costs the task that it was at: the scheduler gives it to another. A task over which several
    workers have died is left out, and named when all others are done.

    Parameters
    ----------
    plan
        The exploration.
    folder
        Its folder, started; results are written as they come.
    client
        Of the cluster.
    encodings
        What is to be run, see `remaining`.
    step
        Called with an encoding's hash when its results are there.

    Returns
    -------
    Seconds of each encoding on its worker, in the order in which they came.

    Raises
    ------
    InputError
        A setting does not suit the network; or the cluster is gone.
    CheckFailedError
        Workers died over a task, again and again.
    """
    seconds: list[float] = []
    killed: list[Encoding] = []
    with shipped(client, plan) as digest:
        if not folder.has_network():
            folder.write_network(_plain(client, digest))
        for encoding, result in _results(client, digest, encodings, folder.network().top1):
            if result is None:
                killed.append(encoding)
                continue
            folder.write_results(result.encoding, result.points, result.layers)
            seconds.append(result.seconds)
            step(result.encoding)
    if killed:
        raise CheckFailedError(_killed(killed))
    return seconds


@contextmanager
def shipped(client: Client, plan: Plan) -> Iterator[str]:
    """Bring the workload to all workers and give its digest; they forget it when the block ends.

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
            "--scheduler", f"a worker has no {error.name}", "install 'dnnzip[explore]' in every worker's environment"
        ) from None
    try:
        yield shipment.digest
    finally:
        # Where the cluster is gone, nothing is left to forget it.
        with suppress(OSError, ValueError, TimeoutError, CancelledError):
            client.unregister_worker_plugin(shipment.name)


def _plain(client: Client, digest: str) -> NetworkFacts:
    future = client.submit(plain_on_worker, digest, key=f"dnnzip-plain-{digest}", pure=False)
    try:
        facts: NetworkFacts = future.result()
    except KilledWorker:
        raise CheckFailedError(f"the plain network {_DEADLY}") from None
    except CancelledError:
        raise _lost() from None
    return facts


def _results(
    client: Client, digest: str, encodings: Sequence[Encoding], top1: float
) -> Iterator[tuple[Encoding, TaskResult | None]]:
    """Submit tasks and visit results as they come; None where workers died over a task."""
    waiting: dict[Future[TaskResult], Encoding] = {}
    try:
        for encoding in encodings:
            key = f"dnnzip_encoding-{digest}-{encoding.hash}"
            waiting[client.submit(encoding_on_worker, digest, encoding, top1, key=key, pure=False)] = encoding
        # Not all futures are held: a result is let go as soon as it is written.
        for future in as_completed(list(waiting), loop=client.loop):
            encoding = waiting.pop(future)
            try:
                yield encoding, future.result()
            except KilledWorker:
                yield encoding, None
            except CancelledError:
                raise _lost() from None
    finally:
        if waiting:
            with suppress(OSError, TimeoutError):
                client.cancel(list(waiting))


_DEADLY = (
    f"took {ALLOWED_FAILURES + 1} workers down, one after the other; look at their memory, give them more or fewer "
    "threads each, and run the same command again to continue"
)


def _killed(encodings: list[Encoding]) -> str:
    others = f" (and {len(encodings) - 1} more)" if len(encodings) > 1 else ""
    return f"{encodings[0].title}{others}: {_DEADLY}"


def _lost() -> InputError:
    return InputError("--scheduler", "the cluster is gone", "start it and run the same command again to continue")
