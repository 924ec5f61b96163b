"""A block that proofs may look into: what an induction has to know is often inside, where no port shows it.

The circuit stays as it is, and so does its source: signals are found by the names that ``elaborate``, or another
method that builds a part of the block, gives them.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from amaranth.hdl import Cat, Const, Elaboratable, Fragment, Module, Shape, Signal, Value
from amaranth.lib import wiring

from dnnzip_hw.phases import Phases


def one_hot(phases: Phases, names: Iterable[Any]) -> Value:
    """Return whether exactly one phase's bit is set."""
    bits = Cat(phases.at(name) for name in names)
    return (bits != 0) & ((bits & (bits - 1)[: len(bits)]) == 0)


def is_any(phases: Phases, *names: Any) -> Value:
    """Return whether it is one of these phases."""
    return Cat(phases.at(name) for name in names).any()


@contextmanager
def _local_variables() -> Iterator[dict[tuple[int, str], dict[str, Any]]]:
    """Keep the local variables with which components leave the methods that build them, by the component's id."""
    found: dict[tuple[int, str], dict[str, Any]] = {}

    def keep(frame: FrameType, event: str, _: object) -> None:
        if event != "return" or not isinstance(frame.f_locals.get("m"), Module):
            return
        component = frame.f_locals.get("self")
        if isinstance(component, wiring.Component):
            found[id(component), frame.f_code.co_name] = dict(frame.f_locals)

    earlier = sys.getprofile()
    sys.setprofile(keep)
    try:
        yield found
    finally:
        sys.setprofile(earlier)


class Opened(Elaboratable):
    """A block as it is, with its ports; besides, the blocks, signals and memory rows within it.

    Blocks within are named by their paths, such as ``builder.numbering``; the block itself is the empty path.

    Parameters
    ----------
    block
        The block. It is elaborated at once, so that what is within it is there before the proof is.

    Raises
    ------
    LookupError
        By its methods, where there is no such part: a name of the circuit has changed.
    """

    def __init__(self, block: wiring.Component) -> None:
        self._block = block
        with _local_variables() as self._variables:
            self._fragment = Fragment.get(block, None)

    def __getattr__(self, name: str) -> Any:
        """Return a port of the block."""
        return getattr(self._block, name)

    def elaborate(self, platform: object) -> Any:  # noqa: ARG002 - Amaranth's signature
        """Return the circuit."""
        return self._fragment

    def _find(self, path: str) -> Any:
        """Return the circuit of a block within."""
        found = self._fragment
        for name in filter(None, path.split(".")):
            parts = [part for part, part_name, _ in found.subfragments if part_name == name]
            if len(parts) != 1:
                raise LookupError(f"{path}: {name} must be one block, not {len(parts)}")
            found = parts[0]
        return found

    def part(self, path: str) -> Any:
        """Return a block within, for its ports."""
        found = [origin for origin in self._find(path).origins or () if isinstance(origin, wiring.Component)]
        if len(found) != 1:
            raise LookupError(f"{path} must be one component, not {len(found)}")
        return found[0]

    def inner(self, path: str, method: str = "elaborate") -> Any:
        """Return what a method that builds a block within calls by the path's last part, as a rule a signal."""
        block, _, name = path.rpartition(".")
        variables = self._variables.get((id(self.part(block)), method), {})
        if name not in variables:
            raise LookupError(f"{path}: there is no {name} in {method}")
        return variables[name]

    def row(self, path: str, address: Value) -> Signal:
        """Return what stands in a row of a memory in this cycle."""
        memory = self._find(path)
        content = Signal(Shape.cast(memory._data.shape).width, name="row")
        memory.read_port(domain="comb", addr=address, data=content, en=Const(1), transparent_for=())
        return content

    def plant(self, path: str, change: Module) -> None:
        """Override signals of a block within by the statements of ``change``, as if they stood at its end."""
        block = self._find(path)
        for domain, statements in Fragment.get(change, None).statements.items():
            block.add_statements(domain, *statements)
