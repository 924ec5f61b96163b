"""What every link can do, and how one is opened by its name on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.errors import InputError, field_name
from dnnzip.format import Verdict
from dnnzip.system import extras

ENTRY_POINTS = "dnnzip.links"


@dataclass(frozen=True)
class StreamResult:
    """What a link made of one weight stream.

    Parameters
    ----------
    verdict
        How the stream ended.
    codes
        int16 [channels, length]; None where the verdict is not ok.
    cycles
        Clock cycles from the first word taken to the end beat given; 0 where the link has no clock.
    """

    verdict: Verdict
    codes: NDArray[np.int16] | None
    cycles: int


@dataclass(frozen=True)
class LinkRun:
    """Figures of one ``decode``.

    Parameters
    ----------
    weights
        Weights that the link gave, those of streams that failed included.
    cycles
        Clock cycles from the first word to the last end beat, loading of the tables included; 0 without a clock.
    table_cycles
        Clock cycles from the first word of the table set to its end beat; 0 where none was loaded.
    seconds
        Time that the decoder itself took, without its start.
    """

    weights: int
    cycles: int
    table_cycles: int
    seconds: float

    @property
    def weights_per_second(self) -> float:
        """Weights per second of the decoder itself."""
        return self.weights / self.seconds if self.seconds else 0.0


class Link(Protocol):
    """Decodes weight streams with one table set.

    Members
    -------
    last_run
        Figures of the last ``decode`` that streamed anything, or None.
    """

    last_run: LinkRun | None

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Load the table set, decode every weight stream in turn, and return a result for each.

        ``tables`` may be empty where no stream needs a table set.
        """
        ...


def open_link(name: str) -> Link:
    """Return the link of that name: ``golden``, or one that an installed extra provides (``sim``).

    What follows a colon in the name, for example the port in ``serial:/dev/ttyUSB0``, goes to the link.

    Raises
    ------
    InputError
        If there is no such link.
    MissingToolError
        If it needs an extra that is not installed.
    """
    kind, _, argument = name.partition(":")
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        raise InputError(field_name("link"), f"no link is named {kind!r}", f"one of {', '.join(sorted(found))}")
    try:
        factory = found[kind].load()
    except ImportError as error:
        raise extras.missing(f"{field_name('link')} {kind}", error.name, extras.LINKS.get(kind, "")) from error
    link: Link = factory(argument) if argument else factory()
    return link
