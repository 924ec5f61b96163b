"""Explorations on a real cluster: two workers in processes of their own, one of which is killed."""

import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest
from distributed import Client
from distributed.comm.core import CommClosedError

from dnnzip.cli.endings import INTERNAL_ERROR, ending_of
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.exploration import cluster as cluster_module
from dnnzip.exploration import run as run_module
from dnnzip.exploration.cluster import Shipment, connected
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.run import remaining, run

WORKERS = 2

HANGS_SECONDS = 600
"""Whoever waits longer waits for ever; nothing is measured by it."""


DEADLY = f"""
import os
import signal

from dnnzip.exploration.task import Encoding


class DeadlyEncoding(Encoding):
    @property
    def hash(self):
        if os.getpid() != {os.getpid()}:
            os.kill(os.getpid(), signal.SIGKILL)
        return "deadly"
"""
"""A module with an encoding that kills each process which tries it, but for the tests' own."""


@pytest.fixture(scope="module")
def client():
    """Return a client of a cluster of two worker processes."""
    with connected(None, WORKERS) as client:
        client.wait_for_workers(WORKERS, timeout=HANGS_SECONDS)
        yield client


@pytest.fixture
def start(tmp_path, planned):
    """Plan an exploration and start its folder; keywords change its options."""

    def started(name, **changed):
        plan = planned(**changed)
        folder = ExplorationFolder(tmp_path / name)
        folder.start(plan.request)
        return plan, folder

    return started


def ignore(_):
    """Take a step and do nothing."""


def content(folder):
    """Return all rows of a folder, in an order of their own."""
    points = sorted(folder.points().to_pylist(), key=lambda row: row["point"])
    layers = sorted(
        folder.layers().to_pylist(), key=lambda row: [row[name] for name in ("encoding", "layer", "accelerator")]
    )
    return points, layers


def suspicions(client):
    """Return the number of times that the scheduler saw a task on a worker that died."""
    prefixes = client.run_on_scheduler(
        lambda dask_scheduler: {name: prefix.suspicious for name, prefix in dask_scheduler.task_prefixes.items()}
    )
    return sum(prefixes.values())


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_task(client, start):
    grid = {"layers": ("all", "each"), "max_error": ("1%", "3%", "9%")}
    plan, calm = start("calm", **grid)
    run(plan, calm, client, plan.encodings, ignore)
    assert suspicions(client) == 0
    _, stormy = start("stormy", **grid)
    victim = client.run(os.getpid)
    before = set(victim.values())
    assert len(before) == WORKERS
    came = []

    def kill_once(encoding):
        if not came:
            os.kill(min(before), signal.SIGKILL)
        came.append(encoding)

    run(plan, stormy, client, plan.encodings, kill_once)
    # It had been at work on something.
    assert suspicions(client) > 0
    assert sorted(came) == sorted(encoding.hash for encoding in plan.encodings), "a task was lost, or written twice"
    assert content(stormy) == content(calm)
    client.wait_for_workers(WORKERS, timeout=HANGS_SECONDS)
    after = set(client.run(os.getpid).values())
    assert len(after) == WORKERS
    assert min(before) not in after, "the worker was not killed"


def test_workers_leave_interrupts_to_the_command(client):
    """A terminal sends Ctrl-C to them as well; also to those that have started again, as after the test before."""
    client.wait_for_workers(WORKERS, timeout=HANGS_SECONDS)
    before = set(client.run(os.getpid).values())
    for pid in before:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.5)
    assert set(client.run(os.getpid, on_error="ignore").values()) == before


@pytest.mark.slow
def test_a_worker_that_starts_again_has_the_workload(client, start):
    """Both are killed before anything is run, so that only the scheduler still knows what was shipped."""
    plan, folder = start("again", layers=("all", "each"))

    with cluster_module_shipped(client, plan):
        old = client.run(os.getpid)
        for pid in old.values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + HANGS_SECONDS
        # While they die, some do not answer.
        while len(set(client.run(os.getpid, on_error="ignore").values()) - set(old.values())) < WORKERS:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        names = client.run(lambda dask_worker: sorted(dask_worker.plugins))
        assert all(Shipment(plan.workload).name in plugins for plugins in names.values())
    run(plan, folder, client, plan.encodings, ignore)
    assert len(folder.finished()) == len(plan.encodings)


@contextmanager
def cluster_module_shipped(client, plan):
    """Ship a workload, as a run does, and take it back."""
    shipment = Shipment(plan.workload)
    client.register_plugin(shipment, name=shipment.name)
    yield
    client.unregister_worker_plugin(shipment.name)


