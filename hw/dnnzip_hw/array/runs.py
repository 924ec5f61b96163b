"""The sequence of runs: when which vector meets which tile and which accumulators."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.array.layouts import RUN_LAYOUT, operands_layout, vector_layout
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.array.sums import SPACING


class RunControl(wiring.Component):
    """Sends the vectors of each run into the array.

    Throughput: a vector per cycle, also from run to run, where tiles, vectors and room for results are there. A vector
    for accumulators that are in use by one before it waits, ``SPACING`` cycles from that one at most. Latency: none for
    a vector; the first of a run goes a cycle after the run was taken at the earliest. Back-pressure: vectors
    wait for tiles and for room, runs for the end of the one before. Reset: no run.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    i_runs : In(stream of RUN_LAYOUT)
        Runs.
    i : In(stream of vector_layout)
        Vectors.
    complete : In
        A bit for each group: its next tile is complete.
    room : In(1)
        Results of one more vector have a place.
    goes : Out(1)
        A vector goes into the array.
    take : Out
        Groups that go on to their next tile with it.
    operands : Out(operands_layout)
        The vector, less its zero point.
    address : Out
        Its accumulators.
    first : Out(1), last : Out(1)
        Of its run.
    lacks_tile : Out(1), lacks_vector : Out(1), lacks_room : Out(1)
        What a run waits for, the first of these in this order.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i_runs": In(stream.Signature(RUN_LAYOUT)),
                "i": In(stream.Signature(vector_layout(parameters))),
                "complete": In(parameters.groups),
                "room": In(1),
                "goes": Out(1),
                "take": Out(parameters.groups),
                "operands": Out(operands_layout(parameters)),
                "address": Out(ceil_log2(parameters.vectors)),
                "first": Out(1),
                "last": Out(1),
                "lacks_tile": Out(1),
                "lacks_vector": Out(1),
                "lacks_room": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        run = Signal(RUN_LAYOUT)
        busy = Signal()
        one_left = Signal()
        wanted = Signal(self.parameters.groups)  # tiles to take with the next vector
        has_tile, has_room = Signal(), Signal()
        # The accumulators that went in the cycles before, and whether those of this vector are among them.
        recent = [
            (Signal(name=f"recent_{age}"), Signal.like(self.address, name=f"address_{age}"))
            for age in range(1, SPACING)
        ]
        blocked = Signal()
        goes, address = self.goes, self.address
        for used, accumulators in recent:
            m.d.sync += [used.eq(goes), accumulators.eq(address)]
            goes, address = used, accumulators
        m.d.comb += blocked.eq(Cat(used & (accumulators == self.address) for used, accumulators in recent).any())
        m.d.comb += [
            one_left.eq(run.vectors == 1),
            has_tile.eq((wanted & ~self.complete) == 0),
            has_room.eq(~run.last | self.room),
            self.lacks_tile.eq(busy & ~has_tile),
            self.lacks_vector.eq(busy & has_tile & ~self.i.valid),
            self.lacks_room.eq(busy & has_tile & self.i.valid & ~has_room),
            self.i.ready.eq(busy & has_tile & has_room & ~blocked),
            self.goes.eq(self.i.valid & self.i.ready),
            self.take.eq(Mux(self.goes, wanted, 0)),
            self.address.eq(run.base),
            self.first.eq(run.first),
            self.last.eq(run.last),
            self.i_runs.ready.eq(~busy | (self.goes & one_left)),
        ]
        zero = Mux(run.signed, run.zero_point.as_signed(), run.zero_point)
        for column in range(self.parameters.columns):
            byte = self.i.payload[column]
            m.d.comb += self.operands[column].eq(Mux(run.signed, byte.as_signed(), byte) - zero)
        with m.If(self.goes):
            m.d.sync += [run.vectors.eq(run.vectors - 1), run.base.eq(run.base + 1), wanted.eq(0)]
        with m.If(self.i_runs.ready):
            m.d.sync += [
                run.eq(self.i_runs.payload),
                busy.eq(self.i_runs.valid),
                wanted.eq(self.i_runs.payload.take),
            ]
        return m
