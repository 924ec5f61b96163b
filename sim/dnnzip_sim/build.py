"""Verilator builds, kept by content: the same sources, options and tools are compiled once.

A build's key is a hash over every source text, the options, the versions of Verilator, g++ and cocotb and the place of
cocotb's libraries, which the program is linked to. Nothing else decides whether a build is used again: no time stamps.

Verilator's and cocotb's own C++ takes longer to compile than a small design. It is the same in every build with the
same options and tools, so its objects are kept too, under a key of their own.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnnzip.waits import waiting_for
from dnnzip_sim import toolchain

LOG_TAIL_LINES = 40

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 2

# C++ of the model is compiled for speed; what runs once stays as Verilator has it.
MAKE_OPTIONS = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2")

# Small models are compiled in one piece: most of the time goes into headers, which each piece would read.
ONE_PIECE = "VM_PARALLEL_BUILDS=0"
ONE_PIECE_CHARACTERS = 3_000_000  # of all sources; a netlist of gates has more, and takes the compiler a gigabyte

# Objects of Verilator's own sources. Those of a design are named Vtop, foreign ones as their sources; and cocotb's
# main program, verilator.o, makes a Vtop, whose size is the design's.
RUNTIME_OBJECTS = ("verilated",)

# The least that Verilator makes a program of.
NOTHING = "module nothing (input clk, output out); assign out = clk; endmodule\n"

VERILATOR_OPTIONS = (
    "-O3",
    "--x-assign", "fast",
    "--x-initial", "fast",
    # cocotb makes every signal public, which stops Verilator from optimising; only the top's are, by the .vlt file.
    "--no-public-flat-rw",
    # Another Verilator may warn of more, which is no reason not to simulate; a test reads the logs of our own RTL.
    "-Wno-fatal",
)  # fmt: skip


class BuildFailedError(RuntimeError):
    """Verilator or the C++ compiler refused the sources; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Build:
    """A simulation that is ready to run.

    Parameters
    ----------
    top
        Name of the top module; the program in ``folder`` is named so too.
    folder
        Where it is kept. Read only: another process may be using it.
    key
        Hash of everything that it was made from.
    was_cached
        Whether it was there already.
    """

    top: str
    folder: Path
    key: str
    was_cached: bool


def cache_folder() -> Path:
    """Return the folder that keeps the builds.

    ``$DNNZIP_CACHE`` where it is set; ``build/verilator`` of the checkout when dnnzip runs from one;
    ``$XDG_CACHE_HOME/dnnzip/verilator`` (``~/.cache`` by default) when it is installed.
    """
    chosen = os.environ.get("DNNZIP_CACHE")
    if chosen:
        return Path(chosen).absolute()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "sim" / "dnnzip_sim").is_dir():
        return checkout / "build" / "verilator"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dnnzip" / "verilator"


