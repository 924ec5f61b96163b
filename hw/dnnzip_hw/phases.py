"""A state machine with one bit per phase, whose transitions are declared phase by phase."""

import enum

from amaranth.hdl import Cat, Module, Signal, Value


class Phases:
    """The phase that a block is in.

    Each phase has a bit, so that no logic stands before what hangs on a phase, and each bit is an OR of moves, so that
    none waits for a chain of cases.

    Parameters
    ----------
    m
        The module that it is built in.
    phases
        The phases; the first one is that after reset.
    """

    def __init__(self, m: Module, phases: type[enum.Enum]) -> None:
        self._m, self._phases = m, phases
        self._bits = {
            phase: Signal(name=f"phase_{phase.name.lower()}", init=number == 0) for number, phase in enumerate(phases)
        }
        self._moves: list[tuple[Value, enum.Enum, enum.Enum]] = []
        self._jumps: list[tuple[Value, enum.Enum]] = []

    def at(self, phase: enum.Enum) -> Signal:
        """Return the bit of a phase: 1 while the block is in it."""
        return self._bits[phase]

    def leave(self, phase: enum.Enum, *ways: tuple[Value, enum.Enum]) -> list[Signal]:
        """Declare when a phase is left and for which other one; the first way whose condition holds counts.

        It is called once for each phase. Returns a signal for each way, 1 in the cycle in which it is taken.
        """
        assert all(source != phase for _, source, _ in self._moves), f"{phase} has its ways"
        taken: list[Signal] = []
        for number, (condition, target) in enumerate(ways):
            way = Signal(name=f"{phase.name.lower()}_{number}")
            before = Cat(earlier for earlier, _ in ways[:number]).any()
            self._m.d.comb += way.eq(self.at(phase) & condition & ~before)
            self._moves.append((way, phase, target))
            taken.append(way)
        return taken

    def jump(self, condition: Value, phase: enum.Enum) -> None:
        """Declare when to go to a phase from any other; the condition that was declared last has priority."""
        self._jumps.append((condition, phase))

    def build(self) -> None:
        """Build the transitions that were declared."""
        for phase, bit in self._bits.items():
            enters = Cat(way for way, _, target in self._moves if target == phase).any()
            leaves = Cat(way for way, source, _ in self._moves if source == phase).any()
            self._m.d.sync += bit.eq(enters | (bit & ~leaves))
            for condition, target in self._jumps:
                with self._m.If(condition):
                    self._m.d.sync += bit.eq(phase == target)
