"""Drive, watch and check ready/valid streams from cocotb.

An Amaranth stream port ``i`` is, in Verilog, the three signals ``i__payload``, ``i__valid`` and ``i__ready``; a payload
of several fields is one vector, which the caller packs and unpacks.

Sources and sinks change their signals at the falling edge of the clock and look at the others' when everything of that
time step has settled. Whether a beat is transferred at the following rising edge is then known, whatever the order in
which a simulator updates registers and calls back. While ``rst`` is high nothing is transferred.
"""

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicArrayObject, LogicObject, PackedObject
from cocotb.task import Task
from cocotb.triggers import ClockCycles, Event, FallingEdge, ReadOnly

CLOCK_PERIOD_NS = 10


class StreamRuleError(AssertionError):
    """A valid beat was withdrawn or changed before it was taken."""


# Pauses: an endless iterator of bool, one per cycle; True means that this side rests in that cycle.
Pauses = Iterator[bool]


def no_pauses() -> Pauses:
    """Never rest."""
    while True:
        yield False


def bursts(rng: random.Random, *, longest: int = 8) -> Pauses:
    """Rest and work in turns, each for a random number of cycles from 1 to ``longest``."""
    if longest < 1:
        raise ValueError(f"longest must be at least 1, not {longest}")
    while True:
        for resting in (True, False):
            for _ in range(rng.randint(1, longest)):
                yield resting


@dataclass(frozen=True)
class PausePattern:
    """Sides of a stream that rest now and then."""

    idle_source: bool  # whether the source leaves cycles without a valid beat
    stalled_sink: bool  # whether the sink leaves cycles in which it is not ready

    def source(self, rng: random.Random, *, longest: int = 8) -> Pauses:
        """Return the pauses of a source."""
        return bursts(rng, longest=longest) if self.idle_source else no_pauses()

    def sink(self, rng: random.Random, *, longest: int = 8) -> Pauses:
        """Return the pauses of a sink."""
        return bursts(rng, longest=longest) if self.stalled_sink else no_pauses()


# Every stream test runs with all four: `@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))`.
PAUSE_PATTERNS = {
    "no_pauses": PausePattern(idle_source=False, stalled_sink=False),
    "idle_source": PausePattern(idle_source=True, stalled_sink=False),
    "stalled_sink": PausePattern(idle_source=False, stalled_sink=True),
    "both": PausePattern(idle_source=True, stalled_sink=True),
}


def scalar(dut: HierarchyObject, name: str) -> LogicObject:
    """Return the handle of the one-bit signal ``name`` of the design.

    Raises
    ------
    TypeError
        When it is something else.
    """
    handle = getattr(dut, name)
    if not isinstance(handle, LogicObject):
        raise TypeError(f"{name} must be a signal of one bit, not a {type(handle).__name__}")
    return handle


class Cycles:
    """The cycles of a clock: in each, every part drives first, then all of them look at the settled signals.

    Two waits in a cycle serve all parts; each wait of its own would cost a call into the simulator.

    Parameters
    ----------
    clk
        The clock.
    """

    _of_clocks: ClassVar[dict[int, "Cycles"]] = {}

    def __init__(self, clk: LogicObject) -> None:
        self._clk = clk
        self._parts: list[CyclePart] = []
        self._task: Task[None] = cocotb.start_soon(self._run())

    @classmethod
    def of(cls, clk: LogicObject) -> "Cycles":
        """Return the cycles of a clock; those of a test before have ended with it."""
        cycles = cls._of_clocks.get(id(clk))
        if cycles is None or cycles._task.done():
            cycles = cls._of_clocks[id(clk)] = cls(clk)
        return cycles

    def add(self, part: "CyclePart") -> None:
        """Let a part take part from the next cycle on."""
        self._parts = [*self._parts, part]

    def remove(self, part: "CyclePart") -> None:
        """Leave a part out from now on."""
        self._parts = [other for other in self._parts if other is not part]

    async def _run(self) -> None:
        falling, settled = FallingEdge(self._clk), ReadOnly()
        while True:
            await falling
            for part in self._parts:
                part.drive()
            await settled
            for part in self._parts:
                part.observe()


class CyclePart(Protocol):
    """Part of a bench that acts in each cycle of a clock."""

    def drive(self) -> None:
        """Change signals, at the falling edge."""

    def observe(self) -> None:
        """Look at the signals when everything of that time step has settled."""


class StreamPort:
    """The three signals of one stream port, resolved once.

    Parameters
    ----------
    dut
        The top of the simulated design, with a clock ``clk`` and a synchronous reset ``rst``.
    name
        The port's name, without ``__payload`` and the like.
    """

    def __init__(self, dut: HierarchyObject, name: str) -> None:
        self.name = name
        self.clk = scalar(dut, "clk")
        self.rst = scalar(dut, "rst")
        self.valid = scalar(dut, f"{name}__valid")
        self.ready = scalar(dut, f"{name}__ready")
        payload = getattr(dut, f"{name}__payload")
        if not isinstance(payload, LogicObject | LogicArrayObject | PackedObject):
            raise TypeError(f"{name}__payload must be a vector of bits, not a {type(payload).__name__}")
        self.payload = payload
        self.width = len(payload)

    def payload_now(self) -> int:
        """Return the payload as an unsigned number."""
        if isinstance(self.payload, LogicObject):
            return int(self.payload.value)
        return self.payload.value.to_unsigned()


