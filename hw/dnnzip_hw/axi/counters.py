"""The counters of a group: one adder, to which they come in turn."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip_hw.axi.layouts import counter_layout
from dnnzip_hw.axi.registers import COUNTER_BITS, COUNTERS
from dnnzip_hw.memory import GENERIC, small_memory

TURNS = 1 << ceil_log2(len(COUNTERS))
"""Cycles from one turn of a counter to its next one."""


class CountersProbes(NamedTuple):
    """Inner parts of ``Counters`` that proofs refer to."""

    totals: Memory
    turn: Signal
    number: Signal


class Counters(wiring.Component):
    """Counts events; the values stand in a memory, and each counter has its turn at the one adder.

    What happens between two turns is summed in a few bits next to the memory, so that no event is lost. A counter
    saturates at its largest value.

    Throughput: every counter counts in every cycle; each is told once in ``TURNS`` cycles. Latency: what ``o`` tells
    holds all events up to four cycles before. There is no back-pressure.
    Reset: the counters are 0.

    Parameters
    ----------
    most
        By the counter's name in ``COUNTERS``: what it counts in a cycle at most.
    target
        See ``RegisteredMemory``: on ECP5 the memory is LUT RAM.
    bits
        Width of a counter.

    Members
    -------
    <name> : In(range(most + 1))
        What the counter of that name counts in this cycle.
    count : In(1)
        0: nothing is counted.
    clear : In(1)
        All counters become 0. What comes in this cycle still counts, what came in the one before does not.
    o : Out(counter_layout(bits))
        A counter and its value, another one in each cycle.
    """

    def __init__(self, most: Mapping[str, int], target: str = GENERIC, bits: int = COUNTER_BITS) -> None:
        self._most, self._target, self._bits = dict(most), target, bits
        super().__init__(
            {
                **{name: In(range(self._most[name] + 1)) for name in COUNTERS},
                "count": In(1),
                "clear": In(1),
                "o": Out(counter_layout(bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.totals = totals = Memory(shape=self._bits, depth=TURNS, init=[], attrs=small_memory(self._target))
        write, read = totals.write_port(), totals.read_port()

        # First cycle of a turn: the memory is read, and what waits is taken.
        turn = Signal(TURNS, init=1)  # one bit for each counter
        number = Signal(ceil_log2(TURNS))
        cleared = Signal(TURNS, init=(1 << TURNS) - 1)  # what stands in the memory is to be taken as 0
        m.d.sync += [turn.eq(turn.rotate_left(1)), number.eq(number + 1)]
        m.d.comb += read.addr.eq(number)
        m.d.sync += cleared.eq((cleared & ~turn) | self.clear.replicate(TURNS))
        waiting = []
        for place, name in enumerate(COUNTERS):
            step = Signal(range(self._most[name] + 1), name=f"{name}_step")
            waits = Signal(range(TURNS * self._most[name] + 1), name=f"{name}_waits")
            # Through a register first, so that no adder stands behind the logic of what is counted.
            m.d.sync += step.eq(Mux(self.count, getattr(self, name), 0))
            with m.If(self.clear):
                m.d.sync += waits.eq(0)
            with m.Else():
                m.d.sync += waits.eq(Mux(turn[place], 0, waits) + step)
            waiting.append(Mux(turn[place], waits, 0))
        taken = Signal(max(len(value) for value in waiting))
        from_zero = Signal()
        at_sum = Signal.like(number)
        m.d.sync += [
            taken.eq(reduce(or_, waiting)),
            from_zero.eq((cleared & turn).any()),
            at_sum.eq(number),
        ]

        # Second: the sum. Third: it is written and told.
        total, carry, kept = Signal(self._bits), Signal(), Signal.like(taken)
        is_kept, at_write = Signal(), Signal.like(number)
        m.d.sync += [
            Cat(total, carry).eq(read.data + taken),
            kept.eq(taken),
            is_kept.eq(from_zero),
            at_write.eq(at_sum),
        ]
        m.d.comb += [
            self.o.number.eq(at_write),
            self.o.value.eq(Mux(is_kept, kept, total | carry.replicate(self._bits))),
            write.addr.eq(at_write),
            write.data.eq(self.o.value),
            write.en.eq(1),
        ]
        self.probes = CountersProbes(totals, turn, number)
        return m