def build(
    top: str,
    sources: Mapping[str, str],
    *,
    parameters: Mapping[str, int | str] | None = None,
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> Build:
    """Return the Verilator build of ``sources``, made now unless the cache has it.

    Parameters
    ----------
    top
        Name of the top module. Its own signals, and so its ports, are the only ones that cocotb sees.
    sources
        File names (plain ones, no folders) and their texts: ``.v`` and ``.sv`` are compiled, ``.cpp`` and ``.cc`` are
        compiled along (for DPI), anything else lies beside them to be included.
    parameters
        Values for parameters of the top module; a string as a Verilog literal.
    options
        Further options for Verilator, after ours.
    cache
        Folder of the builds; ``cache_folder()`` when not given.

    Raises
    ------
    MissingToolError
        When a tool is missing.
    BuildFailedError
        When the sources do not compile.
    """
    _check_names(top, sources)
    environment = toolchain.environment()
    is_small = sum(map(len, sources.values())) <= ONE_PIECE_CHARACTERS
    make_flags = [environment.get("MAKEFLAGS", ""), *MAKE_OPTIONS, ONE_PIECE if is_small else ""]
    environment["MAKEFLAGS"] = " ".join(flag for flag in make_flags if flag)
    every_option = [*VERILATOR_OPTIONS, *options]
    shared = {"recipe": RECIPE, "options": every_option, "make flags": environment["MAKEFLAGS"], **_tools()}
    own = {"top": top, "sources": dict(sources), "parameters": dict(parameters or {})}
    key = _digest({**shared, **own})
    store = (cache or cache_folder()).absolute()
    folder, runtime = store / key, store / f"runtime-{_digest(shared)}"
    if folder.is_dir():
        return Build(top, folder, key, was_cached=True)
    what = "compiling a simulator with Verilator, once, up to a minute"
    with waiting_for(what), _locked(folder.with_suffix(".lock")):
        if folder.is_dir():  # another process was faster
            return Build(top, folder, key, was_cached=True)
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        _take_runtime(runtime, unfinished)
        _compile(top, sources, parameters or {}, every_option, environment, unfinished)
        _keep_runtime(runtime, unfinished)
        _drop_objects(top, sources, unfinished)
        unfinished.rename(folder)
    return Build(top, folder, key, was_cached=False)


def prepare(*, options: Sequence[str] = (), cache: Path | None = None) -> None:
    """Compile what every build with these options shares, so that the next one has only its own code to compile.

    Worth it while something else is waited for, like the first start of Yosys.

    Parameters
    ----------
    options, cache
        As for ``build``.

    Raises
    ------
    MissingToolError
        When a tool is missing.
    """
    build("nothing", {"nothing.v": NOTHING}, options=options, cache=cache)


def log_tail(log: Path) -> str:
    """Return the last lines of the file ``log``, or a remark that there is none."""
    if not log.is_file():
        return f"(no log at {log})"
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def _check_names(top: str, sources: Mapping[str, str]) -> None:
    """Raise ValueError on an empty set of sources or a source name that is no plain file name."""
    if not any(name.endswith((".v", ".sv")) for name in sources):
        raise ValueError(f"sources must have a .v or .sv file, not {sorted(sources)}")
    for name in sources:
        if Path(name).name != name or name == top:
            raise ValueError(f"a source's name must be a plain file name other than the top's, not {name!r}")


def _tools() -> dict[str, str]:
    """Return the versions and places of the tools that decide what a build becomes."""
    import cocotb_tools.config  # only here: the tools were checked before, so it is there

    return {
        "verilator": toolchain.verilator().version,
        "g++": toolchain.system_tool("g++").version,
        "cocotb": importlib.metadata.version("cocotb"),
        "libraries": str(cocotb_tools.config.libs_dir),
    }


def _digest(facts: Mapping[str, object]) -> str:
    """Return the hash of the facts, which names a folder."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _take_runtime(runtime: Path, folder: Path) -> None:
    """Copy the shared objects, if there are any yet, into ``folder``."""
    if runtime.is_dir():
        for path in runtime.iterdir():
            shutil.copyfile(path, folder / path.name)


def _keep_runtime(runtime: Path, folder: Path) -> None:
    """Keep the shared objects that were compiled in ``folder``, unless they are kept already."""
    if runtime.is_dir():
        return
    beside = Path(tempfile.mkdtemp(prefix="runtime-", suffix=".unfinished", dir=runtime.parent))
    beside.chmod(0o755)  # as the builds have it, not for one user alone
    for path in folder.glob("*.o"):
        if path.name.startswith(RUNTIME_OBJECTS):
            shutil.copyfile(path, beside / path.name)
    try:
        beside.rename(runtime)
    except OSError:  # another process was faster
        shutil.rmtree(beside)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file ``lock``; it ends with the process that holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _compile(
    top: str,
    sources: Mapping[str, str],
    parameters: Mapping[str, int | str],
    options: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
) -> None:
    """Write the sources into ``folder``, which is there, and build them."""
    for name, text in sources.items():
        (folder / name).write_text(text)
    control = folder / f"{top}.vlt"
    control.write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n')
    compiled = [folder / name for name in sources if name.endswith((".v", ".sv"))]
    foreign = [folder / name for name in sources if name.endswith((".cpp", ".cc"))]
    log = folder / "build.log"
    job = {
        "sources": [str(path) for path in [control, *compiled]],
        "hdl_toplevel": top,
        "build_dir": str(folder),
        "includes": [str(folder)],
        "parameters": dict(parameters),
        # The runner knows no C++ sources; Verilator takes them anywhere on its command line.
        "build_args": [*options, *(str(path) for path in foreign)],
        "log_file": str(log),
        "waves": False,
    }
    command = [sys.executable, "-m", "dnnzip_sim.cocotb_job", "build"]
    result = subprocess.run(
        command, input=json.dumps(job), env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        detail = log_tail(log) if log.is_file() else result.stderr
        raise BuildFailedError(f"Verilator build of {top} failed, log in {log}:\n{detail}")


def _drop_objects(top: str, sources: Mapping[str, str], folder: Path) -> None:
    """Remove what only the compilation needed; the program, the sources and the log stay."""
    kept = {top, f"{top}.vlt", "build.log", *sources}
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink()
