"""A queue of two items, for a stream whose ``ready`` is known late in a cycle."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class PairQueueProbes(NamedTuple):
    """Inner parts of a ``PairQueue`` that proofs refer to."""

    items: list[Signal]
    has_two: Signal
    first: Signal
    free: Signal


class PairQueue(wiring.Component):
    """Hands a stream on, so that ``o.ready`` reaches three flip-flops, each through one LUT, and no item's register.

    Unlike those of a ``RegisterSlice``, its items stay where they are while the one before leaves.

    Throughput: one item per cycle. Latency: one cycle. Back-pressure: ``i.ready`` and ``o.valid`` are registers.
    Reset: both items are dropped.

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
        items = [Signal(self._shape, name=f"item_{number}") for number in range(2)]
        has_one, has_two = Signal(), Signal()  # at least one, two
        first, free = Signal(), Signal()  # which item is the first one, and which place the next one takes
        m.d.comb += [
            self.i.ready.eq(~has_two),
            self.o.valid.eq(has_one),
            self.o.payload.eq(Mux(first, items[1], items[0])),
        ]
        m.d.sync += [
            has_one.eq(self.i.valid | has_two | (has_one & ~self.o.ready)),
            has_two.eq(has_one & ~self.o.ready & (has_two | self.i.valid)),
            first.eq(first ^ (has_one & self.o.ready)),
            free.eq(free ^ (self.i.valid & ~has_two)),
        ]
        for number, item in enumerate(items):
            # What is not taken is written over.
            with m.If((free == number) & ~has_two):
                m.d.sync += item.eq(self.i.payload)
        self.probes = PairQueueProbes(items, has_two, first, free)
        return m
