"""The accelerator: memory side, lane groups, array and accumulators."""

from dataclasses import fields

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from dnnzip.format import CAUSE_BITS
from dnnzip.format.array import ArrayCounters, ArrayFault
from dnnzip_hw.array.bursts import BurstReader
from dnnzip_hw.array.group import LaneGroup
from dnnzip_hw.array.layouts import (
    ADDRESS_BITS,
    RUN_LAYOUT,
    WALK_LAYOUT,
    read_address_layout,
    read_data_layout,
    sums_layout,
    vector_layout,
)
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.array.pe_array import PEArray
from dnnzip_hw.array.runs import RunControl
from dnnzip_hw.array.sums import Accumulators
from dnnzip_hw.array.walker import ImageWalker

RESULTS = 32
"""Vectors of results that wait to be taken."""

FIGURE_BITS = 32

FIGURES = tuple(field.name for field in fields(ArrayCounters))
"""Names of the events that are counted."""


class Accelerator(wiring.Component):
    """Runs layers of a network: walks through a memory image bring tiles of weights, runs send vectors against them.

    Throughput: a vector per cycle. Latency: that of its parts, see ``ImageWalker``, ``LaneGroup`` and ``PEArray``.
    Back-pressure: on all streams. Reset: nothing is loaded, the accumulators have no meaning; the memory must have
    answered all bursts.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    base : In
        Address of the image in the memory.
    walks : In(stream of WALK_LAYOUT), runs : In(stream of RUN_LAYOUT)
        The program.
    i : In(stream of vector_layout)
        Vectors of activations, for the runs in their order.
    o : Out(stream of sums_layout)
        Sums of each vector of a run with ``last``.
    ar : Out(stream of read_address_layout), r : In(stream of read_data_layout)
        The memory's read channels.
    cause : Out
        0, or why a group's weights are not to be used; see ``PEArrayInterface``. The lowest such group counts.
    fault : Out(ArrayFault)
        Why walks stopped.
    memory_failed : Out(1)
        The memory answered with an error.
    figure_<name> : Out(32)
        See ``ArrayCounters``.
    """

    def __init__(self, parameters: ArrayParameters | None = None) -> None:
        self.parameters = parameters or ArrayParameters()
        super().__init__(accelerator_signature(self.parameters))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        count = parameters.groups
        m.submodules.walker = walker = ImageWalker(parameters)
        m.submodules.reader = reader = BurstReader(parameters, count)
        m.submodules.array = array = PEArray(parameters)
        m.submodules.control = control = RunControl(parameters)
        m.submodules.accumulators = accumulators = Accumulators(parameters)
        connect(m, walker.walks, flipped(self.walks))
        connect(m, reader.ar, flipped(self.ar))
        connect(m, reader.r, flipped(self.r))
        connect(m, control.i_runs, flipped(self.runs))
        connect(m, control.i, flipped(self.i))

        # The groups' readers come first, then the walker's, then the common one.
        connect(m, walker.fetch, getattr(reader, f"fetch_{count}"))
        connect(m, walker.fetch_all, getattr(reader, f"fetch_{count + 1}"))
        connect(m, walker.i, getattr(reader, f"o_{count}"))
        m.d.comb += [
            walker.base.eq(self.base),
            walker.idle.eq(reader.idle[:count]),
            walker.all_idle.eq(reader.idle[count + 1]),
        ]
        groups = []
        for number in range(count):
            m.submodules[f"group_{number}"] = group = LaneGroup(parameters)
            groups.append(group)
            connect(m, getattr(walker, f"fetch_{number}"), getattr(reader, f"fetch_{number}"))
            connect(m, getattr(walker, f"parts_{number}"), group.parts)
            connect(m, getattr(reader, f"o_{number}"), group.i)
            m.d.comb += [
                getattr(array, f"write_en_{number}").eq(group.write_en),
                getattr(array, f"write_{number}").eq(group.write),
                control.complete[number].eq(group.complete),
                group.take.eq(control.take[number]),
            ]

        # What goes with a vector through the array, to where its sums come out.
        m.d.comb += [array.operands.eq(control.operands), array.take.eq(control.take)]
        followed = Cat(control.goes, control.first, control.last, control.address)
        stages = [followed]
        for number in range(array.latency):
            stage = Signal(len(followed), name=f"stage_{number}")
            m.d.sync += stage.eq(stages[-1])
            stages.append(stage)
        keeps = Signal()
        m.d.comb += [
            accumulators.address.eq(stages[-2][3:]),
            accumulators.i_en.eq(stages[-1][0]),
            accumulators.first.eq(stages[-1][1]),
            accumulators.i.eq(array.sums),
        ]
        m.d.sync += keeps.eq(stages[-1][0] & stages[-1][2])

        # A place is kept for the results of a vector from when it goes in until they are taken.
        m.submodules.results = results = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=RESULTS)
        places = Signal(range(RESULTS + 1), init=RESULTS)
        takes, given = Signal(), Signal()
        m.d.comb += [
            results.w_data.eq(accumulators.o),
            results.w_en.eq(keeps),
            self.o.payload.as_value().eq(results.r_data),
            self.o.valid.eq(results.r_rdy),
            results.r_en.eq(self.o.ready),
            takes.eq(control.goes & control.last),
            given.eq(self.o.valid & self.o.ready),
            control.room.eq(places != 0),
        ]
        m.d.sync += places.eq(places - takes + given)

        for group in reversed(groups):
            with m.If(group.cause != 0):
                m.d.comb += self.cause.eq(group.cause)
        m.d.comb += [self.fault.eq(walker.fault), self.memory_failed.eq(reader.failed)]
        steps = {
            "vectors": control.goes,
            "lacks_tile": control.lacks_tile,
            "lacks_vector": control.lacks_vector,
            "lacks_room": control.lacks_room,
            "bus_moves": sum((group.moved for group in groups[1:]), groups[0].moved),
            "memory_words": reader.received,
            "runs": control.i_runs.valid & control.i_runs.ready,
            "loading": Cat(group.loading for group in groups).any(),
        }
        for name in FIGURES:
            figure = getattr(self, f"figure_{name}")
            step = Signal(range(count + 1), name=f"step_{name}")
            m.d.sync += [step.eq(steps[name]), figure.eq(figure + step)]
        return m


def accelerator_signature(parameters: ArrayParameters) -> wiring.Signature:
    """Return the ports of an accelerator."""
    members: dict[str, wiring.Member] = {
        "base": In(ADDRESS_BITS),
        "walks": In(stream.Signature(WALK_LAYOUT)),
        "runs": In(stream.Signature(RUN_LAYOUT)),
        "i": In(stream.Signature(vector_layout(parameters))),
        "o": Out(stream.Signature(sums_layout(parameters))),
        "ar": Out(stream.Signature(read_address_layout())),
        "r": In(stream.Signature(read_data_layout(parameters))),
        "cause": Out(CAUSE_BITS),
        "fault": Out(range(ArrayFault.ENTRY + 1)),
        "memory_failed": Out(1),
    }
    return wiring.Signature(members | {f"figure_{name}": Out(FIGURE_BITS) for name in FIGURES})
