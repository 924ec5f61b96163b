# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,call-overload,index,no-any-return,operator,return-value"
"""The compiled inner loops of the fast codec.

Together they do what ``dnnzip.codec.reference`` does, on arrays: they equal it byte for byte and verdict for verdict.

Where they can, loops are made so that the compiler turns them into vector code: over all lanes or along a channel, with
nothing but arithmetic on small integers in them. Numba computes with 64 bits unless it is told otherwise at each step,
hence the many casts; it drops the test for a negative index where the index is unsigned. Look-ups and what is in order
by its nature stand in short loops of their own.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop, mark_compilation, step
from dnnzip.format import (
    CLASS_BITS,
    COLUMN_OFFSET_BITS,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_LANES,
    MAX_LOG2_STATES,
    MAX_TABLES,
    NARROW_BITS,
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

SLOT_SHIFT_MASK = SHIFT_MASK
SLOT_TABLE_MASK = MAX_TABLES - 1 << TOKEN_BITS
SLOT_SAFE_SHIFT = PLACE_BITS
"""A slot, packed: the table of a weight at its place in a symbol, the table's shift below it; above it a number below
which, by size, the table has every token."""

LOW_WIDTH_SHIFT = 32
STATE_OFFSET_SHIFT = 40
"""What the encoder knows of a token, packed: a bit threshold below; the width of the low bits, with the bit
``ESCAPE_MARK_BIT`` on escapes; and a state offset, signed, at the top. With X = state + states, a weight gives
(X + threshold) >> 16 bits and goes on to X = next_states[(X >> bits) + offset]."""

SPARE_WORDS = 2
"""After a lane's words: what it reads that takes a word too many."""

SITUATIONS = 2 * CONTEXTS
"""Contexts of weights that are coded as they are, then of those that are negated."""

OFFSETS = 1 << COLUMN_OFFSET_BITS

LANES = 1 << MAX_LOG2_LANES
ENTRY, TABLE, STATE, BUFFER, UNREAD, FLIP, DUE, WORD, WRONG, NEWLY_WRONG, FIELDS = (
    *(LANES * field for field in range(10)),
    10,
)
"""What the decoder knows of its lanes, one array with a field after the other: the compiler can tell that they do not
overlap. As many lanes as there may be take part in each step, whether they exist or not, in vector loops of fixed
length."""

TILE = 64
"""Rounds whose codes are decoded before they go to their channels."""

LARGEST_NARROW = 1 << NARROW_BITS - 1

FINE = 256
"""Codes up to this size have a bin each."""
COARSE_STEP = 16
COARSE_LIMIT = 4096
COARSE = (COARSE_LIMIT - FINE) // COARSE_STEP
"""Bins of ``COARSE_STEP`` codes on each side, up to ``COARSE_LIMIT``."""

mark_compilation()


def neighbour_masks(length: int, kernel: tuple[int, int], use_context: bool = True) -> tuple[NDArray[np.int8], int]:
    """Return masks of the positions that have a first and a second neighbour, and how far back the second one is.

    Parameters
    ----------
    length
        Weights of a channel.
    kernel
        Height and width of its taps.
    use_context
        False for masks of no neighbours.

    Returns
    -------
    int8 [2, length], all bits set or none; and the distance.
    """
    height, width = kernel
    taps = height * width
    place = np.arange(length)
    masks = np.zeros((2, length), np.int8)
    if use_context:
        masks[0, place >= 1 if taps == 1 else place % taps % width > 0] = -1
        masks[1, place >= 2 if taps == 1 else place % taps >= width] = -1
    return masks, 2 if taps == 1 else width


def decoder_room(
    back: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int16]]:
    """Return the arrays in which ``decode_ans`` works: NumPy makes them at once, a compiler takes seconds for it.

    ``back`` is that of ``neighbour_masks``.
    """
    depth = 1 << back.bit_length()
    return (
        np.zeros(FIELDS * LANES, np.int32),
        np.zeros(LANES, np.int64),
        np.zeros(depth * LANES, np.int32),
        np.zeros(OFFSETS * _CONTEXTS * LANES, np.int32),
        np.zeros(TILE * LANES, np.int16),
    )


