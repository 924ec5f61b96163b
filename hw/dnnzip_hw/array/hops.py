"""The on-chip bus: registers on the way from the memory interface to the array."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Hops(wiring.Component):
    """Moves items along a number of registers.

    Throughput: an item per cycle. Latency: a cycle for each register. Back-pressure: an item moves on where the next
    register is free or becomes free. Reset: no item.

    Parameters
    ----------
    shape
        Of an item.
    count
        Registers.

    Members
    -------
    i : In(stream), o : Out(stream)
        Items.
    moved : Out(1)
        An item enters the bus.
    """

    def __init__(self, shape: Any, count: int) -> None:
        self.count = count
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "moved": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        valid, payload, ready = self.i.valid, self.i.payload, self.i.ready
        for number in range(self.count):
            here = Signal.like(self.i.payload, name=f"item_{number}")
            full, moves_on = Signal(name=f"full_{number}"), Signal(name=f"moves_on_{number}")
            m.d.comb += ready.eq(~full | moves_on)
            with m.If(~full | moves_on):
                m.d.sync += [full.eq(valid), here.eq(payload)]
            valid, payload, ready = full, here, moves_on
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.payload.eq(payload),
            ready.eq(self.o.ready),
            self.moved.eq(self.i.valid & self.i.ready),
        ]
        return m
