"""The mesh compared with routes that are walked one node at a time."""

import random
from collections import Counter

import numpy as np
import pytest

from dnnzip.accelerator.mesh import MeshNetwork

SIZES = [(1, 2, [0]), (2, 1, [1]), (4, 4, [4, 8]), (5, 3, [0, 7]), (8, 8, [0, 7, 56, 63])]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def mesh(request, accelerator):
    width, height, interfaces = request.param
    changes = {"mesh.width": width, "mesh.height": height, "mesh.interfaces": interfaces, "mesh.multicast": False}
    return MeshNetwork(accelerator(**changes).mesh)


def walked(mesh, source, destination):
    """Return the links from a node to another, a step along the row at a time, then along the column."""
    width = mesh.mesh.width
    links, node = [], source
    while node != destination:
        column, row = node % width, node // width
        if column != destination % width:
            step = 1 if destination % width > column else -1
        else:
            step = width if destination // width > row else -width
        links.append((node, node + step))
        node += step
    return links


def test_every_pair_uses_the_links_of_its_route(mesh):
    routed = {link: number for number, link in enumerate(mesh.links) if link[0] != link[1]}
    for source in range(mesh.nodes):
        for destination in range(mesh.nodes):
            row = mesh.incidence[source * mesh.nodes + destination]
            wanted = {routed[link] for link in walked(mesh, source, destination)}
            assert {number for number in np.flatnonzero(row) if number in routed.values()} == wanted
            # The way in at the source and the way out at the destination.
            assert row.sum() == len(wanted) + (2 if source != destination else 0)


def test_loads_and_latencies_are_those_of_flows_counted_one_by_one(mesh):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    cores = len(mesh.nodes_of_cores)
    for _ in range(5):
        sources, destinations, size = rng.randint(1, cores), rng.randint(1, cores), rng.uniform(1, 1e4)
        pairs = [(s, d) for s in mesh.nodes_of_cores[:sources] for d in mesh.nodes_of_cores[:destinations] if s != d]
        load = Counter()
        for s, d in pairs:
            load.update([*walked(mesh, s, d), (s, "in"), (d, "out")])
        slowest = max(
            (
                len(walked(mesh, s, d)) * mesh.cycles_per_hop
                + size * max(load[link] for link in [*walked(mesh, s, d), (s, "in"), (d, "out")]) / mesh.bytes_per_cycle
                for s, d in pairs
            ),
            default=0,
        )
        pattern = mesh.between(sources, destinations)
        assert mesh.cycles(pattern, size) == pytest.approx(slowest)
        assert mesh.cycles_together((pattern, size)) == pytest.approx((slowest,))
        assert mesh.byte_hops(pattern) == sum(len(walked(mesh, s, d)) for s, d in pairs)


def test_patterns_that_share_links_slow_each_other(mesh):
    if len(mesh.nodes_of_cores) < 2:
        pytest.skip("one core has nothing to send to itself")
    cores = len(mesh.nodes_of_cores)
    between, outside = mesh.between(cores, cores), mesh.from_memory(cores)
    alone = mesh.cycles(between, 100.0), mesh.cycles(outside, 1000.0)
    together = mesh.cycles_together((between, 100.0), (outside, 1000.0))
    assert all(both >= one for both, one in zip(together, alone, strict=True))
    assert together != pytest.approx(alone)


def test_nothing_to_send_takes_no_time(mesh):
    pattern = mesh.from_memory(1)
    assert mesh.cycles(pattern, 0) == 0
    assert mesh.cycles(mesh.between(1, 1), 100) == 0


def test_multicast_loads_a_link_once(accelerator):
    changes = {"mesh.width": 4, "mesh.height": 1, "mesh.interfaces": [0]}
    one = MeshNetwork(accelerator(**changes, **{"mesh.multicast": True}).mesh)
    many = MeshNetwork(accelerator(**changes, **{"mesh.multicast": False}).mesh)
    assert one.byte_hops(one.from_memory(3, shared=True)) == 3
    assert many.byte_hops(many.from_memory(3, shared=True)) == 1 + 2 + 3
    # Each core's own weights are no multicast.
    assert one.byte_hops(one.from_memory(3)) == 1 + 2 + 3
    assert one.cycles(one.from_memory(3, shared=True), 1e6) < many.cycles(many.from_memory(3, shared=True), 1e6)


def test_the_nearest_interface_has_the_fewest_hops(mesh):
    for node in range(mesh.nodes):
        hops = {interface: len(walked(mesh, node, interface)) for interface in mesh.mesh.interfaces}
        assert hops[mesh.nearest(node)] == min(hops.values())
