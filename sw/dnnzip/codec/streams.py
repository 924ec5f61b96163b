"""Tensors from their streams."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import fast
from dnnzip.format import Codec, TableSet, Verdict, VerdictError, WeightStream


def decode_tensor(stream: bytes, tables: bytes) -> NDArray[np.int16]:
    """Return the codes of a tensor, int16 [channels, length], from its stream or streams.

    Raises
    ------
    VerdictError
        With the verdict of the table set or of the first stream that is not ok.
    """
    table_set = _table_set(tables) if tables else None
    streams = WeightStream.split(stream)
    parts = []
    for part in streams:
        decoded = fast.decode(part.data, table_set)
        if decoded.codes is None:
            raise VerdictError(decoded.verdict)
        parts.append(decoded.codes)
    return join_parts(parts, streams)


@lru_cache(maxsize=8)
def _table_set(tables: bytes) -> TableSet:
    """Return the table set of a stream; a network's tensors are decoded with the same one."""
    return TableSet.from_bytes(tables)


def join_parts(parts: Sequence[NDArray[np.int16]], streams: Sequence[WeightStream]) -> NDArray[np.int16]:
    """Return a tensor's codes, int16 [channels, length], from those of its streams.

    Streams hold whole channels; but ``raw`` ones of one channel are the pieces of one that is too long for a stream.

    Raises
    ------
    VerdictError
        ``bad header`` where the streams are not those of one tensor.
    """
    headers = [stream.header for stream in streams]
    pieces = all(header.codec == Codec.RAW and header.channels == 1 for header in headers)
    if not pieces and len({header.length for header in headers}) > 1:
        raise VerdictError(Verdict.BAD_HEADER)
    # One part is the tensor: a copy would take its memory twice.
    return np.concatenate(parts, axis=1 if pieces else 0) if len(parts) > 1 else parts[0]


def stream_count(stream: bytes) -> int:
    """Return the weights (``raw``: items) that a tensor's streams declare; raises as ``WeightStream.split`` does."""
    return sum(part.header.weights for part in WeightStream.split(stream))
