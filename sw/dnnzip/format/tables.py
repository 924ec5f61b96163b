"""The table set: normalised counts, shifts and the class map, as a stream and as decoding tables.

A token is the code's value divided by two to the table's shift, rounded down; the shift's low bits follow it raw.
Tokens run from -31 to 31; ``ESCAPE`` says that the code is the lane's next whole word instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dnnzip.format.bits import BitReader, BitWriter, exp_golomb_bits
from dnnzip.format.context import CONTEXTS
from dnnzip.format.crc import crc32
from dnnzip.format.fields import WORD_BITS, WORD_BYTES
from dnnzip.format.header import CRC_WORDS, TABLE_HEADER, TABLES_MAGIC, TableHeader
from dnnzip.format.limits import (
    CLASSES,
    MAX_LOG2_STATES,
    MAX_SHIFT,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    MIN_LOG2_STATES,
    SHIFT_BITS,
)
from dnnzip.format.verdict import Verdict
from dnnzip.format.words import StreamWords, VerdictError

TOKEN_BITS = 6
ESCAPE = -(1 << TOKEN_BITS - 1)
TOKEN_ORDER = (0, *(token for size in range(1, -ESCAPE) for token in (-size, size)), ESCAPE)
"""The order in which counts are stored and tokens are spread: 0, -1, 1, -2, 2, ... -31, 31, escape."""


@dataclass(frozen=True)
class Entry:
    """One entry of a decoding table: the state's token, how many bits follow, and the base of the next state."""

    token: int
    bits: int
    base: int


def map_width(tables: int) -> int:
    """Return the bits of a class map entry in the stream of a set of ``tables`` tables."""
    return (tables - 1).bit_length()


def spread_step(log2_states: int) -> int:
    """Return the distance between two states that the spread fills one after the other; odd, so it reaches all."""
    states = 1 << log2_states
    return (states >> 1) + (states >> 3) + 3


def first_prediction(log2_states: int) -> int:
    """Return the prediction of a table's first count."""
    return 1 << log2_states - 3


def golomb_order(prediction: int) -> int:
    """Return the order of the exponential Golomb code of a count, from the count before it."""
    return max(0, prediction.bit_length() - 2)


