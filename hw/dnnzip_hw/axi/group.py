"""A group: a decompressor with its AXI streams, its table loading port and its counters."""

from typing import NamedTuple

from amaranth.hdl import Const, DomainRenamer, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from dnnzip.format import CAUSE_BITS, TABLES_MAGIC, Verdict
from dnnzip_hw.axi.counters import Counters
from dnnzip_hw.axi.layouts import block_signature, input_layout, output_layout
from dnnzip_hw.axi.pair import PairQueue
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.registers import GROUP
from dnnzip_hw.axi.rows import RowPacker
from dnnzip_hw.axi.slice import RegisterSlice
from dnnzip_hw.axi.words import WordSplitter
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.layouts import word_layout


class Phase(enum.Enum):
    """Phase of a stream."""

    NONE = 0
    WORDS = 1
    END = 2


class GroupCore(wiring.Component):
    """The part of a group that a soft reset resets: the decompressor between its two sources and the row packer.

    Streams come as beats on ``i`` and as words on ``load``, which goes first where both have one. The next stream
    begins once the end beat of the one before has left the decompressor. The beats of streams of ``load`` are dropped;
    their verdict is told by ``ended``.

    A stream with a bad beat (see ``WordSplitter``) ends as ``truncated``, whatever else is wrong with it.

    Throughput: a word per cycle in, a beat per cycle out; three cycles more between streams. Latency: a word reaches
    the decompressor a cycle after ``load`` or the ``WordSplitter`` hands it on; for rows see ``RowPacker``.
    Back-pressure: as the decompressor's; beats of ``load`` streams never wait. Reset: as the decompressor's; a stream
    that has begun is dropped.

    Parameters
    ----------
    parameters
        See ``AxiParameters``.

    Members
    -------
    i : In(stream of input_layout)
        Beats of streams.
    load : In(stream of word_layout)
        Words of streams of their own.
    o : Out(stream of output_layout)
        Rows.
    drop_empty : In(1)
        See ``RowPacker``.
    busy : Out(1)
        A stream has begun and not ended; falls in the cycle after ``ended``.
    loads : Out(1)
        That stream comes from ``load``.
    begins : Out(1)
        The stream's first word is on its way to the decompressor.
    is_tables : Out(1)
        It begins as a table set; from ``begins`` on.
    takes, gives : Out(1), Out(lanes as a number)
        The decompressor takes a word; the number of weights that it delivers.
    starved, stalled : Out(1)
        The decompressor waits for a word; its output waits.
    bad_keep : Out(1)
        A bad beat is there.
    ended, cause : Out(1), Out(CAUSE_BITS)
        The stream has ended, with this verdict.
    """

    def __init__(self, parameters: AxiParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(input_layout(parameters))),
                "load": In(stream.Signature(word_layout())),
                "o": Out(stream.Signature(output_layout(parameters))),
                "drop_empty": In(1),
                "busy": Out(1),
                "loads": Out(1),
                "begins": Out(1),
                "is_tables": Out(1),
                "takes": Out(1),
                "gives": Out(range(parameters.decompressor.lanes + 1)),
                "starved": Out(1),
                "stalled": Out(1),
                "bad_keep": Out(1),
                "ended": Out(1),
                "cause": Out(CAUSE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.splitter = splitter = WordSplitter(self.parameters)
        m.submodules.queue = entry = PairQueue(word_layout())
        m.submodules.decompressor = decompressor = Decompressor(self.parameters.decompressor)
        m.submodules.packer = packer = RowPacker(self.parameters)
        connect(m, flipped(self.i), splitter.i)
        connect(m, entry.o, decompressor.i)
        connect(m, packer.o, flipped(self.o))

        # What the decompressor does with a word is known late in a cycle: the queue keeps that from the two sources.
        words = entry.i
        phase = Signal(Phase)  # of the stream
        beats = decompressor.o
        first, faulty = Signal(), Signal()
        accepts, was_words, ends = Signal(), Signal(), Signal()
        cause = Signal(CAUSE_BITS)
        word = Mux(self.loads, self.load.payload.as_value(), splitter.o.payload.as_value())
        m.d.comb += [
            words.payload.eq(word),
            words.valid.eq((phase == Phase.WORDS) & Mux(self.loads, self.load.valid, splitter.o.valid)),
            self.load.ready.eq((phase == Phase.WORDS) & self.loads & words.ready),
            splitter.o.ready.eq((phase == Phase.WORDS) & ~self.loads & words.ready),
            accepts.eq(words.valid & words.ready),
            self.takes.eq(entry.o.valid & entry.o.ready),
            self.starved.eq(was_words & entry.o.ready & ~entry.o.valid),
            self.bad_keep.eq((phase != Phase.END) & splitter.bad),
        ]
        # The queue hands a word on in the cycle after the one in which it accepts it.
        m.d.sync += was_words.eq(phase == Phase.WORDS)
        with m.Switch(phase):
            with m.Case(Phase.NONE):
                m.d.sync += [first.eq(1), faulty.eq(0), self.loads.eq(self.load.valid)]
                with m.If(self.load.valid | splitter.o.valid):
                    m.d.sync += phase.eq(Phase.WORDS)
            with m.Case(Phase.WORDS):
                with m.If(splitter.bad & ~self.loads):
                    m.d.sync += faulty.eq(1)
                with m.If(accepts):
                    m.d.sync += first.eq(0)
                    with m.If(words.payload.last):
                        m.d.sync += phase.eq(Phase.END)
            with m.Case(Phase.END), m.If(self.ended):
                m.d.sync += phase.eq(Phase.NONE)
        # A stream's first word finds the queue empty, and stands at its end in the next cycle.
        is_first = Signal()
        m.d.sync += [is_first.eq(accepts & first), self.begins.eq(is_first)]
        with m.If(is_first):
            m.d.sync += self.is_tables.eq(entry.o.payload.data[:8] == TABLES_MAGIC)

        lanes = self.parameters.decompressor.lanes
        m.d.comb += [
            packer.drop_empty.eq(self.drop_empty),
            packer.i.payload.eq(beats.payload),
            packer.i.payload.cause.eq(cause),
            packer.i.valid.eq(beats.valid & ~self.loads),
            beats.ready.eq(packer.i.ready | self.loads),
            self.stalled.eq(beats.valid & ~beats.ready),
            cause.eq(Mux(faulty, Verdict.TRUNCATED, beats.payload.cause)),
            self.busy.eq(phase != Phase.NONE),
            ends.eq(beats.valid & beats.ready & beats.payload.last),
        ]
        m.d.sync += [self.ended.eq(ends), self.cause.eq(cause)]
        with m.If(beats.valid & beats.ready):
            m.d.comb += self.gives.eq(sum((beats.payload.mask[lane] for lane in range(lanes)), Const(0)))
        return m


class GroupProbes(NamedTuple):
    """Inner parts of a ``Group`` that proofs refer to."""

    leave: RegisterSlice
    counters: Counters


class Group(wiring.Component):
    """A decompressor behind AXI4-Stream, with its registers.

    Each stream that comes on ``i`` yields one packet on ``o`` (see ``RowPacker``). A soft reset, ``control_reset``,
    drops everything in the group; a packet that has begun is closed by a beat that keeps no byte, with the cause
    ``truncated``. What comes on ``i`` after it is the beginning of a stream.

    Counters saturate at their largest value; see ``Counters`` for when an event shows in their values.

    ``GroupCore`` is in the domain ``core``: the clock of ``sync``, and ``restart`` as its only reset, a register
    because of its fan-out. The core is thus reset a cycle late, and keeps its old state for one cycle after a reset of
    one cycle: while ``restart`` is 1, nothing enters the core, and its outputs are ignored.

    Throughput and back-pressure: see ``GroupCore``. Latency: two cycles in and two cycles out more than the
    decompressor's. Reset, of one cycle or more: no row is left, no table set is loaded, and all registers have their
    initial values.

    Parameters
    ----------
    parameters
        See ``AxiParameters``.

    Members
    -------
    i : In(stream of input_layout)
        Beats of streams.
    o : Out(stream of output_layout)
        Rows; ``valid``, ``ready`` and the payload come from registers.
    registers : Out(block_signature(GROUP))
        The block of registers.
    restart : Out(1)
        Reset of the domain ``core``.
    """

    def __init__(self, parameters: AxiParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(input_layout(parameters))),
                "o": Out(stream.Signature(output_layout(parameters))),
                "registers": Out(block_signature(GROUP)),
                "restart": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        registers = self.registers
        restart = self.restart
        m.d.sync += restart.eq(registers.control_reset)
        core = GroupCore(self.parameters)
        m.submodules.core = DomainRenamer("core")(core)
        m.submodules.exit = leave = RegisterSlice(output_layout(self.parameters))
        connect(m, leave.o, flipped(self.o))
        takes = Signal()
        m.d.comb += [
            core.i.payload.eq(self.i.payload),
            takes.eq(registers.control_enable & ~restart),
            core.i.valid.eq(self.i.valid & takes),
            self.i.ready.eq(core.i.ready & takes),
            core.drop_empty.eq(registers.control_drop_empty),
        ]
        self._output(m, core, leave, restart)
        self._load(m, core, restart)
        self._errors(m, core, restart)
        self.probes = GroupProbes(leave, self._counters(m, core, restart))
        return m

    @staticmethod
    def _output(m: Module, core: GroupCore, leave: RegisterSlice, restart: Signal) -> None:
        """Hand the rows on, and close an open packet after a soft reset."""
        is_open, closes = Signal(), Signal()
        m.d.comb += leave.i.valid.eq((core.o.valid & ~restart) | closes)
        with m.If(closes):
            m.d.comb += [leave.i.payload.last.eq(1), leave.i.payload.user.eq(Verdict.TRUNCATED)]
        with m.Else():
            m.d.comb += [leave.i.payload.eq(core.o.payload), core.o.ready.eq(leave.i.ready)]
        with m.If(leave.i.valid & leave.i.ready):
            m.d.sync += [is_open.eq(~leave.i.payload.last), closes.eq(0)]
        with m.Elif(restart):
            m.d.sync += closes.eq(is_open)

    def _load(self, m: Module, core: GroupCore, restart: Signal) -> None:
        """Keep a word of the register ``load`` until it is taken, and the verdict of its stream."""
        registers = self.registers
        port = registers.load
        m.d.comb += port.ready.eq(~core.load.valid)
        with m.If(core.load.ready):
            m.d.sync += core.load.valid.eq(0)
        with m.If(port.valid & port.ready):
            m.d.sync += [core.load.valid.eq(1), core.load.payload.eq(port.payload)]
        done, cause = registers.status_load_done, registers.status_load_cause
        with m.If(core.ended & core.loads & ~restart):
            m.d.sync += [done.eq(1), cause.eq(core.cause)]
        with m.Elif(core.begins & core.loads):
            m.d.sync += done.eq(0)
        tables = registers.status_tables
        with m.If(core.is_tables & core.begins):
            m.d.sync += tables.eq(0)
        with m.Elif(core.is_tables & core.ended & (core.cause == Verdict.OK)):
            m.d.sync += tables.eq(1)
        with m.If(restart):
            m.d.sync += [core.load.valid.eq(0), tables.eq(0), done.eq(0)]
        m.d.comb += [
            registers.status_busy.eq(core.busy),
            registers.status_load_ready.eq(port.ready),
            registers.status_load_busy.eq((core.busy & core.loads) | core.load.valid),
        ]

    def _errors(self, m: Module, core: GroupCore, restart: Signal) -> None:
        """Remember what went wrong first, until it is cleared."""
        registers = self.registers
        failed = core.ended & ~restart & (core.cause != Verdict.OK)
        with m.If(registers.control_clear_errors):
            m.d.sync += [
                registers.error_any.eq(0),
                registers.error_first_cause.eq(0),
                registers.error_bad_keep.eq(0),
                registers.error_load_lost.eq(0),
            ]
        with m.If(failed):
            m.d.sync += registers.error_any.eq(1)
            with m.If(~registers.error_any | registers.control_clear_errors):
                m.d.sync += registers.error_first_cause.eq(core.cause)
        with m.If(core.bad_keep & ~restart):
            m.d.sync += registers.error_bad_keep.eq(1)
        with m.If(registers.load.valid & ~registers.load.ready):
            m.d.sync += registers.error_load_lost.eq(1)

    def _counters(self, m: Module, core: GroupCore, restart: Signal) -> Counters:
        """Count what happens."""
        registers = self.registers
        events = {
            "words": core.takes,
            "weights": core.gives,
            "cycles": core.busy,
            "starved": core.starved,
            "stalled": core.stalled,
            "good": core.ended & (core.cause == Verdict.OK),
            "bad": core.ended & (core.cause != Verdict.OK),
        }
        decompressor = self.parameters.decompressor
        most = dict.fromkeys(events, 1) | {"weights": decompressor.lanes}
        m.submodules.counters = counters = Counters(most, decompressor.target)
        m.d.comb += [
            *(getattr(counters, name).eq(event) for name, event in events.items()),
            counters.count.eq(registers.control_count & ~restart),
            counters.clear.eq(registers.control_clear_counters),
            registers.counter.eq(counters.o),
        ]
        return counters
