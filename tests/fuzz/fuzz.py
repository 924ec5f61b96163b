#!/usr/bin/env python3
"""Feed changed streams and containers to the decoders; ``make fuzz``, or see ``fuzz.py --help``.

The inputs run in a process of its own, whose address space is limited. It leaves each input in a file that this process
shares before it runs it, so that a crash, an exit or a hang is known by its input as well. With atheris (the extra
``fuzz``), what an input covers decides whether others are made of it; ``--engine random`` needs nothing and repeats
exactly.
"""

import argparse
import hashlib
import json
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: More than any input below may need; a decoder that takes memory by a header alone is beyond it at once.
MORE_MEMORY = 2 << 30
PLANTED = 20
SECONDS_TO_START = 240
COUNT_BYTES, LENGTH_BYTES = 8, 4
CONTAINERS_SHARE = 0.2
#: Share of inputs made of changed ones; share of changed ones that get far and are kept for that; most kept.
FURTHER_SHARE, KEPT_SHARE, MOST_KEPT = 0.4, 0.05, 300
SHARED_BYTES = 1 << 16
ESCAPED = 3
MODELS = "models"
#: The compiled loops stay as they are: Numba compiles from the same byte code that would be instrumented.
CODECS_COMPILED = ["kernels", "ans.decoding_loops", "ans.encoding_loops", "line.loops"]
COMPILED = [
    *(f"dnnzip.codec.{name}" for name in CODECS_COMPILED),
    *("dnnzip.quantize.step", "dnnzip.quantize.decoded", "dnnzip.quantize.element_type"),
]


class Shared:
    """The input that is running and its number, in a file that both processes map."""

    def __init__(self, path):
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), SHARED_BYTES)

    def put(self, count, data):
        """Leave an input and its number, from 1."""
        data = data[: SHARED_BYTES - COUNT_BYTES - LENGTH_BYTES]
        head = count.to_bytes(COUNT_BYTES, "little") + len(data).to_bytes(LENGTH_BYTES, "little")
        self.map[: len(head) + len(data)] = head + data

    @property
    def count(self):
        """Number of the input."""
        return int.from_bytes(self.map[:COUNT_BYTES], "little")

    @property
    def data(self):
        """The input."""
        head = COUNT_BYTES + LENGTH_BYTES
        return bytes(self.map[head : head + int.from_bytes(self.map[COUNT_BYTES:head], "little")])


