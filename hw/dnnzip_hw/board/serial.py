"""The protocol of a serial line around a core: the top of a board, without its pins."""

from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from dnnzip.format.frames import FRAME_HEADER, HELLO, MAX_FRAMES, NUMBERS, Kind
from dnnzip.format.ranges import check_power
from dnnzip_hw.board.frames import BYTE, FrameReceiver, FrameSender
from dnnzip_hw.board.slots import SIZE_LAYOUT, Inbox, Outbox
from dnnzip_hw.board.uart import UartReceiver, UartTransmitter


class SerialParameters(Protocol):
    """Parameters of a board's top.

    Members
    -------
    divisor
        Clock cycles of a bit on the line: 4 or more.
    frames
        Data frames that each side may send before the first one is confirmed: a power of two from 2 to 64. Each takes
        128 bytes of memory in each direction.
    hello
        What the board says of itself, by the fields of ``HELLO``.
    """

    @property
    def divisor(self) -> int:
        """Clock cycles of a bit on the line."""
        ...

    @property
    def frames(self) -> int:
        """Data frames that each side may send before the first one is confirmed."""
        ...

    @property
    def hello(self) -> dict[str, int]:
        """Description of the board, by the fields of ``HELLO``."""
        ...

    def make_core(self) -> wiring.Component:
        """Return the core at the end of the serial line: words of messages, ``i``, to pieces of their answers, ``o``.

        ``i`` is a stream of ``word_layout``, ``o`` one of ``piece_layout``.
        """
        ...


def check_frames(frames: object) -> None:
    """Raise ValueError unless each side of a line can have ``frames`` frames."""
    check_power("frames", frames, 2, MAX_FRAMES)


class SlottedCore(wiring.Component):
    """All that a reset frame resets: the core between its frames' slots.

    Throughput, latency and back-pressure: see ``Inbox``, ``Outbox`` and the core. Reset: all is empty.

    Parameters
    ----------
    parameters
        See ``SerialParameters``.

    Members
    -------
    The ports of ``Inbox`` but its words, with ``in_`` before their names, and those of ``Outbox`` but its pieces, with
    ``out_`` before them.
    """

    def __init__(self, parameters: SerialParameters) -> None:
        self._parameters = parameters
        inbox, outbox = Inbox(parameters.frames), Outbox(parameters.frames)
        self._inbox, self._outbox = inbox, outbox
        names = {f"in_{name}": member for name, member in inbox.signature.members.items() if name != "o"}
        names |= {f"out_{name}": member for name, member in outbox.signature.members.items() if name != "i"}
        super().__init__(names)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.inbox = inbox = self._inbox
        m.submodules.outbox = outbox = self._outbox
        m.submodules.core = core = self._parameters.make_core()
        connect(m, inbox.o, core.i)
        connect(m, core.o, outbox.i)
        for prefix, box in (("in_", inbox), ("out_", outbox)):
            for name, member in box.signature.members.items():
                if hasattr(self, prefix + name):
                    outer, inner = getattr(self, prefix + name), getattr(box, name)
                    m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m


