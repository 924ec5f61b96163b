"""The decompressor behind a serial line: messages are streams, answers their weights and verdicts."""

from dataclasses import dataclass, field

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from dnnzip.format import VERSION
from dnnzip.format.frames import PROTOCOL, RESULT, Top
from dnnzip_hw.board.frames import BYTE, RESULT_LAYOUT
from dnnzip_hw.board.serial import check_frames
from dnnzip_hw.board.slots import Piece, piece_layout
from dnnzip_hw.board.uart import check_divisor
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.layouts import word_layout
from dnnzip_hw.parameters import DecompressorParameters


def decompressor_hello(parameters: DecompressorParameters) -> dict[str, int]:
    """Return a board's description of its decompressor, by the fields of ``HELLO``."""
    return {
        "protocol": PROTOCOL,
        "format": VERSION,
        "lanes": parameters.lanes,
        "slots": parameters.slots,
        "log2_states": parameters.log2_states,
        "weight_bits": parameters.weight_bits,
        "line": int(parameters.line),
    }


@dataclass(frozen=True)
class SerialDecompressorParameters:
    """Parameters of a decompressor behind a serial line.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    decompressor: DecompressorParameters = field(default_factory=DecompressorParameters)  # of the decompressor
    # See ``SerialParameters``.
    divisor: int = 25
    frames: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.decompressor, DecompressorParameters):
            raise ValueError(f"decompressor must be DecompressorParameters, not {self.decompressor!r}")
        check_divisor(self.divisor)
        check_frames(self.frames)

    @property
    def hello(self) -> dict[str, int]:
        """Description of the board, by the fields of ``HELLO``."""
        nothing = {"groups": 0, "columns": 0, "log2_vectors": 0, "memory": 0}
        return decompressor_hello(self.decompressor) | {"frames": self.frames, "top": Top.DECOMPRESSOR} | nothing

    def make_core(self) -> wiring.Component:
        """Return the core at the end of the serial line."""
        return DecompressorCore(self.decompressor)


class DecompressorCore(wiring.Component):
    """A decompressor whose beats leave as bytes: the weights of a stream, and then its result.

    Throughput: a weight in as many cycles as it has bytes. Latency: the decompressor's. Back-pressure: a beat is taken
    with its last byte. Reset: as the decompressor's.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    i : In(stream of word_layout)
        Words of streams.
    o : Out(stream of piece_layout)
        The weights and the ``RESULT`` of each.
    """

    class Phase(enum.Enum):
        """Part of the answer that is sent."""

        WEIGHTS = 0
        CUT = 1
        RESULT = 2

    def __init__(self, parameters: DecompressorParameters) -> None:
        self._parameters = parameters
        super().__init__(
            {"i": In(stream.Signature(word_layout())), "o": Out(stream.Signature(piece_layout()))},
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.decompressor = decompressor = Decompressor(self._parameters)
        connect(m, flipped(self.i), decompressor.i)
        words, beats = decompressor.i, decompressor.o
        beat = beats.payload
        bytes_each = self._parameters.weight_bits // BYTE
        weight_bytes = self._parameters.lanes * bytes_each
        weights = data.ArrayLayout(BYTE, weight_bytes)(beat.weights.as_value())

        active = Signal()
        result = Signal(RESULT_LAYOUT)
        cycles = Signal(RESULT["cycles"].width)
        waits = (words.ready & ~words.valid) | (beats.valid & ~beats.ready)
        m.d.comb += [result.cause.eq(beat.cause), result.cycles.eq(cycles)]
        with m.If(words.valid & words.ready):
            m.d.sync += active.eq(1)
        with m.If((active | words.valid) & ~waits):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(beats.valid & beats.ready & beat.last):
            m.d.sync += [active.eq(0), cycles.eq(0)]
        results = data.ArrayLayout(BYTE, RESULT.bytes)(result.as_value())

        phase = Signal(self.Phase)
        piece = Signal(range(max(weight_bytes, RESULT.bytes)))
        is_kept = beat.mask.bit_select(piece >> ceil_log2(bytes_each), 1)
        with m.Switch(phase):
            with m.Case(self.Phase.WEIGHTS):
                with m.If(beats.valid & beat.last):
                    m.d.sync += [piece.eq(0), phase.eq(self.Phase.CUT)]
                with m.Elif(beats.valid):
                    m.d.comb += [
                        self.o.valid.eq(is_kept),
                        self.o.payload.byte.eq(weights[piece]),
                        self.o.payload.kind.eq(Piece.BYTE),
                    ]
                    with m.If(~is_kept | self.o.ready):
                        m.d.sync += piece.eq(piece + 1)
                        with m.If(piece == weight_bytes - 1):
                            m.d.comb += beats.ready.eq(1)
                            m.d.sync += piece.eq(0)
            with m.Case(self.Phase.CUT):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.kind.eq(Piece.CUT)]
                with m.If(self.o.ready):
                    m.d.sync += phase.eq(self.Phase.RESULT)
            with m.Case(self.Phase.RESULT):
                is_last = piece == RESULT.bytes - 1
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.byte.eq(results[piece]),
                    self.o.payload.kind.eq(Mux(is_last, Piece.LAST, Piece.BYTE)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += piece.eq(piece + 1)
                    with m.If(is_last):
                        m.d.comb += beats.ready.eq(1)
                        m.d.sync += [piece.eq(0), phase.eq(self.Phase.WEIGHTS)]
        return m
