"""The registers behind AXI4-Lite, decoded from their description."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from dnnzip_hw.axi.layouts import block_signature
from dnnzip_hw.axi.registers import (
    ADDRESS_BITS,
    GROUP,
    REGISTER_BITS,
    REGISTER_BYTES,
    SHARED,
    Access,
    Register,
    group_base,
)

PROT_BITS = 3


class Response(enum.Enum):
    """Of AXI."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


def lite_signature() -> wiring.Signature:
    """Return AXI4-Lite as its master sees it; ``awprot`` and ``arprot`` are not looked at."""
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


class RegisterBank(wiring.Component):
    """Serves reads and writes of the register map.

    Only strobed bytes of a register are written. A write that nothing in the register takes, and one to a register that
    is handed on which is not ready or not strobed as a whole, has no effect and answers SLVERR; an address without a
    register answers DECERR, and reads as 0.

    Throughput: a write takes two cycles, a read two. Back-pressure: a second write waits until the answer to the first
    has been taken, and so does a read. Reset: CONTROL fields take their initial values.

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
        self._write(m)
        self._read(m)
        return m

    def _places(self) -> Iterator[tuple[int, Register, wiring.PureInterface]]:
        """Yield each register's word address, the register, and the ports of its block."""
        for base, registers, ports in [
            (0, SHARED, self.shared),
            *((group_base(number), GROUP, ports) for number, ports in enumerate(self.groups)),
        ]:
            for register in registers:
                yield (base + register.offset) // REGISTER_BYTES, register, ports

    def _write(self, m: Module) -> None:
        bus = self.bus
        has_address, has_data = Signal(), Signal()
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
        writes = Signal()
        m.d.comb += writes.eq(has_address & has_data & ~bus.bvalid)
        response = Signal(Response, init=Response.DECERR)
        with m.If(writes):
            m.d.sync += [has_address.eq(0), has_data.eq(0), bus.bvalid.eq(1), bus.bresp.eq(response)]
        written = Signal(REGISTER_BITS)
        m.d.comb += written.eq(Cat(strobe.replicate(8) for strobe in strobes))
        with m.Switch(address[2:]):
            for place, register, ports in self._places():
                with m.Case(place):
                    m.d.comb += response.eq(self._write_register(m, register, ports, writes, value, written))

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
                m.d.comb += getattr(ports, register.member(field)).eq(
                    writes.replicate(field.width) & value[bits] & written[bits]
                )
        takes = any(field.access in (Access.CONTROL, Access.PULSE) for field in register.fields)
        return Response.OKAY if takes else Response.SLVERR

    def _read(self, m: Module) -> None:
        bus = self.bus
        reads = Signal()
        address = Signal(ADDRESS_BITS)
        m.d.comb += bus.arready.eq(~reads & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [reads.eq(1), address.eq(bus.araddr)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(reads):
            m.d.sync += [reads.eq(0), bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(Response.DECERR)]
            with m.Switch(address[2:]):
                for place, register, ports in self._places():
                    with m.Case(place):
                        m.d.sync += [bus.rdata.eq(self._value(register, ports)), bus.rresp.eq(Response.OKAY)]

    @staticmethod
    def _value(register: Register, ports: wiring.PureInterface) -> Value:
        """Return what a register reads as."""
        parts: list[Value] = []
        at = 0
        for field in register.fields:
            parts.append(Const(0, field.first - at))
            at = field.first + field.width
            reads = field.access not in (Access.PULSE, Access.DATA)
            parts.append(getattr(ports, register.member(field)) if reads else Const(0, field.width))
        return Cat(parts)
