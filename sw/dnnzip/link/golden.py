"""The golden link: the fast codec, which equals the reference bit for bit."""

from collections.abc import Sequence

from dnnzip.codec import fast
from dnnzip.format import TableSet, Verdict
from dnnzip.link.api import StreamResult


class GoldenLink:
    """Decodes in software; cycles are 0."""

    def decode(self, tables: bytes, streams: Sequence[bytes]) -> list[StreamResult]:
        """Decode every stream; see ``dnnzip.link.api.Link``."""
        table_set = TableSet.from_bytes(tables) if tables else None
        results = []
        for stream in streams:
            decoded = fast.decode(stream, table_set)
            results.append(StreamResult(decoded.verdict, decoded.codes if decoded.verdict == Verdict.OK else None, 0))
        return results
