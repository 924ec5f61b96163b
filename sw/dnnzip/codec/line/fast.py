"""The fast ``line`` codec: the reference's streams, byte for byte, from compiled loops."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.line import loops
from dnnzip.format import Codec, TableSet, Verdict, VerdictError, WeightHeader, WeightStream, group_words


def decode(
    payload: NDArray[np.uint16], header: WeightHeader, _table_set: TableSet | None
) -> tuple[NDArray[np.int16], int]:
    """Decode a payload; return the codes, int16 [channels, length], and the words taken."""
    codes = np.empty((header.channels, header.length), np.int16)
    verdict, taken = loops.decode_line(payload, codes.reshape(-1))
    if verdict != Verdict.OK:
        raise VerdictError(Verdict(verdict))
    return codes, taken


def encode(codes: NDArray[np.int16], channels: int) -> bytes:
    """Return the ``line`` weight stream of ``codes`` (of 16 bits) in storage order, as ``channels`` channels."""
    flat = np.ascontiguousarray(codes, np.int16).reshape(-1)
    payload = np.empty(group_words(loops.count_segments(flat)), np.uint16)
    loops.encode_line(flat, payload)
    header = WeightHeader(
        codec=Codec.LINE,
        channels=channels,
        length=flat.size // channels,
        payload_words=payload.size,
        log2_states=8,
        wide=1,
    )
    return WeightStream.sealed(header, payload.astype("<u2").tobytes()).data
