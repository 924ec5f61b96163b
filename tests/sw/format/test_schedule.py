"""The order of a part's weights: passes, tiles and beats by hand, and that they hold each weight once."""

import random

import pytest

from dnnzip.format import ImageEntry, ImageKind
from dnnzip.format.schedule import beats, count_beats, count_tiles, passes, shares, sizes, spans, tiles


def part(channels, length, virtual_lanes):
    return ImageEntry(0, 0, 0, 0, 0, 7, channels, length, ImageKind.PLAIN, virtual_lanes)


@pytest.mark.parametrize(
    ("count", "size", "wanted"),
    [(0, 3, []), (1, 3, [(0, 1)]), (3, 3, [(0, 3)]), (7, 3, [(0, 3), (3, 6), (6, 7)])],
)
def test_spans(count, size, wanted):
    assert [(own.start, own.stop) for own in spans(count, size)] == wanted
    assert sizes(count, size) == [end - start for start, end in wanted]


@pytest.mark.parametrize(
    ("count", "parts", "wanted"),
    [(7, 1, [7]), (7, 4, [1, 2, 2, 2]), (8, 4, [2, 2, 2, 2]), (3, 16, [1, 1, 1])],
)
def test_shares(count, parts, wanted):
    assert [len(own) for own in shares(count, parts)] == wanted
    assert [number for own in shares(count, parts) for number in own] == list(range(count))


def test_the_order_by_hand():
    """The example of the module."""
    own = part(5, 4, 2)
    assert passes(own) == [range(2), range(2, 4), range(4, 5)]
    numbers = [[0] * 4 for _ in range(5)]
    for number, (channels, positions) in enumerate(tiles(own, 3)):
        for channel in channels:
            for position in positions:
                numbers[channel][position] = number
    assert numbers == [[0, 0, 0, 1]] * 2 + [[2, 2, 2, 3]] * 2 + [[4, 4, 4, 5]]
    # A decompressor of one lane: two slots in the first passes, one in the last one.
    assert list(beats(own, 1))[6:10] == [
        (0, 1, False, True),
        (1, 1, True, True),
        (0, 1, False, False),
        (1, 1, True, False),
    ]
    assert list(beats(own, 2))[-1] == (0, 1, True, True)


def test_each_weight_comes_once():
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(50):
        own = part(rng.randint(1, 40), rng.randint(1, 30), rng.choice([1, 2, 3, 8, 16]))
        columns, lanes = rng.randint(1, 20), rng.choice([1, 2, 4])
        found = [(c, p) for channels, block in tiles(own, columns) for c in channels for p in block]
        assert sorted(found) == [(c, p) for c in range(own.channels) for p in range(own.length)]
        assert len(list(tiles(own, columns))) == count_tiles(own, columns)
        given = list(beats(own, lanes))
        assert sum(beat.weights for beat in given) == len(found)
        assert len(given) == count_beats(own, lanes)
