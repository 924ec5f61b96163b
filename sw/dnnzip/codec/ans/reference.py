"""The reference ``ans`` codec: plain Python, slow, and the norm that every other encoder and decoder equals."""

from collections.abc import Sequence
from dataclasses import dataclass

from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.format import (
    CLASS_BITS,
    COLUMN_OFFSET_BITS,
    COLUMNS_WORD,
    ESCAPE,
    NARROW_BITS,
    REFILL_BITS,
    TOKEN_ORDER,
    WORD_BITS,
    WORD_BYTES,
    BitReader,
    BitWriter,
    Codec,
    Entry,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    WeightStream,
    column_of,
    context,
    is_final_channel,
    neighbours,
    scale_class,
    signed,
)


def sign(value: int) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


@dataclass
class _Step:
    """One step of a virtual lane: its bits, then an escape's word, then whether it may refill."""

    bits: list[tuple[int, int]]
    escape: int | None = None
    final: bool = False


def encode(codes: Sequence[Sequence[int]], kernel: tuple[int, int], table_set: TableSet, choices: AnsChoices) -> bytes:
    """Return the ``ans`` weight stream of a tensor.

    Parameters
    ----------
    codes
        Channels of equal length, codes of 16 bits, each in storage order.
    kernel
        Height and width of a channel's taps, each 1 to 8.

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
    choice = _TableChoice(table_set, kernel, choices.context, choices.column_shift, choices.column_offsets)
    channels = list(enumerate(codes))
    coded_lanes = [_encode_lane(channels[lane::lanes], choice, transitions, choices.classes) for lane in range(lanes)]
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
    return WeightStream.sealed(header, b"".join(word.to_bytes(WORD_BYTES, "little") for word in payload)).data


def _column_block(choices: AnsChoices) -> list[int]:
    if not choices.column_offsets:
        return []
    first = COLUMNS_WORD.pack({"columns": len(choices.column_offsets), "shift": choices.column_shift})
    writer = BitWriter()
    for offset in choices.column_offsets:
        writer.write(offset, COLUMN_OFFSET_BITS)
    return [int.from_bytes(first, "little"), *writer.to_words()]


def _transitions(table_set: TableSet, table: int) -> dict[int, list[tuple[int, Entry]]]:
    """Return for each token the states that represent it, with their entries."""
    result: dict[int, list[tuple[int, Entry]]] = {}
    for state, entry in enumerate(table_set.entries(table)):
        result.setdefault(entry.token, []).append((state, entry))
    return result


@dataclass(frozen=True)
class _TableChoice:
    """Choice of the table of each weight, by its neighbours, the class of its channel and the offset of its column."""

    table_set: TableSet
    kernel: tuple[int, int]
    use_context: int
    column_shift: int
    column_offsets: Sequence[int]

    def table_of(self, position: int, done: Sequence[int], channel_class: int) -> tuple[int, bool]:
        """Return (table, negate) of the weight at ``position``.

        ``done`` holds the signs of the channel's weights before it, zero for escapes.
        """
        height, width = self.kernel
        number, negate = 0, False
        if self.use_context:
            left, above = neighbours(position, width, height)
            number, negate = context(done[left] if left is not None else 0, done[above] if above is not None else 0)
        column = column_of(position, height * width, self.column_shift)
        offset = self.column_offsets[column] if column < len(self.column_offsets) else 0
        return self.table_set.class_map[scale_class(channel_class, offset)][number], negate


def _encode_lane(
    channels: Sequence[tuple[int, Sequence[int]]],
    choice: _TableChoice,
    transitions: Sequence[dict[int, list[tuple[int, Entry]]]],
    classes: Sequence[int],
) -> list[_Step]:
    """Return the steps of one virtual lane in the order of decoding."""
    table_set = choice.table_set
    weights: list[tuple[int, int, int, int | None]] = []  # table, token, low bits, escape
    for channel, values in channels:
        channel_class = classes[channel if len(classes) > 1 else 0]
        signs: list[int] = []
        for position, value in enumerate(values):
            table, negate = choice.table_of(position, signs, channel_class)
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
    if len(classes) > 1:
        length = len(channels[0][1])
        for number in reversed(range(len(channels))):
            steps.insert(number * length, _Step([(classes[channels[number][0]], CLASS_BITS)]))
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


def decode(words: StreamWords, header: WeightHeader, table_set: TableSet | None) -> list[list[int]]:
    """Decode a payload; return the codes of each channel."""
    assert table_set is not None
    column_shift, column_offsets = 0, []
    if header.columns:
        block = COLUMNS_WORD.unpack(words.payload_word().to_bytes(WORD_BYTES, "little"))
        column_shift = block["shift"]
        reader = BitReader(words.payload_word)
        column_offsets = [reader.read(COLUMN_OFFSET_BITS) for _ in range(block["columns"])]
    entries = [table_set.entries(table) for table in range(len(table_set.counts))]
    kernel = (header.kernel_height, header.kernel_width)
    choice = _TableChoice(table_set, kernel, header.context, column_shift, column_offsets)
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
                table, negate = choice.table_of(position, lane.signs, lane.channel_class)
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
