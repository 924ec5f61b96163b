"""The value of a coded weight: its token and low bits put together, negated where its context says so."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS
from dnnzip_hw.layouts import coded_layout
from dnnzip_hw.memory import ECP5
from dnnzip_hw.multiplier import Multiplier
from dnnzip_hw.parameters import DecompressorParameters

LATENCY = 2


class Value(wiring.Component):
    """Computes a weight's value.

    Throughput: a weight per cycle. Latency: ``LATENCY`` cycles. There is no back-pressure. Reset: unknown values.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    coded : In(coded_layout)
        As a lane of the same target delivers it.
    code : Out
        The value.
    outside : Out(1)
        It does not fit a narrow code.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.code_bits, self.low_bits, self.target = parameters.code_bits, parameters.low_bits, parameters.target
        super().__init__(
            {"coded": In(coded_layout(parameters)), "code": Out(signed(self.code_bits)), "outside": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        if self.target == ECP5:
            self._multiplied(m)
        else:
            self._shifted(m)
        sign = self.code[NARROW_BITS - 1 :]
        m.d.comb += self.outside.eq(sign.any() & ~sign.all())
        return m

    def _multiplied(self, m: Module) -> None:
        """Shift and negate at once, by a product with a power of two or its negative.

        The low bits that are not the weight's are zero, so that the product ends in as many zeros as there may be low
        bits, whatever the shift.
        """
        # -2^n has ones from bit n on; the top bit is that of the greatest shift, and so the sign.
        power = Signal(signed(self.low_bits + 2))
        places = Cat(
            Mux(self.coded.negate, self.coded.shift <= place, self.coded.shift == place)
            for place in range(self.low_bits + 1)
        )
        m.submodules.multiplier = multiplier = Multiplier(self.code_bits, len(power))
        m.d.comb += [
            power.eq(Cat(places, self.coded.negate)),
            multiplier.a.eq(Cat(self.coded.low, self.coded.token)),
            multiplier.b.eq(power),
            self.code.eq(multiplier.product >> self.low_bits),
        ]

    def _shifted(self, m: Module) -> None:
        """Shift, then negate with a carry."""
        value, negate = Signal(signed(self.code_bits), reset_less=True), Signal(reset_less=True)
        number = Cat(self.coded.low, self.coded.token).as_signed()
        m.d.sync += [
            value.eq(number >> ~self.coded.shift),  # that is, the low bits' number less the shift
            negate.eq(self.coded.negate),
            # In two's complement -x is ~x + 1.
            self.code.eq((value ^ negate.replicate(self.code_bits)) + negate),
        ]