def test_nothing_stays_on_the_workers(client, start):
    plan, folder = start("gone")
    run(plan, folder, client, plan.encodings, ignore)
    assert_clean(client)


def assert_clean(client):
    """Check that no workload is left on any worker, and no task of ours on the scheduler."""
    names = client.run(lambda dask_worker: sorted(dask_worker.plugins))
    assert not any(name.startswith("dnnzip") for plugins in names.values() for name in plugins)
    deadline = time.monotonic() + HANGS_SECONDS
    while client.run_on_scheduler(lambda dask_scheduler: [key for key in dask_scheduler.tasks if "dnnzip" in key]):
        assert time.monotonic() < deadline, "tasks are left on the scheduler"
        time.sleep(0.1)


def test_a_restart_runs_what_is_left(client, start):
    plan, folder = start("left", layers=("all", "each"), max_error=("1%", "3%"))
    assert len(plan.encodings) == 12
    came = []

    def stop_after_five(encoding):
        came.append(encoding)
        if len(came) == 5:
            raise KeyboardInterrupt

    with connected(client.scheduler.address, 1) as other, pytest.raises(KeyboardInterrupt):
        run(plan, folder, other, remaining(plan, folder), stop_after_five)
    assert_clean(client)
    assert folder.finished() == set(came)
    left = remaining(plan, folder)
    assert len(left) == 7
    spent = run(plan, folder, client, left, came.append)
    assert len(spent) == 7
    assert all(item.seconds > 0 and item.cpu_seconds > 0 for item in spent)
    assert sorted(came) == sorted(encoding.hash for encoding in plan.encodings)
    assert remaining(plan, folder) == []


@pytest.mark.slow
def test_a_deadly_task_is_named_and_the_others_are_done(monkeypatch, start, tmp_path):
    (tmp_path / "deadly.py").write_text(DEADLY, encoding="utf-8")
    # Workers that start now look for modules where this process does.
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cluster_module.SETTINGS, "distributed.scheduler.allowed-failures", 0)
    plan, folder = start("deadly", layers=("all", "each"))
    deadly = importlib.import_module("deadly").DeadlyEncoding("all", (), "7%", "tensor", "auto", ())
    wanted = [plan.encodings[0], deadly, *plan.encodings[1:]]
    expected = "^layers all, max error 7%, scope tensor, codec auto: took down each worker that tried it; look"
    with connected(None, WORKERS) as own, pytest.raises(CheckFailedError, match=expected):
        run(replace(plan, encodings=tuple(wanted)), folder, own, wanted, ignore)
    assert folder.finished() == {encoding.hash for encoding in plan.encodings}


def test_an_error_of_ours_in_a_worker_names_its_place_there(client, start):
    plan, folder = start("broken")
    wrong = replace(plan.encodings[0], names=(3,))  # no plan makes it
    with pytest.raises(TypeError, match="expected str") as caught:
        run(plan, folder, client, [wrong], ignore)
    message, status = ending_of(caught.value)
    assert status == INTERNAL_ERROR
    assert re.search(r"internal error: TypeError: expected str.* \(dnnzip/exploration/task\.py:", message)


def test_what_does_not_suit_ends_the_run_with_its_line(client, start, tmp_path):
    x, y = np.zeros((9, 1, 9, 9), np.float32), np.zeros(9, np.int64)
    np.savez(tmp_path / "wide.npz", x=x, y=y)
    message = r"wide.npz: samples of x have the shape \(1, 9, 9\); .* takes \(1, 8, 8\)$"
    with pytest.raises(InputError, match=message):
        start("wide", data=str(tmp_path / "wide.npz"), samples=None)
    # So does a worker that gets what the plan would have refused.
    plan, folder = start("small")
    plan = replace(plan, workload=replace(plan.workload, x=x, y=y, data_where="wide.npz"))
    with pytest.raises(InputError, match=message):
        run(plan, folder, client, plan.encodings, ignore)
    assert folder.finished() == set()


def test_an_exploration_runs_on_a_scheduler_elsewhere(client, start):
    plan, folder = start("elsewhere", layers=("largest",))
    client.wait_for_workers(WORKERS, timeout=HANGS_SECONDS)
    with connected(client.scheduler.address, 1) as other:
        assert other.scheduler.address == client.scheduler.address
        run(plan, folder, other, plan.encodings, ignore)
    assert len(folder.finished()) == 1
    # The cluster is not ours to end.
    assert len(client.run(os.getpid)) == WORKERS


