# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,call-overload,index,no-any-return,operator,return-value"
"""The compiled loops of the ``ans`` encoder, equal to ``dnnzip.codec.ans.reference`` byte for byte.

``dnnzip.codec.kernels`` says how such loops are written.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop, step
from dnnzip.codec.kernels import TOKEN_COUNT
from dnnzip.format import CLASS_BITS, ESCAPE, MAX_TABLES, REFILL_BITS, SHIFT_BITS, TOKEN_BITS, WORD_BITS

_LIMIT = -ESCAPE

SHIFT_MASK = (1 << SHIFT_BITS) - 1
TOKEN_MASK = TOKEN_COUNT - 1
PLACE_BITS = TOKEN_BITS + (MAX_TABLES - 1).bit_length()
PLACE_MASK = (1 << PLACE_BITS) - 1
ESCAPE_MARK_BIT = 7
"""A weight takes at most 16 bits, so the top bit of its width is free to mark an escape."""

SLOT_SHIFT_MASK = SHIFT_MASK
SLOT_TABLE_MASK = MAX_TABLES - 1 << TOKEN_BITS
SLOT_SAFE_SHIFT = PLACE_BITS
"""A slot, packed: the table of a weight at its place in a symbol, the table's shift below it; above it a number below
which, by size, the table has every token."""

LOW_WIDTH_SHIFT = 32
STATE_OFFSET_SHIFT = 40
"""Entry of a token, packed: a bit threshold below; the width of the low bits, with the bit ``ESCAPE_MARK_BIT`` on
escapes; and a state offset, signed, at the top. With X = state + states, a weight takes (X + threshold) >> 16 bits and
goes on to X = next_states[(X >> bits) + offset]."""

SPARE_WORDS = 2
"""Words of room after a lane's own, for a lane that takes a word too many."""


