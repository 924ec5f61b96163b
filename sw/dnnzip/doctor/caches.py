"""Folders in which work of earlier runs is kept, their sizes, and whether they can be written."""

import os
from dataclasses import dataclass
from pathlib import Path

import dnnzip


@dataclass(frozen=True)
class Cache:
    """A folder of kept work."""

    name: str  # name of its content
    path: Path  # the folder, there or not
    variable: str  # the environment variable that names another

    @property
    def bytes(self) -> int:
        """Bytes of all files in it."""
        return sum(_size(Path(folder) / name) for folder, _, names in os.walk(self.path) for name in names)

    @property
    def is_writable(self) -> bool:
        """True if files can be made in it, or it can be made."""
        nearest = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def find_caches() -> list[Cache]:
    """Return the caches of dnnzip and of its tools."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute()
    return [
        Cache("compiled codec", _kernels(), "NUMBA_CACHE_DIR"),
        Cache("simulator builds", _builds(user), "DNNZIP_CACHE"),
        Cache(
            "compiled tools", Path(os.environ.get("YOWASP_CACHE_DIR") or user / "YoWASP").absolute(), "YOWASP_CACHE_DIR"
        ),
    ]


def _kernels() -> Path:
    """Return the folder in which Numba keeps the codec's compiled loops."""
    from dnnzip.codec import kernels

    return Path(kernels.count_codes.stats.cache_path)


def _builds(user: Path) -> Path:
    """Return the folder of built simulators; the same rule as `dnnzip_sim.build.cache_folder`; a test compares."""
    chosen = os.environ.get("DNNZIP_CACHE")
    if chosen:
        return Path(chosen).absolute()
    checkout = Path(dnnzip.__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "sim" / "dnnzip_sim").is_dir():
        return checkout / "build" / "verilator"
    return user / "dnnzip" / "verilator"


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0  # gone in the meantime
