"""The designs whose clock and area are measured, and the devices that they are placed on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Component

from dnnzip_hw.array import Accelerator, ArrayParameters
from dnnzip_hw.axi import AxiParameters
from dnnzip_hw.axi.top import AxiDecompressor
from dnnzip_hw.decompressor import Decompressor, port_signature
from dnnzip_hw.memory import ECP5, ICE40
from dnnzip_hw.parameters import DecompressorParameters

ECP5_PLACING = ("--tmg-ripup", "--placer-heap-timingweight", "30")
"""Options of nextpnr for ECP5 that gained 5 to 10 MHz on the rows of one group."""

ICE40_PLACING = ("--opt-timing", "--placer-heap-timingweight", "30")
"""The same for iCE40."""

EBR_ROW = 25
EBR_GROUPS = (4, 13, 22, 33, 42, 51, 60)
"""Where the ECP5-25F has its block RAMs: two rows of tiles, the upper one whole, with groups that begin in these
columns, every second column one block RAM."""

EBR_ROW_85F = 46
EBR_GROUPS_85F = (13, 22, 31, 40, 49, 58)
"""The same of the ECP5-85F, of a part of its left half: the right half is alike, and so are rows 22 and 70."""

RIGHT, BELOW = (56, 0), (0, 24)
"""Columns and rows to the next part of the ECP5-85F with the same tiles."""


class Group(Component):
    """A decompressor with flip-flops at all of its ports, so that paths through the ports count.

    Members
    -------
    group_0 : Out
        The ports of the decompressor. The flip-flops break the streams' rules; this is for measuring alone.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__({"group_0": wiring.Out(port_signature(parameters))})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.core_0 = core = Decompressor(self.parameters)
        port = self.group_0
        m.d.sync += [
            core.i.valid.eq(port.i.valid),
            core.i.payload.eq(port.i.payload),
            port.i.ready.eq(core.i.ready),
            port.o.valid.eq(core.o.valid),
            port.o.payload.eq(core.o.payload),
            core.o.ready.eq(port.o.ready),
        ]
        return m


class Registered(Component):
    """A component with a flip-flop at each of its ports, so that paths through the ports count.

    Members
    -------
    Its ports, named by their paths. The flip-flops break the streams' rules; this is for measuring alone.
    """

    def __init__(self, inner: Component) -> None:
        self.inner = inner
        self.ports = [
            ("__".join(map(str, path)), member.flow, Value.cast(value))
            for path, member, value in inner.signature.flatten(inner)
        ]
        super().__init__({name: wiring.Member(flow, len(value)) for name, flow, value in self.ports})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.core = self.inner
        for name, flow, value in self.ports:
            outer = getattr(self, name)
            # An AXI top makes the domain itself, of these two.
            domain = m.d.comb if name in ("aclk", "aresetn") else m.d.sync
            domain += value.eq(outer) if flow == wiring.In else outer.eq(value)
        return m


