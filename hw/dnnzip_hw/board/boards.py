"""The boards that bitstreams are built for: which pins, which clock, and what fits."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnnzip.errors import InputError, field_name
from dnnzip.format.frames import Top
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.board.array_core import SerialArrayParameters, board_array
from dnnzip_hw.board.decompressor_core import SerialDecompressorParameters
from dnnzip_hw.memory import ECP5, ICE40
from dnnzip_hw.parameters import DecompressorParameters

BAUD = 1_000_000
"""Bits per second on every board's line; it divides all of their clocks."""


@dataclass(frozen=True)
class Board:
    """A board, and what is built for it."""

    name: str  # as ``--board`` has it
    chip: str  # what is on it, for people
    platform: str  # module and class of its description in ``amaranth_boards``
    clock: int  # of its oscillator, which the design runs at, in Hz
    decompressor: DecompressorParameters  # what fits behind its line
    frames: int  # see ``SerialParameters``
    flash: str  # how the bitstream gets there: the arguments of openFPGALoader before the file
    script: str = ""  # what Yosys does with the design before it synthesises it
    array: ArrayParameters | None = None  # the array that fits; None where none does
    memory_bytes: int = 0  # size of its weight memory

    def design(self, top: Top = Top.DECOMPRESSOR) -> SerialDecompressorParameters | SerialArrayParameters:
        """Return the parameters of a top.

        Raises
        ------
        InputError
            If it does not fit the board.
        """
        divisor = self.clock // BAUD
        if top is Top.DECOMPRESSOR:
            return SerialDecompressorParameters(self.decompressor, divisor, self.frames)
        if self.array is None:
            fitting = ", ".join(board.name for board in BOARDS.values() if board.array)
            raise InputError(
                f"{field_name('top')} array",
                f"the array does not fit {self.name} ({self.chip})",
                f"{field_name('board')} {fitting}",
            )
        return SerialArrayParameters(self.array, self.memory_bytes, divisor, self.frames)

    def make_platform(self) -> Any:
        """Return a new platform of ``amaranth_boards``.

        Raises
        ------
        ImportError
            If that is not installed.
        """
        module, _, name = self.platform.partition(":")
        return getattr(importlib.import_module(module), name)()


_LARGE = DecompressorParameters(target=ECP5)
# Mapping may take as long as a path as the boards' clock leaves, in picoseconds: it takes area back there.
_ICE40_SCRIPT = "scratchpad -set abc9.D 60000"

_SMALL = DecompressorParameters(lanes=1, slots=4, log2_states=8, weight_bits=8, target=ICE40)

BOARDS: Mapping[str, Board] = {
    board.name: board
    for board in (
        Board(
            "ulx3s-85f",
            "ECP5-85F",
            "amaranth_boards.ulx3s:ULX3S_85F_Platform",
            25_000_000,
            _LARGE,
            16,
            "-b ulx3s",
            array=board_array(ECP5),
            memory_bytes=1 << 18,
        ),
        Board("ulx3s-25f", "ECP5-25F", "amaranth_boards.ulx3s:ULX3S_25F_Platform", 25_000_000, _LARGE, 16, "-b ulx3s"),
        Board(
            "icebreaker",
            "iCE40 UP5K",
            "amaranth_boards.icebreaker:ICEBreakerPlatform",
            12_000_000,
            _SMALL,
            8,
            "-b ice40_generic",
            _ICE40_SCRIPT,
        ),
        Board(
            "hx8k-b-evn",
            "iCE40 HX8K",
            "amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
            12_000_000,
            _SMALL,
            8,
            "-b ice40_generic",
            _ICE40_SCRIPT,
        ),
    )
}
