"""The top: groups with AXI4-Stream ports, one AXI4-Lite port, flat names."""

from amaranth.hdl import ClockDomain, DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from dnnzip.format import CAUSE_BITS
from dnnzip_hw.axi.group import Group
from dnnzip_hw.axi.lite import RegisterBank, lite_signature
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.registers import SHARED

INPUT, OUTPUT, REGISTERS = "s_axis", "m_axis", "s_axil"


def stream_prefix(port: str, group: int, groups: int) -> str:
    """Return the prefix of a group's stream port: ``s_axis``, or ``s_axis_0`` and so on where there are several.

    Parameters
    ----------
    port
        ``s_axis`` or ``m_axis``.
    group
        Number of the group, from 0 up.
    groups
        Groups of the top.
    """
    return port if groups == 1 else f"{port}_{group}"


class AxiDecompressor(wiring.Component):
    """The decompressor with AXI ports; see ``Group`` for what a group does and ``registers`` for the register map.

    Throughput: per group a 16-bit word per cycle in and ``lanes`` weights per cycle out; a bus of N words takes a
    beat every N cycles. Latency: four cycles more than the decompressor's. Back-pressure: on every stream, at any time.
    Reset: ``aresetn``, synchronous, for one cycle or more; nothing of what was before leaves after it, on any port.

    Parameters
    ----------
    parameters
        See ``AxiParameters``.

    Members
    -------
    aclk, aresetn : In(1)
        Clock, and reset while 0.
    s_axis_tdata, s_axis_tkeep, s_axis_tlast, s_axis_tvalid, s_axis_tready
        Streams, ``tlast`` with the last beat of each. With several groups ``s_axis_0_tdata`` and so on.
    m_axis_tdata, m_axis_tkeep, m_axis_tlast, m_axis_tuser, m_axis_tvalid, m_axis_tready
        Weights, a packet for each stream; ``tuser`` is the stream's cause in its last beat, else 0.
    s_axil_awaddr and the others
        AXI4-Lite.
    """

    def __init__(self, parameters: AxiParameters | None = None) -> None:
        self.parameters = parameters or AxiParameters()
        super().__init__(self.signature_of(self.parameters))

    @staticmethod
    def signature_of(parameters: AxiParameters) -> wiring.Signature:
        """Return the ports of a top with these parameters."""
        members: dict[str, wiring.Member] = {"aclk": In(1), "aresetn": In(1)}
        for number in range(parameters.groups):
            source, sink = (stream_prefix(port, number, parameters.groups) for port in (INPUT, OUTPUT))
            members |= {
                f"{source}_tdata": In(parameters.bus_bits),
                f"{source}_tkeep": In(parameters.bus_bits // 8),
                f"{source}_tlast": In(1),
                f"{source}_tvalid": In(1),
                f"{source}_tready": Out(1),
                f"{sink}_tdata": Out(parameters.row_bits),
                f"{sink}_tkeep": Out(parameters.row_bits // 8),
                f"{sink}_tlast": Out(1),
                f"{sink}_tuser": Out(CAUSE_BITS),
                f"{sink}_tvalid": Out(1),
                f"{sink}_tready": In(1),
            }
        for name, member in lite_signature().members.items():
            members[f"{REGISTERS}_{name}"] = member.flip()
        return wiring.Signature(members)

    def _prefixes(self, group: int) -> tuple[str, str]:
        groups = self.parameters.groups
        return stream_prefix(INPUT, group, groups), stream_prefix(OUTPUT, group, groups)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        m.submodules.registers = bank = RegisterBank(self.parameters.groups)
        for name, member in lite_signature().members.items():
            outer, inner = getattr(self, f"{REGISTERS}_{name}"), getattr(bank.bus, name)
            m.d.comb += inner.eq(outer) if member.flow == Out else outer.eq(inner)
        self._constants(m, bank)
        for number in range(self.parameters.groups):
            group = Group(self.parameters)
            core = f"core_{number}"
            domain = ClockDomain(core)
            m.domains += domain
            m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(group.restart)]
            m.submodules[f"group_{number}"] = DomainRenamer({"core": core})(group)
            connect(m, group.registers, bank.groups[number])
            source, sink = self._prefixes(number)
            for name, field in (("tdata", "data"), ("tkeep", "keep"), ("tlast", "last")):
                m.d.comb += group.i.payload[field].eq(getattr(self, f"{source}_{name}"))
            for name, field in (("tdata", "data"), ("tkeep", "keep"), ("tlast", "last"), ("tuser", "user")):
                m.d.comb += getattr(self, f"{sink}_{name}").eq(group.o.payload[field])
            m.d.comb += [
                group.i.valid.eq(getattr(self, f"{source}_tvalid")),
                getattr(self, f"{source}_tready").eq(group.i.ready),
                getattr(self, f"{sink}_tvalid").eq(group.o.valid),
                group.o.ready.eq(getattr(self, f"{sink}_tready")),
            ]
        return m

    def _constants(self, m: Module, bank: RegisterBank) -> None:
        """Drive the shared block: the constants of the map, and the parameters of this top."""
        decompressor = self.parameters.decompressor
        own = {
            "decoder_lanes": decompressor.lanes,
            "decoder_slots": decompressor.slots,
            "decoder_log2_states": decompressor.log2_states,
            "decoder_weight_bits": decompressor.weight_bits,
            "decoder_line": decompressor.line,
            "ports_groups": self.parameters.groups,
            "ports_bus_bits": self.parameters.bus_bits,
            "ports_row_weights": self.parameters.row_weights,
        }
        for register in SHARED:
            for field in register.fields:
                name = register.member(field)
                m.d.comb += getattr(bank.shared, name).eq(own.get(name, field.init))
