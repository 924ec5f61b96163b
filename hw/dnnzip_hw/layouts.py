"""Layouts of the ports, headers, table entries and queues, derived from ``dnnzip.format``."""

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.crc import Algorithm
from amaranth.utils import ceil_log2

from dnnzip.format import (
    CAUSE_BITS,
    CLASS_BITS,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    MAX_TABLES,
    RAW_WIDTHS,
    TABLE_HEADER,
    TOKEN_BITS,
    WEIGHT_HEADER,
    WORD_BITS,
    Crc,
    HeaderLayout,
)
from dnnzip_hw.parameters import DecompressorParameters

WINDOW_BITS = (2 * WORD_BITS - 1).bit_length()
"""Width of a bit's place in the window of a virtual lane, two words."""

ORDER_BITS = 4
"""Width of a table entry's count of state bits."""

TABLE_BITS = ceil_log2(MAX_TABLES)


def header_layout(layout: HeaderLayout) -> data.StructLayout:
    """Return the hardware's layout of a header; biased fields hold the stored number, not the value."""
    return data.StructLayout({field.name: field.width for field in layout.fields})


def crc_algorithm(crc: Crc) -> Algorithm:
    """Return the hardware's description of a check of the format."""
    return Algorithm(
        crc_width=crc.width,
        polynomial=crc.polynomial,
        initial_crc=crc.initial,
        reflect_input=True,
        reflect_output=True,
        xor_output=crc.inverted,
    )


WEIGHT_HEADER_LAYOUT = header_layout(WEIGHT_HEADER)
TABLE_HEADER_LAYOUT = header_layout(TABLE_HEADER)
COLUMNS_WORD_LAYOUT = header_layout(COLUMNS_WORD)


def word_layout() -> data.StructLayout:
    """Return the payload of the input: a word and whether it is the last of its stream."""
    return data.StructLayout({"data": WORD_BITS, "last": 1})


def beat_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return the payload of the output.

    ``weights`` with their ``mask``, or, with ``last``, the end of a stream with its verdict as ``cause``.
    """
    return data.StructLayout(
        {
            "weights": data.ArrayLayout(signed(parameters.weight_bits), parameters.lanes),
            "mask": parameters.lanes,
            "last": 1,
            "cause": CAUSE_BITS,
        }
    )


def entry_layout(log2_states: int) -> data.StructLayout:
    """Return a decoding table's entry: a state's token, how many bits follow, and the base of the next state."""
    return data.StructLayout({"base": log2_states, "bits": ORDER_BITS, "token": TOKEN_BITS})


def table_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a table's number, and its shift: the number of raw low bits that follow each of its tokens."""
    return data.StructLayout({"table": TABLE_BITS, "shift": parameters.low_bits.bit_length()})


def payload_word_layout() -> data.StructLayout:
    """Return a word on its way to the output: ``full``, or with fewer ``items`` than fit."""
    return data.StructLayout({"data": WORD_BITS, "full": 1, "items": ceil_log2(WORD_BITS // min(RAW_WIDTHS))})


def coded_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return a weight as it was coded: ``token``, low bits of which the top ``shift`` are the weight's, ``negate``.

    On target ``ecp5``, whose multiplier takes them, the other low bits are zero.
    """
    low_bits = parameters.low_bits
    return data.StructLayout({"token": TOKEN_BITS, "low": low_bits, "shift": low_bits.bit_length(), "negate": 1})


def request_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return the layout of the words that a beat's weights request: for each lane an escape's word, then a refill word.

    ``half`` says which half of the lane's window the refill word is for.
    """
    return data.StructLayout(
        {
            "slot": ceil_log2(parameters.ring),
            "escape": parameters.lanes,
            "refill": parameters.lanes,
            "half": parameters.lanes,
        }
    )


def tap_layout() -> data.StructLayout:
    """Return the layout of the facts that the lanes share at a position of the channel.

    ``last``: it is the channel's last; ``left``, ``above``: that neighbour exists; ``line``: where the sign history
    keeps this position's sign and, until then, that of the tap above; ``offset``: of the column.
    """
    return data.StructLayout({"last": 1, "left": 1, "above": 1, "line": 3, "offset": COLUMN_OFFSET_BITS})


def round_layout() -> data.StructLayout:
    """Return the layout of the facts that the lanes share in a round.

    ``kind``: what they read; ``ends``: it is the last of its pass; ``final``, ``before_final``: its pass is the
    stream's last one, or the one before; ``line``: of its weights. Of the weights of the next round: their ``left``,
    ``above``, ``next_line`` and ``offset``, as in ``tap_layout``; ``same_line``: their tap above is this round's.
    """
    return data.StructLayout(
        {
            "kind": 2,
            "ends": 1,
            "final": 1,
            "before_final": 1,
            "line": 3,
            "next_line": 3,
            "same_line": 1,
            "left": 1,
            "above": 1,
            "offset": COLUMN_OFFSET_BITS,
        }
    )


def lane_state_layout(parameters: DecompressorParameters) -> data.StructLayout:
    """Return the layout of the state that a virtual lane carries around the ring.

    ``read`` counts the bits that it has read, less one, modulo the bits of its window of two words. As it asks for a
    word whenever fewer than a word's bits are unread, its top bit is also the parity of the words asked for.
    """
    return data.StructLayout(
        {
            "state": parameters.log2_states,
            "table": table_layout(parameters),
            "negate": 1,
            "read": WINDOW_BITS,
            "klass": CLASS_BITS,
        }
    )
