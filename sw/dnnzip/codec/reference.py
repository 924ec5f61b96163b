"""The reference codec: plain Python, slow, and the norm that every other encoder and decoder equals bit for bit.

It takes streams apart exactly in the order of ``dnnzip.format``; nothing here is shared with the fast codec.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dnnzip.format import (
    CLASS_BITS,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    ESCAPE,
    MAX_SEGMENT,
    NARROW_BITS,
    RAW_WIDTHS,
    REFILL_BITS,
    SEGMENT_GROUP,
    SEGMENTS_PER_GROUP,
    TABLES_MAGIC,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    BitReader,
    BitWriter,
    Codec,
    Entry,
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    check_supported,
    check_weight_header,
    column_of,
    context,
    is_final_channel,
    neighbours,
    scale_class,
)


def sign(value: int) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


def signed(value: int, width: int) -> int:
    """Return the two's complement reading of the low ``width`` bits of ``value``."""
    half = 1 << width - 1
    return (value & (1 << width) - 1 ^ half) - half


@dataclass
class Decoded:
    """What a decoder made of a stream.

    Parameters
    ----------
    verdict
        How the stream ended.
    codes
        Where the verdict is ok: one list of codes per channel, in storage order.
    header
        The header, where it was whole and sound.
    """

    verdict: Verdict
    codes: list[list[int]] = field(default_factory=list)
    header: WeightHeader | None = None


@dataclass(frozen=True)
class AnsChoices:
    """What the encoder may choose for an ``ans`` stream.

    Parameters
    ----------
    log2_lanes
        log2 of the virtual lanes; these are at most the channels.
    classes
        Scale class of each channel, or one for all.
    column_shift
        log2 of the input channels that share a column; unused without offsets.
    column_offsets
        Offset 0 to 3 of each column, none to leave the columns out. Columns past the last one have offset 0.
    context
        Whether neighbours choose the table and the sign.
    """

    log2_lanes: int
    classes: Sequence[int]
    column_shift: int = 0
    column_offsets: Sequence[int] = ()
    context: bool = True


@dataclass
class _Step:
    """One step of a virtual lane: its bits, then an escape's word, then whether it may refill."""

    bits: list[tuple[int, int]]
    escape: int | None = None
    final: bool = False


