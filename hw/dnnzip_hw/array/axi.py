"""The accelerator with AXI ports and flat names."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.array.accelerator import FIGURE_BITS, FIGURES, Accelerator, accelerator_signature
from dnnzip_hw.array.layouts import ADDRESS_BITS, LENGTH_OF_BURST_BITS, RESPONSE_BITS
from dnnzip_hw.array.parameters import ArrayParameters

MEMORY = "m_axi"
INPUTS = {"walks": "s_axis_walks", "runs": "s_axis_runs", "i": "s_axis_vectors"}
OUTPUT = "m_axis_sums"

INCREMENTING = 1
"""AXI4's number of bursts whose addresses go up."""

BUFFERABLE_NORMAL = 3
"""AXI4's ``arcache`` of memory that has no side effects."""


class AxiArray(wiring.Component):
    """The accelerator behind AXI4 and AXI4-Stream ports; see ``Accelerator`` for what it does.

    The read channels of AXI4 carry bursts of up to ``burst`` beats of the bus' full width, with one identifier, that
    stay inside a page of 4 KB; up to 16 are under way, and their data must come in order. Each beat of the streams is a
    walk, a run, a vector or the sums of a vector, in the bytes of ``tdata`` from the lowest on.

    Throughput, latency and back-pressure: the accelerator's. Reset: ``aresetn``, synchronous, for one cycle or
    more; nothing of what was before leaves after it. No burst may be under way, or the memory is reset too.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    aclk, aresetn : In(1)
        Clock, and reset while 0.
    base : In(32)
        Address of the image.
    m_axi_araddr and the others : AXI4 read channels
        The memory.
    s_axis_walks_tdata, s_axis_runs_tdata, s_axis_vectors_tdata and the others : AXI4-Stream
        The program and the activations.
    m_axis_sums_tdata and the others : AXI4-Stream
        Sums, 32 bits for each row.
    cause, fault, memory_failed, figure_<name>
        As the accelerator's.
    """

    def __init__(self, parameters: ArrayParameters | None = None) -> None:
        self.parameters = parameters or ArrayParameters()
        inner = accelerator_signature(self.parameters)
        payloads = inner.create()
        members: dict[str, wiring.Member] = {"aclk": In(1), "aresetn": In(1), "base": In(ADDRESS_BITS)}
        members |= {
            f"{MEMORY}_arid": Out(1),
            f"{MEMORY}_araddr": Out(ADDRESS_BITS),
            f"{MEMORY}_arlen": Out(LENGTH_OF_BURST_BITS),
            f"{MEMORY}_arsize": Out(3),
            f"{MEMORY}_arburst": Out(2),
            f"{MEMORY}_arlock": Out(1),
            f"{MEMORY}_arcache": Out(4),
            f"{MEMORY}_arprot": Out(3),
            f"{MEMORY}_arvalid": Out(1),
            f"{MEMORY}_arready": In(1),
            f"{MEMORY}_rid": In(1),
            f"{MEMORY}_rdata": In(self.parameters.bus_bits),
            f"{MEMORY}_rresp": In(RESPONSE_BITS),
            f"{MEMORY}_rlast": In(1),
            f"{MEMORY}_rvalid": In(1),
            f"{MEMORY}_rready": Out(1),
        }
        for name, prefix in INPUTS.items():
            members |= {
                f"{prefix}_tdata": In(len(getattr(payloads, name).payload.as_value())),
                f"{prefix}_tvalid": In(1),
                f"{prefix}_tready": Out(1),
            }
        members |= {
            f"{OUTPUT}_tdata": Out(len(payloads.o.payload.as_value())),
            f"{OUTPUT}_tvalid": Out(1),
            f"{OUTPUT}_tready": In(1),
        }
        members |= {name: inner.members[name] for name in ("cause", "fault", "memory_failed")}
        super().__init__(members | {f"figure_{name}": Out(FIGURE_BITS) for name in FIGURES})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.submodules.accelerator = inner = Accelerator(self.parameters)
        m.d.comb += [
            domain.clk.eq(self.aclk),
            domain.rst.eq(~self.aresetn),
            inner.base.eq(self.base),
            self._port(MEMORY, "arid").eq(0),
            self._port(MEMORY, "araddr").eq(inner.ar.payload.address),
            self._port(MEMORY, "arlen").eq(inner.ar.payload.length),
            self._port(MEMORY, "arsize").eq(ceil_log2(self.parameters.bus_bytes)),
            self._port(MEMORY, "arburst").eq(INCREMENTING),
            self._port(MEMORY, "arlock").eq(0),
            self._port(MEMORY, "arcache").eq(BUFFERABLE_NORMAL),
            self._port(MEMORY, "arprot").eq(0),
            self._port(MEMORY, "arvalid").eq(inner.ar.valid),
            inner.ar.ready.eq(self._port(MEMORY, "arready")),
            inner.r.payload.data.eq(self._port(MEMORY, "rdata")),
            inner.r.payload.response.eq(self._port(MEMORY, "rresp")),
            inner.r.payload.last.eq(self._port(MEMORY, "rlast")),
            inner.r.valid.eq(self._port(MEMORY, "rvalid")),
            self._port(MEMORY, "rready").eq(inner.r.ready),
            self._port(OUTPUT, "tdata").eq(inner.o.payload),
            self._port(OUTPUT, "tvalid").eq(inner.o.valid),
            inner.o.ready.eq(self._port(OUTPUT, "tready")),
        ]
        for name, prefix in INPUTS.items():
            port = getattr(inner, name)
            m.d.comb += [
                port.payload.as_value().eq(self._port(prefix, "tdata")),
                port.valid.eq(self._port(prefix, "tvalid")),
                self._port(prefix, "tready").eq(port.ready),
            ]
        for name in ("cause", "fault", "memory_failed", *(f"figure_{name}" for name in FIGURES)):
            m.d.comb += getattr(self, name).eq(getattr(inner, name))
        return m

    def _port(self, prefix: str, name: str) -> wiring.Member:
        return getattr(self, f"{prefix}_{name}")
