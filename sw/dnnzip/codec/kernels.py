# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,index,no-any-return,operator"
"""The compiled inner loops of the fast codec.

Each loop does what ``dnnzip.codec.reference`` does, on arrays: it equals it byte for byte and verdict for verdict.
A step of all lanes is one turn of the inner loop, so that their chains of dependent loads overlap.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    CONTEXTS,
    ESCAPE,
    WORD_BITS,
    Verdict,
)

TOKEN_COUNT = -2 * ESCAPE
_LAST_CLASS = CLASSES - 1
_ESCAPE = ESCAPE
_CLASS_MASK = (1 << CLASS_BITS) - 1
_OK = int(Verdict.OK)
_TRUNCATED = int(Verdict.TRUNCATED)
_BAD_CODE = int(Verdict.BAD_CODE)
_BAD_STATE = int(Verdict.BAD_STATE)
_COLUMNS_BITS = COLUMNS_WORD["columns"].width
_OFFSETS_PER_WORD = WORD_BITS // COLUMN_OFFSET_BITS
_OFFSET_MASK = (1 << COLUMN_OFFSET_BITS) - 1
_LIMIT = -ESCAPE
_CONTEXTS = CONTEXTS

BITS_SHIFT = 16
TOKEN_SHIFT = 24
"""An entry of a decoding table, packed: base, bits << BITS_SHIFT, token << TOKEN_SHIFT (signed, at the top)."""


FINE = 256
"""Codes up to this size have a bin each."""
COARSE_STEP = 16
COARSE_LIMIT = 4096
COARSE = (COARSE_LIMIT - FINE) // COARSE_STEP
"""Bins of ``COARSE_STEP`` codes on each side, up to ``COARSE_LIMIT``."""


@numba.njit(cache=True, nogil=True)
def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


@numba.njit(cache=True, nogil=True)
def decode_ans(
    words: NDArray[np.uint16],
    declared: int,
    codes: NDArray[np.int16],
    entries: NDArray[np.int32],
    shifts: NDArray[np.int64],
    class_map: NDArray[np.int64],
    log2_states: int,
    log2_lanes: int,
    threshold: int,
    narrow: bool,
    use_context: bool,
    klass: int,
    class_per_channel: bool,
    columns: bool,
    height: int,
    width: int,
) -> tuple[int, int]:
    """Decode the payload of an ``ans`` stream into ``codes`` [channels, length]; return (verdict, words taken).

    ``words`` begins with the payload; ``entries`` is [tables, states], packed.
    """
    channels, length = codes.shape
    lanes = 1 << log2_lanes
    available = min(declared, words.size)
    taken = 0
    column_shift = 0
    offsets = np.zeros(1, np.int64)
    column_count = 0
    if columns:
        if taken >= available:
            return _TRUNCATED, taken
        first = np.int64(words[0])
        taken = 1
        column_count = (first & (1 << _COLUMNS_BITS) - 1) + 1
        column_shift = first >> _COLUMNS_BITS
        offsets = np.zeros(column_count, np.int64)
        for column in range(column_count):
            inside = column % _OFFSETS_PER_WORD
            if inside == 0:
                if taken >= available:
                    return _TRUNCATED, taken
                taken += 1
            offsets[column] = np.int64(words[taken - 1]) >> COLUMN_OFFSET_BITS * inside & _OFFSET_MASK
    if taken + lanes > available:
        return _TRUNCATED, available
    buffers = np.zeros(lanes, np.uint64)
    unread = np.zeros(lanes, np.int64)
    states = np.zeros(lanes, np.int64)
    row_classes = np.full(lanes, klass, np.int64)
    state_mask = np.uint64((1 << log2_states) - 1)
    for lane in range(lanes):
        buffers[lane] = words[taken + lane]
    taken += lanes
    for lane in range(lanes):
        states[lane] = buffers[lane] & state_mask
        buffers[lane] >>= np.uint64(log2_states)
        unread[lane] = WORD_BITS - log2_states
        if unread[lane] < threshold:
            if taken >= available:
                return _TRUNCATED, taken
            buffers[lane] |= np.uint64(words[taken]) << np.uint64(unread[lane])
            taken += 1
            unread[lane] += WORD_BITS
    taps = height * width
    # Signs of the decoded weights of the channel: of the last kernel row by tap, or of the last two weights.
    history = np.zeros((max(width, 2), lanes), np.int64)
    for start in range(0, channels, lanes):
        active = min(lanes, channels - start)
        going_on = channels - start - lanes  # lanes below this have a further channel
        if class_per_channel:
            for lane in range(active):
                row_classes[lane] = np.int64(buffers[lane]) & _CLASS_MASK
                buffers[lane] >>= np.uint64(CLASS_BITS)
                unread[lane] -= CLASS_BITS
                if unread[lane] < threshold:
                    if taken >= available:
                        return _TRUNCATED, taken
                    buffers[lane] |= np.uint64(words[taken]) << np.uint64(unread[lane])
                    taken += 1
                    unread[lane] += WORD_BITS
        history[:] = 0
        tap = 0
        x = 0
        channel_in = 0
        for position in range(length):
            offset = 0
            if columns:
                column = channel_in >> column_shift
                if column < column_count:
                    offset = offsets[column]
            if taps == 1:
                left, above = position & 1 ^ 1, position & 1
                has_left, has_above = position >= 1, position >= 2
                here = above
            else:
                left, above = x - 1, x
                has_left, has_above = x > 0, tap >= width
                here = x
            last = position + 1 == length
            for lane in range(active):
                number = 0
                negate = False
                if use_context:
                    a = history[left, lane] if has_left else 0
                    b = history[above, lane] if has_above else 0
                    number = abs(a + b)
                    negate = a < 0 or (a == 0 and b < 0)
                scale = min(row_classes[lane] + offset, _LAST_CLASS)
                table = class_map[scale, number]
                shift = shifts[table]
                entry = np.int64(entries[table, states[lane]])
                buffer = buffers[lane]
                low = np.int64(buffer) & (1 << shift) - 1
                bits = entry >> BITS_SHIFT & 15
                total = shift + bits
                states[lane] = (entry & 0xFFFF) + (np.int64(buffer >> np.uint64(shift)) & (1 << bits) - 1)
                buffer >>= np.uint64(total)
                left_bits = unread[lane] - total
                token = entry >> TOKEN_SHIFT
                if token == _ESCAPE:
                    if taken >= available:
                        return _TRUNCATED, taken
                    code = np.int64(np.int16(words[taken]))
                    taken += 1
                    history[here, lane] = 0
                else:
                    code = token << shift | low
                    if negate:
                        code = -code
                    history[here, lane] = _sign(code)
                if narrow and np.int64(np.int8(code)) != code:
                    return _BAD_CODE, taken
                codes[start + lane, position] = code
                if left_bits < threshold and (not last or lane < going_on):
                    if taken >= available:
                        return _TRUNCATED, taken
                    buffer |= np.uint64(words[taken]) << np.uint64(left_bits)
                    taken += 1
                    left_bits += WORD_BITS
                buffers[lane] = buffer
                unread[lane] = left_bits
            tap += 1
            x += 1
            if x == width:
                x = 0
            if tap == taps:
                tap = 0
                x = 0
                channel_in += 1
    for lane in range(lanes):
        if states[lane]:
            return _BAD_STATE, taken
    return _OK, taken


@numba.njit(cache=True, nogil=True)
def choose_symbols(
    codes: NDArray[np.int16],
    symbols: NDArray[np.uint16],
    has_token: NDArray[np.bool_],
    shifts: NDArray[np.int64],
    class_map: NDArray[np.int64],
    classes: NDArray[np.int64],
    offsets: NDArray[np.int64],
    column_shift: int,
    use_context: bool,
    height: int,
    width: int,
) -> int:
    """Write each weight's table * 128 + 64 * negate + token (escape: the lowest token) to ``symbols``.

    ``has_token`` is [tables, 64], by token - ``ESCAPE``. Returns the number of escapes, or -1 - table where a table
    that has no escape needs one.
    """
    channels, length = codes.shape
    taps = height * width
    escapes = 0
    history = np.zeros(max(width, 2), np.int64)
    for channel in range(channels):
        row_class = classes[channel if classes.size > 1 else 0]
        tap = 0
        x = 0
        channel_in = 0
        for position in range(length):
            offset = 0
            if offsets.size:
                column = channel_in >> column_shift
                if column < offsets.size:
                    offset = offsets[column]
            number = 0
            negate = False
            if taps == 1:
                left, above = position & 1 ^ 1, position & 1
                has_left, has_above = position >= 1, position >= 2
            else:
                left, above = x - 1, x
                has_left, has_above = x > 0, tap >= width
            if use_context:
                a = history[left] if has_left else 0
                b = history[above] if has_above else 0
                number = abs(a + b)
                negate = a < 0 or (a == 0 and b < 0)
            table = class_map[min(row_class + offset, _LAST_CLASS), number]
            code = np.int64(codes[channel, position])
            token = (-code if negate else code) >> shifts[table]
            if -_LIMIT < token < _LIMIT and has_token[table, token - _ESCAPE]:
                history[above] = _sign(code)
            else:
                token = _ESCAPE
                escapes += 1
                history[above] = 0
                if not has_token[table, 0]:
                    return -1 - table
            symbols[channel, position] = table << 7 | np.int64(negate) << 6 | (token - _ESCAPE)
            tap += 1
            x += 1
            if x == width:
                x = 0
            if tap == taps:
                tap = 0
                x = 0
                channel_in += 1
    return escapes


@numba.njit(cache=True, nogil=True)
def encode_states(
    codes: NDArray[np.int16],
    symbols: NDArray[np.uint16],
    fields: NDArray[np.uint16],
    widths: NDArray[np.uint8],
    starts: NDArray[np.int64],
    bit_thresholds: NDArray[np.int64],
    state_offsets: NDArray[np.int64],
    next_states: NDArray[np.uint16],
    shifts: NDArray[np.int64],
    lanes: int,
    states: int,
) -> int:
    """Run the tANS states backwards; write each weight's bits to ``fields`` and their number to ``widths``.

    Writes each lane's first state to ``starts``; returns the sum of ``widths``. ``bit_thresholds`` and
    ``state_offsets`` are [tables, 64]: with X = state + states, a step gives (X + bit_threshold) >> 16 bits and goes to
    ``next_states[table, (X >> bits) + state_offset]``.
    """
    channels, length = codes.shape
    total = 0
    for lane in range(lanes):
        starts[lane] = states
    for first in range((channels - 1) // lanes * lanes, -1, -lanes):
        active = min(lanes, channels - first)
        for position in range(length - 1, -1, -1):
            for lane in range(active):
                channel = first + lane
                symbol = np.int64(symbols[channel, position])
                table = symbol >> 7
                index = symbol & 63
                shift = shifts[table]
                low = 0
                if index:
                    code = np.int64(codes[channel, position])
                    low = (-code if symbol & 64 else code) & (1 << shift) - 1
                state = starts[lane]
                bits = (state + bit_thresholds[table, index]) >> 16
                fields[channel, position] = low | (state & (1 << bits) - 1) << shift
                widths[channel, position] = shift + bits
                total += shift + bits
                starts[lane] = np.int64(next_states[table, (state >> bits) + state_offsets[table, index]]) + states
    for lane in range(lanes):
        starts[lane] -= states
    return total


@numba.njit(cache=True, nogil=True)
def interleave(
    codes: NDArray[np.int16],
    symbols: NDArray[np.uint16],
    fields: NDArray[np.uint16],
    widths: NDArray[np.uint8],
    starts: NDArray[np.int64],
    classes: NDArray[np.int64],
    lanes: int,
    log2_states: int,
    threshold: int,
    payload: NDArray[np.uint16],
) -> int:
    """Write the lanes' words to ``payload`` in the order in which a decoder takes them; return their number.

    Each lane looks ahead in its own weights for the 16 bits of its next word.
    """
    channels, length = codes.shape
    per_channel = classes.size > 1
    written = 0
    unread = np.zeros(lanes, np.int64)
    ahead = np.zeros(lanes, np.uint64)
    ahead_bits = np.zeros(lanes, np.int64)
    ahead_channel = np.zeros(lanes, np.int64)
    ahead_position = np.zeros(lanes, np.int64)
    for lane in range(lanes):
        ahead[lane] = starts[lane]
        ahead_bits[lane] = log2_states
        ahead_channel[lane] = lane
        ahead_position[lane] = -1
    last_first = (channels - 1) // lanes * lanes
    # Turn -2 takes the first words, turn -1 is the start round; a class round has position -1.
    for first in range(-2 * lanes, last_first + 1, lanes):
        opening = first < 0
        active = lanes if opening else min(lanes, channels - first)
        begin = length - 1 if opening else (-1 if per_channel else 0)
        for position in range(begin, length):
            for lane in range(active):
                channel = first + lane
                if not opening and position >= 0:
                    unread[lane] -= widths[channel, position]
                    if symbols[channel, position] & 63 == 0:
                        payload[written] = np.uint16(codes[channel, position])
                        written += 1
                    if position + 1 == length and channel + lanes >= channels:
                        continue
                elif not opening:
                    unread[lane] -= CLASS_BITS
                elif first == -lanes:
                    unread[lane] -= log2_states
                if unread[lane] < threshold:
                    bits = ahead_bits[lane]
                    buffer = ahead[lane]
                    source = ahead_channel[lane]
                    place = ahead_position[lane]
                    while bits < WORD_BITS and source < channels:
                        if place < 0:
                            if per_channel:
                                buffer |= np.uint64(classes[source]) << np.uint64(bits)
                                bits += CLASS_BITS
                        else:
                            buffer |= np.uint64(fields[source, place]) << np.uint64(bits)
                            bits += np.int64(widths[source, place])
                        place += 1
                        if place == length:
                            place = -1
                            source += lanes
                    payload[written] = buffer & np.uint64(0xFFFF)
                    written += 1
                    ahead[lane] = buffer >> np.uint64(WORD_BITS)
                    ahead_bits[lane] = max(bits - WORD_BITS, 0)
                    ahead_channel[lane] = source
                    ahead_position[lane] = place
                    unread[lane] += WORD_BITS
    return written


@numba.njit(cache=True, nogil=True)
def bin_of(code: int, fine: int) -> int:
    """Return the bin of a code, counted from 0 at the lowest; ``fine`` is the network's number of fine values."""
    size = code if code >= 0 else -code - 1
    if size < fine:
        place = size
    elif size < COARSE_LIMIT:
        place = fine + (size - FINE) // COARSE_STEP
    else:
        place = fine + COARSE
    half = fine if fine < FINE else FINE + COARSE + 1
    return half + place if code >= 0 else half - 1 - place


