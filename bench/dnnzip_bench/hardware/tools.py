"""Yosys and nextpnr, each run in a folder.

Where one is not there, `MissingToolError` is raised; where it fails, `RuntimeError` with its last lines.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dnnzip_hw.board.bitstream import find_tools
from dnnzip_sim import toolchain


def yosys(script: str, folder: Path) -> None:
    """Run a script of Yosys in a folder."""
    _run([str(toolchain.yosys().path), "-q", "-p", script], folder, "yosys")


def nextpnr(family: str, options: Sequence[str], folder: Path, what: str) -> None:
    """Place and route in a folder, for ``ecp5`` or ``ice40``."""
    _run([find_tools()[f"NEXTPNR_{family.upper()}"], *options], folder, f"nextpnr on {what}")


def _run(command: Sequence[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stderr[-2000:]}")
