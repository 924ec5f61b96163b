# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="assignment"
"""The compiled loops of the ``line`` codec, equal to ``dnnzip.codec.line.reference`` in every byte and verdict."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop, step
from dnnzip.format import MAX_SEGMENT, SEGMENT_GROUP, SEGMENTS_PER_GROUP, WORD_BITS, WORDS_PER_SEGMENT, Verdict

_LENGTH_BITS = SEGMENT_GROUP.fields[0].width
_LENGTH_BIAS = SEGMENT_GROUP.fields[0].bias
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1
_MASK = (1 << WORD_BITS) - 1
_OK = int(Verdict.OK)
_TRUNCATED = int(Verdict.TRUNCATED)
_BAD_CODE = int(Verdict.BAD_CODE)


@loop
def decode_line(words: NDArray[np.uint16], codes: NDArray[np.int16]) -> tuple[int, int]:
    """Decode a payload into ``codes`` [weights]; return (verdict, words taken)."""
    taken = 0
    done = 0
    lengths = 0
    number = 0
    while done < codes.size:
        if number % SEGMENTS_PER_GROUP == 0:
            if taken >= words.size:
                return _TRUNCATED, taken
            lengths = np.int64(words[taken])
            taken += 1
        length = (lengths & _LENGTH_MASK) + _LENGTH_BIAS
        lengths >>= _LENGTH_BITS
        number += 1
        if taken + WORDS_PER_SEGMENT > words.size:
            return _TRUNCATED, words.size
        code = np.int16(words[taken])
        slope = np.int16(words[taken + 1])
        taken += WORDS_PER_SEGMENT
        if length > codes.size - done:
            return _BAD_CODE, taken
        for place in range(done, done + length):
            codes[place] = code
            code = np.int16(code + slope)
        done += length
    return _OK, taken


@step
def _segment_end(codes: NDArray[np.int16], start: int) -> int:
    """Return where the longest exact segment from ``start`` ends."""
    end = start + 1
    if end == codes.size:
        return end
    slope = np.int64(codes[end]) - np.int64(codes[start]) & _MASK
    limit = min(codes.size, start + MAX_SEGMENT)
    while end < limit and np.int64(codes[end]) - np.int64(codes[end - 1]) & _MASK == slope:
        end += 1
    return end


@loop
def count_segments(codes: NDArray[np.int16]) -> int:
    """Return the number of segments that ``encode_line`` writes for ``codes`` [weights]."""
    start, count = 0, 0
    while start < codes.size:
        start = _segment_end(codes, start)
        count += 1
    return count


@loop
def encode_line(codes: NDArray[np.int16], payload: NDArray[np.uint16]) -> None:
    """Write the segments of ``codes`` [weights] into ``payload``, which has exactly the words that they take."""
    start, number, place, lengths_at = 0, 0, 0, 0
    while start < codes.size:
        end = _segment_end(codes, start)
        inside = number % SEGMENTS_PER_GROUP
        if inside == 0:
            lengths_at = place
            payload[place] = 0
            place += 1
        payload[lengths_at] |= np.uint16(end - start - _LENGTH_BIAS << _LENGTH_BITS * inside)
        slope = np.int64(codes[start + 1]) - np.int64(codes[start]) if end > start + 1 else np.int64(0)
        payload[place] = np.uint16(codes[start])
        payload[place + 1] = np.uint16(slope & _MASK)
        place += WORDS_PER_SEGMENT
        number += 1
        start = end
