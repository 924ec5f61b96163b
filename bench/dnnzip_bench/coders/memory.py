"""Peak memory of the command line: ``python -m dnnzip_bench.coders.memory ARGUMENTS`` prints it in bytes at the end."""

import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

STATUS = Path("/proc/self/status")
KIBIBYTE = 1024


def own_peak() -> int:
    """Return the largest resident size that this process has had, in bytes."""
    if STATUS.is_file():
        # Unlike getrusage, this does not start with the size of the process that started this one.
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * KIBIBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIBIBYTE


def peak_of(arguments: Sequence[str]) -> int:
    """Return the peak of ``dnnzip ARGUMENTS`` in a process of its own, in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "dnnzip_bench.coders.memory", *arguments], capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the command, print the peak."""
    from dnnzip.cli.main import main as command

    try:
        command()
    except SystemExit as stop:
        if stop.code:
            raise
    print(own_peak())


if __name__ == "__main__":
    main()
