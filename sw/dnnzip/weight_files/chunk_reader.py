"""Bytes that come in pieces, read in portions of any size."""

from collections.abc import Iterator


class ChunkReader:
    """Reads bytes in order from pieces; no more of them are taken than are needed.

    Parameters
    ----------
    chunks
        The pieces.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._front = b""
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""
        parts: list[bytes] = []
        while size:
            if self._position == len(self._front):
                self._front, self._position = next(self._chunks, b""), 0
                if not self._front:
                    break
            part = self._front[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)
