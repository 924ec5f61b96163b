#!/usr/bin/env python3
"""Call every command with changed files and options; ``make fuzz``, or see ``fuzz_commands.py --help``.

A call runs in a folder of its own, in a process that has everything loaded, through the entry point of the command
line; with ``--processes`` a new process is forked for each, and with ``--interpreters`` a new interpreter starts. It
must end with status 0, 1 or 2; with 1 and 2 standard error has one line, with 2 no output is left; inputs stay as they
are.

Where a call fails, it is kept in a file that ``--replay`` runs again, and the next one follows. What is done is kept in
a file too: after Ctrl-C the same command goes on.

Four are cut short, since what follows is minutes of other programs' work or a cluster, and has its own tests: ``rtl``
ends before Yosys, ``bitstream`` before its build, ``--link sim`` before Verilator, and ``explore`` runs its tasks in
this process.
"""

import argparse
import hashlib
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # command_calls, command_files

MORE_MEMORY = 3 << 30
SECONDS_TO_START = 240
KEPT_EVERY = 50
MOST_KEPT = 40
PLANTED = 3
DONE, FAILED, CRASHED = "done", "failed", "crashed"
#: Commands that an interpreter of its own may be started for: their own work is short and nothing of it is cut short.
SHORT = ("info", "decompress", "verify", "estimate", "image")

ONE_LINE = re.compile(r"dnnzip: [^\n]+\n")
OUTPUT_OPTIONS = ("-o", "--output", "--output-model", "--json", "--tables")


class FuzzError(Exception):
    """A call ended as none may."""


# --- one call -----------------------------------------------------------------------------------------------------


class Runner:
    """Runs calls in a folder and judges how they end.

    Parameters
    ----------
    folder
        Where calls have their files; emptied before each.
    """

    def __init__(self, folder):
        self.folder = folder
        self.out, self.err = (os.memfd_create(name) for name in ("out", "err"))

    def run(self, call, way):
        """Run a call and return its status.

        Raises
        ------
        FuzzError
            It ended as none may.
        """
        self._lay(call)
        before = _content(self.folder)
        for stream in (self.out, self.err):
            os.ftruncate(stream, 0)
            os.lseek(stream, 0, os.SEEK_SET)
        place = Path.cwd()
        os.chdir(self.folder)
        try:
            status = way(call.arguments, self.out, self.err)
        finally:
            os.chdir(place)
        said = [os.pread(stream, 1 << 20, 0).decode("utf-8", "backslashreplace") for stream in (self.out, self.err)]
        _judge(call, status, *said, before, _content(self.folder))
        return status

    def _lay(self, call):
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("in", "out"):
            (self.folder / name).mkdir(parents=True)
        for name, content in call.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                path.write_bytes(content)