def encode_ans(
    codes: Sequence[Sequence[int]], kernel: tuple[int, int], table_set: TableSet, choices: AnsChoices
) -> bytes:
    """Return the ``ans`` weight stream of a tensor.

    Parameters
    ----------
    codes
        Channels of equal length, codes of 16 bits, each in storage order.
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
    lanes = 1 << choices.log2_lanes
    if lanes > len(codes):
        raise ValueError(f"{lanes} virtual lanes need as many channels, not {len(codes)}")
    height, width = kernel
    transitions = [_transitions(table_set, table) for table in range(len(table_set.counts))]
    coded_lanes = [
        _encode_lane(
            [(channel, codes[channel]) for channel in range(lane, len(codes), lanes)],
            kernel,
            table_set,
            transitions,
            choices,
        )
        for lane in range(lanes)
    ]
    payload = _column_block(choices) + _interleave(coded_lanes)
    wide = any(not -(1 << NARROW_BITS - 1) <= code < 1 << NARROW_BITS - 1 for channel in codes for code in channel)
    header = WeightHeader(
        codec=Codec.ANS,
        channels=len(codes),
        length=len(codes[0]),
        payload_words=len(payload),
        log2_lanes=choices.log2_lanes,
        log2_states=table_set.log2_states,
        wide=int(wide),
        context=int(choices.context),
        klass=choices.classes[0] if len(choices.classes) == 1 else 0,
        class_per_channel=int(len(choices.classes) > 1),
        columns=int(len(choices.column_offsets) > 0),
        table_set=table_set.table_set,
        kernel_width=width,
        kernel_height=height,
    )
    return seal(header, payload)


def encode_raw(items: Sequence[int], channels: int, width: int) -> bytes:
    """Return the ``raw`` weight stream of ``items`` (of 4, 8 or 16 bits, signed or not) in storage order."""
    writer = BitWriter()
    for item in items:
        writer.write(item & (1 << width) - 1, width)
    payload = writer.to_words()
    header = WeightHeader(
        codec=Codec.RAW,
        channels=channels,
        length=len(items) // channels,
        payload_words=len(payload),
        log2_states=8,
        wide=int(width == WORD_BITS),
        raw_width=RAW_WIDTHS.index(width),
    )
    return seal(header, payload)


def encode_line(codes: Sequence[int], channels: int) -> bytes:
    """Return the ``line`` weight stream of ``codes`` (of 16 bits) in storage order.

    The encoder takes codes that lie on straight segments, and loses nothing: from the first code on, the longest
    segment that hits every code exactly, then the next. So there are no more segments than those that the codes were
    made of. A segment of one code has a slope of 0.
    """
    mask = (1 << WORD_BITS) - 1
    segments: list[tuple[int, int, int]] = []  # length, intercept, slope
    start = 0
    while start < len(codes):
        slope = codes[start + 1] - codes[start] & mask if start + 1 < len(codes) else 0
        end = start + 1
        while end < len(codes) and end - start < MAX_SEGMENT and codes[end] - codes[end - 1] & mask == slope:
            end += 1
        segments.append((end - start, codes[start] & mask, slope))
        start = end
    payload: list[int] = []
    for first in range(0, len(segments), SEGMENTS_PER_GROUP):
        group = segments[first : first + SEGMENTS_PER_GROUP]
        lengths = BitWriter()
        for place, (length, _, _) in zip(SEGMENT_GROUP.fields, group, strict=False):
            lengths.write(length - place.bias, place.width)
        payload += lengths.to_words()
        for _, intercept, slope in group:
            payload += [intercept, slope]
    header = WeightHeader(
        codec=Codec.LINE,
        channels=channels,
        length=len(codes) // channels,
        payload_words=len(payload),
        log2_states=8,
        wide=1,
    )
    return seal(header, payload)


def seal(header: WeightHeader, payload: Sequence[int]) -> bytes:
    """Return header, payload words and CRC-32 as the bytes of a stream."""
    data = header.pack() + b"".join(word.to_bytes(WORD_BYTES, "little") for word in payload)
    return data + zlib.crc32(data).to_bytes(4, "little")


def _column_block(choices: AnsChoices) -> list[int]:
    if not choices.column_offsets:
        return []
    first = COLUMNS_WORD.pack({"columns": len(choices.column_offsets), "shift": choices.column_shift})
    writer = BitWriter()
    for offset in choices.column_offsets:
        writer.write(offset, COLUMN_OFFSET_BITS)
    return [int.from_bytes(first, "little"), *writer.to_words()]


def _transitions(table_set: TableSet, table: int) -> dict[int, list[tuple[int, Entry]]]:
    """Return for each token the states that stand for it, with their entries."""
    result: dict[int, list[tuple[int, Entry]]] = {}
    for state, entry in enumerate(table_set.entries(table)):
        result.setdefault(entry.token, []).append((state, entry))
    return result


def _weight_table(
    position: int,
    done: Sequence[int],
    kernel: tuple[int, int],
    channel_class: int,
    column_shift: int,
    column_offsets: Sequence[int],
    use_context: int,
    table_set: TableSet,
) -> tuple[int, bool]:
    """Return (table, negate) of the weight at ``position``.

    ``done`` holds the signs of the channel's weights before it, zero for escapes.
    """
    height, width = kernel
    number, negate = 0, False
    if use_context:
        left, above = neighbours(position, width, height)
        number, negate = context(done[left] if left is not None else 0, done[above] if above is not None else 0)
    column = column_of(position, height * width, column_shift)
    offset = column_offsets[column] if column < len(column_offsets) else 0
    return table_set.class_map[scale_class(channel_class, offset)][number], negate


def _encode_lane(
    channels: Sequence[tuple[int, Sequence[int]]],
    kernel: tuple[int, int],
    table_set: TableSet,
    transitions: Sequence[dict[int, list[tuple[int, Entry]]]],
    choices: AnsChoices,
) -> list[_Step]:
    """Return the steps of one virtual lane in the order of decoding."""
    weights: list[tuple[int, int, int, int | None]] = []  # table, token, low bits, escape
    for channel, values in channels:
        channel_class = choices.classes[channel if len(choices.classes) > 1 else 0]
        signs: list[int] = []
        for position, value in enumerate(values):
            table, negate = _weight_table(
                position,
                signs,
                kernel,
                channel_class,
                choices.column_shift,
                choices.column_offsets,
                choices.context,
                table_set,
            )
            coded = -value if negate else value
            shift = table_set.shifts[table]
            token = coded >> shift
            if ESCAPE < token < -ESCAPE and table_set.counts[table][TOKEN_ORDER.index(token)]:
                weights.append((table, token, coded & (1 << shift) - 1, None))
                signs.append(sign(value))
            else:
                weights.append((table, ESCAPE, 0, value & (1 << WORD_BITS) - 1))
                signs.append(0)
    steps = []
    state = 0
    for table, token, low, escape in reversed(weights):
        for before, entry in transitions[table].get(token, []):
            if entry.base <= state < entry.base + (1 << entry.bits):
                steps.append(_Step([(low, table_set.shifts[table]), (state - entry.base, entry.bits)], escape))
                state = before
                break
        else:
            raise ValueError(f"table {table} has no token {token}")
    steps.reverse()
    steps[-1].final = True
    if len(choices.classes) > 1:
        length = len(channels[0][1])
        for number in reversed(range(len(channels))):
            steps.insert(number * length, _Step([(choices.classes[channels[number][0]], CLASS_BITS)]))
    return [_Step([(state, table_set.log2_states)]), *steps]


def _interleave(coded_lanes: Sequence[Sequence[_Step]]) -> list[int]:
    """Return the words of the lanes in the order in which a decoder takes them."""
    readers = []
    for steps in coded_lanes:
        writer = BitWriter()
        for step in steps:
            for value, width in step.bits:
                writer.write(value, width)
        readers.append(iter(writer.to_words()))
    payload = [next(reader) for reader in readers]
    unread = [WORD_BITS] * len(coded_lanes)
    for number in range(max(len(steps) for steps in coded_lanes)):
        for lane, steps in enumerate(coded_lanes):
            if number >= len(steps):
                continue
            step = steps[number]
            unread[lane] -= sum(width for _, width in step.bits)
            if step.escape is not None:
                payload.append(step.escape)
            if not step.final and unread[lane] < REFILL_BITS:
                payload.append(next(readers[lane], 0))
                unread[lane] += WORD_BITS
    return payload


class _Lane:
    """A virtual lane of the decoder: a tANS state, unread bits, and the signs of the channel it is in."""

    def __init__(self, words: StreamWords) -> None:
        self.words = words
        self.state = 0
        self.number = words.payload_word()
        self.unread = WORD_BITS
        self.channel_class = 0
        self.signs: list[int] = []
        self.codes: list[int] = []

    def read(self, width: int) -> int:
        value = self.number & (1 << width) - 1
        self.number >>= width
        self.unread -= width
        return value

    def refill(self) -> None:
        if self.unread < REFILL_BITS:
            self.number |= self.words.payload_word() << self.unread
            self.unread += WORD_BITS


def decode(data: bytes, table_set: TableSet | None = None, limits: Limits | None = None) -> Decoded:
    """Decode a weight stream.

    Parameters
    ----------
    data
        The stream.
    table_set
        The table set that is loaded, if any.
    limits
        What the decoder was built for; by default all that the format allows.

    Returns
    -------
    Decoded
        The verdict, and the codes where it is ok. Nothing is raised for any input.
    """
    result = Decoded(Verdict.OK)
    try:
        words = StreamWords(data)
        if words.kind() & 0xFF == TABLES_MAGIC:
            raise VerdictError(Verdict.BAD_MAGIC)
        check_supported(data[: words.position * WORD_BYTES], limits or Limits())
        words.word()
        check_supported(data[: words.position * WORD_BYTES], limits or Limits())
        header = WeightHeader.unpack(words.rest_of_header(WEIGHT_HEADER))
        check_weight_header(header, table_set)
        result.header = header
        words.payload_left = header.payload_words
        if header.codec == Codec.RAW:
            codes = list(_decode_raw(words, header))
        elif header.codec == Codec.LINE:
            codes = _decode_line(words, header)
        else:
            assert table_set is not None
            codes = _decode_ans(words, header, table_set)
        words.finish()
        result.codes = codes
    except VerdictError as error:
        result.verdict = error.verdict
    return result


def _decode_raw(words: StreamWords, header: WeightHeader) -> Iterator[list[int]]:
    width = RAW_WIDTHS[header.raw_width]
    reader = BitReader(words.payload_word)
    for _ in range(header.channels):
        yield [signed(reader.read(width), width) for _ in range(header.length)]


def _decode_line(words: StreamWords, header: WeightHeader) -> list[list[int]]:
    codes: list[int] = []
    lengths: list[int] = []  # of the group's segments that are still to come
    while len(codes) < header.weights:
        if not lengths:
            reader = BitReader(words.payload_word)
            fields = SEGMENT_GROUP.fields[:SEGMENTS_PER_GROUP]
            lengths = [reader.read(field.width) + field.bias for field in fields]
        length = lengths.pop(0)
        intercept = words.payload_word()
        slope = words.payload_word()
        if length > header.weights - len(codes):
            raise VerdictError(Verdict.BAD_CODE)
        codes += [signed(intercept + number * slope, WORD_BITS) for number in range(length)]
    return [codes[start : start + header.length] for start in range(0, header.weights, header.length)]


def _decode_ans(words: StreamWords, header: WeightHeader, table_set: TableSet) -> list[list[int]]:
    column_shift, column_offsets = 0, []
    if header.columns:
        block = COLUMNS_WORD.unpack(words.payload_word().to_bytes(WORD_BYTES, "little"))
        column_shift = block["shift"]
        reader = BitReader(words.payload_word)
        column_offsets = [reader.read(COLUMN_OFFSET_BITS) for _ in range(block["columns"])]
    entries = [table_set.entries(table) for table in range(len(table_set.counts))]
    kernel = (header.kernel_height, header.kernel_width)
    lanes = [_Lane(words) for _ in range(header.lanes)]
    for lane in lanes:
        lane.state = lane.read(table_set.log2_states)
        lane.refill()
    codes: list[list[int]] = []
    for first in range(0, header.channels, header.lanes):
        active = lanes[: header.channels - first]
        for lane in active:
            lane.channel_class = header.klass
            if header.class_per_channel:
                lane.channel_class = lane.read(CLASS_BITS)
                lane.refill()
            lane.signs, lane.codes = [], []
        for position in range(header.length):
            for index, lane in enumerate(active):
                table, negate = _weight_table(
                    position,
                    lane.signs,
                    kernel,
                    lane.channel_class,
                    column_shift,
                    column_offsets,
                    header.context,
                    table_set,
                )
                entry = entries[table][lane.state]
                low = lane.read(table_set.shifts[table])
                lane.state = entry.base + lane.read(entry.bits)
                if entry.token == ESCAPE:
                    code = signed(words.payload_word(), WORD_BITS)
                    lane.signs.append(0)
                else:
                    code = entry.token << table_set.shifts[table] | low
                    code = -code if negate else code
                    lane.signs.append(sign(code))
                lane.codes.append(code)
                last = position + 1 == header.length
                if not (last and is_final_channel(first + index, header.channels, header.lanes)):
                    lane.refill()
        codes.extend(lane.codes for lane in active)
    if not header.wide and any(signed(code, NARROW_BITS) != code for channel in codes for code in channel):
        raise VerdictError(Verdict.BAD_CODE)
    if any(lane.state for lane in lanes):
        raise VerdictError(Verdict.BAD_STATE)
    return codes
