"""The PE array behind a serial line: messages are jobs, answers their sums."""

from dataclasses import dataclass, field

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from dnnzip.format import NARROW_BITS, WORD_BITS, WORD_BYTES
from dnnzip.format.array import SUM_BITS, ArrayFault
from dnnzip.format.frames import ARRAY_RESULT, END, LOAD, MEMORY_UNIT, ORDERS, Order, Top
from dnnzip.format.ranges import check_power
from dnnzip_hw.array.accelerator import FIGURES, Accelerator
from dnnzip_hw.array.layouts import RUN_LAYOUT, WALK_LAYOUT, sums_layout, vector_layout
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.board.decompressor_core import decompressor_hello
from dnnzip_hw.board.frames import BYTE
from dnnzip_hw.board.serial import check_frames
from dnnzip_hw.board.slots import Piece, piece_layout
from dnnzip_hw.board.uart import check_divisor
from dnnzip_hw.board.weight_memory import WeightMemory
from dnnzip_hw.layouts import header_layout, word_layout
from dnnzip_hw.memory import GENERIC
from dnnzip_hw.parameters import DecompressorParameters

LOAD_LAYOUT, END_LAYOUT = header_layout(LOAD), header_layout(END)
ARRAY_RESULT_LAYOUT = header_layout(ARRAY_RESULT)

SETTLE_CYCLES = 2048
"""Cycles after the last fetched word or vector, by which the last stream has ended and all sums have come.

On boards a group's buffer holds at most this number of words, less some hundred; it is emptied word by word.
"""

MIN_MEMORY, MAX_MEMORY = 1 << 12, 1 << 25


def board_array(target: str = GENERIC) -> ArrayParameters:
    """Return the parameters of the array that fits a board of the size of an ECP5-85F."""
    decompressor = DecompressorParameters(lanes=2, slots=4, weight_bits=NARROW_BITS, target=target)
    return ArrayParameters(decompressor, columns=8, vectors=512)


@dataclass(frozen=True)
class SerialArrayParameters:
    """Parameters of an array behind a serial line.

    Raises
    ------
    ValueError
        If one of them breaks its rule.
    """

    # Of the array, whose memory words must have 16 bits and whose buffer at most 1,024 words.
    array: ArrayParameters = field(default_factory=board_array)
    memory_bytes: int = 1 << 18  # size of the memory for its image: a power of two from 4,096 on
    # See ``SerialParameters``.
    divisor: int = 25
    frames: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.array, ArrayParameters):
            raise ValueError(f"array must be ArrayParameters, not {self.array!r}")
        if self.array.bus_bits != WORD_BITS:
            raise ValueError(f"array.bus_bits must be {WORD_BITS}, not {self.array.bus_bits}")
        if self.array.buffer > SETTLE_CYCLES // 2:
            raise ValueError(f"array.buffer must be at most {SETTLE_CYCLES // 2}, not {self.array.buffer}")
        check_power("memory_bytes", self.memory_bytes, MIN_MEMORY, MAX_MEMORY)
        check_divisor(self.divisor)
        check_frames(self.frames)

    @property
    def hello(self) -> dict[str, int]:
        """Description of the board, by the fields of ``HELLO``."""
        return decompressor_hello(self.array.decompressor) | {
            "frames": self.frames,
            "top": Top.ARRAY,
            "groups": self.array.groups,
            "columns": self.array.columns,
            "log2_vectors": self.array.vectors.bit_length() - 1,
            "memory": self.memory_bytes // MEMORY_UNIT,
        }

    def make_core(self) -> wiring.Component:
        """Return the core at the end of the serial line."""
        return ArrayCore(self)


