"""The fast codec: the reference's streams, byte for byte, from compiled loops over arrays."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import kernels, line_kernels
from dnnzip.codec.reference import AnsChoices
from dnnzip.codec.statistics import offset_of_positions
from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    CRC_WORDS,
    ESCAPE,
    NARROW_BITS,
    RAW_WIDTHS,
    TABLES_MAGIC,
    TOKEN_BITS,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    BitWriter,
    Codec,
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    check_supported,
    check_weight_header,
    group_words,
)

MAX_WEIGHTS_PER_PAYLOAD_BIT = 4096
ALWAYS_DECODED = 1 << 20
"""A stream that declares more weights than both limits say is not decoded: no memory is taken for it."""


@dataclass(frozen=True)
class Decoded:
    """What the fast decoder made of a stream.

    Parameters
    ----------
    verdict
        How the stream ended.
    codes
        int16 [channels, length], each channel in storage order; None where the verdict is not ok.
    header
        The header, where it was whole and sound.
    """

    verdict: Verdict
    codes: NDArray[np.int16] | None = None
    header: WeightHeader | None = None


class _Tables:
    """A table set as the arrays that the loops take."""

    def __init__(self, table_set: TableSet) -> None:
        tables, states = len(table_set.counts), table_set.states
        self.entries = np.zeros((tables, states), np.int32)
        self.has_token = np.zeros((tables, kernels.TOKEN_COUNT), np.bool_)
        self.tokens = np.zeros((tables, kernels.TOKEN_COUNT), np.int64)
        self.next_states = np.zeros((tables, states), np.int16)
        for table, counts in enumerate(table_set.counts):
            order = np.zeros(states, np.int64)
            for state, entry in enumerate(table_set.entries(table)):
                self.entries[table, state] = (
                    entry.token << kernels.TOKEN_SHIFT
                    | table_set.shifts[table] << kernels.SHIFT_SHIFT
                    | entry.bits << kernels.BITS_SHIFT
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
                low_width = table_set.shifts[table] | (token == ESCAPE) << kernels.ESCAPE_MARK_BIT
                self.tokens[table, index] = (
                    table * states + filled - count << kernels.STATE_OFFSET_SHIFT
                    | low_width << kernels.LOW_WIDTH_SHIFT
                    | (most << 16) - (count << most)
                )
                self.next_states[table, filled : filled + count] = np.flatnonzero(order == token) + states
                filled += count
        self.slots = np.array(
            [
                table << TOKEN_BITS | shift | _safe_tokens(self.has_token[table]) << kernels.SLOT_SAFE_SHIFT
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


def _words(data: bytes) -> NDArray[np.uint16]:
    padded = data + b"\0" if len(data) % WORD_BYTES else data
    return np.frombuffer(padded, "<u2")


def decode(data: bytes, table_set: TableSet | None = None, limits: Limits | None = None) -> Decoded:
    """Decode a weight stream.

    Parameters
    ----------
    data
        The stream.
    table_set
        The table set that is loaded, if any.
    limits
        What the decoder stands in for; by default all that the format allows.

    Returns
    -------
    Decoded
        The verdict, and the codes where it is ok. A stream that declares more than 2**20 weights and more than 4096
        per bit that it has is ``bad header`` here, before memory is taken.
    """
    header = None
    try:
        words = StreamWords(data)
        declared = take_header(words, limits or Limits())
        check_weight_header(declared, table_set)
        header = declared
        payload_bits = WORD_BITS * (words.count - words.position)
        if header.weights > max(ALWAYS_DECODED, MAX_WEIGHTS_PER_PAYLOAD_BIT * payload_bits):
            raise VerdictError(Verdict.BAD_HEADER)
        payload = _words(data)[words.position :]
        if header.codec == Codec.RAW:
            codes, taken = _decode_raw(payload, header)
        elif header.codec == Codec.LINE:
            codes, taken = _decode_line(payload, header)
        else:
            assert table_set is not None
            codes, taken = _decode_ans(payload, header, table_set)
        words.position += taken
        words.payload_left = header.payload_words - taken
        words.finish()
    except VerdictError as error:
        return Decoded(error.verdict, None, header)
    return Decoded(Verdict.OK, codes, header)


def take_header(words: StreamWords, limits: Limits) -> WeightHeader:
    """Take the header of a weight stream; its fields may still contradict each other.

    Raises
    ------
    VerdictError
        ``truncated``, ``bad magic``, ``version``, ``unsupported`` or ``bad header``.
    """
    if words.kind() & 0xFF == TABLES_MAGIC:
        raise VerdictError(Verdict.BAD_MAGIC)
    check_supported(words.data[: words.position * WORD_BYTES], limits)
    words.word()
    check_supported(words.data[: words.position * WORD_BYTES], limits)
    return WeightHeader.unpack(words.rest_of_header(WEIGHT_HEADER))


def _decode_raw(payload: NDArray[np.uint16], header: WeightHeader) -> tuple[NDArray[np.int16], int]:
    width = RAW_WIDTHS[header.raw_width]
    taken = -(-header.weights * width // WORD_BITS)
    if taken > min(header.payload_words, payload.size):
        raise VerdictError(Verdict.TRUNCATED)
    spread = (payload[:taken, None] << np.arange(WORD_BITS - width, -1, -width, dtype=np.uint16)).astype(np.uint16)
    # Each item now stands at the top of its 16 bits; the shift back extends its sign.
    items = spread.view(np.int16).reshape(-1)[: header.weights] >> (WORD_BITS - width)
    return np.ascontiguousarray(items, np.int16).reshape(header.channels, header.length), taken


def _decode_line(payload: NDArray[np.uint16], header: WeightHeader) -> tuple[NDArray[np.int16], int]:
    codes = np.empty((header.channels, header.length), np.int16)
    verdict, taken = line_kernels.decode_line(payload[: header.payload_words], codes.reshape(-1))
    if verdict != Verdict.OK:
        raise VerdictError(Verdict(verdict))
    return codes, taken


def _decode_ans(
    payload: NDArray[np.uint16], header: WeightHeader, table_set: TableSet
) -> tuple[NDArray[np.int16], int]:
    tables = _tables(table_set)
    available = min(header.payload_words, payload.size)
    taps = header.kernel_height * header.kernel_width
    taken, column_shift, column_offsets = _take_columns(payload[:available]) if header.columns else (0, 0, [])
    offsets = offset_of_positions(header.length, taps, column_shift, column_offsets)
    codes = np.empty((header.channels, header.length), np.int16)
    kernel = (header.kernel_height, header.kernel_width)
    masks, back = kernels.neighbour_masks(header.length, kernel, bool(header.context))
    verdict, taken = kernels.decode_ans(
        payload,
        taken,
        available,
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
        *kernels.decoder_room(back),
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


def encode_ans(codes: NDArray[np.int16], kernel: tuple[int, int], table_set: TableSet, choices: AnsChoices) -> bytes:
    """Return the ``ans`` weight stream of a tensor.

    Parameters
    ----------
    codes
        int16 [channels, length], each channel in storage order.
    kernel
        Height and width of a channel's taps, each 1 to 8.
    table_set
        The tables to code with.
    choices
        What the encoder chose.

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
    lane_words = np.empty((lanes, most_bits // WORD_BITS + 1 + kernels.SPARE_WORDS), np.uint16)
    places = np.empty(lanes, np.int64)
    masks, back = kernels.neighbour_masks(length, kernel, choices.context)
    escapes = kernels.encode_lanes(
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
        *kernels.encoder_room(lanes, length, back),
    )
    if escapes < 0:
        raise ValueError(f"table {-1 - escapes} has no token {ESCAPE}")
    block = np.frombuffer(column_block(choices.column_shift, choices.column_offsets), "<u2")
    start = WEIGHT_HEADER.words + block.size
    used = int((lane_words.shape[1] - places).sum())
    # A lane that is due no word is written one all the same, after the last one.
    words = np.empty(start + used + escapes + lanes + max(CRC_WORDS, 1), np.uint16)
    words[WEIGHT_HEADER.words : start] = block
    written = start + kernels.interleave(
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
    words[written:] = np.frombuffer(_crc(words[:written].data), "<u2")
    return words.tobytes()


def encode_raw(items: NDArray[np.signedinteger], channels: int, width: int) -> bytes:
    """Return the ``raw`` weight stream of ``items`` (of 4, 8 or 16 bits) in storage order, as ``channels`` channels."""
    per_word = WORD_BITS // width
    padded = np.zeros(-(-items.size // per_word) * per_word, np.uint16)
    padded[: items.size] = items.reshape(-1).astype(np.uint16) & np.uint16((1 << width) - 1)
    words = np.zeros(padded.size // per_word, np.uint16)
    for index in range(per_word):
        words |= padded[index::per_word] << np.uint16(index * width)
    header = WeightHeader(
        codec=Codec.RAW,
        channels=channels,
        length=items.size // channels,
        payload_words=words.size,
        log2_states=8,
        wide=int(width == WORD_BITS),
        raw_width=RAW_WIDTHS.index(width),
    )
    return _seal(header, words.astype("<u2").tobytes())


def encode_line(codes: NDArray[np.int16], channels: int) -> bytes:
    """Return the ``line`` weight stream of ``codes`` (of 16 bits) in storage order, as ``channels`` channels."""
    flat = np.ascontiguousarray(codes, np.int16).reshape(-1)
    payload = np.empty(group_words(line_kernels.count_segments(flat)), np.uint16)
    line_kernels.encode_line(flat, payload)
    header = WeightHeader(
        codec=Codec.LINE,
        channels=channels,
        length=flat.size // channels,
        payload_words=payload.size,
        log2_states=8,
        wide=1,
    )
    return _seal(header, payload.astype("<u2").tobytes())


def is_wide(codes: NDArray[np.int16]) -> bool:
    """Return whether a code does not fit 8 bits."""
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


def _seal(header: WeightHeader, payload: bytes) -> bytes:
    data = header.pack() + payload
    return data + _crc(data)


def _crc(data: bytes | memoryview) -> bytes:
    """Return the CRC-32 that ends a stream."""
    return zlib.crc32(data).to_bytes(CRC_WORDS * WORD_BYTES, "little")