def limit_memory():
    """Let the address space grow by ``MORE_MEMORY`` from here."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


class Worker:
    """Runs inputs one by one and stops after the last or at the first that escapes."""

    def __init__(self, options, checker):
        self.options = options
        self.checker = checker
        self.shared = Shared(options.folder / "running")
        self.count = 0
        self.slowest = 0.0
        self.start = time.monotonic()

    def run(self, data):
        """Run one input and return whether it got behind the first checks; the process ends with the last one."""
        self.count += 1
        self.shared.put(self.count, data)
        begin = time.process_time()
        try:
            if self.options.plant and self.count > PLANTED:
                planted(self.options.plant)
            went_far = self.checker.check(data)
        except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(ESCAPED)
        self.slowest = max(self.slowest, time.process_time() - begin)
        if self.count >= self.options.runs:
            self.finish()
        return went_far

    def finish(self):
        """Leave the numbers of the run and end the process."""
        facts = {
            "runs": self.count,
            "kinds": dict(self.checker.kinds),
            "ends": dict(sorted(self.checker.ends.items())),
            "slowest_milliseconds": 1000 * self.slowest,
            "seconds": time.monotonic() - self.start,
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        }
        (self.options.folder / "result.json").write_text(json.dumps(facts))
        os._exit(0)


def planted(fault):
    """Do what no decoder may, so that a test sees it noticed."""
    match fault:
        case "raise":
            raise KeyError("planted")
        case "exit":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(3600)
        case "memory":
            bytearray(2 * MORE_MEMORY)
        case "range":
            import numba
            import numpy as np

            numba.njit(lambda array, place: array[place])(np.zeros(4), 5)


def work(options):
    """Be the process that runs the inputs."""
    sys.path.insert(0, str(Path(__file__).parent))
    if options.engine == "coverage":
        import atheris

        watch = atheris.instrument_imports(include=["dnnzip"], exclude=COMPILED)
    else:
        watch = nullcontext()
    with watch:
        import checks
        import inputs
    begin = inputs.seeds()
    checker = checks.Checker(options.folder / MODELS)
    for data in begin:
        checker.check(data)
    limit_memory()
    checker.kinds.clear()
    checker.ends.clear()
    worker = Worker(options, checker)
    if options.input:
        options.runs = 1
        worker.run(Path(options.input).read_bytes())
    elif options.engine == "coverage":
        corpus = options.folder / "corpus"
        corpus.mkdir(exist_ok=True)
        for data in begin:
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

        def mutate(data, _most, seed):
            data = data if data[:1] in inputs.KINDS else begin[seed % len(begin)]
            return inputs.mutated(data, random.Random(seed), begin)

        def run(data):
            worker.run(data)

        limits = [f"-max_len={SHARED_BYTES // 4}", "-rss_limit_mb=0", "-timeout=0", "-len_control=0", "-verbosity=0"]
        more = [f"-seed={options.seed % (1 << 31) or 1}", f"-artifact_prefix={options.folder}/", "-detect_leaks=0"]
        atheris.Setup([sys.argv[0], *limits, *more, str(corpus)], run, custom_mutator=mutate)
        atheris.Fuzz()
    else:
        rng = random.Random(options.seed)
        pools = {kind: [data for data in begin if data[:1] == kind] for kind in inputs.KINDS}
        kept = {kind: list(pool) for kind, pool in pools.items()}
        while True:
            kind = rng.choice((inputs.MODEL, inputs.ARRAY)) if rng.random() < CONTAINERS_SHARE else inputs.STREAM
            further = kept[kind]
            data = rng.choice(further if rng.random() < FURTHER_SHARE else pools[kind])
            data = inputs.mutated(data, rng, pools[inputs.STREAM])
            if worker.run(data) and rng.random() < KEPT_SHARE:
                place = rng.randrange(len(further)) if len(further) >= MOST_KEPT else len(further)
                further[place : place + 1] = [data]


def watch(options):
    """Start the process that runs the inputs and wait for it; return what went wrong, or None."""
    (options.folder / "running").write_bytes(bytes(SHARED_BYTES))
    (options.folder / "result.json").unlink(missing_ok=True)
    arguments = ["--worker", "--runs", str(options.runs), "--seed", str(options.seed), "--engine", options.engine]
    arguments += [options.input] if options.input else []
    arguments += ["--plant", options.plant] if options.plant else []
    shared = Shared(options.folder / "running")
    process = subprocess.Popen([sys.executable, __file__, *arguments, "--folder", str(options.folder)])
    count, since = 0, time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(0.1)
            if shared.count != count:
                count, since = shared.count, time.monotonic()
            elif time.monotonic() - since > (options.seconds if count else SECONDS_TO_START):
                return f"an input ran for more than {options.seconds} s" if count else "the run did not start"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(options.folder / MODELS, ignore_errors=True)
    if process.returncode == 0 and (options.folder / "result.json").is_file():
        return None
    if not shared.count:
        return f"the run did not start (status {process.returncode})"
    return "an exception escaped" if process.returncode == ESCAPED else f"the process ended with {process.returncode}"


def save_crash(options):
    """Save the input that was running and return the command that runs it again."""
    data = Shared(options.folder / "running").data
    path = options.folder / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    shown = [Path(item).relative_to(ROOT) if Path(item).is_relative_to(ROOT) else item for item in (__file__, path)]
    return f".venv/bin/python {shown[0]} {shown[1]}"


def main():
    """Run the fuzzer; the status is 1 where an input escaped."""
    parser = argparse.ArgumentParser(description="Feed changed streams and containers to the decoders.")
    parser.add_argument("input", nargs="?", help="run this saved input alone")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs (default: a million)")
    parser.add_argument("--seed", type=int, default=None, help="of the changes; printed where not given")
    parser.add_argument("--engine", choices=("auto", "coverage", "random"), default="auto")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz", help="for inputs that escape")
    parser.add_argument("--seconds", type=int, default=20, help="the most that an input may take (default: 20)")
    parser.add_argument("--plant", choices=("raise", "exit", "hang", "memory", "range"), help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return 0
    if options.engine == "auto":
        options.engine = "coverage" if find_spec("atheris") and not options.input else "random"
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"fuzz: engine {options.engine}, seed {options.seed}, {options.runs:,} runs", flush=True)
    fault = watch(options)
    if fault:
        print(f"fuzz: {fault}", flush=True)
        print(f"fuzz: run it again with\n  {save_crash(options)}", flush=True)
        return 1
    facts = json.loads((options.folder / "result.json").read_text())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts["kinds"].items())
    most = f"peak {facts['peak_megabytes']} MB, slowest {facts['slowest_milliseconds']:.0f} ms"
    print(f"fuzz: {facts['runs']:,} inputs, 0 escapes, {facts['seconds']:.0f} s, {most}")
    print(f"fuzz: {kinds}")
    for end, count in facts["ends"].items():
        print(f"fuzz:   {end}: {count:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
