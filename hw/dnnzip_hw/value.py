"""The value of a coded weight: its token and low bits put together, negated where its context says so."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import NARROW_BITS
from dnnzip_hw.layouts import coded_layout
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
        As a lane gives it.
    code : Out
        The value.
    outside : Out(1)
        It does not fit a narrow code.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.code_bits = parameters.code_bits
        super().__init__(
            {"coded": In(coded_layout(parameters)), "code": Out(signed(self.code_bits)), "outside": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        value, negate = Signal(signed(self.code_bits), reset_less=True), Signal(reset_less=True)
        number = Cat(self.coded.low, self.coded.token).as_signed()
        m.d.sync += [
            value.eq(number >> ~self.coded.shift),  # that is, the low bits' number less the shift
            negate.eq(self.coded.negate),
            # In two's complement -x is ~x + 1.
            self.code.eq((value ^ negate.replicate(self.code_bits)) + negate),
        ]
        sign = self.code[NARROW_BITS - 1 :]
        m.d.comb += self.outside.eq(sign.any() & ~sign.all())
        return m