def _content(folder, name=""):
    """Return the files in a folder by their paths from there, or from a folder of another name."""
    return {
        str(name / path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _judge(call, status, out, err, before, after):
    """Compare an end with what every call keeps to."""
    faults = []
    if status not in (0, 1, 2):
        faults.append("ended otherwise")
    if status and not ONE_LINE.fullmatch(err) and not err.startswith("Usage: dnnzip"):
        faults.append("is not one line")
    if not status and err:
        faults.append("has words without a fault")
    if "Traceback" in err or "dnnzip: out of memory" in err:
        faults.append("was not foreseen")
    # What fits on no device may be the second output, behind one that is there.
    is_full = any("/dev/full" in word for word in call.arguments)
    if status == 2 and out and not is_full:
        faults.append(f"failed, and printed {out[:100]!r}")
    may_change = _outputs(call) if status < 2 else set()
    changed = [name for name in before if after.get(name) != before[name] and not _may_change(name, call, may_change)]
    if changed:
        faults.append(f"changed {', '.join(changed)}")
    left = [name for name in after if name not in before and status == 2 and not (is_full or _may_stay(name, call))]
    if left:
        faults.append(f"failed, and left {', '.join(left)}")
    if faults:
        raise FuzzError(f"status {status}: {'; '.join(faults)}\n{err[-8000:]}")


def _outputs(call):
    """Return the files that the arguments name as outputs."""
    pairs = zip(call.arguments, [*call.arguments[1:], ""], strict=True)
    named = {value for option, value in pairs if option in OUTPUT_OPTIONS}
    joined = [(option, word) for word in call.arguments for option in OUTPUT_OPTIONS if word.startswith(option)]
    return named | {word.removeprefix(option).removeprefix("=") for option, word in joined}


def _may_change(name, call, outputs):
    """Return True if a file that was there may be another one: an output, or what a search goes on with."""
    is_in = any(name == output or name.startswith(f"{output}/") for output in outputs)
    return is_in or (_command(call) == "tune" and name.endswith(".tune"))


def _may_stay(name, call):
    """Return True if a call that failed may leave a file: what it has found so far, for the next one to go on."""
    return _command(call) == "explore" or (_command(call) == "tune" and name.endswith(".tune"))


def _command(call):
    """Return the first word that is no option."""
    return next((word for word in call.arguments if not word.startswith("-")), "")


# --- ways to run one ----------------------------------------------------------------------------------------------


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


# --- the process that runs them ------------------------------------------------------------------------------------


def make_sound_files(folder):
    """Return the sound files by their names, made in a folder, unless they are there."""
    from command_files import write_sound_files

    made = folder / "made"
    digest = hashlib.sha256(Path(__file__).with_name("command_files.py").read_bytes()).hexdigest()
    if made.is_file() and made.read_text() == digest:
        return _content(folder / "in", "in")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = Path.cwd()
    os.chdir(folder)

    def run(*arguments):
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            status = in_process(list(arguments), nothing.fileno(), 2)
        assert status == 0, arguments

    try:
        write_sound_files(folder, run)
    finally:
        os.chdir(place)
    made.write_text(digest)
    return _content(folder / "in", "in")


def limit_memory():
    """Let the address space grow by ``MORE_MEMORY`` from here."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def work(options):
    """Be the process that runs calls: from the number that is asked for to the last."""
    os.environ["DNNZIP_DEBUG"] = "1"
    from command_calls import Call, Caller

    state = State(options.folder)
    with cut_short():
        sound = make_sound_files(options.folder / "sound")
        if options.plant == "raise":
            plant()
        caller = Caller(sound, options.commands)
        runner = Runner(options.folder / "call")
        limit_memory()
        if options.replay:
            try:
                runner.run(Call.load(options.replay), WAYS[options.way])
            except FuzzError as error:
                print(f"fuzz: {error}", flush=True)
                return 1
            print("fuzz: this call ends as it may", flush=True)
            return 0
        plan = way_of(options)
        shared = Shared(options.folder / "running")
        shared.put(options.start + 1)
        for number in range(options.start, state.facts["runs"]):
            shared.put(number + 1)
            way = plan(number)
            if way == "interpreter":
                call = Caller(sound, SHORT).call(state.facts["seed"], number)
            else:
                call = caller.call(state.facts["seed"], number)
            begin = time.process_time()
            if number in state.facts[CRASHED]:
                state.count(call, FAILED, way, number, 0)
                continue
            if options.plant == "exit" and number == PLANTED:
                os.kill(os.getpid(), signal.SIGSEGV)
            try:
                status = runner.run(call, WAYS[way])
            except FuzzError as error:
                status = FAILED
                state.keep(call, number, str(error), way)
            except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
                status = FAILED
                state.keep(call, number, traceback.format_exc(), way)
            state.count(call, status, way, number, time.process_time() - begin)
        state.write()
    return 0


def plant():
    """Let a command raise what nobody foresaw, so that a test sees it noticed."""
    import dnnzip.usecases.summary

    def broken(*_, **__):
        raise KeyError("planted")

    dnnzip.usecases.summary.summarise = broken


def way_of(options):
    """Return the function that says of a call's number how it is run: real processes come last."""
    last = options.runs - options.interpreters
    return lambda number: (
        "interpreter" if number >= last else "process" if number >= last - options.processes else "call"
    )


class Shared:
    """The number of the running call, from 1, in a file that both processes map."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(8)
            self.map = mmap.mmap(file.fileno(), 8)

    def put(self, number):
        """Leave a number."""
        self.map[:] = number.to_bytes(8, "little")

    @property
    def number(self):
        """The number."""
        return int.from_bytes(self.map[:], "little")


class State:
    """Progress of a run, in a file.

    Parameters
    ----------
    folder
        Of the file, and of the calls that failed.
    """

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "state.json"
        self.facts = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def begin(self, options):
        """Resume the run in the file if it has the same options and is not done, or begin."""
        asked = {name: getattr(options, name) for name in ("runs", "processes", "interpreters", "commands")}
        fits = all(self.facts.get(name) == value for name, value in asked.items())
        fits = fits and options.seed in (None, self.facts.get("seed"))
        if not fits or self.facts[DONE] >= self.facts["runs"]:
            seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
            counts = {"ends": {}, "cpu": {}, "ways": {}, "slowest": [0, 0]}
            self.facts = {**asked, "seed": seed, DONE: 0, FAILED: {}, CRASHED: [], **counts}
            self.write()

    def count(self, call, status, way, number, seconds):
        """Note how a call ended."""
        command = call.arguments[0] if call.arguments and call.arguments[0].isalpha() else "?"
        ends = Counter(self.facts["ends"].get(command, {}))
        ends[str(status)] += 1
        self.facts["ends"][command] = ends
        self.facts["ways"][way] = self.facts["ways"].get(way, 0) + 1
        self.facts["cpu"][command] = self.facts["cpu"].get(command, 0) + seconds
        self.facts["slowest"] = max(self.facts["slowest"], [seconds, number])
        self.facts[DONE] = number + 1
        if not self.facts[DONE] % KEPT_EVERY:
            self.write()

    def keep(self, call, number, fault, way):
        """Keep a call that failed, and say how to run it again."""
        if len(self.facts[FAILED]) >= MOST_KEPT:
            self.write()
            return
        path = self.folder / f"failed-{self.facts['seed']}-{number}.zip"
        call.save(path)
        self.facts[FAILED][path.name] = fault
        self.write()
        lines = fault.strip().splitlines()
        print(f"fuzz: call {number}: {lines[0]}\nfuzz:   {lines[-1]}", flush=True)
        print(f"fuzz:   {call.arguments!a:.300}; {', '.join(call.changes)}", flush=True)
        shown = [Path(item).relative_to(ROOT) if Path(item).is_relative_to(ROOT) else item for item in (__file__, path)]
        extra = "" if way == "call" else f" --way {way}"
        print(f"fuzz: run it again with\n  .venv/bin/python {shown[0]} --replay {shown[1]}{extra}", flush=True)

    def write(self):
        """Write the file."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.facts, indent=1))
        beside.replace(self.path)


# --- the process that waits ----------------------------------------------------------------------------------------


def watch(options):
    """Run the calls in another process; after one that crashes or hangs, go on behind it in a new one."""
    while (start := State(options.folder).facts[DONE]) < options.runs:
        shared = Shared(options.folder / "running")
        shared.put(0)
        arguments = [word for word in sys.argv[1:] if word != "--worker"]
        command = [sys.executable, __file__, *arguments, "--worker", "--start", str(start)]
        process = subprocess.Popen(command, start_new_session=True)
        fault = _wait(process, shared, options.seconds)
        if fault is None:
            return 0
        if not shared.number:
            print(f"fuzz: the run did not start ({fault})", flush=True)
            return 1
        state = State(options.folder)
        state.facts[CRASHED].append(shared.number - 1)
        _keep_crash(state, options, shared.number - 1, fault)
    return 0


def _wait(process, shared, seconds):
    """Return what went wrong with the process, or None."""
    number, since = 0, time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(0.1)
            if shared.number != number:
                number, since = shared.number, time.monotonic()
            elif time.monotonic() - since > (seconds if number else SECONDS_TO_START):
                return f"a call ran for more than {seconds} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return None if process.returncode == 0 else f"the process ended with {process.returncode}"


def _keep_crash(state, options, number, fault):
    """Keep the call that was running when the process ended: its files are still there."""
    from command_calls import Caller

    sound = make_sound_files(options.folder / "sound")
    way = way_of(options)(number)
    only = SHORT if way == "interpreter" else options.commands
    state.keep(Caller(sound, only).call(state.facts["seed"], number), number, fault, way)


def main():
    """Run the fuzzer; the status is 1 where a call failed."""
    parser = argparse.ArgumentParser(description="Call every command with changed files and options.")
    parser.add_argument("--runs", type=int, default=200_000, help="calls (default: 200,000)")
    parser.add_argument("--processes", type=int, default=0, help="number of them as forked processes")
    parser.add_argument("--interpreters", type=int, default=200, help="number in an interpreter each (default: 200)")
    parser.add_argument("--seed", type=int, help="of the calls; printed where not given")
    parser.add_argument("--commands", nargs="+", default=[], help="call these alone")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz" / "commands", help="for all files")
    parser.add_argument("--seconds", type=int, default=30, help="the most that a call may take (default: 30)")
    parser.add_argument("--replay", type=Path, help="run this kept call alone")
    parser.add_argument("--way", choices=list(WAYS), default="call", help="how to run the kept call")
    parser.add_argument("--plant", choices=("raise", "exit"), help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    if options.replay:
        options.replay = options.replay.resolve()
    if options.worker or options.replay:
        return work(options)
    options.folder.mkdir(parents=True, exist_ok=True)
    state = State(options.folder)
    state.begin(options)
    facts = state.facts
    print(f"fuzz: seed {facts['seed']}, {facts[DONE]:,} of {facts['runs']:,} calls done", flush=True)
    try:
        status = watch(options)
    except KeyboardInterrupt:
        done = State(options.folder).facts[DONE]
        print(f"\nfuzz: stopped behind {done:,} calls; the same command goes on", flush=True)
        return 130
    return status or summary(State(options.folder).facts)


def summary(facts):
    """Print how the calls ended and return the status of the process."""
    ways = ", ".join(f"{count:,} by {way}" for way, count in facts["ways"].items())
    seconds, number = facts["slowest"]
    print(f"fuzz: {facts[DONE]:,} calls ({ways}), {len(facts[FAILED])} failed; slowest {seconds:.1f} s, call {number}")
    for command, ends in sorted(facts["ends"].items()):
        shown = ", ".join(f"{count:,} with {end}" for end, count in sorted(ends.items()))
        print(f"fuzz:   {command}: {shown}; {1000 * facts['cpu'][command] / sum(ends.values()):.0f} ms")
    return int(bool(facts[FAILED]))


if __name__ == "__main__":
    sys.exit(main())
