"""The choices of an encoder for an ``ans`` stream."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AnsChoices:
    """Choices that an encoder makes for an ``ans`` stream.

    Parameters
    ----------
    log2_lanes
        log2 of the virtual lanes; these are at most the channels.
    classes
        Scale class of each channel, or one for all.
    column_shift
        log2 of the input channels that share a column; unused without offsets.
    column_offsets
        Offset 0 to 3 of each column, none to leave the columns out. Columns past the last one have offset 0.
    context
        True if neighbours choose the table and the sign.
    """

    log2_lanes: int
    classes: Sequence[int]
    column_shift: int = 0
    column_offsets: Sequence[int] = ()
    context: bool = True
