"""Distributions that dnnzip and its extras ask for, by dnnzip's own metadata, and the versions that are installed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:(>=|==)([^;\s]+))?\s*(?:;\s*extra == '([^']+)')?")

FOR_USERS = ("hw", "sim", "board", "fpga", "images", "gguf", "explore", "report", "numcodecs")
"""Extras that a command needs; the others are for work on dnnzip itself."""


@dataclass(frozen=True)
class Package:
    """A distribution that is asked for."""

    name: str  # of the distribution
    wanted: str  # the versions that will do, such as ``>=2.4``; all where empty
    found: str | None  # the version that is installed, or None

    @property
    def is_right(self) -> bool:
        """True if it is installed, and not too old."""
        if self.found is None:
            return False
        return not self.wanted.startswith(">=") or _numbers(self.found) >= _numbers(self.wanted)

    @property
    def fault(self) -> str:
        """Fault of a package that is not right, in words."""
        return "is missing" if self.found is None else f"is {self.found}, needed is {self.wanted}"


def read_packages() -> dict[str, list[Package]]:
    """Return the packages of each extra, and of dnnzip under the empty name; none where it is not installed."""
    try:
        lines = requires("dnnzip") or []
    except PackageNotFoundError:
        lines = []
    found: dict[str, list[Package]] = {}
    for name, wanted, extra in _requirements(lines):
        found.setdefault(extra, []).append(Package(name, wanted, installed_version(name)))
    return found


def installed_version(name: str) -> str | None:
    """Return the version of a distribution, or None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _requirements(lines: Iterable[str]) -> Iterable[tuple[str, str, str]]:
    """Yield name, versions and extra of each requirement."""
    for line in lines:
        parts = REQUIREMENT.match(line)
        if parts:
            name, relation, number, extra = parts.groups()
            yield name, f"{relation}{number}" if relation else "", extra or ""


def _numbers(text: str) -> list[int]:
    """Return the numbers of a version, without zeros at its end: 2.10 comes after 2.9, and 2.0 is 2."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
