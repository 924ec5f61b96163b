"""The choices of an encoder for ``line`` streams: which codes, of those that keep the weights, lie on long segments.

From the first weight on, the longest segment that passes through every interval of codes is taken, then the next. A
slope a suits the intervals [l, h] of two weights i < j where l_j - h_i <= a (j - i) <= h_j - l_i; a slope that suits
every pair of a segment has an intercept, so the slopes of a segment are an intersection of intervals. Any part of a
feasible segment is feasible, so no choice of segments needs fewer than this one.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop
from dnnzip.codec.line import fast
from dnnzip.codec.tensors import CodecOptions, CodeTensor, parts_of
from dnnzip.format import MAX_SEGMENT


@loop
def _fit(low, high, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    start = 0
    while start < low.size:
        least, most = np.int64(-(1 << 40)), np.int64(1 << 40)  # slopes that suit all pairs so far
        end = start + 1
        limit = min(low.size, start + MAX_SEGMENT)
        while end < limit:
            lower, upper = least, most
            for i in range(start, end):
                distance = end - i
                rise = np.int64(low[end]) - np.int64(high[i])
                if rise > lower * distance:
                    lower = -(-rise // distance)
                fall = np.int64(high[end]) - np.int64(low[i])
                if fall < upper * distance:
                    upper = fall // distance
                if lower > upper:
                    break
            if lower > upper:
                break
            least, most = lower, upper
            end += 1
        slope = (least + most) // 2 if end > start + 1 else np.int64(0)
        bottom, top = np.int64(-(1 << 40)), np.int64(1 << 40)
        for i in range(start, end):
            bottom = max(bottom, np.int64(low[i]) - slope * (i - start))
            top = min(top, np.int64(high[i]) - slope * (i - start))
        code = (bottom + top) // 2
        for i in range(start, end):
            codes[i] = code
            code += slope
        start = end


def fit_lines(low: NDArray[np.int32], high: NDArray[np.int32]) -> NDArray[np.int16]:
    """Choose codes on the fewest straight segments that pass through all intervals.

    Parameters
    ----------
    low, high
        int32 [n] within 16 signed bits: lowest and highest code of each weight, ``low <= high``.

    Returns
    -------
    int16 [n], ``low <= code <= high``.
    """
    codes = np.empty(low.size, np.int16)
    _fit(low, high, codes)
    return codes


def encode(tensor: CodeTensor, options: CodecOptions) -> bytes:
    """Return the streams of a tensor, one after the other."""
    parts = parts_of(tensor.codes, options.groups)
    return b"".join(fast.encode(tensor.codes[part], part.stop - part.start) for part in parts)