class SerialTop(wiring.Component):
    """Takes messages from a host over a serial line, and sends answers back.

    It speaks the protocol of ``dnnzip.format.frames``: frames with a CRC, numbers and confirmations in both directions,
    so that what the line loses or damages is sent again, and nothing is lost or comes twice.

    Throughput: that of the line, less the frames' ten bytes for 126; a host that confirms in time keeps the line busy.
    Latency: a frame. Back-pressure: the host sends no more than there is room for. Reset: nothing is done before a
    reset frame has come.

    Parameters
    ----------
    parameters
        See ``SerialParameters``.

    Members
    -------
    rx : In(1)
        From the host.
    tx : Out(1)
        To the host.
    open : Out(1)
        A reset frame has come.
    """

    def __init__(self, parameters: SerialParameters) -> None:
        self.parameters = parameters
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "open": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.uart_in = uart_in = UartReceiver(self.parameters.divisor)
        m.submodules.uart_out = uart_out = UartTransmitter(self.parameters.divisor)
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        restart = Signal()
        core = SlottedCore(self.parameters)
        m.submodules.core = ResetInserter(restart)(core)
        connect(m, sender.o, uart_out.i)
        m.d.comb += [
            uart_in.rx.eq(self.rx),
            self.tx.eq(uart_out.tx),
            receiver.byte.eq(uart_in.data),
            receiver.done.eq(uart_in.done),
            core.in_payload.eq(receiver.payload),
            core.in_place.eq(receiver.place),
            core.in_writes.eq(receiver.writes),
            core.in_size.eq(receiver.size),
            core.in_last.eq(receiver.header.last),
        ]
        state = _State()
        self._send(m, state, sender, core)
        self._receive(m, state, receiver, core)
        m.d.comb += [restart.eq(state.restarts), core.out_tail.eq(state.tail)]
        return m

    def _receive(self, m: Module, state: "_State", receiver: FrameReceiver, core: SlottedCore) -> None:
        """Execute a frame."""
        header = receiver.header
        asked = Signal()  # for the gap that is there
        seen = Signal.like(header.seq)  # how far behind the gap the last frame was
        confirmed = (header.ack - state.tail)[: len(state.tail)]
        waiting = (core.out_head - state.tail)[: len(state.tail)]
        ahead = (header.seq - core.in_head)[: len(header.seq)]
        is_next = (ahead == 0) & core.in_room & ~receiver.size[0] & (receiver.size != 0)
        with m.If(receiver.good & (header.kind == Kind.RESET)):
            m.d.comb += state.restarts.eq(1)
            m.d.sync += [self.open.eq(1), asked.eq(0), seen.eq(0), state.nonce.eq(Cat(header.seq, header.ack))]
        with m.Elif(receiver.good & self.open):
            with m.If(confirmed <= waiting):
                m.d.sync += state.tail.eq(header.ack)
            with m.If(header.resend):
                m.d.sync += [state.rewinds.eq(1), state.reports.eq(1)]
            with m.If(header.kind == Kind.DATA):
                m.d.sync += state.reports.eq(1)
                with m.If(is_next):
                    m.d.comb += core.in_commits.eq(1)
                    m.d.sync += [asked.eq(0), seen.eq(0)]
                with m.Elif((ahead != 0) & ~ahead[-1]):
                    m.d.sync += seen.eq(ahead)
                    with m.If(~asked | (ahead <= seen)):  # what was sent again has been lost again
                        m.d.sync += [asked.eq(1), state.wants.eq(1)]
        with m.Elif(receiver.bad & self.open):
            m.d.sync += [asked.eq(1), state.wants.eq(1), state.reports.eq(1)]
        # The host learns at once of the room for another frame.
        before = Signal.like(core.in_limit)
        m.d.sync += before.eq(core.in_limit)
        with m.If(self.open & (before != core.in_limit)):
            m.d.sync += state.reports.eq(1)
        with m.If(state.restarts):
            m.d.sync += [state.tail.eq(0), state.reports.eq(0), state.wants.eq(0), state.rewinds.eq(0)]

    def _send(self, m: Module, state: "_State", sender: FrameSender, core: SlottedCore) -> None:
        """Send the hello, data frames, or else the status that is due."""
        greets, says_hello = Signal(), Signal()
        number = Signal(range(NUMBERS))  # of the data frame that is next, or under way
        sends = Signal()  # it is under way
        settled = Signal()  # its size has been read
        size = SIZE_LAYOUT(core.out_byte)
        hello = Const(int.from_bytes(HELLO.pack(self.parameters.hello), "little"), HELLO.bits)
        hello_byte = hello.word_select(sender.place[: (HELLO.bytes - 1).bit_length()], BYTE)
        header = {field.name: Signal(field.width, name=f"header_{field.name}") for field in FRAME_HEADER.fields}
        m.d.comb += [
            sender.header.eq(Cat(header.values())),
            header["ack"].eq(core.in_head),
            header["limit"].eq(core.in_limit),
            header["seq"].eq(number),
            header["resend"].eq(state.wants),
            core.out_number.eq(number),
            core.out_place.eq(Mux(sender.ready, 0, sender.place + 1)),
            sender.payload.eq(Mux(says_hello, hello_byte, core.out_byte)),
        ]
        after = (number - state.tail)[: len(number)]
        waiting = (core.out_head - state.tail)[: len(number)]
        has_data = number != core.out_head
        m.d.sync += settled.eq(0)
        with m.If(sender.ready):
            with m.If(state.rewinds):
                m.d.sync += [number.eq(state.tail), state.rewinds.eq(0), sends.eq(0)]
            with m.Elif(sends):
                m.d.sync += [number.eq(number + 1), sends.eq(0)]
            with m.Elif(after > waiting):  # what is next was confirmed meanwhile
                m.d.sync += number.eq(state.tail)
            with m.Elif(greets):
                m.d.comb += [sender.start.eq(1), sender.size.eq(HELLO.bytes), header["kind"].eq(Kind.HELLO)]
                m.d.comb += Cat(header["seq"], header["ack"]).eq(state.nonce)
                m.d.sync += [greets.eq(0), says_hello.eq(1)]
            with m.Elif(has_data):
                m.d.sync += settled.eq(~settled)
                with m.If(settled):
                    m.d.comb += [sender.start.eq(1), sender.size.eq(size.size), header["kind"].eq(Kind.DATA)]
                    m.d.comb += header["last"].eq(size.last)
                    m.d.sync += [sends.eq(1), says_hello.eq(0)]
            with m.Elif(state.reports):
                m.d.comb += [sender.start.eq(1), header["kind"].eq(Kind.STATUS)]
            with m.If(sender.start & ~greets):
                m.d.sync += [state.reports.eq(0), state.wants.eq(0)]
        with m.If(state.restarts):
            m.d.sync += [number.eq(0), sends.eq(0), greets.eq(1)]


class _State:
    """Signals that the two sides of the protocol share.

    Members
    -------
    tail
        Number of the first frame that the host has not confirmed.
    restarts
        A reset frame is there.
    nonce
        Its two bytes.
    rewinds
        The frames from ``tail`` on are to be sent again.
    reports
        A frame of any kind is to be sent.
    wants
        It asks with ``resend``.
    """

    def __init__(self) -> None:
        self.tail = Signal(range(NUMBERS))
        self.restarts = Signal()
        self.nonce = Signal(2 * BYTE)
        self.rewinds = Signal()
        self.reports = Signal()
        self.wants = Signal()
