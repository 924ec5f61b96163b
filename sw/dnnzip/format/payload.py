"""The rules of a weight stream between its header and its CRC-32.

``ans``: the payload is an optional block of column offsets, then the words of the virtual lanes. A lane reads its
bits from the refill words that it takes, least significant bit first. Words are taken in this order:

1. every virtual lane, in order, takes its first word;
2. the start round: every lane reads its tANS state;
3. for each pass: where ``class_per_channel`` is set, a class round in which every active lane reads its channel's
   class; then one weight round for each weight of a channel.

A lane's step in a round: it reads its bits; a weight that is an escape takes its value, one whole word; then, unless
this was the lane's last weight of the stream, a lane with fewer than ``REFILL_BITS`` unread bits takes its next word.
Lanes without a channel in the last pass have no step. A weight's low bits come first, then its state bits. Both words
are taken *after* the weight, so that hardware knows them at one moment and never has to look at a weight before it can
hand the next lane its word. Whether every code had the declared width is judged after the last weight, before the
states.

``raw``: items of 4, 8 or 16 bits, packed from the least significant bit up, in storage order; the header declares
exactly the words that they take.

``line``: see ``dnnzip.format.line``. It has one virtual lane, and no decoder that supports more.
"""

from dnnzip.format.codecs import CODECS, UNKNOWN
from dnnzip.format.fields import WORD_BITS, WORD_BYTES, Field, HeaderLayout
from dnnzip.format.header import WEIGHT_HEADER, WeightHeader
from dnnzip.format.limits import CLASSES, MAX_COLUMNS, NARROW_BITS, Limits
from dnnzip.format.tables import TableSet
from dnnzip.format.verdict import Verdict
from dnnzip.format.words import VerdictError

CLASS_BITS = (CLASSES - 1).bit_length()
COLUMN_OFFSET_BITS = 2

REFILL_BITS = WORD_BITS
"""A lane with fewer unread bits takes a refill word. No weight takes more, so a lane asks for bits well before it
misses them, and a decoder's input never has to wait for its lanes; asking as late as the tables allow would save about
7 bits per lane and stream, and cost up to a tenth of the words' rate. As it is a whole word, a lane is due where its
count of bits passes a multiple of it.
"""

COLUMNS_WORD = HeaderLayout(
    "column block's first word",
    (
        Field("columns", (MAX_COLUMNS - 1).bit_length(), "column offsets that follow, 2 bits each", bias=1),
        Field("shift", 4, "log2 of the input channels that share a column"),
    ),
)


def column_of(position: int, taps: int, shift: int) -> int:
    """Return the column of the weight at ``position`` in its channel: its input channel >> shift."""
    return position // taps >> shift


def scale_class(channel_class: int, column_offset: int) -> int:
    """Return the scale class of a weight: its channel's class plus its column's offset, at most the last class."""
    return min(channel_class + column_offset, CLASSES - 1)


def is_final_channel(channel: int, channels: int, lanes: int) -> bool:
    """Return True if ``channel`` is the last one of its virtual lane."""
    return channel + lanes >= channels


def check_supported(taken: bytes, limits: Limits) -> None:
    """Raise ``unsupported`` where the first word, or two, of a weight stream ask too much of a decoder.

    The first word names the codec and the lanes, the second the states and the code width.
    """
    fields = WEIGHT_HEADER.unpack(taken)
    rules, states = CODECS.get(fields["codec"]), fields["log2_states"] if len(taken) > WORD_BYTES else 0
    if (
        rules is None
        or not rules.is_supported(fields, limits)
        or fields["log2_lanes"] > limits.log2_lanes
        or states > limits.log2_states
        or (fields["wide"] and limits.code_bits == NARROW_BITS)
    ):
        raise VerdictError(Verdict.UNSUPPORTED)


def check_weight_header(header: WeightHeader, table_set: TableSet | None) -> None:
    """Check the fields of a header whose own check matched.

    Raises
    ------
    VerdictError
        ``bad header`` where fields contradict each other, ``wrong tables`` where ``table_set`` is not the one that
        the stream was coded with.
    """
    if not header.consistent():
        raise VerdictError(Verdict.BAD_HEADER)
    if CODECS.get(header.codec, UNKNOWN).has_tables and (
        table_set is None or table_set.table_set != header.table_set or table_set.log2_states != header.log2_states
    ):
        raise VerdictError(Verdict.WRONG_TABLES)
