"""The findings on an installation, as text and as JSON; the home folder is written ``~`` in both."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dnnzip
from dnnzip.doctor.caches import Cache, find_caches
from dnnzip.doctor.packages import FOR_USERS, Package, read_packages
from dnnzip.doctor.tools import SYSTEM, TOOLS, Tool, find_tools
from dnnzip.system.extras import how_to_install

MEGABYTE = 1e6


@dataclass(frozen=True)
class Diagnosis:
    """An installation."""

    # Extra to the distributions that it asks for; those of dnnzip itself under the empty name.
    packages: dict[str, list[Package]]
    tools: dict[str, list[Tool]]  # tool to all the places where it is
    caches: list[Cache]  # folders of kept work

    def is_installed(self, extra: str) -> bool:
        """Return True if everything that an extra asks for is installed."""
        return bool(self.packages.get(extra)) and all(package.is_right for package in self.packages[extra])

    def missing(self) -> Iterator[str]:
        """Yield a line for each thing that dnnzip, or an extra that is installed, needs and does not have."""
        if not self.packages:
            yield f"dnnzip is not installed as a package: {how_to_install()}"
        for package in self.packages.get("", []):
            if not package.is_right:
                yield f"{package.name} {package.fault}: {how_to_install()}"
        for name, (extras, *_) in TOOLS.items():
            needing = [extra for extra in extras if self.is_installed(extra)]
            if needing and not self.tools[name]:
                yield f"{name} is missing, for the extra {needing[0]}: {SYSTEM.get(name) or how_to_install(needing[0])}"

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "dnnzip": {"version": dnnzip.__version__, "path": _place(Path(dnnzip.__file__).parent)},
            "python": {"version": platform.python_version(), "path": _place(sys.executable)},
            "system": platform.platform(),
            "cores": len(os.sched_getaffinity(0)),
            "packages": {package.name: package.found for package in self.packages.get("", [])},
            "extras": {
                extra: {
                    "installed": self.is_installed(extra),
                    "packages": {package.name: package.found for package in self.packages.get(extra, [])},
                }
                for extra in FOR_USERS
            },
            "tools": [
                {"name": tool.name, "path": _place(tool.path), "version": _short(tool.version), "source": tool.source}
                for places in self.tools.values()
                for tool in places
            ],
            "caches": [
                {
                    "name": cache.name,
                    "path": _place(cache.path),
                    "bytes": cache.bytes,
                    "writable": cache.is_writable,
                    "variable": cache.variable,
                }
                for cache in self.caches
            ],
            "missing": [_short(line) for line in self.missing()],
        }

    def lines(self) -> Iterator[str]:
        """Yield the findings as text."""
        found = self.as_json()
        yield f"dnnzip {found['dnnzip']['version']} in {found['dnnzip']['path']}"
        yield f"Python {found['python']['version']}, {found['python']['path']}"
        yield f"{found['system']}, {found['cores']} cores"
        yield "packages: " + ", ".join(f"{name} {number or 'missing'}" for name, number in found["packages"].items())
        yield ""
        yield from map(self._extra_line, FOR_USERS)
        yield ""
        for name, places in self.tools.items():
            yield from _tool_lines(name, places)
        yield ""
        for cache in found["caches"]:
            state = "" if cache["writable"] else ", cannot be written"
            yield (
                f"{cache['name']}: {cache['path']}, {cache['bytes'] / MEGABYTE:,.1f} MB{state} "
                f"(${cache['variable']} names another)"
            )
        yield ""
        yield from (f"missing: {line}" for line in found["missing"])
        if not found["missing"]:
            yield "nothing is missing for the extras that are installed"

    def _extra_line(self, extra: str) -> str:
        wrong = [package for package in self.packages.get(extra, []) if not package.is_right]
        if self.is_installed(extra):
            listed = ", ".join(f"{package.name} {package.found}" for package in self.packages[extra])
            return f"extra {extra}: {listed}"
        lacking = ", ".join(f"{package.name} {package.fault}" for package in wrong) or "is not known"
        return f"extra {extra}: not installed ({lacking}); {how_to_install(extra)}"


def diagnose() -> Diagnosis:
    """Look at this installation."""
    return Diagnosis(read_packages(), {name: find_tools(name) for name in TOOLS}, find_caches())


def _tool_lines(name: str, places: list[Tool]) -> Iterator[str]:
    if not places:
        yield f"{name}: not found"
    for tool in places:
        version = f", {_short(tool.version)}" if tool.version else ""
        yield f"{name}: {_place(tool.path)}{version} (from {tool.source})"


def _place(path: str | Path) -> str:
    """Return a path with the home folder as ``~``: a report tells no user's name."""
    return _short(str(path))


def _short(text: str) -> str:
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text
