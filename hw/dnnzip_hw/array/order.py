"""The order in which the weights of a part come."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.array.layouts import CHANNEL_BITS, LENGTH_BITS, part_layout
from dnnzip_hw.parameters import DecompressorParameters


class PartOrder(wiring.Component):
    """Counts the beats of a part in the order of ``dnnzip.format.schedule.beats``.

    Throughput: a beat per cycle. Latency: a part starts in the cycle after ``start``. Back-pressure: a
    beat stays until ``step``. Reset: no part.

    Parameters
    ----------
    parameters
        See ``DecompressorParameters``.

    Members
    -------
    start : In(1), part : In
        Begin with a part; one without channels has no beats.
    step : In(1)
        The beat has come. Only while ``active``.
    active : Out(1)
        A beat is expected.
    slot : Out
        Its slot.
    weights : Out
        How many weights it has, in its lowest lanes.
    ends_position : Out(1), ends_pass : Out(1)
        It is the last of its position; its position is the last of its channels.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "start": In(1),
                "part": In(part_layout()),
                "step": In(1),
                "active": Out(1),
                "slot": Out(max(1, ceil_log2(parameters.slots))),
                "weights": Out(range(parameters.lanes + 1)),
                "ends_position": Out(1),
                "ends_pass": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes = self.parameters.lanes
        channels, left = Signal(CHANNEL_BITS), Signal(CHANNEL_BITS)  # of the part from this pass on; of this position
        length, position = Signal(LENGTH_BITS), Signal(LENGTH_BITS)  # positions of a channel; those that are left
        virtual_lanes = Signal.like(self.part.virtual_lanes)
        here, is_last_pass = Signal.like(virtual_lanes), Signal()  # channels of this pass
        m.d.comb += [
            is_last_pass.eq(channels <= virtual_lanes),
            here.eq(Mux(is_last_pass, channels, virtual_lanes)),
            self.ends_position.eq(left <= lanes),
            self.ends_pass.eq(position == 1),
            self.weights.eq(Mux(self.ends_position, left, lanes)),
        ]
        rest, after = Signal.like(channels), Signal.like(here)
        m.d.comb += [rest.eq(channels - virtual_lanes), after.eq(Mux(rest <= virtual_lanes, rest, virtual_lanes))]
        with m.If(self.step):
            m.d.sync += [self.slot.eq(self.slot + 1), left.eq(left - lanes)]
            with m.If(self.ends_position):
                m.d.sync += [self.slot.eq(0), left.eq(here), position.eq(position - 1)]
                with m.If(self.ends_pass):
                    m.d.sync += [
                        position.eq(length),
                        channels.eq(rest),
                        left.eq(after),
                        self.active.eq(~is_last_pass),
                    ]
        first = Signal.like(here)
        m.d.comb += first.eq(
            Mux(self.part.channels <= self.part.virtual_lanes, self.part.channels, self.part.virtual_lanes)
        )
        with m.If(self.start):
            m.d.sync += [
                self.slot.eq(0),
                channels.eq(self.part.channels),
                left.eq(first),
                length.eq(self.part.length),
                position.eq(self.part.length),
                virtual_lanes.eq(self.part.virtual_lanes),
                self.active.eq(~self.part.tables & (self.part.channels != Const(0))),
            ]
        return m
