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
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from command_ends import FuzzError, Runner, content_of
from command_progress import CRASHED, DONE, FAILED, Shared, State
from command_ways import WAYS, cut_short, in_process

ROOT = Path(__file__).resolve().parents[2]
os.environ["DNNZIP_QUIET"] = "1"  # a first start says what it waits for: a line on standard error that is no fault
MORE_MEMORY = 3 << 30
SECONDS_TO_START = 240
PLANTED = 3


#: Commands that an interpreter of its own may be started for: their own work is short and nothing of it is cut short.
SHORT = ("info", "decompress", "verify", "estimate", "image")


def make_sound_files(folder):
    """Return the sound files by their names, made in a folder, unless they are there."""
    from command_files import write_sound_files

    made = folder / "made"
    digest = hashlib.sha256(Path(__file__).with_name("command_files.py").read_bytes()).hexdigest()
    if made.is_file() and made.read_text() == digest:
        return content_of(folder / "in", "in")
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
    return content_of(folder / "in", "in")


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
    """Return the fault of the process, or None."""
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