@numba.njit(cache=True, nogil=True)
def count_codes(
    codes: NDArray[np.int16],
    histogram: NDArray[np.uint32],
    height: int,
    width: int,
    fine: int,
    offsets: NDArray[np.int64],
    column_shift: int,
    one_unit: bool,
) -> None:
    """Count the codes of a tensor into ``histogram`` [units, column offsets, contexts and one without, bins]."""
    channels, length = codes.shape
    taps = height * width
    signs = np.zeros(length, np.int64)
    for channel in range(channels):
        unit = 0 if one_unit else channel
        tap = 0
        x = 0
        channel_in = 0
        for position in range(length):
            code = np.int64(codes[channel, position])
            signs[position] = (code > 0) - (code < 0)
            if taps == 1:
                a = signs[position - 1] if position >= 1 else 0
                b = signs[position - 2] if position >= 2 else 0
            else:
                a = signs[position - 1] if x > 0 else 0
                b = signs[position - width] if tap >= width else 0
            offset = 0
            if offsets.size:
                column = channel_in >> column_shift
                if column < offsets.size:
                    offset = offsets[column]
            negate = a < 0 or (a == 0 and b < 0)
            histogram[unit, offset, abs(a + b), bin_of(-code if negate else code, fine)] += 1
            histogram[unit, offset, _CONTEXTS, bin_of(code, fine)] += 1
            tap += 1
            x += 1
            if x == width:
                x = 0
            if tap == taps:
                tap = 0
                x = 0
                channel_in += 1
