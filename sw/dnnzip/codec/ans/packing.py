"""How the loops of the ``ans`` codec pack table entries, slots, tokens and the fields of lanes into numbers."""

from dnnzip.codec.kernels import TOKEN_COUNT
from dnnzip.format import (
    MAX_LOG2_LANES,
    MAX_LOG2_STATES,
    MAX_TABLES,
    SHIFT_BITS,
    TOKEN_BITS,
)

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

LANES = 1 << MAX_LOG2_LANES
ENTRY, TABLE, STATE, BUFFER, UNREAD, FLIP, DUE, WORD, WRONG, NEWLY_WRONG, FIELDS = (
    *(LANES * field for field in range(10)),
    10,
)
"""What the decoder knows of its lanes, one array with a field after the other: the compiler can tell that they do not
overlap. As many lanes as there may be take part in each step, whether they exist or not, in vector loops of fixed
length."""
