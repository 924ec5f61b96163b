"""The golden link: the fast codec, which equals the reference bit for bit."""

import time
from collections.abc import Sequence

from dnnzip.codec import fast
from dnnzip.format import TableSet, Verdict
from dnnzip.link.api import LinkRun, StreamResult


class GoldenLink:
    """Decodes in software; cycles are 0. See ``dnnzip.link.api.Link``."""

    def __init__(self) -> None:
        self.last_run: LinkRun | None = None

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Decode every stream; see ``dnnzip.link.api.Link``."""
        start = time.perf_counter()
        table_set = TableSet.from_bytes(tables) if tables else None
        results = []
        for stream in streams:
            decoded = fast.decode(stream, table_set)
            results.append(StreamResult(decoded.verdict, decoded.codes if decoded.verdict == Verdict.OK else None, 0))
        weights = sum(result.codes.size for result in results if result.codes is not None)
        self.last_run = LinkRun(weights, 0, 0, time.perf_counter() - start)
        return results