@loop
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
    klass: int,
    class_per_channel: bool,
    masks: NDArray[np.int8],
    back: int,
    fields: NDArray[np.int32],
    row_classes: NDArray[np.int64],
    signs: NDArray[np.int32],
    bases: NDArray[np.int32],
    tile: NDArray[np.int16],
) -> tuple[int, int]:
    """Decode the words of the virtual lanes into ``codes`` [channels, length]; return (verdict, words taken).

    Words ``taken`` to ``available`` are theirs; what comes before is in ``offsets``, the column offset of each
    position. ``entries`` is flat and packed, see ``TOKEN_SHIFT``; ``class_tables`` [classes, column offsets, contexts]
    says where in it a table begins. Not a word beyond ``available`` is looked at. ``masks`` and ``back`` are those of
    ``neighbour_masks``; what follows them is room to work in, all of it zero, see ``decoder_room``.
    """
    channels, length = codes.shape
    lanes = 1 << log2_lanes
    if taken + lanes > available:
        return _TRUNCATED, available
    row_classes[:] = klass
    for lane in range(lanes):
        fields[BUFFER + lane] = words[taken]
        fields[UNREAD + lane] = WORD_BITS
        taken += 1
    # Signs of the decoded weights of the channels, as far back as the farther neighbour.
    depth = signs.size // LANES
    code_mask = ~((1 << NARROW_BITS) - 1) if narrow else 0
    ended = 0
    active = lanes
    for opening in range(1 + (channels - 1) // lanes + 1):
        first = (opening - 1) * lanes
        is_start = opening == 0
        active = lanes if is_start else min(lanes, channels - first)
        if is_start or class_per_channel:
            bits = log2_states if is_start else CLASS_BITS
            for lane in range(active):
                value = fields[BUFFER + lane] & (1 << bits) - 1
                if is_start:
                    fields[STATE + lane] = value
                else:
                    row_classes[lane] = value
                fields[BUFFER + lane] >>= bits
                unread = fields[UNREAD + lane] - bits
                if unread < _REFILL_BITS:
                    if taken >= available:
                        return _TRUNCATED, taken
                    fields[BUFFER + lane] |= np.int32(words[taken]) << unread
                    taken += 1
                    unread += WORD_BITS
                fields[UNREAD + lane] = unread
        if is_start:
            continue
        # A lane without a channel has ended; in the vector loops it stands on an entry that reads nothing.
        for lane in range(active, lanes):
            ended |= fields[STATE + lane]
        signs[:] = 0
        fields[ENTRY : ENTRY + LANES] = 0
        _lay_out_bases(bases, class_tables, row_classes, active)
        for position in range(length):
            here = np.uint64((position & depth - 1) * LANES)
            left = np.uint64((position - 1 & depth - 1) * LANES)
            above = np.uint64((position - back & depth - 1) * LANES)
            base = np.uint64(np.int64(offsets[position]) * (_CONTEXTS * LANES))
            _choose_tables(
                fields, signs, bases, left, above, base, np.int32(masks[0, position]), np.int32(masks[1, position])
            )
            for lane in range(np.uint64(active)):
                table, state = np.uint64(fields[TABLE + lane]), np.uint64(fields[STATE + lane])
                fields[ENTRY + lane] = entries[table | state]
            # In its last step a lane takes no word.
            going_on = active if position + 1 < length else max(min(active, channels - first - lanes), 0)
            in_tile = np.uint64((position & TILE - 1) * LANES)
            has_escape = _step_lanes(fields, signs, tile, here, in_tile, going_on, code_mask)
            # A step takes two words at the most; only near the end of them each has to be looked for.
            if has_escape or taken + 2 * active > available:
                verdict, taken = _hand_out(
                    fields, signs, tile, here, in_tile, words, taken, available, active, code_mask
                )
                if verdict != _OK:
                    return verdict, taken
            else:
                for lane in range(np.uint64(active)):
                    fields[WORD + lane] = words[np.uint64(taken)]
                    taken += np.int64(fields[DUE + lane])
            _refill(fields)
            if position & TILE - 1 == TILE - 1 or position + 1 == length:
                start = position & ~(TILE - 1)
                for lane in range(active):
                    _empty_tile(tile, lane, codes[first + lane, start : position + 1])
    if _any_wrong(fields):
        return _BAD_CODE, taken
    for lane in range(active):
        ended |= fields[STATE + lane]
    return _BAD_STATE if ended else _OK, taken


@inlined
def _lay_out_bases(
    bases: NDArray[np.int32], class_tables: NDArray[np.int32], row_classes: NDArray[np.int64], active: int
) -> None:
    """Write for each column offset and lane where the first context's table begins, then how the others' differ."""
    for lane in range(active):
        for offset in range(OFFSETS):
            tables = class_tables[row_classes[lane], offset]
            for context in range(_CONTEXTS):
                base = tables[context] ^ tables[0] if context else tables[0]
                bases[(offset * _CONTEXTS + context) * LANES + lane] = base


@inlined
def _empty_tile(tile: NDArray[np.int16], lane: int, row: NDArray[np.int16]) -> None:
    """Take a lane's codes from the tile."""
    for place in range(row.size):
        row[place] = tile[np.uint64(place * LANES + lane)]


@inlined
def _choose_tables(fields, signs, bases, left, above, base, left_mask, above_mask):  # type: ignore[no-untyped-def]
    """Write where each lane's table begins and whether its weight is negated."""
    for lane in range(np.uint64(LANES)):
        a = np.int32(signs[left + lane] & left_mask)
        b = np.int32(signs[above + lane] & above_mask)
        is_one = np.int32(-np.int32((a ^ b) & 1))
        is_two = np.int32(-np.int32(np.int32(a == b) & a & 1))
        table = bases[base + lane]
        table ^= np.int32(bases[base + np.uint64(LANES) + lane] & is_one)
        table ^= np.int32(bases[base + np.uint64(2 * LANES) + lane] & is_two)
        fields[TABLE + lane] = table
        fields[FLIP + lane] = np.int32(-np.int32((a < 0) | ((a == 0) & (b < 0))))


@inlined
def _step_lanes(fields, signs, tile, here, in_tile, going_on, code_mask):  # type: ignore[no-untyped-def]
    """Let each lane read its bits and say whether it is due a word; return whether a weight is an escape.

    Codes go to ``tile`` and ``signs``; those of escapes are to be mended.
    """
    has_escape = np.int32(0)
    for lane in range(np.uint64(LANES)):
        entry = fields[ENTRY + lane]
        shift = np.uint32(np.uint32(entry) >> np.uint32(SHIFT_SHIFT) & np.uint32(SHIFT_MASK))
        bits = np.uint32(np.uint32(entry) >> np.uint32(BITS_SHIFT) & np.uint32(BITS_MASK))
        token = np.int32(entry >> np.int32(TOKEN_SHIFT))
        buffer = np.uint32(fields[BUFFER + lane])
        low = np.uint32(buffer & np.uint32(np.uint32(np.uint32(1) << shift) - np.uint32(1)))
        buffer = np.uint32(buffer >> shift)
        read = np.uint32(buffer & np.uint32(np.uint32(np.uint32(1) << bits) - np.uint32(1)))
        fields[STATE + lane] = np.int32(np.uint32(np.uint32(entry) & np.uint32(BASE_MASK)) + read)
        fields[BUFFER + lane] = np.int32(np.uint32(buffer >> bits))
        unread = np.int32(fields[UNREAD + lane] - np.int32(np.uint32(shift + bits)))
        fields[UNREAD + lane] = unread
        fields[DUE + lane] = np.int32(unread < np.int32(_REFILL_BITS)) & np.int32(np.int32(lane) < np.int32(going_on))
        has_escape |= np.int32(token == _ESCAPE)
        flip = fields[FLIP + lane]
        coded = np.int32(np.uint32(np.uint32(np.uint32(token) << shift) | low))
        code = np.int32(np.int32(coded ^ flip) - flip)
        # What a round finds wrong counts in the next one, when the words of escapes have taken their codes' places.
        fields[WRONG + lane] |= fields[NEWLY_WRONG + lane]
        fields[NEWLY_WRONG + lane] = np.int32(np.int32(code + np.int32(LARGEST_NARROW)) & np.int32(code_mask))
        tile[in_tile + lane] = np.int16(code)
        signs[here + lane] = np.int32(np.int32(code > 0) - np.int32(code < 0))
    return has_escape != 0


@inlined
def _refill(fields):  # type: ignore[no-untyped-def]
    """Put the words that were handed out above the lanes' unread bits."""
    for lane in range(np.uint64(LANES)):
        due = fields[DUE + lane]
        word = np.uint32(np.uint32(fields[WORD + lane]) & np.uint32(np.int32(-due)))
        unread = fields[UNREAD + lane]
        word = np.uint32(word << np.uint32(np.uint32(unread) & np.uint32(2 * WORD_BITS - 1)))
        fields[BUFFER + lane] |= np.int32(word)
        fields[UNREAD + lane] = np.int32(unread + np.int32(due * np.int32(WORD_BITS)))


@inlined
def _hand_out(
    fields: NDArray[np.int32],
    signs: NDArray[np.int32],
    tile: NDArray[np.int16],
    here: int,
    in_tile: int,
    words: NDArray[np.uint16],
    taken: int,
    available: int,
    active: int,
    code_mask: int,
) -> tuple[int, int]:
    """Give the lanes their words in order, escapes' among them, as long as there are any; return (verdict, taken)."""
    for lane in range(active):
        if fields[ENTRY + lane] >> TOKEN_SHIFT == _ESCAPE:
            if taken >= available:
                return _TRUNCATED, taken
            code = np.int64(np.int16(words[taken]))
            taken += 1
            tile[in_tile + np.uint64(lane)] = code
            signs[here + np.uint64(lane)] = 0
            fields[NEWLY_WRONG + lane] = code + LARGEST_NARROW & code_mask
        if fields[DUE + lane]:
            if taken >= available:
                return _TRUNCATED, taken
            fields[WORD + lane] = words[taken]
            taken += 1
    return _OK, taken


@inlined
def _any_wrong(fields: NDArray[np.int32]) -> bool:
    """Return whether a code did not fit, in the last round or before it."""
    wrong = False
    for lane in range(LANES):
        wrong |= fields[WRONG + lane] != 0 or fields[NEWLY_WRONG + lane] != 0
    return wrong


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

    A lane that has read n bits has taken ceil(n / 16) + 1 words, so one number stands for both: its quotient
    by 16 is the place of the lane's next word: ``taken`` [lanes] is room for it. Every step writes that word and keeps
    it where the lane is due one, which no branch has to predict.
    """
    channels, length = codes.shape
    lanes, capacity = lane_words.shape
    words = lane_words.reshape(-1)
    # A plain number would be a type of its own, for which `_take` were compiled once more.
    written, word_bits, class_bits = np.int64(0), np.int64(WORD_BITS), np.int64(CLASS_BITS)
    # The first words, the start round and the class rounds are steps without a weight.
    for lane in range(lanes):
        taken[lane] = (lane * capacity + places[lane]) * WORD_BITS + _REFILL_BITS - 1
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


@loop
def place_of(size: int) -> int:
    """Return the place of a code's bin on its side, by its size (of a negative code, -1 - code)."""
    if size < FINE:
        return size
    if size < COARSE_LIMIT:
        return FINE + (size - FINE) // COARSE_STEP
    return FINE + COARSE


@loop
def bin_of(code: int, places: int) -> int:
    """Return the bin of a code, counted from 0 at the lowest; ``places`` is the number of bins on each side."""
    place = place_of(code if code >= 0 else -code - 1)
    return places + place if code >= 0 else places - 1 - place


def counter_room(
    offsets: NDArray[np.uint8], back: int, groups: int, bins: int
) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.uint8], NDArray[np.uint16], NDArray[np.int32]]:
    """Return the arrays in which ``count_codes`` works.

    ``offsets`` is the column offset of each position, ``groups`` their number in the histogram, ``bins`` that of its
    bins; ``back`` is that of ``neighbour_masks``. The first array says where the counts of a position's column offset
    begin, and in them the bin of code 0; the others are room to work in.
    """
    length = offsets.size
    return (
        offsets.astype(np.int16) * np.int16(SITUATIONS * bins) + np.int16(bins // 2),
        np.zeros(length + back, np.int8),
        np.zeros(length, np.uint8),
        np.zeros(length, np.uint16),
        np.zeros((groups, SITUATIONS, bins), np.int32),
    )


@loop
def count_codes(
    codes: NDArray[np.int16],
    histogram: NDArray[np.floating],
    offsets: NDArray[np.uint8],
    one_unit: bool,
    masks: NDArray[np.int8],
    back: int,
    bases: NDArray[np.int16],
    signs: NDArray[np.int8],
    situations: NDArray[np.uint8],
    indices: NDArray[np.uint16],
    counts: NDArray[np.int32],
) -> None:
    """Count the codes of a tensor into ``histogram`` [units, column offsets, contexts and one without, bins].

    ``offsets`` is the column offset of each position. A code counts under its context as coded there, and once more as
    it is. ``masks`` and ``back`` are those of ``neighbour_masks``; what follows them is that of ``counter_room``.
    """
    channels, length = codes.shape
    groups, _, bins = histogram.shape[1:]
    places = bins // 2
    flat = counts.reshape(-1)
    for channel in range(channels):
        row = codes[channel]
        unit = histogram[0 if one_unit else channel]
        largest = _situations(row, masks, back, signs, situations)
        # A negated code is one larger than its size here.
        if largest + 1 >= FINE:
            for position in range(length):
                situation = np.int64(situations[position])
                code = np.int64(row[position])
                is_negated = situation >= _CONTEXTS
                context = np.uint64(situation - _CONTEXTS if is_negated else situation)
                of_group = unit[np.uint64(offsets[position])]
                of_group[context, np.uint64(bin_of(-code if is_negated else code, places))] += 1
                of_group[np.uint64(_CONTEXTS), np.uint64(bin_of(code, places))] += 1
            continue
        for position in range(length):
            indices[position] = np.uint16(
                np.int16(np.int16(situations[position]) * np.int16(bins)) + np.int16(bases[position] + row[position])
            )
        for position in range(length):
            flat[np.uint64(indices[position])] += 1
        for group in range(groups):
            for context in range(_CONTEXTS):
                kept, negated = counts[group, context], counts[group, context + _CONTEXTS]
                for place in range(1, bins):
                    unit[group, context, place] += kept[place] + negated[bins - place]
                    unit[group, _CONTEXTS, place] += kept[place] + negated[place]
        flat[:] = 0


@inlined
def _situations(
    row: NDArray[np.int16],
    masks: NDArray[np.int8],
    back: int,
    signs: NDArray[np.int8],
    situations: NDArray[np.uint8],
) -> int:
    """Write each weight's context, plus ``CONTEXTS`` where it is negated; return the largest size of a code.

    ``masks`` and ``back`` are those of ``_neighbour_masks``; ``signs`` [back + length] is zero up to ``back``.
    """
    own = signs[back:]
    largest = np.int16(0)
    for position in range(row.size):
        code = row[position]
        own[position] = np.int8(code > 0) - np.int8(code < 0)
        largest = max(largest, max(code, np.int16(~code)))
    before, has_left, has_above = signs[back - 1 :], masks[0], masks[1]
    for position in range(row.size):
        a = np.int8(before[position] & has_left[position])
        b = np.int8(signs[position] & has_above[position])
        is_one = np.int8((a ^ b) & np.int8(1))
        is_two = np.int8(np.int8(a == b) & a & np.int8(1))
        is_negated = np.int8((a < 0) | ((a == 0) & (b < 0)))
        situations[position] = np.uint8(is_one + np.int8(is_two << 1) + np.int8(is_negated * np.int8(_CONTEXTS)))
    return largest


@loop
def column_costs(
    codes: NDArray[np.int16],
    classes: NDArray[np.int64],
    bits: NDArray[np.float64],
    starts: NDArray[np.int64],
    costs: NDArray[np.float64],
    sizes: NDArray[np.uint16],
) -> None:
    """Add to ``costs`` [columns, offsets] the bits of each column under each offset.

    ``bits`` is [classes, bins of codes from 0 up, offsets]; ``starts`` says where each column begins, and the last one
    ends; ``classes`` is the class of each channel; ``sizes`` [length] is room to work in.
    """
    channels, length = codes.shape
    for channel in range(channels):
        row = codes[channel]
        of_class = bits[classes[channel]]
        largest = np.int16(0)
        for position in range(length):
            largest = max(largest, max(row[position], np.int16(~row[position])))
        if largest + 1 < FINE:
            for position in range(length):
                sizes[position] = np.uint16(abs(row[position]))
        else:
            for position in range(length):
                sizes[position] = np.uint16(place_of(abs(np.int64(row[position]))))
        for column in range(costs.shape[0]):
            of_column = costs[column]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for position in range(np.uint64(starts[column]), np.uint64(starts[column + 1])):
                of_size = of_class[np.uint64(sizes[position])]
                a += of_size[0]
                b += of_size[1]
                c += of_size[2]
                d += of_size[3]
            of_column[0] += a
            of_column[1] += b
            of_column[2] += c
            of_column[3] += d


@loop
def unit_costs(
    histogram: NDArray[np.floating],
    bits: NDArray[np.float64],
    first_plane: int,
    costs: NDArray[np.float64],
    shifted: NDArray[np.float64],
) -> None:
    """Add to ``costs`` [units, classes] the bits of each unit in each class.

    ``histogram`` is [units, column offsets, planes, bins]; ``bits`` [planes, bins, classes] is for its planes from
    ``first_plane`` on; ``shifted`` [classes] is room to work in. A product of matrices, but in one thread and in the
    same order on every machine.
    """
    planes, bins, classes = bits.shape
    for unit in range(histogram.shape[0]):
        for group in range(histogram.shape[1]):
            shifted[:] = 0
            for plane in range(planes):
                counts = histogram[unit, group, first_plane + plane]
                of_plane = bits[plane]
                for place in range(bins):
                    number = np.float64(counts[place])
                    if number > 0:
                        for klass in range(classes):
                            shifted[klass] += number * of_plane[place, klass]
            for klass in range(classes):
                costs[unit, klass] += shifted[min(klass + group, classes - 1)]


@loop
def add_histograms(histogram: NDArray[np.floating], classes: NDArray[np.int64], result: NDArray[np.float64]) -> None:
    """Add to ``result`` [classes, contexts, bins] what each class meets, by the ``classes`` of the units."""
    units, groups = histogram.shape[:2]
    most, contexts, bins = result.shape
    for unit in range(units):
        for group in range(groups):
            klass = min(classes[unit if classes.size > 1 else 0] + group, most - 1)
            for context in range(contexts):
                counts, total = histogram[unit, group, context], result[klass, context]
                for place in range(bins):
                    total[place] += counts[place]


@loop
def code_lengths(
    counts: NDArray[np.float64],
    shift: int,
    states: int,
    values: NDArray[np.int64],
    lengths: NDArray[np.float64],
    of_token: NDArray[np.float64],
) -> None:
    """Write the bits of a code of each bin, as ``dnnzip.codec.statistics.code_lengths`` says.

    ``of_token`` [tokens] is room to work in.
    """
    for token in range(TOKEN_COUNT):
        of_token[token] = np.inf
        if counts[token] > 0:
            of_token[token] = np.log2(states) - np.log2(counts[token]) + shift
    escape = of_token[0] + WORD_BITS
    for place in range(values.size):
        token = values[place] >> shift
        bits = of_token[token + _LIMIT] if -_LIMIT < token < _LIMIT else np.inf
        lengths[place] = bits if bits < np.inf else escape


@inlined
def _settle_counts(weights: NDArray[np.float64], counts: NDArray[np.int64], states: int) -> None:
    """Change ``counts`` by ones until they add up to ``states`` and no exchange of one saves bits.

    ``weights`` says how often each token occurs; counts of 0 stay 0, and no count falls to 0.
    """
    total = np.int64(0)
    for token in range(counts.size):
        total += counts[token]
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


@loop
def best_table(
    histogram: NDArray[np.float64],
    values: NDArray[np.int64],
    states: int,
    most_shift: int,
    counts: NDArray[np.int64],
    trial: NDArray[np.int64],
    tokens: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> int:
    """Write the counts [64] that code a histogram with the fewest bits over all shifts; return the shift.

    ``histogram`` is [bins], ``values`` a code of each bin; ``trial``, ``tokens`` and ``weights`` [64] are room to work
    in. The search over shifts ends where a larger one is clearly
    worse.
    """
    best_cost = np.inf
    best_shift = 0
    for shift in range(most_shift + 1):
        tokens[:] = 0
        for place in range(histogram.size):
            token = values[place] >> shift
            tokens[token + _LIMIT if -_LIMIT < token < _LIMIT else 0] += histogram[place]
        normalise(tokens, states, trial, weights)
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
            for token in range(TOKEN_COUNT):
                counts[token] = trial[token]
        elif cost > 1.1 * best_cost:
            break
    return best_shift


@inlined
def normalise(
    tokens: NDArray[np.float64], states: int, counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> None:
    """Write counts [64] that add up to ``states`` and code the tokens with few bits; the escape's is at least 1.

    ``weights`` [64] is room to work in.

    A token stays out, to be escaped, where its share of a state costs the other tokens more than its escapes would: a
    count of 1 costs all others together total / states / ln 2 bits, an escape costs about 16 more than it.
    """
    total = 0.0
    for token in range(TOKEN_COUNT):
        total += tokens[token]
    weights[:] = 1e-9
    counts[:] = 0
    for token in range(TOKEN_COUNT):
        if tokens[token] > 0 and (token == 0 or tokens[token] * WORD_BITS >= total / states / np.log(2)):
            weights[token] = tokens[token]
            counts[token] = max(np.int64(np.rint(tokens[token] * states / total)), 1)
        elif token:
            weights[0] += tokens[token]
    counts[0] = max(max(counts[0], np.int64(1)), np.int64(np.rint(weights[0] * states / max(total, 1.0))))
    held = np.int64(0)
    for token in range(1, TOKEN_COUNT):
        held += counts[token]
    if held == 0:
        counts[_LIMIT] = 1
    _settle_counts(weights, counts, states)
