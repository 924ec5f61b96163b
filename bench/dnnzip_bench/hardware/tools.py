"""Yosys and nextpnr, each run in a folder."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from dnnzip_hw.board.bitstream import find_tools
from dnnzip_sim import toolchain


def yosys(script: str, folder: Path) -> None:
    """Run a script of Yosys in a folder.

    Raises
    ------
    MissingToolError
        There is no Yosys.
    RuntimeError
        Yosys fails; with its last lines.
    """
    _run([str(toolchain.yosys().path), "-q", "-p", script], folder, "yosys")


def nextpnr(family: str, options: Sequence[str], folder: Path, what: str) -> None:
    """Place and route in a folder, for ``ecp5`` or ``ice40``.

    Raises
    ------
    MissingToolError
        There is no nextpnr for the family.
    RuntimeError
        nextpnr fails; with its last lines.
    """
    _run([find_tools()[f"NEXTPNR_{family.upper()}"], *options], folder, f"nextpnr on {what}")


def _run(command: Sequence[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} failed:\n{done.stderr[-2000:]}")
