"""The choices of an encoder for ``raw`` streams: the width of items, and the sizes that follow from it."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.raw import fast
from dnnzip.codec.tensors import CodecOptions, CodeTensor, parts_of
from dnnzip.format import CRC_WORDS, MAX_LENGTH, RAW_WIDTHS, WEIGHT_HEADER, WORD_BITS, WORD_BYTES


def streams_bytes(tensor: CodeTensor) -> int:
    """Return the size of the streams that ``encode`` makes."""
    width = item_width(tensor)
    return sum(_stream_bytes(int(tensor.codes[part].size), width) for part in parts_of(tensor.codes, 1))


def original_bytes(items: int, item_bytes: int) -> int:
    """Return the size of the streams of a `RawTensor` of a number of items of one or two bytes."""
    pieces = (min(MAX_LENGTH, items - start) for start in range(0, items, MAX_LENGTH))
    return sum(_stream_bytes(piece, 8 * item_bytes) for piece in pieces)


def _stream_bytes(items: int, width: int) -> int:
    """Return the size of a ``raw`` stream of items of a width in bits."""
    frame = (WEIGHT_HEADER.words + CRC_WORDS) * WORD_BYTES
    return frame + WORD_BYTES * -(-items * width // WORD_BITS)


def item_width(tensor: CodeTensor) -> int:
    """Return the fewest bits of an item that hold every code."""
    low, high = tensor.extremes
    return next(width for width in RAW_WIDTHS if -(1 << width - 1) <= low and high < 1 << width - 1)


def encode(tensor: CodeTensor, _options: CodecOptions) -> bytes:
    """Return the streams of a tensor, one after the other."""
    return _encode(tensor.codes, item_width(tensor))


def encode_low(tensor: CodeTensor) -> bytes:
    """Return the streams of a tensor's low bits, one after the other; none where it has no low bits."""
    return b"" if tensor.low is None else _encode(tensor.low, tensor.low_width)


def _encode(codes: NDArray[np.int16], width: int) -> bytes:
    parts = parts_of(codes, 1)
    return b"".join(fast.encode(codes[part], part.stop - part.start, width) for part in parts)


def encode_items(items: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return items as streams of one channel, each as long as a channel may be."""
    signed = items.reshape(-1).view(f"i{items.itemsize}")
    return b"".join(
        fast.encode(signed[start : start + MAX_LENGTH], 1, 8 * items.itemsize)
        for start in range(0, signed.size, MAX_LENGTH)
    )
