"""A register slice: a stream cut in both directions."""

from typing import NamedTuple

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class RegisterSliceProbes(NamedTuple):
    """Inner parts of a ``RegisterSlice`` that proofs refer to."""

    aside: Signal
    is_aside: Signal


class RegisterSlice(wiring.Component):
    """Hands a stream on, with registers on the payload, on ``valid`` and on ``ready``.

    Throughput: one item per cycle. Latency: one cycle. Back-pressure: ``i.ready`` falls one cycle after ``o.ready``;
    the item of that cycle is kept aside. Reset: both items are dropped.

    Parameters
    ----------
    shape
        Of the payload.

    Members
    -------
    i : In(stream of shape)
        Items.
    o : Out(stream of shape)
        The same items, in order.
    """

    def __init__(self, shape: object) -> None:
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        aside = Signal(self._shape)
        is_aside = Signal()
        m.d.comb += self.i.ready.eq(~is_aside)
        with m.If(self.i.ready):
            m.d.sync += aside.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid | is_aside), is_aside.eq(0)]
            with m.If(is_aside):
                m.d.sync += self.o.payload.eq(aside)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(self.i.valid):
            m.d.sync += is_aside.eq(1)
        self.probes = RegisterSliceProbes(aside, is_aside)
        return m
