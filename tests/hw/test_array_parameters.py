"""Parameters of the PE array: what is checked, and what follows from them."""

import re
from dataclasses import replace

import pytest

from dnnzip.format.array import Placement
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.parameters import DecompressorParameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 3}, "groups must be a power of two from 1 to 16, not 3"),
        ({"groups": True}, "groups must be a power of two from 1 to 16, not True"),
        ({"columns": 0}, "columns must be 1 to 64, not 0"),
        ({"columns": 65}, "columns must be 1 to 64, not 65"),
        ({"vectors": 8}, "vectors must be a power of two from 16 to 32768, not 8"),
        ({"bus_bits": 8}, "bus_bits must be a power of two from 16 to 256, not 8"),
        ({"bus_bits": 512}, "bus_bits must be a power of two from 16 to 256, not 512"),
        ({"burst": 257}, "burst must be 1 to 256, not 257"),
        ({"burst": 33}, "buffer must be two bursts at least, 66, not 64"),
        ({"buffer": 48}, "buffer must be a power of two from 2 to 4096, not 48"),
        ({"hops": -1}, "hops must be 0 to 16, not -1"),
        ({"placement": "here"}, "placement must be pe or memory-interface, not 'here'"),
        ({"decompressor": DecompressorParameters()}, "decompressor.weight_bits must be 8, not 16"),
        ({"decompressor": 4}, "decompressor must be DecompressorParameters, not 4"),
    ],
)
def test_parameters_are_checked(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(ArrayParameters(), **change)


def test_what_follows_from_the_parameters():
    parameters = ArrayParameters(groups=4, bus_bits=64, placement="memory-interface")
    assert (parameters.rows, parameters.rows_per_group) == (64, 16)
    assert (parameters.bus_bytes, parameters.beat_words) == (8, 4)
    assert parameters.placement is Placement.MEMORY_INTERFACE
