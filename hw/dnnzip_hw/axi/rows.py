"""From the decompressor's beats to full rows of weights."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.axi.layouts import output_layout
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.layouts import beat_layout


class RowPacker(wiring.Component):
    """Packs the weights of a stream, in the order in which they leave the decompressor, into rows without gaps.

    A stream gives one packet. Every row but the last is full; the last one holds what is left, with ``last`` and the
    stream's cause as ``user``. A stream without weights gives one row that keeps no byte, or nothing where
    ``drop_empty`` is 1. Bytes that are not kept have no meaning.

    The weights of a beat must stand in its lowest lanes, as the decompressor gives them.

    Throughput: one beat per cycle. Latency: none; a full row leaves with the next weight or the end of its stream, so
    that the last one can be marked. Back-pressure: a beat is taken once its row is. Reset: the row is dropped.

    Parameters
    ----------
    parameters
        See ``AxiParameters``.

    Members
    -------
    i : In(stream of beat_layout)
        Beats.
    o : Out(stream of output_layout)
        Rows.
    drop_empty : In(1)
        Streams without weights give nothing.
    """

    def __init__(self, parameters: AxiParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(parameters.decompressor))),
                "o": Out(stream.Signature(output_layout(parameters))),
                "drop_empty": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lanes, width = self.parameters.decompressor.lanes, self.parameters.decompressor.weight_bits
        places = self.parameters.row_weights
        row = Signal(data.ArrayLayout(width, places))
        fill = Signal(range(places + 1))
        beat = self.i.payload

        # Lane l goes to place (fill + l) modulo the row.
        start = fill[: ceil_log2(places)]
        weights = [beat.weights[lane].as_unsigned() for lane in range(lanes)]
        weights += [Const(0, width)] * (places - lanes)
        here = Cat(beat.mask, Const(0, places - lanes))
        for bit in range(ceil_log2(places)):
            turned = [weights[(place - (1 << bit)) % places] for place in range(places)]
            weights = [Mux(start[bit], moved, stays)[:width] for moved, stays in zip(turned, weights, strict=True)]
            here = Mux(start[bit], here.rotate_left(1 << bit), here)[:places]
        # A place at or above the fill belongs to this row, one below it to the next.
        above = Signal(places)
        m.d.comb += above.eq(Cat(place >= fill for place in range(places)))

        count = sum((beat.mask[lane] for lane in range(lanes)), Const(0))
        total = Signal(range(places + lanes + 1))
        m.d.comb += total.eq(fill + count)
        overflows = Signal()
        m.d.comb += overflows.eq(total > places)

        gives = Signal()
        drops = Signal()
        m.d.comb += [
            drops.eq(self.drop_empty & (fill == 0)),
            gives.eq(Mux(beat.last, ~drops, overflows)),
            self.o.valid.eq(self.i.valid & gives),
            self.i.ready.eq(self.o.ready | ~gives),
            self.o.payload.last.eq(beat.last),
            self.o.payload.user.eq(Mux(beat.last, beat.cause, 0)),
        ]
        keep = [overflows & ~beat.last | (place < fill) for place in range(places)]
        m.d.comb += self.o.payload.keep.eq(Cat(bit.replicate(width // 8) for bit in keep))
        given = data.ArrayLayout(width, places)(self.o.payload.data)
        for place in range(places):
            m.d.comb += given[place].eq(Mux(here[place] & above[place], weights[place], row[place]))
        with m.If(self.i.valid & self.i.ready):
            with m.If(beat.last):
                m.d.sync += fill.eq(0)
            with m.Else():
                m.d.sync += fill.eq(Mux(overflows, total - places, total))
                for place in range(places):
                    with m.If(here[place]):
                        m.d.sync += row[place].eq(weights[place])
        return m
