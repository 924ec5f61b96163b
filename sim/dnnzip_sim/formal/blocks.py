"""Blocks that are made for a proof."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from dnnzip.format import WEIGHT_HEADER
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.ring import Ring


class Queue(wiring.Component):
    """The FIFO of which the array's queues are made, as a stream block, four deep.

    Members
    -------
    i : In(stream), o : Out(stream)
        Its two ends.
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.fifo = fifo = SyncFIFO(width=4, depth=4)
        wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
        wiring.connect(m, fifo.r_stream, wiring.flipped(self.o))
        return m


class OneStream(wiring.Component):
    """A ring that decodes one ``ans`` stream from reset on.

    Parameters
    ----------
    parameters
        Of the decompressor.
    length, channels, class_per_channel
        As in the stream's header, which has as many virtual lanes as the ring decodes.

    Members
    -------
    room : In(1)
        As the ring's.
    beat_en : Out(1), mask : Out
        A beat, and which of its weights are some.
    runs : Out(1)
        The ring has been told to decode.
    done : Out(1)
        As the ring's.
    """

    def __init__(
        self, parameters: DecompressorParameters, length: int, channels: int, *, class_per_channel: bool = False
    ) -> None:
        self.parameters, self.length, self.channels = parameters, length, channels
        self.class_per_channel = class_per_channel
        lanes = parameters.lanes
        super().__init__({"room": In(1), "beat_en": Out(1), "mask": Out(lanes), "runs": Out(1), "done": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.ring = ring = Ring(self.parameters)
        begun = Signal()
        m.d.sync += begun.eq(1)
        with m.If(begun & ring.prepared):
            m.d.sync += self.runs.eq(1)
        m.d.comb += [
            ring.header.length.eq(self.length - WEIGHT_HEADER["length"].bias),
            ring.header.channels.eq(self.channels - WEIGHT_HEADER["channels"].bias),
            ring.header.log2_lanes.eq(self.parameters.log2_virtual_lanes),
            ring.header.class_per_channel.eq(self.class_per_channel),
            ring.prepare.eq(~begun),
            ring.run.eq(self.runs),
            ring.room.eq(self.room),
            self.beat_en.eq(ring.beat_en),
            self.mask.eq(ring.beat.mask),
            self.done.eq(ring.done),
        ]
        return m
