"""Progress of a run of the fuzzer: what is done, what failed, and the call that runs."""

import json
import mmap
import random
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUZZ = Path(__file__).with_name("fuzz_commands.py")

KEPT_EVERY = 50
MOST_KEPT = 40
DONE, FAILED, CRASHED = "done", "failed", "crashed"


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
        shown = [Path(item).relative_to(ROOT) if Path(item).is_relative_to(ROOT) else item for item in (FUZZ, path)]
        extra = "" if way == "call" else f" --way {way}"
        print(f"fuzz: run it again with\n  .venv/bin/python {shown[0]} --replay {shown[1]}{extra}", flush=True)

    def write(self):
        """Write the file."""
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.facts, indent=1))
        beside.replace(self.path)