def encoder_room(lanes: int, length: int, back: int) -> tuple[NDArray[np.generic], ...]:
    """Return the arrays in which ``encode_lanes`` works; ``back`` is that of ``neighbour_masks``.

    The second and the third are the same bytes: marks of weights, and groups of eight of them.
    """
    doubtful = np.zeros(-(-length // 8), np.uint64)
    return (
        np.zeros(length + back, np.int8),
        doubtful,
        doubtful.view(np.uint8),
        np.empty((lanes, length), np.uint16),
        np.empty(lanes, np.int64),
        np.zeros(lanes, np.uint64),
        np.zeros(lanes, np.int64),
    )


@loop
def encode_lanes(
    codes: NDArray[np.int16],
    widths: NDArray[np.uint8],
    lane_words: NDArray[np.uint16],
    places: NDArray[np.int64],
    classes: NDArray[np.int64],
    slots: NDArray[np.uint16],
    has_token: NDArray[np.bool_],
    tokens: NDArray[np.int64],
    next_states: NDArray[np.int16],
    log2_states: int,
    masks: NDArray[np.int8],
    back: int,
    signs: NDArray[np.int8],
    doubtful: NDArray[np.uint64],
    is_doubtful: NDArray[np.uint8],
    symbols: NDArray[np.uint16],
    states: NDArray[np.int64],
    buffers: NDArray[np.uint64],
    totals: NDArray[np.int64],
) -> int:
    """Run the tANS states of the virtual lanes backwards and write each lane's words.

    Parameters
    ----------
    codes
        [channels, length].
    widths
        [channels, length]: gets each weight's bits, with the bit ``ESCAPE_MARK_BIT`` on escapes.
    lane_words
        [lanes, words]: gets the words of each lane, from ``places`` on; after them there are ``SPARE_WORDS`` zeros.
    classes
        Of each channel, or one for all.
    slots
        [classes, contexts, length]: see ``SLOT_SHIFT_MASK``.
    has_token
        [tables, tokens].
    tokens
        Flat over tables and tokens: see ``STATE_OFFSET_SHIFT``.
    masks, back
        Those of ``neighbour_masks``.
    signs, doubtful, is_doubtful, symbols, states, buffers, totals
        Room to work in, see ``encoder_room``.

    Returns
    -------
    The number of escapes, or -1 - table where a table that has no escape needs one.
    """
    channels = codes.shape[0]
    lanes, capacity = lane_words.shape
    end = capacity - SPARE_WORDS
    states[:] = 1 << log2_states
    escapes = 0
    for first in range((channels - 1) // lanes * lanes, -1, -lanes):
        active = min(lanes, channels - first)
        for lane in range(active):
            klass = classes[first + lane if classes.size > 1 else 0]
            number = _choose_symbols(
                codes[first + lane],
                symbols[lane],
                slots[klass],
                has_token,
                masks,
                back,
                signs,
                doubtful,
                is_doubtful,
            )
            if number < 0:
                return number
            escapes += number
        for lane in range(0, active - 1, 2):
            _encode_two(symbols, widths[first:], lane_words, lane, end, states, buffers, totals, tokens, next_states)
        if active & 1:
            _encode_one(
                symbols, widths[first:], lane_words, active - 1, end, states, buffers, totals, tokens, next_states
            )
        if classes.size > 1:
            for lane in range(active):
                buffers[lane] = buffers[lane] << np.uint64(CLASS_BITS) | np.uint64(classes[first + lane])
                totals[lane] += CLASS_BITS
                _write_word(lane_words[lane], end, buffers[lane], totals[lane])
    for lane in range(lanes):
        buffer = buffers[lane] << np.uint64(log2_states) | np.uint64(states[lane] - (1 << log2_states))
        total = totals[lane] + log2_states
        words = lane_words[lane]
        _write_word(words, end, buffer, total)
        begin = end * WORD_BITS - total
        place = begin // WORD_BITS
        shift = np.uint32(begin % WORD_BITS)
        if shift:
            words[place] = np.uint16(buffer << np.uint64(shift))
        words[end:] = 0
        # The lane ends at a word's end; the decoder wants it to begin at a word's beginning.
        for index in range(place, end):
            pair = np.uint32(words[index]) | np.uint32(words[index + 1]) << np.uint32(WORD_BITS)
            words[index] = np.uint16(pair >> shift)
        places[lane] = place
    return escapes


@inlined
def _choose_symbols(
    row: NDArray[np.int16],
    symbols: NDArray[np.uint16],
    slots: NDArray[np.uint16],
    has_token: NDArray[np.bool_],
    masks: NDArray[np.int8],
    back: int,
    signs: NDArray[np.int8],
    doubtful: NDArray[np.uint64],
    is_doubtful: NDArray[np.uint8],
) -> int:
    """Write what each weight of a channel is coded as; return the number of escapes as ``encode_lanes`` does.

    A symbol is the place of its token in the tables, table * 64 + token - ``ESCAPE`` (an escape has place 0 of its
    table), and above ``PLACE_BITS`` its low bits. ``signs`` [back + length] is zero up to ``back``. The first pass
    takes it that there are no escapes, and marks where there may be one; the second one does these weights again.
    """
    length = row.size
    own = signs[back:]
    for position in range(length):
        code = row[position]
        own[position] = np.int8(code > 0) - np.int8(code < 0)
    before, has_left, has_above = signs[back - 1 :], masks[0], masks[1]
    slots_a, slots_b, slots_c = slots[0], slots[1], slots[2]
    for position in range(length):
        a = np.int16(before[position] & has_left[position])
        b = np.int16(signs[position] & has_above[position])
        # Masks, as a choice among loads, or sums of small numbers, would not be vectorised well.
        is_one = np.int16(-np.int16((a ^ b) & np.int16(1)))
        is_two = np.int16(-np.int16(np.int16(a == b) & a & np.int16(1)))
        flip = np.int16(-np.int16((a < 0) | ((a == 0) & (b < 0))))
        coded = np.uint16(np.int16(np.int16(row[position] ^ flip) - flip))
        slot = slots_a[position]
        slot ^= np.uint16(np.uint16(slots_a[position] ^ slots_b[position]) & np.uint16(is_one))
        slot ^= np.uint16(np.uint16(slots_a[position] ^ slots_c[position]) & np.uint16(is_two))
        shift = np.uint16(slot & np.uint16(SLOT_SHIFT_MASK))
        # A code that is too small for a token, and a negative that overflows, end up far above the tokens.
        token = np.uint16(np.uint16(coded + np.uint16(np.uint16(_LIMIT) << shift)) >> shift)
        # Unsigned, as the size of the lowest number overflows.
        away = np.uint16(abs(np.int16(np.int16(token) - np.int16(_LIMIT))))
        is_doubtful[position] = away >= np.uint16(slot >> np.uint16(SLOT_SAFE_SHIFT))
        low = np.uint16(coded & np.uint16(np.uint16(np.uint16(1) << shift) - np.uint16(1)))
        symbols[position] = (
            np.uint16(slot & np.uint16(SLOT_TABLE_MASK))
            | np.uint16(token & np.uint16(TOKEN_MASK))
            | np.uint16(low << np.uint16(PLACE_BITS))
        )
    escapes = 0
    for group in range(doubtful.size):
        if not doubtful[group]:
            continue
        for position in range(group * 8, min(group * 8 + 8, length)):
            if not is_doubtful[position]:
                continue
            a = np.int64(signs[position + back - 1] & masks[0, position])
            b = np.int64(signs[position] & masks[1, position])
            slot = np.int64(slots[abs(a + b), position])
            coded = -np.int64(row[position]) if a + a + b < 0 else np.int64(row[position])
            shift = slot & SLOT_SHIFT_MASK
            table = (slot & SLOT_TABLE_MASK) >> TOKEN_BITS
            token = coded >> shift
            if -_LIMIT < token < _LIMIT and has_token[table, token + _LIMIT]:
                symbols[position] = table << TOKEN_BITS | token + _LIMIT | (coded & (1 << shift) - 1) << PLACE_BITS
                continue
            if not has_token[table, 0]:
                return -1 - table
            escapes += 1
            symbols[position] = table << TOKEN_BITS
            # An escape counts as zero for the weights that it is a neighbour of.
            signs[position + back] = 0
            for other in (position + 1, position + back):
                if other < length:
                    is_doubtful[other] = 1
    return escapes


@step
def _encode_two(symbols, widths, lane_words, lane, end, states, buffers, totals, tokens, next_states):  # type: ignore[no-untyped-def]
    """Encode a channel of each of two lanes; their states do not wait for each other, and stay in registers."""
    symbols_a, symbols_b = symbols[lane], symbols[lane + 1]
    widths_a, widths_b = widths[lane], widths[lane + 1]
    words_a, words_b = lane_words[lane], lane_words[lane + 1]
    a = states[lane], buffers[lane], totals[lane]
    b = states[lane + 1], buffers[lane + 1], totals[lane + 1]
    for position in range(symbols_a.size - 1, -1, -1):
        a = _encode_weight(symbols_a, widths_a, words_a, end, position, a, tokens, next_states)
        b = _encode_weight(symbols_b, widths_b, words_b, end, position, b, tokens, next_states)
    states[lane], buffers[lane], totals[lane] = a
    states[lane + 1], buffers[lane + 1], totals[lane + 1] = b


@step
def _encode_one(symbols, widths, lane_words, lane, end, states, buffers, totals, tokens, next_states):  # type: ignore[no-untyped-def]
    """Encode a channel of a lane."""
    own_symbols, own_widths, own_words = symbols[lane], widths[lane], lane_words[lane]
    a = states[lane], buffers[lane], totals[lane]
    for position in range(own_symbols.size - 1, -1, -1):
        a = _encode_weight(own_symbols, own_widths, own_words, end, position, a, tokens, next_states)
    states[lane], buffers[lane], totals[lane] = a


@step
def _encode_weight(symbols, widths, words, end, position, lane, tokens, next_states):  # type: ignore[no-untyped-def]
    """Encode a weight and write its width; return the lane's state, its last bits, and how many it has."""
    state, buffer, total = lane
    symbol = np.uint64(symbols[np.uint64(position)])
    token = tokens[symbol & np.uint64(PLACE_MASK)]
    bits = np.uint64(np.int32(state + token) >> 16)
    low_width = np.uint64(token >> LOW_WIDTH_SHIFT)
    low_bits = low_width & np.uint64(SHIFT_MASK)
    of_state = np.uint64(state) & (np.uint64(1) << bits) - np.uint64(1)
    value = symbol >> np.uint64(PLACE_BITS) | of_state << low_bits
    widths[np.uint64(position)] = np.uint8(low_width + bits)
    state = np.int64(next_states[np.uint64((state >> np.int64(bits)) + (token >> STATE_OFFSET_SHIFT))])
    # Earlier bits go below later ones.
    buffer = buffer << low_bits + bits | value
    total += np.int64(low_bits + bits)
    _write_word(words, end, buffer, total)
    return state, buffer, total


@step
def _write_word(words, end, buffer, total):  # type: ignore[no-untyped-def]
    """Write the last whole word of a lane that has ``total`` bits, once more where it has been written."""
    words[np.uint64(end - (total >> 4))] = np.uint16(buffer >> np.uint64(total & WORD_BITS - 1))


@loop
def interleave(
    codes: NDArray[np.int16],
    widths: NDArray[np.uint8],
    lane_words: NDArray[np.uint16],
    places: NDArray[np.int64],
    class_per_channel: bool,
    log2_states: int,
    payload: NDArray[np.uint16],
    taken: NDArray[np.int64],
) -> int:
    """Write the lanes' words to ``payload`` in the order in which a decoder takes them; return their number.

    A lane that has read n bits has taken ceil(n / 16) + 1 words, so one number represents both: its quotient
    by 16 is the place of the lane's next word. ``taken`` [lanes] is room for it. Every step writes that word and keeps
    it where the lane is due one, which no branch has to predict.
    """
    channels, length = codes.shape
    lanes, capacity = lane_words.shape
    words = lane_words.reshape(-1)
    # A plain number would be a type of its own, for which `_take` were compiled once more.
    written, word_bits, class_bits = np.int64(0), np.int64(WORD_BITS), np.int64(CLASS_BITS)
    # The first words, the start round and the class rounds are steps without a weight.
    for lane in range(lanes):
        taken[lane] = (lane * capacity + places[lane]) * WORD_BITS + REFILL_BITS - 1
        written = _take(words, taken, lane, word_bits, payload, written)
    for lane in range(lanes):
        written = _take(words, taken, lane, log2_states, payload, written)
    for first in range(0, channels, lanes):
        active = min(lanes, channels - first)
        if class_per_channel:
            for lane in range(active):
                written = _take(words, taken, lane, class_bits, payload, written)
        for position in range(length):
            for lane in range(active):
                width = np.int64(widths[np.uint64(first + lane), np.uint64(position)])
                if width >= 1 << ESCAPE_MARK_BIT:
                    payload[np.uint64(written)] = np.uint16(codes[first + lane, position])
                    written += 1
                    width -= 1 << ESCAPE_MARK_BIT
                after = _take(words, taken, lane, width, payload, written)
                # In its last step a lane takes no word.
                is_last = position + 1 == length and first + lane + lanes >= channels
                written = written if is_last else after
    return written


@step
def _take(words, taken, lane, width, payload, written):  # type: ignore[no-untyped-def]
    """Let a lane read ``width`` bits and take a word where it is due one; return the words of the payload."""
    before = taken[lane]
    payload[np.uint64(written)] = words[np.uint64(before >> 4)]
    taken[lane] = before + width
    return written + (before + width >> 4) - (before >> 4)