class Folded(Component):
    """A component with more ports than a device has pins: inputs come from a shift register, outputs are folded.

    Four outputs, each through its flip-flop, make one by XOR, and so on in further cycles, a LUT for each four; that is
    counted with the component.

    Members
    -------
    i : In(1), o : Out(1)
        One pin each.
    """

    def __init__(self, inner: Component) -> None:
        self.inner = inner
        super().__init__({"i": wiring.In(1), "o": wiring.Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.core = self.inner
        ports = [(member.flow, Value.cast(value)) for _, member, value in self.inner.signature.flatten(self.inner)]
        inputs = Cat(value for flow, value in ports if flow == wiring.In)
        shifted = Signal(len(inputs))
        m.d.sync += shifted.eq(Cat(self.i, shifted))
        m.d.comb += inputs.eq(shifted)
        folded: Value = Cat(value for flow, value in ports if flow == wiring.Out)
        level = 0
        while len(folded) > 1 or level == 0:
            groups = [folded] if level == 0 else [folded[at : at + 4].xor() for at in range(0, len(folded), 4)]
            kept = Signal(len(Cat(groups)), name=f"folded_{level}")
            m.d.sync += kept.eq(Cat(groups))
            folded, level = kept, level + 1
        m.d.comb += self.o.eq(folded)
        return m


@dataclass(frozen=True)
class Device:
    """A device on which a design is placed."""

    name: str  # as the table prints it
    family: str  # `ecp5` or `ice40`
    options: tuple[str, ...]
    # A row of the device and columns in it, where groups of block RAMs begin: those of the lanes' tables get places
    # there, lane by lane. Left to itself, the placer spreads those of a lane over several rows.
    block_rams: tuple[int, tuple[int, ...]] | None = None


ECP5_25F = Device(
    "ECP5-25F, speed 6", "ecp5", ("--25k", "--package", "CABGA256", "--speed", "6"), (EBR_ROW, EBR_GROUPS)
)
ECP5_85F = Device("ECP5-85F, speed 6", "ecp5", ("--85k", "--package", "CABGA756", "--speed", "6"))
ECP5_85F_PART = replace(ECP5_85F, block_rams=(EBR_ROW_85F, EBR_GROUPS_85F))
HX8K = Device("iCE40 HX8K", "ice40", ("--hx8k", "--package", "ct256"))
UP5K = Device("iCE40 UP5K", "ice40", ("--up5k", "--package", "sg48"))


@dataclass(frozen=True)
class Row:
    """A design on a device."""

    key: str  # name of the row on the command line
    title: str  # as the table prints it
    device: Device
    make: Callable[[], Component]
    target: int
    lanes: int  # weights that the design and its copies yield in a cycle, at most
    seeds: int = 3  # number of seeds that are run, from 1 on
    placing: tuple[str, ...] = ECP5_PLACING
    # Where copies of the design go once it is placed, in columns and rows from its own place; the seeds are theirs.
    shifts: tuple[tuple[int, int], ...] = ()


GROUP_8 = DecompressorParameters(weight_bits=8, target=ECP5)
GROUP_16 = DecompressorParameters(target=ECP5)
ONE_LANE = DecompressorParameters(lanes=1, log2_states=8, weight_bits=8, target=ICE40)
AXI = AxiParameters(GROUP_8, bus_bits=32)
ARRAY = ArrayParameters(
    DecompressorParameters(lanes=2, weight_bits=8, target=ECP5), columns=8, bus_bits=32, burst=16, buffer=64
)
"""The array of the board: 8 x 8."""

ROWS = (
    Row("25f-8", "4 lanes, 512 states, 8-bit weights", ECP5_25F, lambda: Group(GROUP_8), 200, 4, seeds=5),
    Row("25f-16", "4 lanes, 512 states, 16-bit weights", ECP5_25F, lambda: Group(GROUP_16), 200, 4),
    Row("25f-axi", "the first with AXI ports and counters", ECP5_25F, lambda: Registered(AxiDecompressor(AXI)), 200, 4),
    Row(
        "85f-2",
        "2 groups of the first",
        ECP5_85F_PART,
        lambda: Group(GROUP_8),
        180,
        8,
        shifts=((0, 0), RIGHT),
    ),
    Row(
        "85f-4",
        "4 groups of the first",
        ECP5_85F_PART,
        lambda: Group(GROUP_8),
        180,
        16,
        shifts=((0, 0), RIGHT, BELOW, (RIGHT[0], BELOW[1])),
    ),
    Row("85f-array", "8 x 8 array, decompressor, DMA", ECP5_85F, lambda: Folded(Accelerator(ARRAY)), 50, 2, seeds=1),
    Row("hx8k", "1 lane, 256 states, 8-bit weights", HX8K, lambda: Group(ONE_LANE), 200, 1, placing=ICE40_PLACING),
    Row("up5k", "1 lane, 256 states, 8-bit weights", UP5K, lambda: Group(ONE_LANE), 48, 1, placing=ICE40_PLACING),
)
