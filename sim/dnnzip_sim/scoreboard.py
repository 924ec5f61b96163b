"""Compare what streams deliver with what they should, and prove that nothing is left over."""

import logging
from collections import deque
from collections.abc import Callable, Iterable

from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, Event

from dnnzip_sim.streams import StreamSource, scalar


class ScoreboardError(AssertionError):
    """A beat is not the expected one, is one too many, or never came."""


class Scoreboard:
    """Compare what a stream delivers with what it should, beat by beat, and prove at the end that nothing is left over.

    Parameters
    ----------
    name
        What is compared, for the messages.
    show
        How a payload is printed.
    """

    def __init__(self, name: str, show: Callable[[int], str] = hex) -> None:
        self.log = logging.getLogger(f"cocotb.scoreboard.{name}")
        self.name = name
        self.compared = 0
        self._show = show
        self._expected: deque[int] = deque()
        self._complete = Event()
        self._complete.set()

    def expect(self, payloads: Iterable[int]) -> None:
        """Append to the sequence that has to come."""
        self._expected.extend(payloads)
        if self._expected:
            self._complete.clear()

    def receive(self, payload: int) -> None:
        """Compare the next payload; this is a monitor's ``on_beat``.

        Raises
        ------
        ScoreboardError
            When it is another one than expected, or none was.
        """
        if not self._expected:
            raise ScoreboardError(f"{self.name}: beat {self.compared}: expected none, got {self._show(payload)}")
        expected = self._expected.popleft()
        if payload != expected:
            raise ScoreboardError(
                f"{self.name}: beat {self.compared}: expected {self._show(expected)}, got {self._show(payload)}"
            )
        self.compared += 1
        if not self._expected:
            self._complete.set()

    async def complete(self) -> None:
        """Wait until everything expected so far has come."""
        await self._complete.wait()

    def check_empty(self) -> None:
        """Raise ScoreboardError when an expected beat has not come, or none was ever compared."""
        if self._expected:
            raise ScoreboardError(
                f"{self.name}: {len(self._expected)} beats never came; beat {self.compared}: "
                f"expected {self._show(self._expected[0])}, got none"
            )
        if self.compared == 0:
            raise ScoreboardError(f"{self.name}: nothing was compared")


async def nothing_left_over(
    dut: HierarchyObject,
    scoreboards: Iterable[Scoreboard],
    sources: Iterable[StreamSource] = (),
    *,
    quiet_cycles: int = 32,
) -> None:
    """Prove that a test is at its end: every expected beat came, every payload was taken, and nothing more comes.

    Waits for the scoreboards to be complete and then for ``quiet_cycles`` more, in which a beat too many fails the test
    through its scoreboard. A design that never delivers makes this wait for ever: give the test a ``timeout_time``.

    Raises
    ------
    ScoreboardError
        When something is left over.
    """
    boards, drivers = list(scoreboards), list(sources)
    for board in boards:
        await board.complete()
    await ClockCycles(scalar(dut, "clk"), quiet_cycles)
    for board in boards:
        board.check_empty()
    for source in drivers:
        if source.waiting:
            raise ScoreboardError(f"{source.port.name}: {source.waiting} payloads were never taken")
