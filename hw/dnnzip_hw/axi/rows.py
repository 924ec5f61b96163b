"""From the decompressor's beats to full rows of weights."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import CAUSE_BITS
from dnnzip_hw.axi.layouts import output_layout
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.layouts import beat_layout


class RowPackerProbes(NamedTuple):
    """Inner parts of a ``RowPacker`` that proofs refer to."""

    row: data.View
    held: Signal
    weights: data.View
    here: Signal
    joins: Signal
    keep: Signal
    gives: Signal
    last: Signal
    fill: Signal


class RowPacker(wiring.Component):
    """Packs the weights of a stream, in the order in which they leave the decompressor, into rows without gaps.

    A stream yields one packet. Every row but the last is full; the last one holds what is left, with ``last`` and the
    stream's cause as ``user``. A stream without weights yields one row that keeps no byte, or nothing where
    ``drop_empty`` is 1. Bytes that are not kept have no meaning.

    The weights of a beat must stand in its lowest lanes, as the decompressor delivers them.

    Throughput: one beat per cycle. Latency: one cycle; a full row leaves with the next weight or the end of its stream,
    so that the last one can be marked. Back-pressure: a beat waits here until its row is taken; ``i.ready`` depends on
    ``o.ready`` and registers alone. Reset: beat and row are dropped.

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
        Streams without weights yield no row.
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
        # The beat that waits, its weights at their places of the row, and its effect on the row.
        held, moves = Signal(), Signal()
        weights = Signal(data.ArrayLayout(width, places))
        here = Signal(places)  # it has a weight of this place
        joins = Signal(places)  # which belongs to the row that leaves with it, not to the next one
        keep = Signal(places)
        gives, last, cause = Signal(), Signal(), Signal(CAUSE_BITS)
        m.d.comb += [moves.eq(~held | ~gives | self.o.ready), self.i.ready.eq(moves)]
        with m.If(moves):
            m.d.sync += held.eq(self.i.valid)

        # A beat comes. Lane l goes to place (fill + l) modulo the row.
        fill = Signal(range(places + 1))
        beat = self.i.payload
        start = fill[: ceil_log2(places)]
        turned = [beat.weights[lane].as_unsigned() for lane in range(lanes)]
        turned += [Const(0, width)] * (places - lanes)
        mask = Cat(beat.mask, Const(0, places - lanes))
        for bit in range(ceil_log2(places)):
            moved = [turned[(place - (1 << bit)) % places] for place in range(places)]
            turned = [Mux(start[bit], new, old)[:width] for new, old in zip(moved, turned, strict=True)]
            mask = Mux(start[bit], mask.rotate_left(1 << bit), mask)[:places]
        count = sum((beat.mask[lane] for lane in range(lanes)), Const(0))
        total = Signal(range(places + lanes + 1))
        overflows = Signal()
        m.d.comb += [total.eq(fill + count), overflows.eq(total > places)]
        with m.If(moves):
            m.d.sync += [
                *(weights[place].eq(turned[place]) for place in range(places)),
                here.eq(Mux(beat.last, 0, mask)),
                joins.eq(mask & Cat(place >= fill for place in range(places))),
                keep.eq(Cat((overflows & ~beat.last) | (place < fill) for place in range(places))),
                gives.eq(Mux(beat.last, ~(self.drop_empty & (fill == 0)), overflows)),
                last.eq(beat.last),
                cause.eq(Mux(beat.last, beat.cause, 0)),
            ]
        with m.If(self.i.valid & moves):
            m.d.sync += fill.eq(Mux(beat.last, 0, Mux(overflows, total - places, total)))

        # It leaves, with a row or into the row.
        given = data.ArrayLayout(width, places)(self.o.payload.data)
        m.d.comb += [
            self.o.valid.eq(held & gives),
            self.o.payload.last.eq(last),
            self.o.payload.user.eq(cause),
            self.o.payload.keep.eq(Cat(bit.replicate(width // 8) for bit in keep)),
            *(given[place].eq(Mux(joins[place], weights[place], row[place])) for place in range(places)),
        ]
        for place in range(places):
            with m.If(held & moves & here[place]):
                m.d.sync += row[place].eq(weights[place])
        self.probes = RowPackerProbes(row, held, weights, here, joins, keep, gives, last, fill)
        return m
