"""The signs of decoded weights, for the context of later ones."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from dnnzip.format import MAX_KERNEL
from dnnzip_hw.memory import GENERIC, ICE40, RegisteredMemory


class Sign(enum.Enum, shape=2):  # type: ignore[call-arg]  # Amaranth's enumerations have a shape
    """Sign of a weight, as a number of two bits in two's complement."""

    ZERO = 0
    PLUS = 1
    MINUS = 3


def history_latency(target: str) -> int:
    """Return the cycles from an address to its signs."""
    return 2 if target == ICE40 else 1


class History(wiring.Component):
    """Keeps, for every virtual lane, the signs of the last row of taps.

    The lanes of a slot are read and written together. Throughput: a read and a write per cycle, of different slots.
    Latency: ``history_latency`` cycles from address to signs. There is no back-pressure. Reset: the signs are unknown;
    they are not used before they have been written.

    Parameters
    ----------
    lanes
        Hardware lanes.
    ring
        Turns of the ring.
    target
        What it is built of, one of ``TARGETS``. On iCE40 it is a block RAM with a register behind it.

    Members
    -------
    read_slot, read_line : In
        Where to read.
    above : Out
        What was there, ``history_latency`` cycles later.
    write_en, write_slot, write_line, signs : In
        Where to write what.
    """

    def __init__(self, lanes: int, ring: int, target: str = GENERIC) -> None:
        self.ring, self.target = ring, target
        self.layout = data.ArrayLayout(2, lanes)
        super().__init__(
            {
                "read_slot": In(range(ring)),
                "read_line": In(range(MAX_KERNEL)),
                "above": Out(self.layout),
                "write_en": In(1),
                "write_slot": In(range(ring)),
                "write_line": In(range(MAX_KERNEL)),
                "signs": In(self.layout),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        if self.target == ICE40:
            m.submodules.memory = rows = RegisteredMemory(self.layout.size, self.ring * MAX_KERNEL, self.target)
            m.d.comb += [
                rows.read_addr.eq(Cat(self.read_line, self.read_slot)),
                rows.write_addr.eq(Cat(self.write_line, self.write_slot)),
                rows.write_data.eq(self.signs),
                rows.write_en.eq(self.write_en),
                self.above.eq(rows.read_data),
            ]
            return m
        m.submodules.memory = memory = Memory(shape=self.layout, depth=self.ring * MAX_KERNEL, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(Cat(self.read_line, self.read_slot)),
            write.addr.eq(Cat(self.write_line, self.write_slot)),
            write.data.eq(self.signs),
            write.en.eq(self.write_en),
        ]
        m.d.sync += self.above.eq(read.data)
        return m
