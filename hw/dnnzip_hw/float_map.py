"""The map from codes to the bits of floats, for weights that were compressed without loss: an adder for each lane."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip_hw.layouts import beat_layout
from dnnzip_hw.parameters import DecompressorParameters


class FloatMap(wiring.Component):
    """Turns the codes of beats into the bits of floats, as `dnnzip.quantize.float_map` does.

    A weight of 16 bits is a bfloat16 number or the upper half of a float32 one, a weight of 8 bits is a float8 number
    or the upper half of a float16 one. The port has the layout of a decompressor's, behind which it is placed; lanes
    without a weight, and end beats, pass with anything in their weights.

    Throughput: a beat per cycle. Latency: one cycle. Back-pressure: a beat is taken when the one before has left or
    leaves; the output's payload is stable while it waits. Reset: the beat is dropped.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    base : In
        Base of the map, as many bits as a magnitude has; steady while beats of a tensor pass.
    mapped : In(1)
        Beats are mapped; otherwise they pass as they are. Steady as `base`.
    i : In(stream of beat_layout)
        Beats of codes.
    o : Out(stream of beat_layout)
        Beats of the bits of floats.
    """

    def __init__(self, parameters: DecompressorParameters | None = None) -> None:
        self.parameters = parameters or DecompressorParameters()
        layout = beat_layout(self.parameters)
        super().__init__(
            {
                "base": In(self.parameters.weight_bits - 1),
                "mapped": In(1),
                "i": In(stream.Signature(layout)),
                "o": Out(stream.Signature(layout)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        beat, held = Signal(beat_layout(self.parameters)), Signal()
        m.d.comb += [self.o.payload.eq(beat), self.o.valid.eq(held), self.i.ready.eq(~held | self.o.ready)]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.valid), beat.eq(self.i.payload)]
            for lane, code in enumerate(self.i.payload.weights):
                m.d.sync += beat.weights[lane].eq(Mux(self.mapped, self._pattern(m, code), code))
        return m

    def _pattern(self, m: Module, code: Value) -> Value:
        """Return the bits of the float of a code."""
        bits = self.parameters.weight_bits - 1
        sign, place, sum_, magnitude = code[bits], Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            place.eq(code[:bits] ^ sign.replicate(bits)),
            sum_.eq(place + self.base),
            # Zero and the base have changed places.
            magnitude.eq(Mux(place == 0, 0, Mux(sum_ == 0, self.base, sum_))),
        ]
        return Cat(magnitude, sign)
