"""A block that proofs may look into: what an induction has to know is often inside, where no port shows it.

A block declares the signals and blocks within that proofs refer to as its ``probes``; they cost nothing in the circuit.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from amaranth.hdl import Cat, Const, Elaboratable, Fragment, Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from dnnzip_hw.phases import Phases


def one_hot(phases: Phases, names: Iterable[Any]) -> Value:
    """Return True if exactly one phase's bit is set."""
    bits = Cat(phases.at(name) for name in names)
    return (bits != 0) & ((bits & (bits - 1)[: len(bits)]) == 0)


def is_any(phases: Phases, *names: Any) -> Value:
    """Return True if it is one of these phases."""
    return Cat(phases.at(name) for name in names).any()


class Opened(Elaboratable):
    """A block as it is, with its ports and its probes, to which bugs and reads of memory rows can be added.

    Parameters
    ----------
    block
        The block. It is elaborated at once, so that its probes are there before the proof is.
    """

    def __init__(self, block: wiring.Component) -> None:
        self._block = block
        self._fragment = Fragment.get(block, None)

    def __getattr__(self, name: str) -> Any:
        """Return a port of the block, or its probes."""
        return getattr(self._block, name)

    def elaborate(self, platform: object) -> Any:  # noqa: ARG002 - Amaranth's signature
        """Return the circuit."""
        return self._fragment

    def row(self, memory: Memory, address: Value) -> Signal:
        """Return the content of a memory's row in this cycle."""
        content = Signal(Shape.cast(memory.shape).width, name="row")
        self._circuit(memory).read_port(domain="comb", addr=address, data=content, en=Const(1), transparent_for=())
        return content

    def plant(self, block: Any, change: Module) -> None:
        """Override signals of a block, this one or one within, by the statements of ``change``, as if at its end."""
        circuit = self._fragment if block is self else self._circuit(block)
        for domain, statements in Fragment.get(change, None).statements.items():
            circuit.add_statements(domain, *statements)

    def _circuit(self, block: wiring.Component) -> Any:
        """Return the circuit of a block within."""
        (found,) = (part for part in _parts(self._fragment) if any(origin is block for origin in part.origins or ()))
        return found


def _parts(circuit: Any) -> Iterator[Any]:
    """Yield a circuit and all within it."""
    yield circuit
    for part, _, _ in circuit.subfragments:
        yield from _parts(part)
