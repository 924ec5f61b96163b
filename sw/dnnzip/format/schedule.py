"""The order in which a lane group gets the weights of a part, and the tiles that they fill.

Part p of a layer goes to lane group p modulo the groups. Its weights come in passes of ``virtual_lanes`` channels, in
each of them position by position, at each of these channel by channel. An array takes them in blocks of ``columns``
positions: the channels of a pass at the positions of a block are a tile.

Five channels of four positions, with two virtual lanes and three columns; the numbers are those of the tiles::

    channel 0, 1 | 0 0 0 1
    channel 2, 3 | 2 2 2 3
    channel 4    | 4 4 4 5

The compiler, the golden array, the jobs of boards and the estimates take the order from here; the RTL counts it
(``PartOrder``), and its tests compare the two.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dnnzip.format.image import ImageEntry


class Beat(NamedTuple):
    """Weights that leave a decompressor at once."""

    slot: int  # slot of its virtual lanes
    weights: int
    # True if it is the last one of its position, and its position the last one of its pass.
    ends_position: bool
    ends_pass: bool


def spans(count: int, size: int) -> list[range]:
    """Return ``count`` numbers from 0 on as ranges of ``size``, of which the last one may be shorter."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def sizes(count: int, size: int) -> list[int]:
    """Return the length of each of the ranges of ``spans``."""
    whole, rest = divmod(count, size)
    return [size] * whole + ([rest] if rest else [])


def shares(count: int, parts: int) -> list[range]:
    """Return ``count`` numbers from 0 on as ``parts`` even ranges, or fewer, so that none is empty."""
    parts = min(parts, count)
    return [range(part * count // parts, (part + 1) * count // parts) for part in range(parts)]


def passes(part: ImageEntry) -> list[range]:
    """Return the channels of each pass, counted from the part's first one."""
    return spans(part.channels, part.virtual_lanes)


def tiles(part: ImageEntry, columns: int) -> Iterator[tuple[range, range]]:
    """Visit the channels, counted from the part's first one, and the positions of each tile."""
    return ((channels, block) for channels in passes(part) for block in spans(part.length, columns))


def count_tiles(part: ImageEntry, columns: int) -> int:
    """Return the number of tiles that a part fills."""
    return len(sizes(part.channels, part.virtual_lanes)) * len(sizes(part.length, columns))


def beats(part: ImageEntry, lanes: int) -> Iterator[Beat]:
    """Visit the beats of a part on a decompressor with ``lanes`` hardware lanes."""
    for channels in passes(part):
        for position in range(part.length):
            for own in spans(len(channels), lanes):
                yield Beat(own.start // lanes, len(own), own.stop == len(channels), position == part.length - 1)


def count_beats(part: ImageEntry, lanes: int) -> int:
    """Return the number of beats of a part."""
    return sum(len(sizes(len(channels), lanes)) for channels in passes(part)) * part.length
