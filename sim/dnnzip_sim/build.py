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
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dnnzip.errors import DnnzipError
from dnnzip.system.caches import user_cache, writable
from dnnzip.system.temporary import temporary_folder
from dnnzip.system.waits import waiting_for
from dnnzip_sim import toolchain

VARIABLE = "DNNZIP_CACHE"
"""The environment variable that names the folder of the builds."""

CONTENTS = "contents.json"
"""In each folder of the cache, the hashes of its files: one that was damaged since is made again."""

LOG = "build.log"
LOG_TAIL_LINES = 40

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 3

# The model runs as fast with -O1 as with -O2 (measured on networks through the harness), and compiles in two thirds of
# the time; what runs once stays as Verilator has it.
MAKE_OPTIONS = ("OPT_FAST=-O1", "OPT_GLOBAL=-O1")

# Small models are compiled in one piece: most of the time goes into headers, which each piece would read.
ONE_PIECE = "VM_PARALLEL_BUILDS=0"
ONE_PIECE_CHARACTERS = 3_000_000  # of all sources; a netlist of gates has more, and takes the compiler a gigabyte

# Objects of Verilator's own sources. Those of a design are named Vtop, foreign ones as their sources; and cocotb's
# main program, verilator.o, makes a Vtop, whose size is the design's.
RUNTIME_OBJECTS = ("verilated",)

# Options that begin so say which warnings are wanted.
WARNINGS = "-W"

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


class BuildFailedError(DnnzipError):
    """Verilator or the C++ compiler refused the sources; the message holds its first error, and the log's path."""


@dataclass(frozen=True)
class Build:
    """A simulation that is ready to run."""

    top: str  # name of the top module; the program in ``folder`` is named so too
    # Where it is kept. Read only: another process may be using it.
    folder: Path
    key: str  # hash of everything that it was made from
    was_cached: bool  # whether it was there already


def cache_folder() -> Path:
    """Return the folder that keeps the builds.

    ``$DNNZIP_CACHE`` where it is set; ``build/verilator`` of the checkout when dnnzip runs from one;
    ``$XDG_CACHE_HOME/dnnzip/verilator`` (``~/.cache`` by default) when it is installed. A temporary one for a user
    without a home.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "sim" / "dnnzip_sim").is_dir():
        return checkout / "build" / "verilator"
    user = user_cache()
    return writable_cache(None) if user is None else user / "dnnzip" / "verilator"


def writable_cache(store: Path | None) -> Path:
    """Return the folder of the builds, or a temporary one where nothing can be written there."""
    return writable(store, "builds", VARIABLE)


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
        compiled along (for DPI), anything else is put next to them to be included.
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
    tools = {"recipe": RECIPE, "make flags": environment["MAKEFLAGS"], **_tools()}
    # Warnings are of the design; what Verilator and cocotb bring is compiled alike whatever is warned of.
    shared = {"options": [option for option in every_option if not option.startswith(WARNINGS)], **tools}
    own = {"top": top, "sources": dict(sources), "parameters": dict(parameters or {})}
    key = _digest({"options": every_option, **tools, **own})
    store = cache_folder() if cache is None else cache.absolute()
    if _is_whole(store / key):
        return Build(top, store / key, key, was_cached=True)
    store = writable_cache(store)
    folder, runtime = store / key, store / f"runtime-{_digest(shared)}"
    what = "compiling a simulator with Verilator, once, up to a minute"
    with waiting_for(what), _locked(folder.with_suffix(".lock")):
        if _is_whole(folder):  # another process was faster
            return Build(top, folder, key, was_cached=True)
        with temporary_folder(store) as unfinished:
            _take_runtime(runtime, unfinished)
            reason = _compile(top, sources, parameters or {}, every_option, environment, unfinished)
            if reason is not None:
                failed = folder.with_suffix(".failed")
                remove_damaged(failed)
                unfinished.rename(failed)
                log = failed / LOG
                raise BuildFailedError(f"Verilator build of {top} failed ({reason}); log in {log}")
            _keep_runtime(runtime, unfinished)
            _drop_objects(top, sources, unfinished)
            _put(unfinished, folder)
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


def _contents(folder: Path) -> dict[str, str]:
    """Return the hashes of the files in a folder and its folders, by their names."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONTENTS
    }


def _is_whole(folder: Path) -> bool:
    """Return True if a folder of the cache is there, and holds all that was put into it."""
    try:
        listed = json.loads((folder / CONTENTS).read_bytes())
        return isinstance(listed, dict) and listed.items() <= _contents(folder).items()
    except (OSError, ValueError):
        return False


def _put(made: Path, folder: Path) -> None:
    """Move what was made into the cache, in the place of what was damaged there."""
    (made / CONTENTS).write_text(json.dumps(_contents(made)))
    remove_damaged(folder)
    made.rename(folder)


def remove_damaged(path: Path) -> None:
    """Remove a file or a folder of the cache, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take_runtime(runtime: Path, folder: Path) -> None:
    """Copy the shared objects, if there are any yet, into ``folder``."""
    if _is_whole(runtime):
        for path in runtime.glob("*.o"):
            shutil.copyfile(path, folder / path.name)


def _keep_runtime(runtime: Path, folder: Path) -> None:
    """Keep the shared objects that were compiled in ``folder``, unless they are kept already."""
    if _is_whole(runtime):
        return
    with temporary_folder(runtime.parent) as beside:
        for path in folder.glob("*.o"):
            if path.name.startswith(RUNTIME_OBJECTS):
                shutil.copyfile(path, beside / path.name)
        with contextlib.suppress(OSError):  # another process was faster
            _put(beside, runtime)


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
) -> str | None:
    """Write the sources into ``folder``, which is there, and build them; return the first error, None without one."""
    for name, text in sources.items():
        (folder / name).write_text(text)
    control = folder / f"{top}.vlt"
    control.write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n')
    compiled = [folder / name for name in sources if name.endswith((".v", ".sv"))]
    foreign = [folder / name for name in sources if name.endswith((".cpp", ".cc"))]
    log = folder / LOG
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
        command,
        input=json.dumps(job),
        env={**environment, "TMPDIR": str(folder)},  # what a killed compiler leaves goes with the folder
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0 and not log.is_file():
        log.write_text(result.stderr)
    if result.returncode == 0:
        return None
    lines = log.read_text(errors="replace").strip().splitlines() or ["no word of a reason"]
    return next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), lines[-1]).strip()


def _drop_objects(top: str, sources: Mapping[str, str], folder: Path) -> None:
    """Remove the files that only the compilation needed; the program, the sources and the log stay."""
    kept = {top, f"{top}.vlt", LOG, *sources}
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink()