@pytest.fixture
def foreign(tmp_path):
    """Start a scheduler and a worker as a user does; gives the scheduler's process and address."""
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "dask"]
    with ExitStack() as stack:

        def started(*arguments):
            process = stack.enter_context(subprocess.Popen([*dask, *arguments], cwd=tmp_path, **quiet))
            stack.callback(process.terminate)
            return process

        scheduler = started(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file
        )
        started("worker", "--scheduler-file", file, "--nthreads", "2", "--no-nanny", "--no-dashboard")
        deadline = time.monotonic() + HANGS_SECONDS
        while not file.exists():
            assert time.monotonic() < deadline
            assert scheduler.poll() is None
            time.sleep(0.05)
        yield scheduler, json.loads(file.read_text(encoding="utf-8"))["address"]


@pytest.mark.slow
def test_a_cluster_of_others_is_used_and_its_end_is_told(foreign, start, capfd):
    scheduler, address = foreign
    plan, folder = start("foreign", layers=("all", "each", "all-but-one"), max_error=("1%", "2%", "3%", "4%"))
    came = []

    def kill(encoding):
        came.append(encoding)
        if len(came) == 3:
            scheduler.kill()

    expected = "^scheduler: the cluster is gone; start it and run the same command again to continue$"
    with connected(address, 1) as client:
        # So long it tries to find the scheduler again.
        client._timeout = 1
        with pytest.raises(InputError, match=expected):
            run(plan, folder, client, plan.encodings, kill)
    assert folder.finished() == set(came)
    assert 3 <= len(came) < len(plan.encodings)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [CommClosedError("in <TCP>: reset"), CancelledError()])
def test_a_connection_that_ends_at_any_moment_is_the_clusters_end(client, start, monkeypatch, error):
    def lose(*_):
        raise error

    plan, folder = start("lost")
    monkeypatch.setattr(run_module, "_plain", lose)
    with pytest.raises(InputError, match=r"^scheduler: the cluster is gone; start it and run the same command again"):
        run(plan, folder, client, plan.encodings, ignore)


def clients():
    """Return the clients of this process."""
    return {id(item) for item in gc.get_objects() if type(item) is Client}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "tcp://127.0.0.1:9",
            r"^scheduler tcp://127.0.0.1:9: cannot be reached \(.*\); start one with 'dask scheduler'",
        ),
        ("nowhere", "^scheduler nowhere: cannot be reached"),
        ("http://127.0.0.1:9", "^scheduler http://127.0.0.1:9: cannot be reached"),
    ],
)
def test_a_scheduler_that_is_not_there_is_told(monkeypatch, address, message):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    before = clients()
    with pytest.raises(InputError, match=message) as caught, connected(address, 1):
        pass
    assert "\n" not in str(caught.value)
    # One that is left would be taken down later, in whatever thread that is, and stop the next one there.
    assert clients() <= before


def test_a_scheduler_without_workers_is_told(monkeypatch):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    with (
        cluster_module.local_cluster(0) as empty,
        pytest.raises(InputError, match=r"has no workers; start some with 'dask worker tcp://"),
        connected(empty.scheduler_address, 1),
    ):
        pass


class LateCluster:
    """Takes the place of Dask's: workers that do not answer."""

    def __init__(self, **_):
        self.workers = {0: self}
        self.pid = None
        self.left = []

    def scale(self, count):
        assert count == 3

    def close_gracefully(self):
        self.left.append(0)

    def close(self, timeout):
        raise TimeoutError(f"timed out after {timeout} s.")


def test_an_end_that_takes_long_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(cluster_module, "LocalCluster", LateCluster)
    with cluster_module.local_cluster(3) as late:
        assert not late.left
    assert late.left


@pytest.mark.parametrize("moment", ["start", "work"])
def test_an_answer_that_comes_too_late_is_one_line(monkeypatch, moment):
    def late(*_, **__):
        raise TimeoutError

    if moment == "start":
        monkeypatch.setattr(cluster_module, "LocalCluster", late)
    else:
        monkeypatch.setattr(cluster_module, "LocalCluster", LateCluster)
        monkeypatch.setattr(cluster_module, "Client", late)
    message = r"^workers 3: .* did not answer in time, .*; run the .*, with fewer workers$"
    with pytest.raises(InputError, match=message), connected(None, 3):
        pass
