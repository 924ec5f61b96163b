"""Checks that properties of many blocks share, and the record of a property."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Assert, Assume, Module, Signal, Value

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.memory import ICE40
from dnnzip_sim.formal.wrapper import Change, before

SMALLEST = DecompressorParameters(1, 1, 8, 16)
LINE = DecompressorParameters(1, 1, 8, 16, line=True)
ON_ICE40 = DecompressorParameters(1, 1, 8, 8, target=ICE40)
TWO_SLOTS = DecompressorParameters(1, 2, 8, 8)
SMALL = DecompressorParameters(2, 2, 8, 8)
COUNTER_BITS = 6
"""Width of a counter of events, enough for the cycles that are searched."""

Check = Callable[[Module, Any], None]


@dataclass(frozen=True)
class Property:
    """A property of a block."""

    name: str  # in the table
    component: str  # of which block, with its parameters
    make: Callable[[], Any]  # makes the block
    check: Check  # adds the assumptions and assertions; its docstring is the property in words
    depth: int  # k of the induction, or the cycles from reset that are searched
    induction: bool  # whether it is proved without bounds
    mutants: Mapping[str, Change]  # planted bugs by name
    # Planted bugs that are thousands of cycles from reset: with them the induction must fail.
    far: Mapping[str, Change] = field(default_factory=dict)
    as_registers: bool = False  # whether memories are turned into registers
    free: tuple[str, ...] = ()  # blocks within it, by their path, a pattern, whose outputs are anything in every cycle
    search: int = 12  # cycles from reset in which a planted bug must be found
    quick: bool = False  # whether the test suite proves it too

    @property
    def sentence(self) -> str:
        """The property in words."""
        return " ".join((self.check.__doc__ or "").split())

    @property
    def method(self) -> str:
        """Method of its proof."""
        return f"induction, k = {self.depth}" if self.induction else f"all runs of {self.depth} cycles"


def stable(m: Module, port: Any, unless: Value | int = 0) -> None:
    """Assert that a payload which waits stays as it is, ``unless`` something dropped it."""
    waited = before(m, port.valid & ~port.ready & ~unless, "waited")
    payload = before(m, port.payload, "payload_before")
    with m.If(waited):
        m.d.comb += Assert(port.valid & (Value.cast(port.payload) == payload), "a beat changed while it waited")


def assume_stable(m: Module, port: Any) -> None:
    """Assume the same of an input."""
    waited = before(m, port.valid & ~port.ready, "input_waited")
    payload = before(m, port.payload, "input_before")
    with m.If(waited):
        m.d.comb += Assume(port.valid & (Value.cast(port.payload) == payload))


def waits_unchanged(what: str, port: str = "o") -> Check:
    """Return the check that what stands on a port stays as it is until it is taken."""

    def unchanged(m: Module, block: Any) -> None:
        stable(m, getattr(block, port))

    unchanged.__doc__ = f"{what} that is not taken stays valid and keeps its payload until it is."
    return unchanged


def follows_in_time(sentence: str, start: str, end: str, limit: int) -> Check:
    """Return the check that a signal rises at most ``limit`` cycles after another one.

    Parameters
    ----------
    sentence
        The property in words.
    start, end
        Names of the two.
    limit
        In cycles.
    """

    def in_time(m: Module, block: Any) -> None:
        since, running = Signal(range(limit + 2)), Signal()
        with m.If(getattr(block, start)):
            m.d.sync += [since.eq(0), running.eq(1)]
        with m.Elif(since <= limit):
            m.d.sync += since.eq(since + 1)
        m.d.comb += Assert(~running | (since < limit) | getattr(block, end), f"no {end} in time")

    in_time.__doc__ = sentence
    return in_time


def count_of(m: Module, happens: Value, name: str, by: Value | int = 1) -> Signal:
    """Return the number of cycles before this one in which something happened."""
    counter = Signal(COUNTER_BITS, name=name)
    with m.If(happens):
        m.d.sync += counter.eq(counter + by)
    return counter


def in_order(m: Module, given: Value, puts: Value, payload: Value, port: Any) -> None:
    """Watch the item that follows any number of others."""
    watched = Signal(COUNTER_BITS, name="watched")  # holds what it held at the start, which is free
    number = Signal(COUNTER_BITS, name="number", init=0)
    started = Signal(name="started")
    m.d.sync += started.eq(1)
    with m.If(~started):
        m.d.sync += watched.eq(given)  # any number: the first payload on offer, even if it is not valid
    count_in, count_out = count_of(m, puts, "count_in"), count_of(m, port.valid & port.ready, "count_out")
    kept = Signal(len(given), name="kept")
    with m.If(puts & started & (count_in == watched)):
        m.d.sync += kept.eq(given)
    m.d.comb += number.eq(watched)
    with m.If(port.valid):
        m.d.comb += Assert(count_out < count_in, "more came out than went in")
        with m.If(started & (count_out == watched) & (watched != 0)):
            m.d.comb += Assert(payload == kept, "another item came out")
