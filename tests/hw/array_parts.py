"""Small parameters of the PE array, and parts of an image for its units' tests."""

from dnnzip.format import ImageEntry, ImageKind
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.parameters import DecompressorParameters

DECOMPRESSOR = DecompressorParameters(2, 4, 8, 8)
PARAMETERS = ArrayParameters(DECOMPRESSOR, columns=3, vectors=16, burst=4, buffer=8)
SIZES = [(1, 1, 1), (2, 1, 2), (8, 3, 8), (9, 2, 8), (17, 5, 8), (5, 4, 2), (7, 1, 4), (3, 6, 8), (40, 1, 1)]


def part(channels, length, virtual_lanes, *, words=1, plain=0, tables=0):
    return {
        "tables": tables,
        "plain": plain,
        "words": words,
        "channels": channels,
        "length": length,
        "virtual_lanes": virtual_lanes,
    }


def part_entry(channels, length, virtual_lanes):
    """Return the entry of a part, without its place."""
    return ImageEntry(0, 0, 0, 0, 0, 0, channels, length, ImageKind.PLAIN, virtual_lanes)
