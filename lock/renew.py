#!/usr/bin/env python3
"""Write the lock files, ``make lock``: which files, by version and hash, ``bootstrap.py`` installs.

``<extra>.txt`` is for the checkout with that extra, ``base.txt`` without one, ``build.txt`` for what builds sources.
They are cut from one resolution, so a distribution has the same version in all of them. They hold for every Python and
machine that pyproject.toml supports: markers choose among versions, and the hashes are those of a version's every file.

Arguments go to ``uv pip compile``: with ``--upgrade`` everything is resolved anew, without it a version stays as it is
for as long as pyproject.toml allows it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent / "pyproject.toml"
EXTRAS = ("sim", "dev", "fpga", "fuzz", "bench")
OLDEST_PYTHON = "3.11"


def main(options: list[str]) -> None:
    """Resolve everything at once, then cut each file from that."""
    build, lone = FOLDER / "build.in", FOLDER / "nncodec.in"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    with tempfile.TemporaryDirectory(prefix="dnnzip-lock-") as folder:
        whole = Path(folder) / "whole.txt"
        whole.write_text("".join(path.read_text() for path in sorted(FOLDER.glob("*.txt"))))
        _compile(whole, PROJECT, build, *extras, *options)
        _compile(FOLDER / "base.txt", PROJECT, "--constraint", whole, "--upgrade")
        _compile(FOLDER / "build.txt", build, "--constraint", whole, "--upgrade")
        for extra in EXTRAS:
            _compile(FOLDER / f"{extra}.txt", PROJECT, "--extra", extra, "--constraint", whole, "--upgrade")
    _compile(FOLDER / "nncodec.txt", lone, "--no-deps")


def _compile(target: Path, *arguments: object) -> None:
    """Write a lock file."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    command += ["--python-version", OLDEST_PYTHON, "--no-annotate", "--custom-compile-command", "make lock"]
    subprocess.run([*command, "--output-file", target, *map(str, arguments)], check=True, cwd=FOLDER.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
