"""The rules of a weight stream between its header and its CRC-32.

``docs/format.md`` has them in words: the payloads of ``raw``, ``line`` and ``ans``, and the order in which virtual
lanes take their words.
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
