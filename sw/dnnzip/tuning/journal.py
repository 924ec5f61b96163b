"""Measurements of a long search in a file, so that an interrupted search resumes.

A search is deterministic: run again, it asks for the same measurements in the same order, and the journal answers those
that it knows. So a search that was interrupted ends as one that was not.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnnzip.errors import InputError, field_name
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.reading import read_bounded
from dnnzip.system.outputs import write_output

#: Bytes of a journal that are read at most.
LARGEST = 1 << 30

#: Settings that are files, and no options.
FILES = ("model", "data")

#: Key of the SHA-256 of all else: a measurement that was changed would end in another result, or in the middle.
DIGEST = "sha256"


class Journal:
    """Measurements by name.

    Parameters
    ----------
    path
        The file; None keeps them in memory alone.
    settings
        What the measurements depend on: numbers and texts.
    resume
        Insist on a file that is there. One that is there is taken up in any case.

    Raises
    ------
    InputError
        The file is no journal, or one of other settings, which a search would overwrite; or it is not there to be
        resumed.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any], resume: bool) -> None:
        self._path = path
        self._settings = json.loads(json.dumps(settings))
        self._known: dict[str, Any] = {}
        if path is not None and (resume or path.exists()):
            self._known = self._read(path)

    @property
    def known(self) -> int:
        """Number of measurements."""
        return len(self._known)

    def measured(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return a measurement by name: what the journal knows, or what ``measure`` returns, which is written down.

        Parameters
        ----------
        name
            Unique in the search.
        measure
            Returns a value that JSON can hold.
        """
        if name not in self._known:
            self.write(name, measure())
        return self._known[name]

    def write(self, name: str, value: Any) -> None:
        """Write a measurement down, over one of the same name."""
        self._known[name] = json.loads(json.dumps(value))
        if self._path is not None:
            content = {"settings": self._settings, "measured": self._known}
            write_output(self._path, json.dumps({**content, DIGEST: _digest(content)}).encode())

    def remove(self) -> None:
        """Remove the file: the search is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any]:
        if not path.exists():
            raise InputError(
                str(path), "is not there: there is nothing to resume", f"start without {field_name('resume')}"
            )
        right = "remove it to start anew"
        try:
            content = parse_json(read_bounded(path, LARGEST, right))
            digest = content.pop(DIGEST)
            settings, measured = content["settings"], content["measured"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(str(path), "is no journal of a search", right) from None
        if not isinstance(settings, dict) or not isinstance(measured, dict):
            raise InputError(str(path), "is no journal of a search", right)
        if digest != _digest(content):
            raise InputError(str(path), "is damaged: its digest does not match", right)
        for name, value in self._settings.items():
            if settings.get(name) != value:
                other = name if name in FILES else field_name(name)
                wrong = f"is of a search that was interrupted, with another {other}"
                raise InputError(str(path), wrong, f"give the same, or {right}")
        return measured


@dataclass(frozen=True)
class Measuring:
    """The measurements of a search: each has a name, and may be known from before."""

    measured: Callable[[str, Callable[[], Any]], Any]  # returns a measurement by name, see `Journal.measured`
    step: Callable[[str], None]  # called with a text after each piece of work

    def under(self, prefix: str) -> "Measuring":
        """Return the same with a prefix before each name."""
        return replace(self, measured=lambda name, measure: self.measured(f"{prefix}{name}", measure))

    def counted(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return a measurement by name; it is a piece of work."""
        value = self.measured(name, measure)
        self.step(name)
        return value


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
