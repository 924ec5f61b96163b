"""Sound weight streams of every codec, shape and distribution of codes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CLASSES,
    ESCAPE,
    MAX_LOG2_LANES,
    NARROW_BITS,
    RAW_WIDTHS,
    TOKEN_ORDER,
    WORD_BITS,
    Limits,
    TableSet,
    column_of,
    context,
    neighbours,
    scale_class,
    signed,
)

KERNELS = ((1, 1), (1, 1), (3, 3), (5, 5), (1, 3), (3, 1), (2, 3), (8, 8), (1, 8), (8, 1), (2, 1), (1, 7), (7, 2))
MOST_WEIGHTS = 600
"""Upper bound of the weights of an ``ans`` stream whose shape is random."""

Codes = list[list[int]]


@dataclass(frozen=True)
class AnsShape:
    """The shape of an ``ans`` stream, and how its codes are distributed."""

    # Of the weights.
    channels: int
    length: int
    kernel: tuple[int, int] = (1, 1)
    # As in the stream's header; classes and column offsets are random.
    log2_lanes: int = 2
    columns: int = 0
    column_shift: int = 0
    context: bool = True
    class_per_channel: bool = True
    # As for ``random_codes``, which needs the escape in every table. Without ``largest`` codes are drawn as the tables
    # say, so that any table set does.
    largest: int | None = 40
    wild: float = 0.02
    narrow: bool = False  # whether codes that are drawn as the tables say keep to 8 bits where the tables can


@dataclass(frozen=True)
class Tensor:
    """All input of the encoder of an ``ans`` stream."""

    codes: Codes
    kernel: tuple[int, int]
    tables: TableSet
    choices: AnsChoices

    @property
    def stream(self) -> bytes:
        """The stream, by the reference encoder."""
        return ans_reference.encode(self.codes, self.kernel, self.tables, self.choices)


def random_tensor(rng: random.Random, tables: TableSet, shape: AnsShape) -> Tensor:
    """Return random codes of a shape, with random classes and column offsets."""
    choices = AnsChoices(
        shape.log2_lanes,
        [rng.randrange(CLASSES) for _ in range(shape.channels if shape.class_per_channel else 1)],
        shape.column_shift,
        [rng.randrange(4) for _ in range(shape.columns)],
        shape.context,
    )
    if shape.largest is None:
        codes = _drawn_codes(rng, tables, shape, choices)
    else:
        codes = random_codes(rng, shape.channels, shape.length, shape.largest, shape.wild)
    return Tensor(codes, shape.kernel, tables, choices)


def random_stream(rng: random.Random, tables: TableSet, shape: AnsShape) -> bytes:
    """Return an ``ans`` stream of random weights of a shape."""
    return random_tensor(rng, tables, shape).stream


def any_shape(
    rng: random.Random, tables: TableSet, limits: Limits | None = None, most_weights: int = MOST_WEIGHTS
) -> AnsShape:
    """Return any shape that a decoder with these limits takes and these tables can code.

    Parameters
    ----------
    tables
        Without an escape for every table, the codes are drawn from the tables' counts alone.
    limits
        Of the decoder; the format's where they are not given.
    most_weights
        Upper bound of the weights, unless there are more channels.
    """
    limits = limits or Limits()
    narrow = limits.code_bits == NARROW_BITS
    channels = rng.choice((1, 2, 3, 5, 8, 16, 17, rng.randrange(1, 50)))
    length = rng.choice((1, 2, 9, 25, 63, 64, 65, rng.randrange(1, 60), most_weights))
    most_lanes = min(limits.log2_lanes, MAX_LOG2_LANES, channels.bit_length() - 1)
    escapes = all(counts[TOKEN_ORDER.index(ESCAPE)] for counts in tables.counts)
    return AnsShape(
        channels,
        max(1, min(length, most_weights // channels)),
        rng.choice(KERNELS),
        rng.choice((most_lanes, rng.randrange(most_lanes + 1))),
        rng.choice((0, 0, 1, 3, 8, 9, 17, 50)),
        rng.choice((0, 0, 1, 2, 3, 15)),
        rng.random() < 0.7,
        rng.random() < 0.5,
        rng.choice((None, None, 0, 1, 5, 40, 120 if narrow else 5000)) if escapes else None,
        0.0 if narrow else rng.choice((0.0, 0.0, 0.02, 0.5)),
        narrow or rng.random() < 0.6,
    )


def any_stream(
    rng: random.Random, tables: TableSet, limits: Limits | None = None, most_weights: int = MOST_WEIGHTS
) -> bytes:
    """Return a stream of any codec and shape that a decoder with these limits and these tables takes."""
    limits = limits or Limits()
    chance = rng.random()
    if chance < 0.15:
        return raw_stream(rng, limits, most_weights // 3)
    if chance < 0.35 and limits.line:
        return any_line_stream(rng, most_weights // 3)
    return random_stream(rng, tables, any_shape(rng, tables, limits, most_weights))


def random_codes(rng: random.Random, channels: int, length: int, largest: int, wild: float = 0.0) -> Codes:
    """Return codes of a normal distribution, up to ``largest``; a share ``wild`` of them takes all 16 bits.

    Parameters
    ----------
    channels, length
        Shape of the codes.
    largest
        Largest magnitude; a quarter of it is the standard deviation.
    wild
        Share, 0 to 1, of codes that are uniform over 16 bits.

    Returns
    -------
    [channels][length] signed codes.
    """

    def code() -> int:
        if rng.random() < wild:
            return rng.randrange(-(1 << 15), 1 << 15)
        return max(-largest, min(largest, round(rng.gauss(0, largest / 4)))) if largest else 0

    return [[code() for _ in range(length)] for _ in range(channels)]


def _drawn_codes(rng: random.Random, tables: TableSet, shape: AnsShape, choices: AnsChoices) -> Codes:
    """Return codes that ``tables`` can code, distributed as the counts of the tables that code them."""
    height, width = shape.kernel
    codes = []
    for channel in range(shape.channels):
        channel_class = choices.classes[channel if len(choices.classes) > 1 else 0]
        signs: list[int] = []
        row = []
        for position in range(shape.length):
            number, negate = 0, False
            if choices.context:
                left, above = neighbours(position, width, height)
                number, negate = context(
                    signs[left] if left is not None else 0, signs[above] if above is not None else 0
                )
            column = column_of(position, height * width, choices.column_shift)
            offset = choices.column_offsets[column] if column < len(choices.column_offsets) else 0
            table = tables.class_map[scale_class(channel_class, offset)][number]
            for _ in range(20 if shape.narrow else 1):
                code, kept = _draw(rng, tables, table, negate)
                if -128 <= code < 128:
                    break
            row.append(code)
            signs.append(kept)
        codes.append(row)
    return codes


def _draw(rng: random.Random, tables: TableSet, table: int, negate: bool) -> tuple[int, int]:
    """Return a code that ``table`` can code, drawn by its counts, and the sign that its history keeps."""
    counts, shift = tables.counts[table], tables.shifts[table]
    token = rng.choices(TOKEN_ORDER, counts)[0]
    if token == ESCAPE:
        half = 1 << rng.choice((7, 7, WORD_BITS - 1))
        code = rng.randrange(-half, half)
        coded = -code if negate else code
        other = coded >> shift
        escapes = not (ESCAPE < other < -ESCAPE and counts[TOKEN_ORDER.index(other)])
        return code, 0 if escapes else ans_reference.sign(code)
    coded = token << shift | rng.randrange(1 << shift)
    code = -coded if negate else coded
    return code, ans_reference.sign(code)


def raw_stream(rng: random.Random, limits: Limits | None = None, most_items: int = 200) -> bytes:
    """Return a ``raw`` stream of random items.

    Parameters
    ----------
    limits
        Of the decoder, whose weight bits bound the width of an item; None for the format's.
    most_items
        Upper bound of the items, unless there are more channels.
    """
    widths = [width for width in RAW_WIDTHS if limits is None or width <= limits.code_bits]
    width = rng.choice(widths)
    channels = rng.choice((1, 1, 2, 3, rng.randrange(1, 20)))
    length = rng.randrange(1, max(2, most_items // channels))
    half = 1 << width - 1
    return raw_reference.encode([rng.randrange(-half, half) for _ in range(channels * length)], channels, width)


def line_codes(rng: random.Random, lengths: Sequence[int]) -> list[int]:
    """Return codes on random lines of these lengths; steep ones wrap."""
    codes: list[int] = []
    for length in lengths:
        intercept, slope = rng.randrange(1 << 16), rng.choice((0, 1, -1, 300, rng.randrange(1 << 16)))
        codes += [signed(intercept + number * slope, 16) for number in range(length)]
    return codes


def line_stream(rng: random.Random, lengths: Sequence[int], channels: int = 1) -> bytes:
    """Return a ``line`` stream of random segments of about these lengths, cut to whole channels.

    Parameters
    ----------
    lengths
        Weights of each segment; together at least ``channels``.
    channels
        Channels of the stream; all have the same length.
    """
    codes = line_codes(rng, lengths)
    return line_reference.encode(codes[: len(codes) // channels * channels], channels)


def any_line_stream(rng: random.Random, most_weights: int = 200) -> bytes:
    """Return a ``line`` stream of random segments, mostly short, in any number of channels."""
    weights = rng.randrange(1, max(2, most_weights))
    lengths: list[int] = []
    while sum(lengths) < weights:
        lengths.append(rng.choice((1, 1, 2, 2, 3, 9, 40)))
    return line_stream(rng, lengths, rng.randrange(1, min(17, sum(lengths) + 1)))
