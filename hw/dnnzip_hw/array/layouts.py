"""Layouts of the array's streams, derived from ``dnnzip.format``."""

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.utils import ceil_log2

from dnnzip.format import MAX_LOG2_LANES, NARROW_BITS, WEIGHT_HEADER, WORD_BITS
from dnnzip.format.array import SUM_BITS
from dnnzip.format.image import IMAGE_ENTRY, IMAGE_HEADER
from dnnzip.format.program import RUN, WALK
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.layouts import header_layout

RUN_LAYOUT = header_layout(RUN)
WALK_LAYOUT = header_layout(WALK)
IMAGE_HEADER_LAYOUT = header_layout(IMAGE_HEADER)
IMAGE_ENTRY_LAYOUT = header_layout(IMAGE_ENTRY)

CHANNEL_BITS = WEIGHT_HEADER["channels"].width + 1
LENGTH_BITS = WEIGHT_HEADER["length"].width + 1
WORDS_BITS = IMAGE_ENTRY["words"].width
ADDRESS_BITS = 32
LENGTH_OF_BURST_BITS = 8
"""Width of AXI4's count of beats, less one."""

RESPONSE_BITS = 2

OPERAND_BITS = NARROW_BITS + 1
"""Width of an activation less its zero point."""

PRODUCT_BITS = 2 * NARROW_BITS
"""A weight from -128 to 127 times an operand from -255 to 255."""


def part_layout() -> data.StructLayout:
    """Return the layout of the facts that a group needs about a part of a layer.

    ``tables``: it is the table set and brings no weights; ``plain``: its weights go past the decompressor.
    """
    return data.StructLayout(
        {
            "tables": 1,
            "plain": 1,
            "words": WORDS_BITS,
            "channels": CHANNEL_BITS,
            "length": LENGTH_BITS,
            "virtual_lanes": MAX_LOG2_LANES + 1,
        }
    )


def fed_word_layout() -> data.StructLayout:
    """Return a 16-bit word on its way to a group: ``last`` of its part, ``plain``: past the decompressor."""
    return data.StructLayout({"data": WORD_BITS, "last": 1, "plain": 1})


def fetch_layout() -> data.StructLayout:
    """Return bus words to fetch, one at least, from an address that is a multiple of a bus word."""
    return data.StructLayout({"address": ADDRESS_BITS, "words": WORDS_BITS})


def read_address_layout() -> data.StructLayout:
    """Return a burst's address as AXI4 has it: ``length`` is the beats, less one."""
    return data.StructLayout({"address": ADDRESS_BITS, "length": LENGTH_OF_BURST_BITS})


def read_data_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return a beat of a burst as AXI4 has it."""
    return data.StructLayout({"data": parameters.bus_bits, "response": RESPONSE_BITS, "last": 1})


def tile_write_layout(parameters: ArrayParameters) -> data.StructLayout:
    """Return a write of weights into a group's next tile: the rows of a slot, in one column."""
    decompressor = parameters.decompressor
    return data.StructLayout(
        {
            "slot": max(1, ceil_log2(decompressor.slots)),
            "column": max(1, ceil_log2(parameters.columns)),
            "weights": data.ArrayLayout(signed(NARROW_BITS), decompressor.lanes),
        }
    )


def vector_layout(parameters: ArrayParameters) -> data.ArrayLayout:
    """Return a vector of activations, a byte for each column."""
    return data.ArrayLayout(NARROW_BITS, parameters.columns)


def operands_layout(parameters: ArrayParameters) -> data.ArrayLayout:
    """Return a vector of activations, each less its zero point."""
    return data.ArrayLayout(signed(OPERAND_BITS), parameters.columns)


def sums_layout(parameters: ArrayParameters) -> data.ArrayLayout:
    """Return a sum for each row."""
    return data.ArrayLayout(signed(SUM_BITS), parameters.rows)
