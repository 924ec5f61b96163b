"""The workers of an exploration: processes of this machine that come and go with it, or a Dask cluster elsewhere."""

import gc
import logging
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Lock

import dask.config
from distributed import Client, LocalCluster, Worker, WorkerPlugin

from dnnzip.errors import InputError, field_name
from dnnzip.exploration import interrupts
from dnnzip.exploration.facts import NetworkFacts
from dnnzip.exploration.task import Encoding, TaskResult, measure_plain, run_encoding
from dnnzip.exploration.workload import OpenWorkload, Workload
from dnnzip.system.temporary import temporary_folder

ALLOWED_FAILURES = 1
"""A task is put aside once this number of workers and one more have died over it, on a cluster of this machine."""

CONNECT_SECONDS = 10
"""So long a scheduler may take to answer, and then to have a first worker."""

QUIET = logging.CRITICAL + 1
"""Above all messages: what concerns the user comes as an exception."""

SETTINGS = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    # A worker that dies must not cast suspicion on tasks that only wait for it.
    "distributed.scheduler.worker-saturation": 1.0,
    # The workload is sent whole, on purpose.
    "distributed.admin.large-graph-warning-threshold": "1 TiB",
}


class Shipment(WorkerPlugin):
    """Brings a workload to each worker once, also to those that join later or start again.

    Parameters
    ----------
    workload
        The data that the tasks share.
    """

    idempotent = True

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.digest = workload.digest
        self.name = f"dnnzip-{self.digest}"

    def setup(self, worker: Worker) -> None:
        """Keep the workload until a task asks for it."""
        del worker
        _SHIPPED[self.digest] = _Shipped(self.workload)

    def teardown(self, worker: Worker) -> None:
        """Forget the workload."""
        del worker
        _SHIPPED.pop(self.digest, None)


class _Shipped:
    """A workload on this worker, opened by the first task that needs it."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._lock = Lock()
        self._opened: OpenWorkload | None = None

    def opened(self) -> OpenWorkload:
        with self._lock:
            if self._opened is None:
                self._opened = OpenWorkload(self._workload)
            return self._opened


_SHIPPED: dict[str, _Shipped] = {}
"""Workloads of this process, by their digests."""


def plain_on_worker(digest: str) -> NetworkFacts:
    """Measure the plain network of a workload that has been shipped."""
    return measure_plain(_SHIPPED[digest].opened())


def encoding_on_worker(digest: str, encoding: Encoding, top1_plain: float) -> TaskResult:
    """Run an encoding of a workload that has been shipped."""
    return run_encoding(_SHIPPED[digest].opened(), encoding, top1_plain)


@contextmanager
def connected(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Yield a client of a cluster; interrupts are postponed in the block.

    Parameters
    ----------
    scheduler
        Address of a running scheduler; None for a cluster of this machine, which ends with the block.
    workers
        Worker processes of this machine's cluster, each with one thread.

    Raises
    ------
    InputError
        The scheduler cannot be reached, or has no worker; or one of Dask's waits came to its end.
    """
    with interrupts.postponed(), dask.config.set(SETTINGS), _silent(), _patient(scheduler, workers):
        if scheduler is None:
            with local_cluster(workers) as cluster, Client(cluster, set_as_default=False) as client:
                yield client
        else:
            with _remote(scheduler) as client:
                yield client


@contextmanager
def _patient(scheduler: str | None, workers: int) -> Iterator[None]:
    """Make one line of a wait of Dask's that came to its end: processes that do not get to run answer late."""
    try:
        yield
    except TimeoutError:
        where = f"{field_name('workers')} {workers}" if scheduler is None else f"{field_name('scheduler')} {scheduler}"
        wrong = "one of its processes did not answer in time, as on a machine that has too much to do"
        fewer = "" if scheduler else ", with fewer workers"
        raise InputError(where, wrong, f"run the same command again to continue{fewer}") from None


@contextmanager
def local_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start a cluster of this machine: the scheduler in this process, workers in processes of their own.

    It listens on the loopback interface alone. When the block ends by an exception, Ctrl-C among them, workers are
    killed: what they still work on is of no use.
    """
    with (
        temporary_folder() as scratch,
        dask.config.set({"temporary-directory": str(scratch)}),
        _started_cluster(scratch) as cluster,
    ):
        cluster.scale(workers)
        yield cluster


@contextmanager
def _started_cluster(scratch: Path) -> Iterator[LocalCluster]:
    with _interrupts_blocked():
        # Its threads, and the workers that these start, leave Ctrl-C to the main thread for good.
        cluster = LocalCluster(
            n_workers=0,
            local_directory=str(scratch),
            threads_per_worker=1,
            host="127.0.0.1",
            # Some free port, and no dashboard: Dask's own port may be taken by another exploration.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=QUIET,
        )
    try:
        yield cluster
    except BaseException:
        _kill_workers(cluster)
        raise
    finally:
        try:
            cluster.close(timeout=CONNECT_SECONDS)
        except TimeoutError:
            _kill_workers(cluster)  # they have nothing left to do


def _kill_workers(cluster: LocalCluster) -> None:
    for nanny in list(cluster.workers.values()):
        nanny.close_gracefully()
        if nanny.pid:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def _remote(address: str) -> Iterator[Client]:
    where = f"{field_name('scheduler')} {address}"
    right = "start one with 'dask scheduler' and give its address, tcp://HOST:PORT"
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        _take_down(error)
        raise InputError(where, f"cannot be reached ({reason})", right) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise InputError(where, "has no workers", f"start some with 'dask worker {address}'") from None
        yield client


def _take_down(error: Exception) -> None:
    """Take down a client that could not connect; the frames of its error alone hold it.

    Left to the garbage collector, that may happen in the thread in which the loop of the next client starts, and wait
    for a lock that is held until this loop has started.
    """
    while error.__traceback__ is not None or error.__context__ is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        if not isinstance(error.__context__, Exception):
            break
        error = error.__context__
    gc.collect()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Dask's messages from the terminal; `LocalCluster` does so too, but not to its very end."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(QUIET)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep SIGINT from this thread, and for good from the threads that it starts meanwhile and their processes."""
    # Where a thread is the first to need it, it is started there, and that thread's signals are unblocked.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
