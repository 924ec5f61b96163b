"""Interface of every link, and the function that opens one by its name on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import Verdict
from dnnzip.link.opening import open_named


@dataclass(frozen=True)
class StreamResult:
    """Result of one weight stream from a link."""

    verdict: Verdict  # how the stream ended
    codes: NDArray[np.int16] | None  # int16 [channels, length]; None where the verdict is not ok
    cycles: int  # clock cycles from the first word taken to the end beat given; 0 where the link has no clock


@dataclass(frozen=True)
class LinkRun:
    """Figures of one ``decode``."""

    weights: int  # weights that the link returned, those of streams that failed included
    # Clock cycles from the first word to the last end beat, loading of the tables included; 0 without a clock.
    cycles: int
    table_cycles: int  # clock cycles from the first word of the table set to its end beat; 0 where none was loaded
    seconds: float  # time that the decoder itself took, without its start

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

        Parameters
        ----------
        tables
            Bytes of the table set; may be empty where no stream needs one.
        streams
            Bytes of each weight stream.
        """
        ...


def open_link(name: str) -> Link:
    """Return a link by its name: ``golden``, or one that an installed extra provides; see ``open_named``."""
    link: Link = open_named("link", name)
    return link
