"""Ways to run a call of a command: in this process, in a forked one, in an interpreter of its own."""

import os
import subprocess
import sys
from contextlib import contextmanager


def in_process(arguments, out, err):
    """Run a call in this process, with its standard streams."""
    from dnnzip.cli import main as cli

    kept = [os.dup(number) for number in (1, 2)]
    streams = sys.stdout, sys.stderr, sys.argv
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["dnnzip", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr, sys.argv = streams
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
    return 0


def forked(arguments, out, err):
    """Run a call in a process that is forked from this one."""
    process = os.fork()
    if not process:
        status = 99
        try:
            status = in_process(arguments, out, err)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def interpreted(arguments, out, err):
    """Run a call in an interpreter of its own."""
    command = [sys.executable, "-m", "dnnzip", *arguments]
    return subprocess.run(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, check=False).returncode


WAYS = {"call": in_process, "process": forked, "interpreter": interpreted}


@contextmanager
def cut_short():
    """Replace what the fuzzer does not wait for, see above."""
    from unittest.mock import patch

    from dnnzip.errors import MissingToolError
    from dnnzip.exploration.task import measure_plain, run_encoding
    from dnnzip.exploration.workload import OpenWorkload

    def missing(*_, **__):
        raise MissingToolError("fuzz: the fuzzer goes no further")

    @contextmanager
    def no_cluster(scheduler, _workers):
        if scheduler is not None:
            missing()
        yield None

    def run_here(plan, folder, _client, encodings, step):
        opened = OpenWorkload(plan.workload)
        if not folder.has_network():
            folder.write_network(measure_plain(opened))
        for encoding in encodings:
            result = run_encoding(opened, encoding, folder.network().top1)
            folder.write_results(result.encoding, result.points, result.layers)
            step(result.encoding)

    with (
        patch("dnnzip_hw.cli.find_yosys", return_value=False),
        patch("dnnzip_hw.board.bitstream.build_bitstream", missing),
        patch("dnnzip_sim.link.SimulatedLink.decode", missing),
        patch("dnnzip_sim.array.link.SimulatedArray.execute", missing),
        patch("dnnzip.exploration.cluster.connected", no_cluster),
        patch("dnnzip.exploration.run.run", run_here),
    ):
        yield
