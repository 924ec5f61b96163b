"""The network on chip: which links each pair of nodes uses, and how long transfers take that share links.

Every pattern of transfers that the model needs sends the same number of bytes on each of its flows, so that its loads
are worked out once, for a byte, from the incidence of node pairs and links, and scaled.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dnnzip.accelerator.configuration import Mesh


@dataclass(frozen=True, eq=False)
class Pattern:
    """Flows of the same size at the same time."""

    hops: NDArray[np.int64]  # int64 [flows], links between routers on each flow's path
    paths: NDArray[np.bool_]  # bool [flows, links], which links, ports included, each flow uses
    load: NDArray[np.float64]  # float64 [links], bytes on each link when every flow carries one byte
    worst: NDArray[np.float64]  # float64 [flows], the largest of these loads on each flow's path

    @property
    def flows(self) -> int:
        """Number of flows."""
        return len(self.hops)


class MeshNetwork:
    """A mesh with its routes.

    Parameters
    ----------
    mesh
        Its configuration.

    Members
    -------
    incidence
        bool [nodes x nodes, links]: row ``source x nodes + destination``; the links between routers come first, then,
        for each node, its way into the network and its way out of it.
    nodes_of_cores
        Node of each processing element, in the order of nodes.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.nodes = mesh.width * mesh.height
        self.links = self._links()
        self.incidence = self._incidence()
        self.nodes_of_cores = [node for node in range(self.nodes) if node not in set(mesh.interfaces)]
        self._patterns: dict[tuple[str, int, int], Pattern] = {}

    @cached_property
    def bytes_per_cycle(self) -> float:
        """Bytes per cycle of a link."""
        return self.mesh.link_bits.value / 8 * self.mesh.flits_per_cycle.value

    @cached_property
    def cycles_per_hop(self) -> float:
        """Cycles from one router to the next: longer by as much as a flit is."""
        return self.mesh.router_latency.value / self.mesh.flits_per_cycle.value

    def from_memory(self, cores: int, shared: bool = False) -> Pattern:
        """Return the flows from the nearest memory interface to each of the first cores.

        Parameters
        ----------
        cores
            Number of cores.
        shared
            Whether all get the same bytes: with multicast these pass each link once.
        """
        key = ("from-shared" if shared and self.mesh.multicast else "from", cores, 0)
        return self._pattern(key, ((self.nearest(node), node) for node in self.nodes_of_cores[:cores]))

    def to_memory(self, cores: int) -> Pattern:
        """Return the flows from each of the first ``cores`` cores to the nearest memory interface."""
        return self._pattern(("to", cores, 0), ((node, self.nearest(node)) for node in self.nodes_of_cores[:cores]))

    def between(self, sources: int, destinations: int) -> Pattern:
        """Return the flows from each of the first ``sources`` cores to each other one of the first ``destinations``."""
        key = ("between-shared" if self.mesh.multicast else "between", sources, destinations)
        pairs = itertools.product(self.nodes_of_cores[:sources], self.nodes_of_cores[:destinations])
        return self._pattern(key, (pair for pair in pairs if pair[0] != pair[1]))

    def nearest(self, node: int) -> int:
        """Return the memory interface with the fewest hops to a node, the first one of several."""
        return min(self.mesh.interfaces, key=lambda interface: (self._distance(node, interface), interface))

    def cycles(self, pattern: Pattern, size: float) -> float:
        """Return the cycles of a pattern by itself: those of its slowest flow.

        A flow takes its hops, and its bytes at the share of the most loaded link of its path.

        Parameters
        ----------
        pattern
            The flows.
        size
            Bytes of each.
        """
        if size <= 0 or not pattern.flows:
            return 0.0
        return float(np.max(pattern.hops * self.cycles_per_hop + size * pattern.worst / self.bytes_per_cycle))

    def cycles_together(self, *transfers: tuple[Pattern, float]) -> tuple[float, ...]:
        """Return the cycles of each of several patterns that go on at the same time and share links.

        Parameters
        ----------
        transfers
            Patterns, and the bytes of each of their flows.
        """
        load = sum((size * pattern.load for pattern, size in transfers), np.zeros(len(self.links)))
        cycles = []
        for pattern, size in transfers:
            worst = np.max(np.where(pattern.paths, load, 0.0), axis=1, initial=0.0)
            times = pattern.hops * self.cycles_per_hop + worst / self.bytes_per_cycle
            cycles.append(float(np.max(times, initial=0.0)) if size > 0 else 0.0)
        return tuple(cycles)

    def byte_hops(self, pattern: Pattern) -> float:
        """Return over how many links between routers a byte of each flow goes in all; energy is spent on these."""
        return float(pattern.load[: self._routed].sum())

    def _pattern(self, key: tuple[str, int, int], pairs: Iterable[tuple[int, int]]) -> Pattern:
        if key not in self._patterns:
            self._patterns[key] = self._worked_out(list(pairs), key[0].endswith("shared"))
        return self._patterns[key]

    def _worked_out(self, pairs: Sequence[tuple[int, int]], shared: bool) -> Pattern:
        rows = self.incidence[[source * self.nodes + destination for source, destination in pairs]]
        hops = rows[:, : self._routed].sum(axis=1, dtype=np.int64)
        load = np.zeros(len(self.links))
        if shared:
            sources = np.array([source for source, _ in pairs])
            for source in np.unique(sources):
                load += rows[sources == source].any(axis=0)
        else:
            load += rows.sum(axis=0)
        if not self.mesh.ports:
            load[self._routed :] = 0.0
        worst = np.max(np.where(rows, load, 0.0), axis=1, initial=0.0)
        return Pattern(hops, rows, load, worst)

    def _links(self) -> list[tuple[int, int]]:
        nodes = range(self.nodes)
        routed = [(node, other) for node, other in itertools.product(nodes, nodes) if self._distance(node, other) == 1]
        self._routed = len(routed)
        return routed + [(node, node) for node in range(self.nodes) for _ in ("in", "out")]

    def _incidence(self) -> NDArray[np.bool_]:
        numbers = {link: number for number, link in enumerate(self.links[: self._routed])}
        incidence = np.zeros((self.nodes * self.nodes, len(self.links)), np.bool_)
        for source in range(self.nodes):
            for destination in range(self.nodes):
                row = incidence[source * self.nodes + destination]
                row[[numbers[link] for link in self._route(source, destination)]] = True
                if source != destination:
                    row[self._routed + 2 * source] = True
                    row[self._routed + 2 * destination + 1] = True
        return incidence

    def _route(self, source: int, destination: int) -> list[tuple[int, int]]:
        width = self.mesh.width
        row, column = divmod(source, width)
        last_row, last_column = divmod(destination, width)
        along = range(column, last_column, 1 if last_column > column else -1)
        nodes = [row * width + at for at in along]
        down = range(row, last_row, 1 if last_row > row else -1)
        nodes += [at * width + last_column for at in down]
        nodes.append(destination)
        return list(itertools.pairwise(nodes))

    def _distance(self, node: int, other: int) -> int:
        (row, column), (other_row, other_column) = divmod(node, self.mesh.width), divmod(other, self.mesh.width)
        return abs(row - other_row) + abs(column - other_column)
