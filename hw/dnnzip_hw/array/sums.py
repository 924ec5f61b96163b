"""The accumulators, to which the array's sums are added from tile to tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.array.layouts import sums_layout
from dnnzip_hw.array.parameters import ArrayParameters

SPACING = 3
"""Cycles from a vector to the next one that may use the same accumulator."""


class Accumulators(wiring.Component):
    """Adds sums to the accumulators of their vector.

    Throughput: a vector per cycle; the same accumulators at the earliest after ``SPACING`` cycles. Latency: one cycle
    from the sums to their total. There is no back-pressure. Reset: no total is there; the accumulators keep
    their values until they get a vector with ``first``.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    address : In
        The accumulators of the vector whose sums come in the next cycle.
    i_en : In(1), i : In(sums_layout)
        Sums of a vector.
    first : In(1)
        The accumulators count as zero.
    o_en : Out(1), o : Out(sums_layout)
        The totals, which are kept as well.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "address": In(ceil_log2(parameters.vectors)),
                "i_en": In(1),
                "i": In(sums_layout(parameters)),
                "first": In(1),
                "o_en": Out(1),
                "o": Out(sums_layout(parameters)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.kept = kept = Memory(shape=sums_layout(self.parameters), depth=self.parameters.vectors, init=[])
        write, read = kept.write_port(), kept.read_port()
        here, there = Signal.like(self.address), Signal.like(self.address)
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(there),
            write.data.eq(self.o),
            write.en.eq(self.o_en),
        ]
        m.d.sync += [here.eq(self.address), there.eq(here), self.o_en.eq(self.i_en)]
        m.d.sync += [
            self.o[row].eq(self.i[row] + Mux(self.first, 0, read.data[row])) for row in range(self.parameters.rows)
        ]
        return m
