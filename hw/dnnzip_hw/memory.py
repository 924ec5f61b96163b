"""Memories whose reads take two cycles, as a block RAM with its output register needs them."""

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

GENERIC, ECP5, ICE40 = "generic", "ecp5", "ice40"
TARGETS = (GENERIC, ECP5, ICE40)
"""Targets of a memory. Generic memories have output registers, which a tool merges into its block RAMs; ECP5's are its
primitive, since Yosys does not merge registers there. iCE40 has block RAMs without an output register and no LUT RAM:
small memories are block RAMs that are read a cycle ahead, or registers that turn with the ring. All behave alike."""

ECP5_ADDRESS_BITS = 14
ECP5_WIDTHS = {14: 1, 13: 2, 12: 4, 11: 9, 10: 18}
"""Data bits of a DP16KD by its address bits."""


def small_memory(target: str) -> dict[str, str]:
    """Return the attributes of a memory of few rows: it is to be LUT RAM where the target has that."""
    return {"ram_style": "distributed"} if target == ECP5 else {}


def block_memory(target: str) -> dict[str, str]:
    """Return the attributes of a memory that is read a cycle ahead: block RAM where there is no other kind."""
    return {"ram_style": "block"} if target == ICE40 else {}


class RegisteredMemory(wiring.Component):
    """A memory with one write port and one read port.

    Throughput: a write and a read per cycle. Latency: ``read_data`` follows its address by two cycles. What is written
    in the cycle of a read's address, at that address, may or may not be read. Reset: the content stays.

    Parameters
    ----------
    width
        Bits of a row.
    depth
        Rows.
    target
        One of ``TARGETS``; they behave alike.

    Members
    -------
    write_en, write_addr, write_data : In
        The write port.
    read_addr : In
        Row to read.
    read_data : Out
        What stood there.
    """

    def __init__(self, width: int, depth: int, target: str = GENERIC) -> None:
        self.width, self.depth, self.target = width, depth, target
        super().__init__(
            {
                "write_en": In(1),
                "write_addr": In(range(depth)),
                "write_data": In(width),
                "read_addr": In(range(depth)),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        if self.target == ECP5:
            self._block_rams(m)
            return m
        m.submodules.memory = memory = Memory(
            shape=self.width, depth=self.depth, init=[], attrs=block_memory(self.target)
        )
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write_en),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_addr),
        ]
        m.d.sync += self.read_data.eq(read.data)
        return m

    def _block_rams(self, m: Module) -> None:
        """Build it of DP16KDs side by side, port A writing, port B reading through its output register."""
        address_bits = max(ceil_log2(self.depth), min(ECP5_WIDTHS))
        width = ECP5_WIDTHS[address_bits]
        below = ECP5_ADDRESS_BITS - address_bits
        # Where a row has two bytes, the lowest two address bits of port A enable their writing.
        low_write = C(0b11 if width == max(ECP5_WIDTHS.values()) else 0, below)
        padding = C(0, address_bits - len(self.read_addr))
        write_addr = Cat(low_write, self.write_addr, padding)
        read_addr = Cat(C(0, below), self.read_addr, padding)
        for number, start in enumerate(range(0, self.width, width)):
            part = slice(start, min(start + width, self.width))
            read_data = Signal(width, name=f"read_data_{number}")
            write_data = Signal(width, name=f"write_data_{number}")
            m.d.comb += [write_data.eq(self.write_data[part]), self.read_data[part].eq(read_data)]
            m.submodules[f"ram_{number}"] = Instance(
                "DP16KD",
                p_DATA_WIDTH_A=width,
                p_DATA_WIDTH_B=width,
                p_REGMODE_A="NOREG",
                p_REGMODE_B="OUTREG",
                p_RESETMODE="SYNC",
                p_ASYNC_RESET_RELEASE="SYNC",
                p_CSDECODE_A="0b000",
                p_CSDECODE_B="0b000",
                p_CLKAMUX="CLKA",
                p_CLKBMUX="CLKB",
                p_WRITEMODE_A="NORMAL",
                p_WRITEMODE_B="NORMAL",
                p_GSR="DISABLED",
                i_CLKA=ClockSignal(),
                i_CLKB=ClockSignal(),
                i_CEA=Const(1),
                i_CEB=Const(1),
                i_OCEA=Const(1),
                i_OCEB=Const(1),
                i_RSTA=Const(0),
                i_RSTB=Const(0),
                i_WEA=self.write_en,
                i_WEB=Const(0),
                **{f"i_CS{port}{bit}": Const(0) for port in "AB" for bit in range(3)},
                **{f"i_ADA{bit}": write_addr[bit] for bit in range(ECP5_ADDRESS_BITS)},
                **{f"i_ADB{bit}": read_addr[bit] for bit in range(ECP5_ADDRESS_BITS)},
                **{f"i_DIA{bit}": write_data[bit] for bit in range(width)},
                **{f"o_DOB{bit}": read_data[bit] for bit in range(width)},
            )