@dataclass(frozen=True)
class TableSet:
    """A table set; a ``ValueError`` where a rule of a field is broken."""

    log2_states: int  # log2 of the number of states: 8, 9 or 10
    class_map: tuple[tuple[int, ...], ...]  # ``CLASSES`` rows of ``CONTEXTS`` table numbers
    shifts: tuple[int, ...]  # raw low bits after a token, one number per table; ``log2_states`` + shift is at most 16
    # Per table the 64 normalised counts in ``TOKEN_ORDER``; they add up to the number of states.
    counts: tuple[tuple[int, ...], ...]
    # The id that the set's stream declares; by default one that depends on all of its content.
    declared_id: int | None = None

    def __post_init__(self) -> None:
        if not MIN_LOG2_STATES <= self.log2_states <= MAX_LOG2_STATES:
            raise ValueError(f"log2_states must be {MIN_LOG2_STATES} to {MAX_LOG2_STATES}, not {self.log2_states}")
        tables = len(self.counts)
        if not 1 <= tables <= MAX_TABLES or len(self.shifts) != tables:
            raise ValueError(f"there must be 1 to {MAX_TABLES} tables with a shift each, not {tables}")
        if len(self.class_map) != CLASSES or any(
            len(row) != CONTEXTS or not all(0 <= table < tables for table in row) for row in self.class_map
        ):
            raise ValueError(f"class_map must be {CLASSES} rows of {CONTEXTS} table numbers below {tables}")
        for shift in self.shifts:
            if not 0 <= shift < 1 << SHIFT_BITS or self.log2_states + shift > MAX_WEIGHT_BITS:
                raise ValueError(f"a shift must be 0 to {MAX_WEIGHT_BITS - self.log2_states}, not {shift}")
        for row in self.counts:
            if len(row) != len(TOKEN_ORDER) or min(row) < 0 or sum(row) != self.states:
                raise ValueError(f"{len(TOKEN_ORDER)} counts must add up to {self.states}")

    @property
    def states(self) -> int:
        """States of each table."""
        return 1 << self.log2_states

    @property
    def most_weight_bits(self) -> int:
        """The most bits that a weight of this set takes in addition to an escape's word."""
        return self.log2_states + max(self.shifts)

    @cached_property
    def _body(self) -> tuple[bytes, int]:
        writer = BitWriter()
        width = map_width(len(self.counts))
        for row in self.class_map:
            for table in row:
                writer.write(table, width)
        for shift, counts in zip(self.shifts, self.counts, strict=True):
            writer.write(shift, SHIFT_BITS)
            for mapped, order in _differences(counts, self.log2_states):
                writer.write_exp_golomb(mapped, order)
        body = writer.to_bytes()
        return body, int.from_bytes(crc32(body + bytes([self.log2_states]))[:WORD_BYTES], "little")

    @property
    def table_set(self) -> int:
        """The id of the set, 16 bits: weight streams name the set that they were coded with by it."""
        return self._body[1] if self.declared_id is None else self.declared_id

    def to_bytes(self) -> bytes:
        """Return the set as a table set stream."""
        body, _ = self._body
        header = TableHeader(self.log2_states, len(self.counts), self.table_set, len(body) // 2)
        data = header.pack() + body
        return data + crc32(data)

    @classmethod
    def from_bytes(cls, data: bytes, max_log2_states: int = MAX_LOG2_STATES, max_shift: int = MAX_SHIFT) -> "TableSet":
        """Return the set that a table set stream describes; a ``VerdictError`` where its verdict is not ``ok``.

        A set of more states than ``max_log2_states`` says, or with a shift above ``max_shift``, is ``unsupported``.
        """
        words = StreamWords(data)
        first = words.kind()
        if first & 0xFF != TABLES_MAGIC:
            raise VerdictError(Verdict.BAD_MAGIC)
        if TABLE_HEADER.unpack(first.to_bytes(TABLE_HEADER.bytes, "little"))["log2_states"] > max_log2_states:
            raise VerdictError(Verdict.UNSUPPORTED)
        header = TableHeader.unpack(words.rest_of_header(TABLE_HEADER))
        words.payload_left = header.payload_words
        reader = BitReader(words.payload_word)
        width = map_width(header.tables)
        flat = []
        for _ in range(CLASSES * CONTEXTS):
            flat.append(reader.read(width))
            if flat[-1] >= header.tables:
                raise VerdictError(Verdict.BAD_CODE)
        shifts = []
        counts = []
        for _ in range(header.tables):
            shifts.append(reader.read(SHIFT_BITS))
            if shifts[-1] > max_shift:
                raise VerdictError(Verdict.UNSUPPORTED)
            if header.log2_states + shifts[-1] > MAX_WEIGHT_BITS:
                raise VerdictError(Verdict.BAD_CODE)
            counts.append(_read_counts(reader, header.log2_states))
        words.finish()
        class_map = tuple(tuple(flat[row * CONTEXTS : (row + 1) * CONTEXTS]) for row in range(CLASSES))
        return cls(header.log2_states, class_map, tuple(shifts), tuple(counts), header.table_set)

    @staticmethod
    def takes_over(data: bytes, max_log2_states: int = MAX_LOG2_STATES) -> bool:
        """Return True if a table set stream has a sound header: then the set before it is no longer loaded."""
        try:
            TableSet.from_bytes(data[: TABLE_HEADER.bytes], max_log2_states)
        except VerdictError as error:
            return error.verdict == Verdict.TRUNCATED and len(data) >= TABLE_HEADER.bytes
        return True

    def entries(self, table: int) -> list[Entry]:
        """Return the decoding table: one entry per state.

        Tokens are spread in ``TOKEN_ORDER`` with ``spread_step``; then the states of a token, in rising order,
        represent the numbers x = count, count + 1, ... With bits = log2_states - floor(log2 x), the next state is
        x * 2**bits - states plus the next bits of the lane.
        """
        counts = self.counts[table]
        tokens = [0] * self.states
        position = 0
        for token, count in zip(TOKEN_ORDER, counts, strict=True):
            for _ in range(count):
                tokens[position] = token
                position = (position + spread_step(self.log2_states)) % self.states
        following = dict(zip(TOKEN_ORDER, counts, strict=True))
        result = []
        for token in tokens:
            x = following[token]
            following[token] += 1
            bits = self.log2_states + 1 - x.bit_length()
            result.append(Entry(token, bits, (x << bits) - self.states))
        return result


def table_bits(counts: Sequence[int], log2_states: int) -> int:
    """Return the bits that a table takes in a table set stream; ``counts`` as in ``TableSet``."""
    return SHIFT_BITS + sum(exp_golomb_bits(mapped, order) for mapped, order in _differences(counts, log2_states))


def stream_bytes(tables: Sequence[int]) -> int:
    """Return the bytes of a table set stream; ``tables`` holds the bits of each table."""
    bits = CLASSES * CONTEXTS * map_width(len(tables)) + sum(tables)
    return TABLE_HEADER.bytes + (-(-bits // WORD_BITS) + CRC_WORDS) * WORD_BYTES


def _differences(counts: Sequence[int], log2_states: int) -> Iterator[tuple[int, int]]:
    """Yield each count of a table until they add up: mapped, as its difference from the count before it; the order."""
    left = 1 << log2_states
    prediction = first_prediction(log2_states)
    for count in counts:
        if not left:
            return
        difference = count - prediction
        yield 2 * difference - 1 if difference > 0 else -2 * difference, golomb_order(prediction)
        left -= count
        prediction = count


def _read_counts(reader: BitReader, log2_states: int) -> tuple[int, ...]:
    """Read the counts of a table; raises as ``BitReader`` does.

    ``bad code`` is a negative count, one larger than what is left, or 64 counts that do not add up.
    """
    left = 1 << log2_states
    prediction = first_prediction(log2_states)
    counts: list[int] = []
    while left and len(counts) < len(TOKEN_ORDER):
        mapped = reader.read_exp_golomb(golomb_order(prediction), log2_states + 1)
        if mapped is None:
            raise VerdictError(Verdict.BAD_CODE)
        count = prediction + ((mapped + 1) // 2 if mapped & 1 else -(mapped // 2))
        if not 0 <= count <= left:
            raise VerdictError(Verdict.BAD_CODE)
        counts.append(count)
        left -= count
        prediction = count
    if left:
        raise VerdictError(Verdict.BAD_CODE)
    return tuple(counts) + (0,) * (len(TOKEN_ORDER) - len(counts))