class StreamSource:
    """Driver: sends payloads over an input port, in order, with pauses.

    A beat that was made valid stays valid and unchanged until it is taken, as the rules of the stream say.

    Parameters
    ----------
    dut, name
        The design and the port.
    pauses
        When to rest; never by default.

    Members
    -------
    sent
        How many beats were taken.
    """

    def __init__(self, dut: HierarchyObject, name: str, pauses: Pauses | None = None) -> None:
        self.log = logging.getLogger(f"cocotb.source.{name}")
        self.port = StreamPort(dut, name)
        self.sent = 0
        self._pauses = pauses or no_pauses()
        self._queue: deque[int] = deque()
        self._empty = Event()
        self._empty.set()
        self._offered = False
        self.port.valid.value = 0
        self._cycles = Cycles.of(self.port.clk)
        self._cycles.add(self)

    @property
    def waiting(self) -> int:
        """Number of payloads that were not taken yet."""
        return len(self._queue)

    def send(self, payloads: Iterable[int]) -> None:
        """Queue the payloads, unsigned numbers of the port's width.

        Raises
        ------
        ValueError
            When one does not fit.
        """
        new = list(payloads)
        for payload in new:
            if not 0 <= payload < 1 << self.port.width:
                raise ValueError(f"payload of {self.port.name} must be in 0..2**{self.port.width}-1, not {payload}")
        self._queue.extend(new)
        if self._queue:
            self._empty.clear()

    async def drained(self) -> None:
        """Wait until every queued payload was taken."""
        await self._empty.wait()

    def stop(self) -> None:
        """Leave the port as it is from now on."""
        self._cycles.remove(self)

    def drive(self) -> None:
        """Offer the next beat, or rest."""
        if self._offered:  # a beat that was not taken stays as it is
            return
        self._offered = not next(self._pauses) and bool(self._queue)
        self.port.valid.value = int(self._offered)
        if self._offered:
            self.port.payload.value = self._queue[0]

    def observe(self) -> None:
        """Note whether the beat on offer is taken."""
        if self._offered and self.port.ready.value == 1 and self.port.rst.value == 0:
            self.log.debug("beat %d: %#x", self.sent, self._queue[0])
            self._queue.popleft()
            self.sent += 1
            self._offered = False
            if not self._queue:
                self._empty.set()


class StreamMonitor:
    """Watch a port: report each beat that is transferred, and hold the port's source to the rules of the stream.

    Parameters
    ----------
    dut, name
        The design and the port.
    on_beat
        Called with each payload, an unsigned number. What it raises fails the test.

    Members
    -------
    beats
        How many beats were transferred.
    """

    def __init__(self, dut: HierarchyObject, name: str, on_beat: Callable[[int], None] | None = None) -> None:
        self.log = logging.getLogger(f"cocotb.{type(self).__name__.lower()}.{name}")
        self.port = StreamPort(dut, name)
        self.beats = 0
        self._on_beat = on_beat
        self._held: int | None = None
        self._cycles = Cycles.of(self.port.clk)
        self._cycles.add(self)

    def stop(self) -> None:
        """Leave the port alone from now on."""
        self._cycles.remove(self)

    def drive(self) -> None:
        """Drive nothing: a monitor only looks."""

    def observe(self) -> None:
        """Look at the settled signals of one cycle."""
        port = self.port
        if port.rst.value != 0:
            self._held = None
            return
        if port.valid.value != 1:
            if self._held is not None:
                raise StreamRuleError(
                    f"{port.name}: beat {self.beats} ({self._held:#x}) was withdrawn before it was taken"
                )
            return
        payload = port.payload_now()
        if self._held is not None and payload != self._held:
            raise StreamRuleError(
                f"{port.name}: beat {self.beats} changed from {self._held:#x} to {payload:#x} before it was taken"
            )
        if port.ready.value != 1:
            self._held = payload
            return
        self._held = None
        self.log.debug("beat %d: %#x", self.beats, payload)
        self.beats += 1
        if self._on_beat is not None:
            self._on_beat(payload)


class StreamSink(StreamMonitor):
    """A monitor that also drives ``ready``, with pauses: the receiving side of an output port.

    Parameters
    ----------
    dut, name, on_beat
        As for a monitor.
    pauses
        When not to be ready; never by default.
    """

    def __init__(
        self,
        dut: HierarchyObject,
        name: str,
        on_beat: Callable[[int], None] | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self._pauses = pauses or no_pauses()
        super().__init__(dut, name, on_beat)
        self.port.ready.value = 0

    def drive(self) -> None:
        """Be ready, or rest."""
        self.port.ready.value = int(not next(self._pauses))


async def start(dut: HierarchyObject, *, reset_cycles: int = 2) -> None:
    """Start the clock ``clk`` of the design and hold its synchronous reset ``rst`` for ``reset_cycles``."""
    clk, rst = scalar(dut, "clk"), scalar(dut, "rst")
    rst.value = 1
    Clock(clk, CLOCK_PERIOD_NS, unit="ns").start()
    await ClockCycles(clk, reset_cycles)
    await FallingEdge(clk)
    rst.value = 0
