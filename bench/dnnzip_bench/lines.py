"""Lines of Python, HTML, JavaScript, C and C++ in a commit: in the wheel, in all but the tests, and in the tests."""

import subprocess
from collections import Counter
from pathlib import Path

import click

from dnnzip.errors import InputError
from dnnzip.presentation.tables import TextTable
from dnnzip_bench.command import run, show

PATTERNS = ("*.py", "*.html", "*.js", "*.c", "*.h", "*.cpp")
WHEEL = ("sw", "hw", "sim")
"""Folders of the packages that a wheel has."""


def counted(commit: str) -> dict[str, int]:
    """Return the lines of each file of a commit.

    Raises
    ------
    InputError
        The checkout does not know it.
    """
    command = ["git", "grep", "--count", "--full-name", "", commit, "--", *(f":/{pattern}" for pattern in PATTERNS)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(commit, "is no commit of this checkout", "give one that git log shows")
    lines = (line.removeprefix(f"{commit}:").rpartition(":") for line in done.stdout.splitlines())
    return {name: int(count) for name, _, count in lines}


def parts(files: dict[str, int]) -> Counter[str]:
    """Return the lines of each part, by the lines of each file."""
    found: Counter[str] = Counter()
    for name, count in files.items():
        folders = Path(name).parts[:-1]
        found["tests" if "tests" in folders else "all but tests"] += count
        if "tests" not in folders and folders[:1] and folders[0] in WHEEL:
            found["wheel"] += count
            found[f"  {folders[1]}"] += count
    return found


@click.command()
@click.argument("commits", nargs=-1, default=["HEAD"])
def lines(commits: tuple[str, ...]) -> None:
    """Count the lines of COMMITS, side by side."""
    columns = [parts(counted(commit)) for commit in commits]
    names = sorted(set().union(*columns), key=lambda name: -max(column[name] for column in columns))
    show(TextTable(("lines", *commits), tuple((name, *(f"{c[name]:,}" for c in columns)) for name in names)))


if __name__ == "__main__":
    run(lines)
