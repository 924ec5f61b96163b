"""ECP5's hard multiplier, with registers before and behind it."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

OPERAND_BITS = 18
PRODUCT_BITS = 2 * OPERAND_BITS


class Multiplier(wiring.Component):
    """A MULT18X18D of two signed numbers.

    Throughput: a product per cycle. Latency: two cycles. There is no back-pressure. Reset: none; the product is that of
    the factors two cycles before.

    What lies between its registers is no path that nextpnr reports. Without them its figures for speed grade 6 are 3.9
    ns from a factor to the product, and 3.5 ns to a register behind it, so that there is room up to 250 MHz.

    Parameters
    ----------
    a_bits, b_bits
        Width of each factor; at most ``OPERAND_BITS``.

    Raises
    ------
    ValueError
        If a factor is too wide, or has no bit.

    Members
    -------
    a, b : In
        The factors.
    product : Out
        Their product, in as many bits as both have.
    """

    def __init__(self, a_bits: int, b_bits: int) -> None:
        for name, bits in (("a_bits", a_bits), ("b_bits", b_bits)):
            if not 1 <= bits <= OPERAND_BITS:
                raise ValueError(f"{name} must be 1 to {OPERAND_BITS}, not {bits!r}")
        super().__init__({"a": In(signed(a_bits)), "b": In(signed(b_bits)), "product": Out(signed(a_bits + b_bits))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        a, b = (Signal(signed(OPERAND_BITS), name=name) for name in ("a_extended", "b_extended"))
        whole = Signal(PRODUCT_BITS)
        m.d.comb += [a.eq(self.a), b.eq(self.b), self.product.eq(whole)]
        stages = {"INPUTA": "CLK0", "INPUTB": "CLK0", "INPUTC": "NONE", "PIPELINE": "NONE", "OUTPUT": "CLK0"}
        m.submodules.multiplier = Instance(
            "MULT18X18D",
            **{f"p_REG_{stage}_CLK": clock for stage, clock in stages.items()},
            **{f"p_REG_{stage}_CE": "CE0" for stage in stages},
            **{f"p_REG_{stage}_RST": "RST0" for stage in stages},
            p_GSR="DISABLED",
            p_RESETMODE="SYNC",
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
            i_SIGNEDA=Const(1),
            i_SIGNEDB=Const(1),
            i_SOURCEA=Const(0),
            i_SOURCEB=Const(0),
            **{f"i_A{bit}": a[bit] for bit in range(OPERAND_BITS)},
            **{f"i_B{bit}": b[bit] for bit in range(OPERAND_BITS)},
            **{f"o_P{bit}": whole[bit] for bit in range(PRODUCT_BITS)},
        )
        return m
