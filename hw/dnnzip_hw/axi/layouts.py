"""Payloads of the AXI streams, and the ports of a block of registers towards the hardware."""

from collections.abc import Sequence

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip.format import CAUSE_BITS
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.registers import COUNTER_BITS, COUNTERS, Access, Register

COUNTER = "counter"
"""Name of the port that reports a block's counters."""


def input_layout(parameters: AxiParameters) -> data.StructLayout:
    """Return an input beat: ``tdata``, ``tkeep``, ``tlast``."""
    return data.StructLayout({"data": parameters.bus_bits, "keep": parameters.bus_bits // 8, "last": 1})


def output_layout(parameters: AxiParameters) -> data.StructLayout:
    """Return an output beat: ``tdata``, ``tkeep``, ``tlast`` and, with the last one, the cause as ``tuser``."""
    return data.StructLayout(
        {"data": parameters.row_bits, "keep": parameters.row_bits // 8, "last": 1, "user": CAUSE_BITS}
    )


def counter_layout(bits: int = COUNTER_BITS) -> data.StructLayout:
    """Return a counter's place in ``COUNTERS`` and its value of ``bits`` bits."""
    return data.StructLayout({"number": range(len(COUNTERS)), "value": bits})


def block_signature(registers: Sequence[Register]) -> wiring.Signature:
    """Return a block of registers as ports of the hardware that it controls.

    CONSTANT and STATUS fields are outputs, CONTROL and PULSE fields inputs, and a register of DATA fields is a stream:
    a write that is not taken at once is refused. Counters have one output together, ``counter``, where each is told in
    its turn.
    """
    members: dict[str, wiring.Member] = {}
    for register in registers:
        if register.is_counter:
            members[COUNTER] = Out(counter_layout())
            continue
        if register.is_port:
            layout = data.StructLayout({field.name: field.width for field in register.fields})
            members[register.name] = In(stream.Signature(layout))
            continue
        for field in register.fields:
            flow = Out if field.access in (Access.CONSTANT, Access.STATUS) else In
            init = field.init if field.access is Access.CONTROL else None
            members[register.member(field)] = flow(field.width, init=init)
    return wiring.Signature(members)
