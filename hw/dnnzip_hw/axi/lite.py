"""The registers behind AXI4-Lite, decoded from their description."""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.axi.layouts import COUNTER, block_signature
from dnnzip_hw.axi.registers import (
    ADDRESS_BITS,
    BLOCK_BYTES,
    COUNTERS,
    GROUP,
    REGISTER_BITS,
    REGISTER_BYTES,
    SHARED,
    Access,
    Register,
)

PROT_BITS = 3


class Response(enum.Enum):
    """Response of AXI."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


def lite_signature() -> wiring.Signature:
    """Return AXI4-Lite as its master sees it; ``awprot`` and ``arprot`` are ignored."""
    return wiring.Signature(
        {
            "awaddr": Out(ADDRESS_BITS),
            "awprot": Out(PROT_BITS),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(REGISTER_BITS),
            "wstrb": Out(REGISTER_BYTES),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(Response),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(ADDRESS_BITS),
            "arprot": Out(PROT_BITS),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(REGISTER_BITS),
            "rresp": In(Response),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


class RegisterBankProbes(NamedTuple):
    """Inner parts of a ``RegisterBank`` that proofs refer to: what was taken of a write, and of a read."""

    write_address: Signal
    write_value: Signal
    write_strobes: Signal
    read_address: Signal


class RegisterBank(wiring.Component):
    """Serves reads and writes of the register map.

    Only strobed bytes of a register are written. A write that nothing in the register takes, and one to a register that
    is handed on which is not ready or not strobed as a whole, has no effect and answers SLVERR; an address without a
    register answers DECERR, and reads as 0.

    PULSE fields act in the cycle after the write.

    Throughput: a write takes three cycles, a read three, and one of a counter as many more as pass until the counter is
    told (see ``Counters``). Latency: a write is answered within 2 cycles, a read within 2 + ``TURNS``.
    Back-pressure: a second write waits until the answer to the first has been taken, and so does a read. Reset: CONTROL
    fields take their initial values.

    Parameters
    ----------
    groups
        How many blocks of the group's registers there are.

    Members
    -------
    bus : In(lite_signature())
        AXI4-Lite.
    shared : In(block_signature(SHARED))
        The shared block's values.
    groups : In(block_signature(GROUP)).array(groups)
        Each group's values and controls.
    """

    def __init__(self, groups: int) -> None:
        self._groups = groups
        super().__init__(
            {
                "bus": In(lite_signature()),
                "shared": In(block_signature(SHARED)),
                "groups": In(block_signature(GROUP)).array(groups),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        self.probes = RegisterBankProbes(*self._write(m), self._read(m))
        return m

    def _places(self) -> Iterator[tuple[int, Register, wiring.PureInterface]]:
        """Yield the number of each register's block, the register, and the ports of its block."""
        for block, (registers, ports) in enumerate(((SHARED, self.shared), *((GROUP, ports) for ports in self.groups))):
            for register in registers:
                yield block, register, ports

    def _decoded(self, m: Module, address: Signal, name: str) -> Callable[[int, Register], Value]:
        """Decode an address into registers; return the signal that tells, a cycle later, whether it is a register's."""
        blocks = Signal(1 + len(self.groups), name=f"{name}_block")
        registers = Signal(BLOCK_BYTES // REGISTER_BYTES, name=f"{name}_register")
        place, block = address[ceil_log2(REGISTER_BYTES) :], address[ceil_log2(BLOCK_BYTES) :]
        m.d.sync += [
            blocks.eq(Cat(block == number for number in range(len(blocks)))),
            registers.eq(Cat(place[: ceil_log2(len(registers))] == number for number in range(len(registers)))),
        ]
        return lambda block, register: blocks[block] & registers[register.offset // REGISTER_BYTES]

    def _write(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """Build the writes; return address, value and strobes as they were taken."""
        bus = self.bus
        has_address, has_data, is_decoded = Signal(), Signal(), Signal()
        address = Signal(ADDRESS_BITS)
        value = Signal(REGISTER_BITS)
        strobes = Signal(REGISTER_BYTES)
        m.d.comb += [bus.awready.eq(~has_address), bus.wready.eq(~has_data)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [has_data.eq(1), value.eq(bus.wdata), strobes.eq(bus.wstrb)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        is_at = self._decoded(m, address, "write")
        writes = Signal()
        m.d.comb += writes.eq(is_decoded & has_data & ~bus.bvalid)
        response = Signal(Response, init=Response.DECERR)
        m.d.sync += is_decoded.eq(has_address & ~writes)
        with m.If(writes):
            m.d.sync += [has_address.eq(0), has_data.eq(0), bus.bvalid.eq(1), bus.bresp.eq(response)]
        written = Signal(REGISTER_BITS)
        m.d.comb += written.eq(Cat(strobe.replicate(8) for strobe in strobes))
        for block, register, ports in self._places():
            for field in register.fields:
                if field.access is Access.PULSE:
                    m.d.sync += getattr(ports, register.member(field)).eq(0)
            with m.If(is_at(block, register)):
                m.d.comb += response.eq(self._write_register(m, register, ports, writes, value, written))
        return address, value, strobes

    @staticmethod
    def _write_register(
        m: Module,
        register: Register,
        ports: wiring.PureInterface,
        writes: Signal,
        value: Signal,
        written: Signal,
    ) -> Value | Response:
        """Add what a write of this register does; return its response."""
        if register.is_port:
            port = getattr(ports, register.name)
            whole = Cat(written[field.first : field.first + field.width] for field in register.fields).all()
            m.d.comb += port.valid.eq(writes & whole)
            for field in register.fields:
                m.d.comb += port.payload[field.name].eq(value[field.first : field.first + field.width])
            response = Signal(Response, init=Response.SLVERR)
            with m.If(whole & port.ready):
                m.d.comb += response.eq(Response.OKAY)
            return response
        for field in register.fields:
            bits = slice(field.first, field.first + field.width)
            if field.access is Access.CONTROL:
                port = getattr(ports, register.member(field))
                with m.If(writes):
                    m.d.sync += port.eq((value[bits] & written[bits]) | (port & ~written[bits]))
            elif field.access is Access.PULSE:
                m.d.sync += getattr(ports, register.member(field)).eq(
                    writes.replicate(field.width) & value[bits] & written[bits]
                )
        takes = any(field.access in (Access.CONTROL, Access.PULSE) for field in register.fields)
        return Response.OKAY if takes else Response.SLVERR

    def _read(self, m: Module) -> Signal:
        """Build the reads; return the address as it was taken."""
        bus = self.bus
        has_address, is_decoded = Signal(), Signal()
        address = Signal(ADDRESS_BITS)
        m.d.comb += bus.arready.eq(~has_address & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [has_address.eq(1), address.eq(bus.araddr)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        is_at = self._decoded(m, address, "read")
        waits, is_known = Signal(), Signal()
        answers = Signal()
        m.d.comb += answers.eq(is_decoded & ~waits)
        m.d.sync += is_decoded.eq(has_address & ~answers)
        values, known, not_told = [], [], []
        for block, register, ports in self._places():
            here = is_at(block, register)
            known.append(here)
            if register.is_counter:
                counter = getattr(ports, COUNTER)
                not_told.append(here & (counter.number != COUNTERS.index(register.name)))
                values.append(Mux(here, counter.value, 0))
            else:
                values.append(Mux(here, self._value(register, ports), 0))
        m.d.comb += [is_known.eq(Cat(known).any()), waits.eq(Cat(not_told).any())]
        with m.If(answers):
            m.d.sync += [
                has_address.eq(0),
                bus.rvalid.eq(1),
                bus.rdata.eq(reduce(or_, values)),
                bus.rresp.eq(Mux(is_known, Response.OKAY, Response.DECERR)),
            ]
        return address

    @staticmethod
    def _value(register: Register, ports: wiring.PureInterface) -> Value:
        """Return the value that a register reads as."""
        parts: list[Value] = []
        at = 0
        for field in register.fields:
            parts.append(Const(0, field.first - at))
            at = field.first + field.width
            reads = field.access not in (Access.PULSE, Access.DATA)
            parts.append(getattr(ports, register.member(field)) if reads else Const(0, field.width))
        return Cat(parts)
