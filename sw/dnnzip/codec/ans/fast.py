"""The fast ``ans`` codec: the reference's streams, byte for byte, from compiled loops over arrays."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.ans import decoding_loops, encoding_loops
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.kernels import TOKEN_COUNT, neighbour_masks
from dnnzip.codec.statistics import offset_of_positions
from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    CRC_WORDS,
    ESCAPE,
    NARROW_BITS,
    TOKEN_BITS,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    BitWriter,
    Codec,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    crc32,
)


class _Tables:
    """A table set as the arrays that the loops take."""

    def __init__(self, table_set: TableSet) -> None:
        tables, states = len(table_set.counts), table_set.states
        self.entries = np.zeros((tables, states), np.int32)
        self.has_token = np.zeros((tables, TOKEN_COUNT), np.bool_)
        self.tokens = np.zeros((tables, TOKEN_COUNT), np.int64)
        self.next_states = np.zeros((tables, states), np.int16)
        for table, counts in enumerate(table_set.counts):
            order = np.zeros(states, np.int64)
            for state, entry in enumerate(table_set.entries(table)):
                self.entries[table, state] = (
                    entry.token << decoding_loops.TOKEN_SHIFT
                    | table_set.shifts[table] << decoding_loops.SHIFT_SHIFT
                    | entry.bits << decoding_loops.BITS_SHIFT
                    | entry.base
                )
                order[state] = entry.token
            filled = 0
            for token, count in zip(TOKEN_ORDER, counts, strict=True):
                if not count:
                    continue
                index = token - ESCAPE
                self.has_token[table, index] = True
                # As X runs from states to 2 * states - 1, X >> bits must land in count .. 2 * count - 1.
                most = table_set.log2_states - max(count - 1, 1).bit_length() + 1
                low_width = table_set.shifts[table] | (token == ESCAPE) << encoding_loops.ESCAPE_MARK_BIT
                self.tokens[table, index] = (
                    table * states + filled - count << encoding_loops.STATE_OFFSET_SHIFT
                    | low_width << encoding_loops.LOW_WIDTH_SHIFT
                    | (most << 16) - (count << most)
                )
                self.next_states[table, filled : filled + count] = np.flatnonzero(order == token) + states
                filled += count
        self.slots = np.array(
            [
                table << TOKEN_BITS | shift | _safe_tokens(self.has_token[table]) << encoding_loops.SLOT_SAFE_SHIFT
                for table, shift in enumerate(table_set.shifts)
            ],
            np.uint16,
        )
        shifted = np.minimum(np.arange(CLASSES)[:, None] + np.arange(1 << COLUMN_OFFSET_BITS), CLASSES - 1)
        # [classes, column offsets, contexts].
        self.shifted_map = np.array(table_set.class_map)[shifted]
        self.class_entries = (self.shifted_map << table_set.log2_states).astype(np.int32)


def _safe_tokens(has_token: NDArray[np.bool_]) -> int:
    """Return the number below which, by size, a table has every token."""
    size = 0
    while size < -ESCAPE and has_token[size - ESCAPE] and has_token[-size - ESCAPE]:
        size += 1
    return size


@lru_cache(maxsize=8)
def _tables(table_set: TableSet) -> _Tables:
    return _Tables(table_set)


def decode(
    payload: NDArray[np.uint16], header: WeightHeader, table_set: TableSet | None
) -> tuple[NDArray[np.int16], int]:
    """Decode a payload; return the codes, int16 [channels, length], and the words taken.

    Parameters
    ----------
    payload
        uint16 [words], which may end early.

    Raises
    ------
    VerdictError
        With the verdict, where it is not ``ok``.
    """
    assert table_set is not None
    tables = _tables(table_set)
    taps = header.kernel_height * header.kernel_width
    taken, column_shift, column_offsets = _take_columns(payload) if header.columns else (0, 0, [])
    offsets = offset_of_positions(header.length, taps, column_shift, column_offsets)
    codes = np.empty((header.channels, header.length), np.int16)
    kernel = (header.kernel_height, header.kernel_width)
    masks, back = neighbour_masks(header.length, kernel, bool(header.context))
    verdict, taken = decoding_loops.decode_ans(
        payload,
        taken,
        payload.size,
        codes,
        tables.entries.reshape(-1),
        tables.class_entries,
        offsets,
        table_set.log2_states,
        header.log2_lanes,
        not header.wide,
        header.klass,
        bool(header.class_per_channel),
        masks,
        back,
        *decoding_loops.decoder_room(back),
    )
    if verdict != Verdict.OK:
        raise VerdictError(Verdict(verdict))
    return codes, taken


def _take_columns(payload: NDArray[np.uint16]) -> tuple[int, int, list[int]]:
    """Return the words of the block of column offsets, the column shift and the offsets."""
    if not payload.size:
        raise VerdictError(Verdict.TRUNCATED)
    block = COLUMNS_WORD.unpack(int(payload[0]).to_bytes(WORD_BYTES, "little"))
    taken = 1 - (-block["columns"] * COLUMN_OFFSET_BITS // WORD_BITS)
    if taken > payload.size:
        raise VerdictError(Verdict.TRUNCATED)
    places = np.arange(0, WORD_BITS, COLUMN_OFFSET_BITS, dtype=np.uint16)
    offsets = payload[1:taken, None] >> places & np.uint16((1 << COLUMN_OFFSET_BITS) - 1)
    return taken, block["shift"], offsets.reshape(-1)[: block["columns"]].tolist()


def encode(codes: NDArray[np.int16], kernel: tuple[int, int], table_set: TableSet, choices: AnsChoices) -> bytes:
    """Return the ``ans`` weight stream of a tensor.

    Parameters
    ----------
    codes
        int16 [channels, length], each channel in storage order.
    kernel
        Height and width of a channel's taps, each 1 to 8.

    Raises
    ------
    ValueError
        If a code needs an escape in a table that has none, or a field is out of its range.
    """
    tables = _tables(table_set)
    codes = np.ascontiguousarray(codes, np.int16)
    channels, length = codes.shape
    lanes = 1 << choices.log2_lanes
    height, width = kernel
    classes = np.asarray(choices.classes, np.int64)
    offsets = offset_of_positions(length, height * width, choices.column_shift, choices.column_offsets)
    # [classes, contexts, length].
    slots = np.ascontiguousarray(tables.slots[tables.shifted_map[:, offsets]].transpose(0, 2, 1))
    widths = np.empty(codes.shape, np.uint8)
    channels_of_lane = -(-channels // lanes)
    most_bits = channels_of_lane * (length * table_set.most_weight_bits + CLASS_BITS) + table_set.log2_states
    lane_words = np.empty((lanes, most_bits // WORD_BITS + 1 + encoding_loops.SPARE_WORDS), np.uint16)
    places = np.empty(lanes, np.int64)
    masks, back = neighbour_masks(length, kernel, choices.context)
    escapes = encoding_loops.encode_lanes(
        codes,
        widths,
        lane_words,
        places,
        classes,
        slots,
        tables.has_token,
        tables.tokens.reshape(-1),
        tables.next_states.reshape(-1),
        table_set.log2_states,
        masks,
        back,
        *encoding_loops.encoder_room(lanes, length, back),
    )
    if escapes < 0:
        raise ValueError(f"table {-1 - escapes} has no token {ESCAPE}")
    block = np.frombuffer(column_block(choices.column_shift, choices.column_offsets), "<u2")
    start = WEIGHT_HEADER.words + block.size
    used = int((lane_words.shape[1] - places).sum())
    # A lane that is due no word is written one all the same, after the last one.
    words = np.empty(start + used + escapes + lanes + max(CRC_WORDS, 1), np.uint16)
    words[WEIGHT_HEADER.words : start] = block
    written = start + encoding_loops.interleave(
        codes,
        widths,
        lane_words,
        places,
        classes.size > 1,
        table_set.log2_states,
        words[start:],
        np.empty(lanes, np.int64),
    )
    header = WeightHeader(
        codec=Codec.ANS,
        channels=channels,
        length=length,
        payload_words=written - WEIGHT_HEADER.words,
        log2_lanes=choices.log2_lanes,
        log2_states=table_set.log2_states,
        wide=int(is_wide(codes)),
        context=int(choices.context),
        klass=int(classes[0]) if classes.size == 1 else 0,
        class_per_channel=int(classes.size > 1),
        columns=int(len(choices.column_offsets) > 0),
        table_set=table_set.table_set,
        kernel_width=width,
        kernel_height=height,
    )
    words[: WEIGHT_HEADER.words] = np.frombuffer(header.pack(), "<u2")
    words = words[: written + CRC_WORDS].astype("<u2", copy=False)
    words[written:] = np.frombuffer(crc32(words[:written].data), "<u2")
    return words.tobytes()


def is_wide(codes: NDArray[np.int16]) -> bool:
    """Return True if a code does not fit 8 bits."""
    limit = 1 << NARROW_BITS - 1
    return bool(codes.size) and (int(codes.min()) < -limit or int(codes.max()) >= limit)


def column_block(shift: int, offsets: Sequence[int]) -> bytes:
    """Return the block of column offsets that opens a payload; empty without offsets."""
    if not len(offsets):
        return b""
    writer = BitWriter()
    for offset in offsets:
        writer.write(int(offset), COLUMN_OFFSET_BITS)
    return COLUMNS_WORD.pack({"columns": len(offsets), "shift": shift}) + writer.to_bytes()
