"""``python -m dnnzip.bench.install``: put the other compressors into this environment, one by one.

What cannot be installed is named and left out; the comparison runs without it.
"""

import subprocess
import sys
from importlib.metadata import requires

from dnnzip.bench.rivals import NO_DEPENDENCIES


def wanted() -> list[str]:
    """Return the requirements of the extra ``bench``."""
    listed = [line.partition(";") for line in requires("dnnzip") or []]
    return [name.strip() for name, _, marker in listed if marker.replace("'", '"').strip() == 'extra == "bench"']


def install(*arguments: str) -> bool:
    """Install a distribution; return whether that worked."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.call([*pip, *arguments]) == 0


def main() -> None:
    """Install all of them."""
    for requirement in wanted():
        if not install("--only-binary", ":all:", requirement):
            print(f"bench: {requirement} cannot be installed and is left out", file=sys.stderr)
    # It comes as sources; its compiled coder is built here.
    if not install("--no-deps", NO_DEPENDENCIES):
        print(f"bench: {NO_DEPENDENCIES} cannot be installed and is left out", file=sys.stderr)


if __name__ == "__main__":
    main()