class ArrayCore(wiring.Component):
    """An accelerator with its memory, which executes the orders of a job; see ``dnnzip.format.frames``.

    Throughput: a word per cycle into the memory; a vector in as many cycles as it has words, and one. Latency: that of
    the parts, and ``SETTLE_CYCLES`` at the end of a job. Back-pressure: of both streams. Reset: no job, nothing is
    loaded; the memory keeps its content. After the end of a job a reset must come before the next one.

    Parameters
    ----------
    parameters
        See ``SerialArrayParameters``.

    Members
    -------
    i : In(stream of word_layout)
        Orders.
    o : Out(stream of piece_layout)
        Sums, and the ``ARRAY_RESULT``.
    """

    def __init__(self, parameters: SerialArrayParameters) -> None:
        self._parameters = parameters
        super().__init__({"i": In(stream.Signature(word_layout())), "o": Out(stream.Signature(piece_layout()))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.accelerator = accelerator = Accelerator(self._parameters.array)
        m.submodules.memory = memory = WeightMemory(self._parameters.array, self._parameters.memory_bytes)
        m.submodules.sequencer = sequencer = OrderSequencer(self._parameters.array)
        m.submodules.answers = answers = ArrayAnswers(self._parameters.array)
        connect(m, flipped(self.i), sequencer.i)
        connect(m, accelerator.ar, memory.ar)
        connect(m, memory.r, accelerator.r)
        connect(m, sequencer.walks, accelerator.walks)
        connect(m, sequencer.runs, accelerator.runs)
        connect(m, sequencer.vectors, accelerator.i)
        connect(m, accelerator.o, answers.i)
        connect(m, answers.o, flipped(self.o))

        stopped, fault = Signal(), Signal(ARRAY_RESULT["fault"].width)
        fits, overflowed = Signal(), Signal()
        with m.If(sequencer.load_en & ~fits):
            m.d.sync += overflowed.eq(1)
        m.d.comb += [
            fits.eq(sequencer.load_address < self._parameters.memory_bytes // WORD_BYTES),
            memory.write_en.eq(sequencer.load_en & fits),
            memory.write_address.eq(sequencer.load_address),
            memory.write_data.eq(sequencer.load_data),
            sequencer.fetched.eq(accelerator.figure_memory_words),
            fault.eq(Mux(accelerator.memory_failed | overflowed, ArrayFault.MEMORY, accelerator.fault)),
            stopped.eq((accelerator.cause != 0) | (fault != 0)),
            sequencer.stopped.eq(stopped),
            answers.ends.eq(sequencer.ended),
            answers.result.cause.eq(accelerator.cause),
            answers.result.fault.eq(Mux(stopped, fault, Mux(sequencer.misordered, ArrayFault.ORDER, 0))),
        ]
        for name in [own.name for own in ARRAY_RESULT.fields if own.name in FIGURES]:
            m.d.comb += answers.result[name].eq(getattr(accelerator, f"figure_{name}"))
        return m


class OrderSequencer(wiring.Component):
    """Takes the words of a job apart and does one order after the other.

    Throughput: a word per cycle. Latency: a cycle. Back-pressure: of what the order is for. Reset: a job begins.

    Parameters
    ----------
    parameters
        Of the array.

    Members
    -------
    i : In(stream of word_layout)
        Orders.
    walks, runs, vectors : Out
        For the accelerator.
    load_en, load_address, load_data : Out
        A word for the memory.
    fetched : In(32)
        Words that the accelerator has fetched.
    stopped : In(1)
        The accelerator has stopped because of an error: what comes is dropped.
    misordered : Out(1)
        The job is none.
    ended : Out(1)
        The job has ended, and so has all that came of it but its sums on their way out.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self._columns = parameters.columns
        count = LOAD["fetched"].width
        super().__init__(
            {
                "i": In(stream.Signature(word_layout())),
                "walks": Out(stream.Signature(WALK_LAYOUT)),
                "runs": Out(stream.Signature(RUN_LAYOUT)),
                "vectors": Out(stream.Signature(vector_layout(parameters))),
                "load_en": Out(1),
                "load_address": Out(LOAD["address"].width),
                "load_data": Out(WORD_BITS),
                "fetched": In(count),
                "stopped": In(1),
                "misordered": Out(1),
                "ended": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        word = self.i.payload
        order = Signal(Order)
        # Arguments come in from the top, so that those of each order end there.
        arguments = Signal(max(layout.bits for layout in ORDERS.values()))
        left = Signal(LOAD["words"].width)  # words, or vectors
        address = Signal.like(self.load_address)
        vector_words = -(-self._columns * NARROW_BITS // WORD_BITS)
        vector = Signal(vector_words * WORD_BITS)
        missing = Signal(range(max(2, vector_words)))  # words of the vector, but the one that comes
        settling = Signal(range(SETTLE_CYCLES))
        load, end = (layout(arguments[-layout.size :]) for layout in (LOAD_LAYOUT, END_LAYOUT))
        run = RUN_LAYOUT(arguments[-RUN_LAYOUT.size :])
        shifted = Cat(arguments[WORD_BITS:], word.data)
        m.d.comb += [
            self.walks.payload.as_value().eq(arguments[-WALK_LAYOUT.size :]),
            self.runs.payload.as_value().eq(run.as_value()),
            self.vectors.payload.as_value().eq(vector),
            self.load_address.eq(address),
            self.load_data.eq(word.data),
        ]

        def take(then: str, *, may_end: object = 0) -> None:
            """Take a word; where the job must not end with it, or must, and does not, it is none."""
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i.valid):
                m.next = then
                with m.If(word.last != may_end):
                    m.d.sync += self.misordered.eq(1)
                    m.next = "DROP"
                    with m.If(word.last):
                        m.next = "SETTLE"

        with m.FSM():
            with m.State("ORDER"):
                m.d.sync += order.eq(word.data)
                take("ARGUMENTS")
                with m.Switch(word.data):
                    for known, layout in ORDERS.items():
                        with m.Case(known):
                            m.d.sync += left.eq(layout.words - 1)
                    with m.Default(), m.If(self.i.valid):
                        m.d.sync += self.misordered.eq(1)
                        m.next = "DROP"
                        with m.If(word.last):
                            m.next = "SETTLE"
            with m.State("ARGUMENTS"):
                is_last = left == 0
                take("ARGUMENTS", may_end=is_last & (order == Order.END))
                with m.If(self.i.valid):
                    m.d.sync += [arguments.eq(shifted), left.eq(left - 1)]
                    with m.If(is_last & (word.last == (order == Order.END))):
                        m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [address.eq(load.address), missing.eq(vector_words - 1)]
                with m.Switch(order):
                    with m.Case(Order.LOAD):
                        m.d.sync += left.eq(load.words - 1)
                        with m.If(self.fetched == load.fetched):
                            m.next = "LOAD"
                    with m.Case(Order.WALK):
                        m.d.comb += self.walks.valid.eq(1)
                        with m.If(self.walks.ready):
                            m.next = "ORDER"
                    with m.Case(Order.RUN):
                        m.d.comb += self.runs.valid.eq(1)
                        m.d.sync += left.eq(run.vectors - 1)
                        with m.If(self.runs.ready):
                            m.next = "VECTOR"
                    with m.Case(Order.END), m.If(self.fetched == end.fetched):
                        m.next = "SETTLE"
                with m.If(self.stopped):
                    m.next = "DROP"
                    with m.If(order == Order.END):
                        m.next = "SETTLE"
            with m.State("LOAD"):
                m.d.comb += self.load_en.eq(self.i.valid)
                take("LOAD")
                with m.If(self.i.valid):
                    m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
                    with m.If((left == 0) & ~word.last):
                        m.next = "ORDER"
            with m.State("VECTOR"):
                take("VECTOR")
                with m.If(self.i.valid):
                    m.d.sync += [
                        vector.eq(Cat(vector, word.data)[WORD_BITS:]),
                        missing.eq(Mux(missing == 0, vector_words - 1, missing - 1)),
                    ]
                    with m.If((missing == 0) & ~word.last):
                        m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.vectors.valid.eq(1)
                with m.If(self.vectors.ready):
                    m.d.sync += left.eq(left - 1)
                    m.next = "VECTOR"
                    with m.If(left == 0):
                        m.next = "ORDER"
                with m.Elif(self.stopped):
                    m.next = "DROP"
            with m.State("DROP"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & word.last):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settling.eq(settling + 1)
                with m.If(settling == SETTLE_CYCLES - 1):
                    m.next = "ENDED"
            with m.State("ENDED"):
                m.d.comb += self.ended.eq(1)
        return m


class ArrayAnswers(wiring.Component):
    """Makes bytes of an array's sums, and of the result when the job has ended.

    Throughput: a byte per cycle. Latency: none. Back-pressure: a vector is taken with its last byte. Reset: nothing is
    given.

    Parameters
    ----------
    parameters
        Of the array.

    Members
    -------
    i : In(stream of sums_layout)
        Sums.
    ends : In(1)
        No more sums come than those that wait in ``i``.
    result : In(ARRAY_RESULT_LAYOUT)
        Of the job.
    o : Out(stream of piece_layout)
        The answer.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self._rows = parameters.rows
        super().__init__(
            {
                "i": In(stream.Signature(sums_layout(parameters))),
                "ends": In(1),
                "result": In(ARRAY_RESULT_LAYOUT),
                "o": Out(stream.Signature(piece_layout())),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        vector_bytes = self._rows * SUM_BITS // BYTE
        sums = data.ArrayLayout(BYTE, vector_bytes)(self.i.payload.as_value())
        results = data.ArrayLayout(BYTE, ARRAY_RESULT.bytes)(self.result.as_value())
        piece = Signal(range(max(vector_bytes, ARRAY_RESULT.bytes)))
        out = self.o.payload
        with m.FSM():
            with m.State("SUMS"):
                m.d.comb += [self.o.valid.eq(self.i.valid), out.byte.eq(sums[piece]), out.kind.eq(Piece.BYTE)]
                with m.If(self.i.valid & self.o.ready):
                    m.d.sync += piece.eq(piece + 1)
                    with m.If(piece == vector_bytes - 1):
                        m.d.comb += self.i.ready.eq(1)
                        m.d.sync += piece.eq(0)
                with m.If(self.ends & ~self.i.valid):
                    m.next = "CUT"
            with m.State("CUT"):
                m.d.comb += [self.o.valid.eq(1), out.kind.eq(Piece.CUT)]
                with m.If(self.o.ready):
                    m.next = "RESULT"
            with m.State("RESULT"):
                is_last = piece == ARRAY_RESULT.bytes - 1
                m.d.comb += [
                    self.o.valid.eq(1),
                    out.byte.eq(results[piece]),
                    out.kind.eq(Mux(is_last, Piece.LAST, Piece.BYTE)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += piece.eq(piece + 1)
                    with m.If(is_last):
                        m.next = "ENDED"
            with m.State("ENDED"):
                pass
        return m
