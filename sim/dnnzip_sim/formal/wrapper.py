"""A block between free inputs and the assertions of a property; and a shell that plants a bug at its ports.

Most properties look at a block's ports alone, so that they hold for any block that keeps them; see ``opened`` for those
that do not.
"""

from collections.abc import Callable, Iterator
from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

Change = Callable[[Module, Any, Any], None]
"""A planted bug: given the module, the block and the ports around it, overrides some of what connects them."""


def flat_ports(block: wiring.Component) -> Iterator[tuple[str, wiring.Flow, Value]]:
    """Yield the name, the direction and the value of every port of a block."""
    for path, member, value in block.signature.flatten(block):
        yield "__".join(map(str, path)), member.flow, Value.cast(value)


class Shell(wiring.Component):
    """A block with a bug at its ports.

    Parameters
    ----------
    block
        The sound block.
    change
        The bug.

    Members
    -------
    As the block's.
    """

    def __init__(self, block: wiring.Component, change: Change) -> None:
        super().__init__(block.signature)
        self._block = block
        self._change = change

    def __getattr__(self, name: str) -> Any:
        """Return the parts of the block that a shell lacks: the inside of an ``Opened`` one."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._block, name)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.block = self._block
        for (_, flow, inner), (_, _, outer) in zip(flat_ports(self._block), flat_ports(self), strict=True):
            m.d.comb += inner.eq(outer) if flow == In else outer.eq(inner)
        self._change(m, self._block, self)
        return m


class Bench(wiring.Component):
    """A block whose inputs, reset included, are free in every cycle, with a property's checks.

    Parameters
    ----------
    block
        The block, or a shell around it.
    check
        Adds the assumptions and assertions, given the module and the block.

    Members
    -------
    One for each input of the block.
    """

    def __init__(self, block: wiring.Component, check: Callable[[Module, Any], None]) -> None:
        self._block = block
        self._check = check
        super().__init__(
            {name: In(Shape(len(value))) for name, flow, value in flat_ports(block) if flow == In and len(value)}
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.block = self._block
        for name, flow, value in flat_ports(self._block):
            if flow == In and len(value):
                m.d.comb += value.eq(getattr(self, name))
        self._check(m, self._block)
        return m


def before(m: Module, value: Value, name: str) -> Signal:
    """Return ``value`` as it was in the cycle before; 0 in the first one and after a reset.

    Not to be called within ``m.If``: there it would remember only what was under that condition.
    """
    earlier = Signal(len(Value.cast(value)), name=name)
    m.d.sync += earlier.eq(value)
    return earlier
