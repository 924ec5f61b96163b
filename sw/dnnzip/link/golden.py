"""The golden link: the reference decoder, in plain Python, about 100,000 weights per second."""

import time
from collections.abc import Sequence

import numpy as np

from dnnzip.codec import reference
from dnnzip.format import TableSet, Verdict
from dnnzip.link.api import LinkRun, StreamResult
from dnnzip.link.opening import take_no_argument


class GoldenLink:
    """Decodes by the norm, with nothing of the codec that made the streams; cycles are 0. See ``dnnzip.link.api.Link``.

    Parameters
    ----------
    argument
        The text behind a colon in the link's name; must be empty.
    """

    def __init__(self, argument: str = "") -> None:
        take_no_argument("golden", "golden link", argument)
        self.last_run: LinkRun | None = None

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Decode every stream; see ``dnnzip.link.api.Link``."""
        start = time.perf_counter()
        table_set = TableSet.from_bytes(tables) if tables else None
        results = []
        for stream in streams:
            decoded = reference.decode(stream, table_set)
            codes = np.array(decoded.codes, np.int16) if decoded.verdict == Verdict.OK else None
            results.append(StreamResult(decoded.verdict, codes, 0))
        weights = sum(result.codes.size for result in results if result.codes is not None)
        self.last_run = LinkRun(weights, 0, 0, time.perf_counter() - start)
        return results
