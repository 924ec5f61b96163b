"""The choices of an encoder for an ``ans`` stream."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AnsChoices:
    """Choices that an encoder makes for an ``ans`` stream."""

    log2_lanes: int  # log2 of the virtual lanes; these are at most the channels
    classes: Sequence[int]  # scale class of each channel, or one for all
    column_shift: int = 0  # log2 of the input channels that share a column; unused without offsets
    # Offset 0 to 3 of each column, none to leave the columns out. Columns past the last one have offset 0.
    column_offsets: Sequence[int] = ()
    context: bool = True  # True if neighbours choose the table and the sign
