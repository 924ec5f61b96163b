"""A UART: 8 bits, no parity, one stop bit, at a fixed divisor of the clock."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from dnnzip.format.ranges import check_range

MIN_DIVISOR = 4
MAX_DIVISOR = 1 << 16
BITS = 8


def check_divisor(divisor: int) -> None:
    """Raise ValueError unless a bit may take ``divisor`` cycles."""
    check_range("divisor", divisor, MIN_DIVISOR, MAX_DIVISOR)


class UartReceiver(wiring.Component):
    """Receives bytes from an asynchronous line.

    A byte whose stop bit is 0 is dropped, and so is a start bit that is shorter than half a bit. After a break the line
    has to be 1 before the next start bit.

    Throughput: that of the line. Latency: a byte is given in the middle of its stop bit. Back-pressure: none; a byte
    that is not looked at is lost. Reset: the next falling edge is a start bit.

    Parameters
    ----------
    divisor
        Clock cycles of a bit.

    Members
    -------
    rx : In(1)
        The line; it needs no synchronisation.
    data : Out(8)
        The byte, while ``done`` is 1.
    done : Out(1)
        A byte has come; for one cycle.
    """

    def __init__(self, divisor: int) -> None:
        check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(BITS), "done": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        timer = Signal(range(self.divisor))
        left = Signal(range(BITS + 3))  # samples still to be taken: of the start bit, the data and the stop bit
        before = Signal()
        m.d.sync += [self.done.eq(0), before.eq(line)]
        with m.If(left == 0), m.If(before & ~line):
            m.d.sync += [left.eq(BITS + 2), timer.eq(self.divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divisor - 1), left.eq(left - 1)]
            with m.If(left == BITS + 2), m.If(line):
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += self.done.eq(line)
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], line))
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes over an asynchronous line.

    Throughput: a byte in 10 bits and a cycle. Latency: a cycle. Back-pressure: a byte is taken when the stop bit before
    it is over. Reset: the line is idle.

    Parameters
    ----------
    divisor
        Clock cycles of a bit.

    Members
    -------
    i : In(stream of 8)
        Bytes.
    tx : Out(1)
        The line.
    """

    def __init__(self, divisor: int) -> None:
        check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(BITS)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        timer = Signal(range(self.divisor))
        left = Signal(range(BITS + 3))
        bits = Signal(BITS + 1)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [left.eq(BITS + 2), bits.eq(Cat(self.i.payload, 1)), self.tx.eq(0)]
            m.d.sync += timer.eq(self.divisor - 1)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divisor - 1), left.eq(left - 1)]
            m.d.sync += [self.tx.eq(bits[0]), bits.eq(Cat(bits[1:], 1))]
        return m
