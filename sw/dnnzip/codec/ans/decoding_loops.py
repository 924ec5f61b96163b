# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,call-overload,index,no-any-return,operator,return-value"
"""The compiled loops of the ``ans`` decoder, equal to ``dnnzip.codec.ans.reference`` verdict for verdict.

``dnnzip.codec.kernels`` says how such loops are written.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop
from dnnzip.codec.kernels import OFFSETS
from dnnzip.format import (
    CLASS_BITS,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_LANES,
    MAX_LOG2_STATES,
    NARROW_BITS,
    REFILL_BITS,
    SHIFT_BITS,
    WORD_BITS,
    Verdict,
)

_OK = int(Verdict.OK)
_TRUNCATED = int(Verdict.TRUNCATED)
_BAD_CODE = int(Verdict.BAD_CODE)
_BAD_STATE = int(Verdict.BAD_STATE)

BITS_SHIFT = MAX_LOG2_STATES
SHIFT_SHIFT = BITS_SHIFT + 4
TOKEN_SHIFT = 24
"""An entry of a decoding table, packed: base, bits, the table's shift, and the token (signed, at the top)."""
BASE_MASK = (1 << BITS_SHIFT) - 1
BITS_MASK = (1 << SHIFT_SHIFT - BITS_SHIFT) - 1
SHIFT_MASK = (1 << SHIFT_BITS) - 1

LANES = 1 << MAX_LOG2_LANES
ENTRY, TABLE, STATE, BUFFER, UNREAD, FLIP, DUE, WORD, WRONG, NEWLY_WRONG, FIELDS = (
    *(LANES * field for field in range(10)),
    10,
)
"""State of the decoder's lanes, one array with a field after the other: the compiler can tell that they do not
overlap. As many lanes as there may be take part in each step, whether they exist or not, in vector loops of fixed
length."""

TILE = 64
"""Rounds whose codes are decoded before they go to their channels."""

LARGEST_NARROW = 1 << NARROW_BITS - 1


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
        np.zeros(OFFSETS * CONTEXTS * LANES, np.int32),
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
                if unread < REFILL_BITS:
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
            base = np.uint64(np.int64(offsets[position]) * (CONTEXTS * LANES))
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
            for context in range(CONTEXTS):
                base = tables[context] ^ tables[0] if context else tables[0]
                bases[(offset * CONTEXTS + context) * LANES + lane] = base


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
    """Let each lane read its bits and say whether it is due a word; return True if a weight is an escape.

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
        fields[DUE + lane] = np.int32(unread < np.int32(REFILL_BITS)) & np.int32(np.int32(lane) < np.int32(going_on))
        has_escape |= np.int32(token == ESCAPE)
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
        if fields[ENTRY + lane] >> TOKEN_SHIFT == ESCAPE:
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
    """Return True if a code did not fit, in the last round or before it."""
    wrong = False
    for lane in range(LANES):
        wrong |= fields[WRONG + lane] != 0 or fields[NEWLY_WRONG + lane] != 0
    return wrong
