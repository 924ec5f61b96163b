# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,call-overload,index,no-any-return,operator,return-value"
"""The compiled inner loops of the fast codec.

Each loop does what ``dnnzip.codec.reference`` does, on arrays: it equals it byte for byte and verdict for verdict.
A step of all lanes is one turn of the inner loop, so that their chains of dependent loads overlap.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from dnnzip.format import (
    CLASS_BITS,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_TABLES,
    REFILL_BITS,
    SHIFT_BITS,
    TOKEN_BITS,
    WORD_BITS,
    Verdict,
)

TOKEN_COUNT = -2 * ESCAPE
_ESCAPE = ESCAPE
_OK = int(Verdict.OK)
_TRUNCATED = int(Verdict.TRUNCATED)
_BAD_CODE = int(Verdict.BAD_CODE)
_BAD_STATE = int(Verdict.BAD_STATE)
_LIMIT = -ESCAPE
_CONTEXTS = CONTEXTS
_REFILL_BITS = REFILL_BITS

CONTEXT_BITS = 2
CONTEXT_MASK = (1 << CONTEXT_BITS) - 1
TOKEN_MASK = TOKEN_COUNT - 1
PLACE_BITS = TOKEN_BITS + (MAX_TABLES - 1).bit_length()
PLACE_MASK = (1 << PLACE_BITS) - 1
ESCAPE_MARK_BIT = 7
"""A weight takes at most 16 bits, so the top bit of its width is free to mark an escape."""

BITS_SHIFT = MAX_LOG2_STATES
SHIFT_SHIFT = BITS_SHIFT + 4
TOKEN_SHIFT = 24
"""An entry of a decoding table, packed: base, bits, the table's shift, and the token (signed, at the top)."""
BASE_MASK = (1 << BITS_SHIFT) - 1
BITS_MASK = (1 << SHIFT_SHIFT - BITS_SHIFT) - 1
SHIFT_MASK = (1 << SHIFT_BITS) - 1


FINE = 256
"""Codes up to this size have a bin each."""
COARSE_STEP = 16
COARSE_LIMIT = 4096
COARSE = (COARSE_LIMIT - FINE) // COARSE_STEP
"""Bins of ``COARSE_STEP`` codes on each side, up to ``COARSE_LIMIT``."""


@numba.njit(cache=True, nogil=True)
def _neighbour_masks(
    length: int, height: int, width: int, has_left: NDArray[np.int8], has_above: NDArray[np.int8]
) -> int:
    """Write whether each position has its two neighbours; return how far back the second one is."""
    taps = height * width
    if taps == 1:
        for position in range(length):
            has_left[position] = position >= 1
            has_above[position] = position >= 2
        return 2
    x = 0
    tap = 0
    for position in range(length):
        has_left[position] = x > 0
        has_above[position] = tap >= width
        x += 1
        tap += 1
        if x == width:
            x = 0
        if tap == taps:
            tap = 0
            x = 0
    return width


@numba.njit(cache=True, nogil=True)
def _situation(a: int, b: int) -> int:
    """Return context | negate << 2 for the signs of two neighbours."""
    return np.uint8(abs(a + b)) | np.uint8((a < 0) | ((a == 0) & (b < 0))) << np.uint8(CONTEXT_BITS)


