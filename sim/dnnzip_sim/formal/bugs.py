"""Planted bugs of the kinds that many blocks can have, at a port that is named by its path.

A bug stands at the ports of a block, or with ``inside`` in a block within an ``Opened`` one.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value

from dnnzip_sim.formal.checks import count_of
from dnnzip_sim.formal.wrapper import Change, before


def inside(place: str = "") -> Callable[[Callable[[Module, Any], None]], Change]:
    """Return a decorator that plants statements, added by a function of a module and a block, at a block's end.

    Parameters
    ----------
    place
        Path of the block within the opened one; that one itself by default.
    """

    def planted(add: Callable[[Module, Any], None]) -> Change:
        def plant(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
            part = attrgetter(place)(block) if place else block
            bug = Module()
            add(bug, part)
            block.plant(part, bug)

        return plant

    return planted


def input_is(path: str, value: int) -> Change:
    """Return the bug that the block reads ``value`` at an input."""

    def constant(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
        m.d.comb += attrgetter(path)(block).eq(value)

    return constant


def output_is(path: str, value: int) -> Change:
    """Return the bug that an output is always ``value``."""

    def constant(m: Module, block: Any, around: Any) -> None:  # noqa: ARG001 - all bugs look alike
        m.d.comb += attrgetter(path)(around).eq(value)

    return constant


def decays(path: str) -> Change:
    """Return the bug that an output falls to 0 after a cycle."""

    def decaying(m: Module, block: Any, around: Any) -> None:
        output = attrgetter(path)(block)
        earlier = before(m, output != 0, "earlier")
        m.d.comb += attrgetter(path)(around).eq(Mux(earlier, 0, output))

    return decaying


def late(path: str) -> Change:
    """Return the bug that an output of one bit rises a cycle late."""

    def rising_late(m: Module, block: Any, around: Any) -> None:
        output = attrgetter(path)(block)
        m.d.comb += attrgetter(path)(around).eq(output & before(m, output, "one"))

    return rising_late


def strobe_is_lost(name: str, number: int) -> Change:
    """Return the bug that an input which is one for a cycle is ignored, after ``number`` others."""

    def lost(m: Module, block: Any, around: Any) -> None:
        count = count_of(m, getattr(around, name), "seen")
        m.d.comb += getattr(block, name).eq(getattr(around, name) & (count != number))

    return lost


def strobe_is_doubled(name: str) -> Change:
    """Return the bug that an input which is one for a cycle is so in the next one as well."""

    def doubled(m: Module, block: Any, around: Any) -> None:
        m.d.comb += getattr(block, name).eq(getattr(around, name) | before(m, getattr(around, name), "again"))

    return doubled


def waiting_flips(valid: str, ready: str, payload: str) -> Change:
    """Return the bug that the lowest bit of a payload flips while it waits."""

    def flipping(m: Module, block: Any, around: Any) -> None:
        waited = before(m, attrgetter(valid)(block) & ~attrgetter(ready)(block), "waited")
        inner, outer = (Value.cast(attrgetter(payload)(ports)) for ports in (block, around))
        m.d.comb += outer[0].eq(inner[0] ^ waited)

    return flipping


def waiting_falls(valid: str, ready: str) -> Change:
    """Return the bug that what is valid is withdrawn after a cycle of waiting."""

    def falling(m: Module, block: Any, around: Any) -> None:
        waited = before(m, attrgetter(valid)(block) & ~attrgetter(ready)(block), "waited")
        m.d.comb += attrgetter(valid)(around).eq(attrgetter(valid)(block) & ~waited)

    return falling


def second_is_lost(m: Module, block: Any, around: Any) -> None:
    """Take the second item and drop it."""
    count = count_of(m, around.i.valid & block.i.ready, "seen")
    m.d.comb += block.i.valid.eq(around.i.valid & (count != 1))


def item_is_doubled(m: Module, block: Any, around: Any) -> None:
    """Give an item twice where the sink is ready at once."""
    again = Signal()
    m.d.comb += block.o.ready.eq(around.o.ready & again)
    m.d.sync += again.eq(block.o.valid & around.o.ready & ~again)


STREAM_BUGS: dict[str, Change] = {
    "payload flips": waiting_flips("o.valid", "o.ready", "o.payload"),
    "valid falls": waiting_falls("o.valid", "o.ready"),
}
QUEUE_BUGS: dict[str, Change] = {"item lost": second_is_lost, "item doubled": item_is_doubled, **STREAM_BUGS}