@numba.njit(cache=True, nogil=True)
def decode_ans(
    words: NDArray[np.uint16],
    taken: int,
    available: int,
    codes: NDArray[np.int16],
    entries: NDArray[np.int32],
    class_tables: NDArray[np.int32],
    offsets: NDArray[np.uint8],
    log2_states: int,
    log2_lanes: int,
    narrow: bool,
    use_context: bool,
    klass: int,
    class_per_channel: bool,
    height: int,
    width: int,
) -> tuple[int, int]:
    """Decode the words of the virtual lanes into ``codes`` [channels, length]; return (verdict, words taken).

    Words ``taken`` to ``available`` are theirs; what comes before, the column offsets, is in ``offsets``: column
    offset << 2 of each position. ``entries`` is flat and packed, a table's shift in each; ``class_tables`` [classes,
    offset << 2 | context] says where in it a table begins.
    """
    channels, length = codes.shape
    lanes = 1 << log2_lanes
    if taken + lanes > available:
        return _TRUNCATED, available
    buffers = np.zeros(lanes, np.uint64)
    unread = np.full(lanes, WORD_BITS, np.int64)
    states = np.zeros(lanes, np.int64)
    row_classes = np.full(lanes, klass, np.int64)
    for lane in range(lanes):
        buffers[lane] = words[taken]
        taken += 1
    has_left = np.zeros(length, np.int8)
    has_above = np.zeros(length, np.int8)
    back = _neighbour_masks(length, height, width, has_left, has_above)
    # Signs of the decoded weights of the channels, as far back as the farther neighbour.
    depth = 1
    while depth <= back:
        depth *= 2
    signs = np.zeros(depth * lanes, np.int8)
    flat = codes.reshape(-1)
    outside = np.int64(0)  # not zero once a code has more than 8 bits
    for opening in range(1 + (channels - 1) // lanes + 1):
        first = (opening - 1) * lanes
        is_start = opening == 0
        active = lanes if is_start else min(lanes, channels - first)
        if is_start or class_per_channel:
            bits = log2_states if is_start else CLASS_BITS
            for lane in range(active):
                value = np.int64(buffers[lane]) & (1 << bits) - 1
                if is_start:
                    states[lane] = value
                else:
                    row_classes[lane] = value
                buffers[lane] >>= np.uint64(bits)
                unread[lane] -= bits
                if unread[lane] < _REFILL_BITS:
                    if taken >= available:
                        return _TRUNCATED, taken
                    buffers[lane] |= np.uint64(words[taken]) << np.uint64(unread[lane])
                    taken += 1
                    unread[lane] += WORD_BITS
        if is_start:
            continue
        signs[:] = 0
        for position in range(length):
            offset = np.int64(offsets[position])
            here = (position & depth - 1) * lanes
            left = (position - 1 & depth - 1) * lanes
            above = (position - back & depth - 1) * lanes
            left_mask, above_mask = np.int64(has_left[position]), np.int64(has_above[position])
            # In its last step a lane takes no word.
            going_on = active if position + 1 < length else max(min(active, channels - first - lanes), 0)
            place = first * length + position
            # A step takes two words at the most; only near the end of them each has to be looked for.
            is_near_end = taken + 2 * active > available
            for lane in range(active):
                context = 0
                flip = 0
                if use_context:
                    a = np.int64(signs[np.uint64(left + lane)]) * left_mask
                    b = np.int64(signs[np.uint64(above + lane)]) * above_mask
                    context = abs(a + b)
                    flip = -np.int64((a < 0) | ((a == 0) & (b < 0)))
                table = np.int64(class_tables[np.uint64(row_classes[lane]), np.uint64(offset | context)])
                entry = np.int64(entries[np.uint64(table | states[lane])])
                buffer = buffers[lane]
                shift = entry >> SHIFT_SHIFT & SHIFT_MASK
                bits = entry >> BITS_SHIFT & BITS_MASK
                low = np.int64(buffer) & (1 << shift) - 1
                buffer >>= np.uint64(shift)
                states[lane] = (entry & BASE_MASK) + (np.int64(buffer) & (1 << bits) - 1)
                buffer >>= np.uint64(bits)
                left_bits = unread[lane] - shift - bits
                token = entry >> TOKEN_SHIFT
                if token == _ESCAPE:
                    if is_near_end and taken >= available:
                        return _TRUNCATED, taken
                    code = np.int64(np.int16(words[np.uint64(taken)]))
                    taken += 1
                    signs[np.uint64(here + lane)] = 0
                else:
                    code = ((token << shift | low) ^ flip) - flip
                    signs[np.uint64(here + lane)] = np.int8(code > 0) - np.int8(code < 0)
                outside |= np.int64(np.int8(code)) ^ code
                flat[np.uint64(place)] = code
                place += length
                due = np.int64(left_bits < _REFILL_BITS) & np.int64(lane < going_on)
                if is_near_end:
                    if due:
                        if taken >= available:
                            return _TRUNCATED, taken
                        buffer |= np.uint64(words[taken]) << np.uint64(left_bits)
                        taken += 1
                        left_bits += WORD_BITS
                else:
                    # Without a branch, which no predictor would foresee.
                    word = np.uint64(words[np.uint64(taken)]) << np.uint64(left_bits)
                    buffer |= word & np.uint64(0) - np.uint64(due)
                    taken += due
                    left_bits += due * WORD_BITS
                buffers[lane] = buffer
                unread[lane] = left_bits
    if narrow and outside:
        return _BAD_CODE, taken
    for lane in range(lanes):
        if states[lane]:
            return _BAD_STATE, taken
    return _OK, taken


@numba.njit(cache=True, nogil=True)
def choose_symbols(
    codes: NDArray[np.int16],
    symbols: NDArray[np.uint16],
    lanes: int,
    has_token: NDArray[np.bool_],
    shifts: NDArray[np.int64],
    class_tables: NDArray[np.uint8],
    classes: NDArray[np.int64],
    offsets: NDArray[np.uint8],
    use_context: bool,
    height: int,
    width: int,
    safe: int,
) -> int:
    """Write what each weight is coded as to ``symbols``, in the order of decoding.

    A symbol is the place of its token in the tables, table * 64 + token - ``ESCAPE`` (an escape has place 0 of its
    table), and above ``PLACE_BITS`` its low bits. ``class_tables`` is [classes, offset << 2 | context]; ``offsets`` is
    the column offset << 2 of each position. Codes up to ``safe`` in size (of -1 - code where negative) have a token in
    every table. Returns the number of escapes, or -1 - table where a table that has no escape needs one.
    """
    channels, length = codes.shape
    has_left = np.zeros(length, np.int8)
    has_above = np.zeros(length, np.int8)
    back = _neighbour_masks(length, height, width, has_left, has_above)
    pad = max(back, 1)
    signs = np.zeros(length + pad, np.int8)
    situations = np.zeros(length, np.uint8)
    escapes = 0
    for channel in range(channels):
        row = codes[channel]
        tables = class_tables[classes[channel if classes.size > 1 else 0]]
        largest = np.int16(0)
        for position in range(length):
            code = row[position]
            signs[position + pad] = np.int8(code > 0) - np.int8(code < 0)
            largest = max(largest, max(code, np.int16(~code)))
        if use_context:
            for position in range(length):
                situations[position] = _situation(
                    signs[position + pad - 1] * has_left[position], signs[position + pad - back] * has_above[position]
                )
        first = channel // lanes * lanes
        active = min(lanes, channels - first)
        place = np.uint64(first * length + channel - first)
        step = np.uint64(active)
        if largest <= safe:
            for position in range(length):
                situation = np.int64(situations[position])
                table = np.int64(tables[offsets[position] | situation & CONTEXT_MASK])
                flip = -(situation >> CONTEXT_BITS)
                coded = (np.int64(row[position]) ^ flip) - flip
                shift = shifts[table]
                symbols[place] = (
                    table << TOKEN_BITS | (coded >> shift) + _LIMIT | (coded & (1 << shift) - 1) << PLACE_BITS
                )
                place += step
            continue
        for position in range(length):
            situation = np.int64(situations[position])
            table = np.int64(tables[offsets[position] | situation & CONTEXT_MASK])
            flip = -(situation >> CONTEXT_BITS)
            coded = (np.int64(row[position]) ^ flip) - flip
            shift = shifts[table]
            token = coded >> shift
            if -_LIMIT < token < _LIMIT and has_token[table, token + _LIMIT]:
                symbols[place] = table << TOKEN_BITS | token + _LIMIT | (coded & (1 << shift) - 1) << PLACE_BITS
            else:
                if not has_token[table, 0]:
                    return -1 - table
                escapes += 1
                symbols[place] = table << TOKEN_BITS
                if use_context:
                    # An escape counts as zero for the weights that it is a neighbour of.
                    signs[position + pad] = 0
                    for other in (position + 1, position + back):
                        if other < length:
                            situations[other] = _situation(
                                signs[other + pad - 1] * has_left[other], signs[other + pad - back] * has_above[other]
                            )
            place += step
    return escapes


@numba.njit(cache=True, nogil=True)
def encode_states(
    channels: int,
    length: int,
    symbols: NDArray[np.uint16],
    widths: NDArray[np.uint8],
    lane_words: NDArray[np.uint16],
    begins: NDArray[np.int64],
    classes: NDArray[np.int64],
    bit_thresholds: NDArray[np.int64],
    state_offsets: NDArray[np.int64],
    next_states: NDArray[np.int16],
    shifts: NDArray[np.int64],
    lanes: int,
    log2_states: int,
) -> None:
    """Run the tANS states backwards and write every lane's bits, the last ones first.

    ``widths`` gets each weight's bits, with the bit ``ESCAPE_MARK_BIT`` on escapes. ``lane_words`` [lanes * capacity]
    is filled from each lane's end; ``begins`` gets the bit at which the lane begins. With X = state + states, a step
    gives (X + bit_thresholds[place]) >> 16 bits and goes on to X = next_states[(X >> bits) + state_offsets[place]].
    """
    capacity = lane_words.size // lanes
    states = np.full(lanes, 1 << log2_states, np.int64)
    buffers = np.zeros(lanes, np.uint64)
    held = np.zeros(lanes, np.int64)
    ends = np.zeros(lanes, np.int64)
    for lane in range(lanes):
        ends[lane] = (lane + 1) * capacity
    index = channels * length
    for first in range((channels - 1) // lanes * lanes, -1, -lanes):
        active = min(lanes, channels - first)
        for _ in range(length):
            index -= active
            for lane in range(active):
                symbol = np.int64(symbols[np.uint64(index + lane)])
                place = np.uint64(symbol & PLACE_MASK)
                state = states[lane]
                shift = shifts[place >> np.uint64(TOKEN_BITS)]
                bits = (state + bit_thresholds[place]) >> 16
                total = shift + bits
                is_escape = np.int64(place & np.uint64(TOKEN_MASK) == 0)
                widths[np.uint64(index + lane)] = total | is_escape << ESCAPE_MARK_BIT
                value = symbol >> PLACE_BITS | (state & (1 << bits) - 1) << shift
                states[lane] = next_states[np.uint64((state >> bits) + state_offsets[place])]
                # Earlier bits go below later ones; of 16 bits and more the latest 16 leave at the top.
                buffer = buffers[lane] << np.uint64(total) | np.uint64(value)
                number = held[lane] + total
                lane_words[np.uint64(ends[lane] - 1)] = np.uint16(buffer >> np.uint64(number - WORD_BITS & 63))
                leaves = np.int64(number >= WORD_BITS)
                number -= leaves * WORD_BITS
                ends[lane] -= leaves
                held[lane] = number
                buffers[lane] = buffer & (np.uint64(1) << np.uint64(number)) - np.uint64(1)
        if classes.size > 1:
            for lane in range(active):
                buffers[lane] = buffers[lane] << np.uint64(CLASS_BITS) | np.uint64(classes[first + lane])
                held[lane] += CLASS_BITS
                if held[lane] >= WORD_BITS:
                    held[lane] -= WORD_BITS
                    ends[lane] -= 1
                    lane_words[ends[lane]] = np.uint16(buffers[lane] >> np.uint64(held[lane]))
    for lane in range(lanes):
        buffer = buffers[lane] & (np.uint64(1) << np.uint64(held[lane])) - np.uint64(1)
        buffer = buffer << np.uint64(log2_states) | np.uint64(states[lane] - (1 << log2_states))
        number = held[lane] + log2_states
        begins[lane] = ends[lane] * WORD_BITS - number
        while number > 0:
            ends[lane] -= 1
            shift = number - WORD_BITS
            lane_words[ends[lane]] = np.uint16(
                buffer >> np.uint64(shift) if shift >= 0 else buffer << np.uint64(-shift)
            )
            number = max(shift, 0)
            buffer &= (np.uint64(1) << np.uint64(number)) - np.uint64(1)


@numba.njit(cache=True, nogil=True)
def interleave(
    codes: NDArray[np.int16],
    widths: NDArray[np.uint8],
    lane_words: NDArray[np.uint16],
    begins: NDArray[np.int64],
    lanes: int,
    class_per_channel: bool,
    log2_states: int,
    payload: NDArray[np.uint16],
) -> int:
    """Write the lanes' words to ``payload`` in the order in which a decoder takes them; return their number.

    ``lane_words`` has a spare word at its end; a lane's word may begin anywhere in two of it. Every step writes its
    lane's next word and keeps it where the lane is due one, which no branch has to predict.
    """
    channels, length = codes.shape
    written = 0
    unread = np.zeros(lanes, np.int64)
    places = begins // WORD_BITS
    shifts = (begins % WORD_BITS).astype(np.uint64)
    # The first words, the start round and the class rounds are steps without a weight.
    for opening in (0, log2_states):
        for lane in range(lanes):
            unread[lane] -= opening
            if opening == 0 or unread[lane] < _REFILL_BITS:
                payload[written] = _lane_word(lane_words, places[lane], shifts[lane])
                written += 1
                places[lane] += 1
                unread[lane] += WORD_BITS
    index = 0
    for first in range(0, channels, lanes):
        active = min(lanes, channels - first)
        if class_per_channel:
            for lane in range(active):
                unread[lane] -= CLASS_BITS
                if unread[lane] < _REFILL_BITS:
                    payload[written] = _lane_word(lane_words, places[lane], shifts[lane])
                    written += 1
                    places[lane] += 1
                    unread[lane] += WORD_BITS
        for position in range(length):
            # In its last step a lane takes no word.
            going_on = active if position + 1 < length else max(min(active, channels - first - lanes), 0)
            for lane in range(active):
                width = np.int64(widths[np.uint64(index)])
                index += 1
                if width >= 1 << ESCAPE_MARK_BIT:
                    payload[written] = np.uint16(codes[first + lane, position])
                    written += 1
                    width -= 1 << ESCAPE_MARK_BIT
                left = unread[lane] - width
                due = np.int64(left < _REFILL_BITS) & np.int64(lane < going_on)
                place = places[lane]
                payload[np.uint64(written)] = _lane_word(lane_words, place, shifts[lane])
                written += due
                places[lane] = place + due
                unread[lane] = left + due * WORD_BITS
    return written


@numba.njit(cache=True, nogil=True)
def _lane_word(lane_words: NDArray[np.uint16], place: int, shift: int) -> int:
    """Return the 16 bits that begin ``shift`` bits into the word at ``place``."""
    index = np.uint64(place)
    pair = np.uint64(lane_words[index]) | np.uint64(lane_words[index + np.uint64(1)]) << np.uint64(WORD_BITS)
    return np.uint16(pair >> shift)


@numba.njit(cache=True, nogil=True)
def place_of(size: int) -> int:
    """Return the place of a code's bin on its side, by its size (of a negative code, -1 - code)."""
    if size < FINE:
        return size
    if size < COARSE_LIMIT:
        return FINE + (size - FINE) // COARSE_STEP
    return FINE + COARSE


@numba.njit(cache=True, nogil=True)
def bin_of(code: int, places: int) -> int:
    """Return the bin of a code, counted from 0 at the lowest; ``places`` is the number of bins on each side."""
    place = place_of(code if code >= 0 else -code - 1)
    return places + place if code >= 0 else places - 1 - place


@numba.njit(cache=True, nogil=True)
def count_codes(
    codes: NDArray[np.int16],
    histogram: NDArray[np.floating],
    height: int,
    width: int,
    offsets: NDArray[np.uint8],
    one_unit: bool,
) -> None:
    """Count the codes of a tensor into ``histogram`` [units, column offsets, contexts and one without, bins].

    ``offsets`` is the column offset of each position. A code counts under its context as coded there, and once more as
    it is.
    """
    channels, length = codes.shape
    has_left = np.zeros(length, np.int8)
    has_above = np.zeros(length, np.int8)
    back = _neighbour_masks(length, height, width, has_left, has_above)
    pad = max(back, 1)
    signs = np.zeros(length + pad, np.int8)
    situations = np.zeros(length, np.uint8)
    places = histogram.shape[3] // 2
    for channel in range(channels):
        row = codes[channel]
        largest = np.int16(0)
        for position in range(length):
            code = row[position]
            signs[position + pad] = np.int8(code > 0) - np.int8(code < 0)
            largest = max(largest, max(code, np.int16(~code)))
        for position in range(length):
            situations[position] = _situation(
                signs[position + pad - 1] * has_left[position], signs[position + pad - back] * has_above[position]
            )
        unit = histogram[0 if one_unit else channel]
        # A negated code is one larger than its size here.
        is_fine = largest + 1 < FINE
        for position in range(length):
            situation = np.int64(situations[position])
            flip = -(situation >> CONTEXT_BITS)
            code = np.int64(row[position])
            coded = (code ^ flip) - flip
            counts = unit[offsets[position]]
            if is_fine:
                counts[situation & CONTEXT_MASK, np.uint64(places + coded)] += 1
                counts[_CONTEXTS, np.uint64(places + code)] += 1
            else:
                counts[situation & CONTEXT_MASK, bin_of(coded, places)] += 1
                counts[_CONTEXTS, bin_of(code, places)] += 1


@numba.njit(cache=True, nogil=True)
def column_costs(
    codes: NDArray[np.int16],
    classes: NDArray[np.int64],
    bits: NDArray[np.float32],
    columns: NDArray[np.int64],
    costs: NDArray[np.float64],
) -> None:
    """Add to ``costs`` [columns, offsets] the bits of each column under each offset.

    ``bits`` is [bins of codes from 0 up, classes]; ``columns`` is the column of each position, ``classes`` the class of
    each channel.
    """
    channels, length = codes.shape
    last = bits.shape[1] - 1
    for channel in range(channels):
        row = codes[channel]
        klass = classes[channel]
        for position in range(length):
            size = place_of(abs(np.int64(row[position])))
            for offset in range(costs.shape[1]):
                costs[columns[position], offset] += bits[size, min(klass + offset, last)]


@numba.njit(cache=True, nogil=True)
def settle_counts(weights: NDArray[np.float64], counts: NDArray[np.int64], states: int) -> None:
    """Change ``counts`` by ones until they add up to ``states`` and no exchange of one saves bits.

    ``weights`` says how often each token occurs; counts of 0 stay 0, and no count falls to 0.
    """
    total = counts.sum()
    while True:
        best_gain = -1.0
        least_loss = np.inf
        to = 0
        away = 0
        for token in range(counts.size):
            held = counts[token]
            if held == 0:
                continue
            gain = weights[token] * np.log2((held + 1) / held)
            if gain > best_gain:
                best_gain, to = gain, token
            if held > 1:
                loss = weights[token] * np.log2(held / (held - 1))
                if loss < least_loss:
                    least_loss, away = loss, token
        if total == states and (to == away or best_gain <= least_loss * (1 + 1e-9)):
            return
        if total <= states:
            counts[to] += 1
        if total >= states:
            counts[away] -= 1
        total += np.int64(total < states) - np.int64(total > states)


@numba.njit(cache=True, nogil=True)
def best_table(
    histogram: NDArray[np.float64],
    values: NDArray[np.int64],
    states: int,
    most_shift: int,
    counts: NDArray[np.int64],
) -> int:
    """Write the counts [64] that code a histogram with the fewest bits over all shifts; return the shift.

    ``histogram`` is [bins], ``values`` a code of each bin. The search over shifts ends where a larger one is clearly
    worse.
    """
    best_cost = np.inf
    best_shift = 0
    tokens = np.zeros(TOKEN_COUNT, np.float64)
    trial = np.zeros(TOKEN_COUNT, np.int64)
    for shift in range(most_shift + 1):
        tokens[:] = 0
        for place in range(histogram.size):
            token = values[place] >> shift
            tokens[token + _LIMIT if -_LIMIT < token < _LIMIT else 0] += histogram[place]
        normalise(tokens, states, trial)
        cost = 0.0
        for token in range(TOKEN_COUNT):
            if tokens[token] > 0:
                if trial[token]:
                    cost += tokens[token] * (np.log2(states / trial[token]) + shift)
                else:
                    cost += tokens[token] * (np.log2(states / trial[0]) + shift + WORD_BITS)
        cost += tokens[0] * WORD_BITS
        if cost < best_cost:
            best_cost = cost
            best_shift = shift
            counts[:] = trial
        elif cost > 1.1 * best_cost:
            break
    return best_shift


@numba.njit(cache=True, nogil=True)
def normalise(tokens: NDArray[np.float64], states: int, counts: NDArray[np.int64]) -> None:
    """Write counts [64] that add up to ``states`` and code the tokens with few bits; the escape's is at least 1.

    A token stays out, to be escaped, where its share of a state costs the other tokens more than its escapes would: a
    count of 1 costs all others together total / states / ln 2 bits, an escape costs about 16 more than it.
    """
    total = tokens.sum()
    weights = np.full(TOKEN_COUNT, 1e-9)
    counts[:] = 0
    for token in range(TOKEN_COUNT):
        if tokens[token] > 0 and (token == 0 or tokens[token] * WORD_BITS >= total / states / np.log(2)):
            weights[token] = tokens[token]
            counts[token] = max(np.int64(np.rint(tokens[token] * states / total)), 1)
        elif token:
            weights[0] += tokens[token]
    counts[0] = max(counts[0], 1, np.int64(np.rint(weights[0] * states / max(total, 1.0))))
    if counts[1:].sum() == 0:
        counts[_LIMIT] = 1
    settle_counts(weights, counts, states)
