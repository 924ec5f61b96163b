"""Copies of a placed design next to each other on one device, as nextpnr takes and writes it.

Tools that get several groups at once make the slowest of them slower than one alone, and another one in every run. Here
one is placed and routed, and its cells and wires are put down again, as they are, where the device has the same tiles.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

FIXED = format(6, "032b")
"""nextpnr's strength of a placement (``STRENGTH_USER``): neither placer nor legaliser moves such a cell."""

BUFFER, PIN, LOGIC = "DCCA", "TRELLIS_IO", "TRELLIS_COMB"
"""Types of cells: of a global clock, of a pin, of a LUT."""

FREE_LUTS = ("SLICED.K0", "SLICED.K1")
"""LUTs of a tile that no LUT RAM takes, neither its bits nor its writing."""

PASSES_D = "1111111100000000"
"""Table of a LUT that passes its input D on."""


def pass_on(design: dict[str, Any], port: str) -> dict[str, Any]:
    """Return a design where one LUT in its middle passes the signal of an input's pin to all that use it.

    The wires from that LUT on lie within the design, so that copies can take them over once they are routed. Where all
    other wires lie already, those from a pin to a thousand cells take the router minutes.

    The port is of one bit. Wires to and from the LUT are not routed; the design that is given stays as it is.

    Raises
    ------
    ValueError
        If no tile has room for the LUT.
    """
    ((top, module),) = design["modules"].items()
    cells = module["cells"]
    (given,) = cells[f"{port}$tr_io"]["connections"]["O"]
    passed = 1 + _highest_bit(module)
    made = {
        f"{port}$passed_on": {
            "hide_name": 1,
            "type": LOGIC,
            "parameters": {"INITVAL": PASSES_D},
            "attributes": {"NEXTPNR_BEL": _free_place(cells.values())},
            "port_directions": {"D": "input", "F": "output"},
            "connections": {"D": [given], "F": [passed]},
        }
    }
    for name, cell in cells.items():
        connections = cell["connections"]
        if cell["type"] != PIN:
            connections = {to: [passed if bit == given else bit for bit in bits] for to, bits in connections.items()}
        made[name] = {**cell, "connections": connections}
    nets = {f"{port}$passed": {"hide_name": 1, "bits": [passed], "attributes": {}}}
    for name, net in module["netnames"].items():
        attributes = dict(net["attributes"])
        if given in net["bits"]:
            attributes.pop("ROUTING", None)
        nets[name] = {**net, "attributes": attributes}
    return {**design, "modules": {top: {**module, "cells": made, "netnames": nets}}}


def replicate(design: dict[str, Any], shifts: Sequence[tuple[int, int]], shared: Collection[str]) -> dict[str, Any]:
    """Return copies of a design, one for each shift, each with its own pins, except for the shared ones.

    Parameters
    ----------
    design
        What nextpnr's ``--write`` wrote for ECP5, routed; it stays as it is.
    shifts
        For each copy, by how many columns and rows it lies away from the design. Its pins are left to the placer, and
        what leads to pins and clock to the router.
    shared
        Ports that the copies have in common. A wire that leads to cells of all copies and is no global clock takes the
        router long.

    Raises
    ------
    ValueError
        If two cells get the same place.
    """
    ((top, module),) = design["modules"].items()
    cells, nets = module["cells"], module["netnames"]
    pins = {f"{port}$tr_io" for port in shared}
    once = {name: cell for name, cell in cells.items() if cell["type"] == BUFFER or name in pins}
    common = _connected(once.values())
    pinned = common | _connected(cell for cell in cells.values() if cell["type"] == PIN)
    # The steps that nextpnr did are to be done again; packing finds nothing to do but what it notes of multipliers.
    settings = {name: value for name, value in module["settings"].items() if name not in ("place", "route")}
    made: dict[str, Any] = {
        "settings": settings, "attributes": module["attributes"], "ports": {}, "cells": {}, "netnames": {},
    }  # fmt: skip
    for number, shift in enumerate(shifts):
        copy = _Copy(number, *shift, number * (1 + _highest_bit(module)), common)
        for name, port in module["ports"].items():
            if not (number and name in shared):
                made["ports"][copy.named(name)] = port | {"bits": copy.moved(port["bits"])}
        for name, cell in cells.items():
            if not (number and name in once):
                made["cells"][copy.named(name)] = copy.cell(cell, name in once)
        for name, net in nets.items():
            if not (number and common.issuperset(net["bits"])):
                made["netnames"][copy.named(name)] = copy.net(net, pinned)
    _check_places(made["cells"])
    return {**design, "modules": {top: made}}


@dataclass(frozen=True)
class _Copy:
    """A copy of a design: its number, its distance in columns and rows, and that of its nets, but for common ones."""

    number: int
    columns: int
    rows: int
    nets: int
    common: Collection[Any]

    def named(self, name: str) -> str:
        return f"copy_{self.number}.{name}" if self.number else name

    def moved(self, bits: list[Any]) -> list[Any]:
        return [bit + self.nets if isinstance(bit, int) and bit not in self.common else bit for bit in bits]

    def cell(self, cell: dict[str, Any], stays: bool) -> dict[str, Any]:
        connections = {port: self.moved(bits) for port, bits in cell["connections"].items()}
        made = {**deepcopy(cell), "connections": connections}
        if not stays:
            _place(made, self.columns, self.rows)
        return made

    def net(self, net: dict[str, Any], pinned: Collection[Any]) -> dict[str, Any]:
        attributes = dict(net["attributes"])
        route = attributes.pop("ROUTING", None)
        if route is not None and not any(bit in pinned for bit in net["bits"]):
            attributes["ROUTING"] = _route(route, self.columns, self.rows)
        return net | {"bits": self.moved(net["bits"]), "attributes": attributes}


def _connected(cells: Iterable[dict[str, Any]]) -> set[Any]:
    """Return the nets that lead to cells."""
    return {bit for cell in cells for bits in cell["connections"].values() for bit in bits}


def _check_places(cells: dict[str, Any]) -> None:
    """Refuse cells that have one place."""
    taken: dict[str, str] = {}
    for name, cell in cells.items():
        place = cell["attributes"].get("NEXTPNR_BEL")
        if place is not None and taken.setdefault(place, name) != name:
            raise ValueError(f"{place} is taken twice: by {taken[place]} and by {name}")


def _highest_bit(module: dict[str, Any]) -> int:
    """Return the highest number of a net."""
    return max(bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int))


def _free_place(cells: Collection[dict[str, Any]]) -> str:
    """Return a free LUT's place in a tile that has LUTs in use, the nearest to their middle."""
    taken = {cell["attributes"]["NEXTPNR_BEL"] for cell in cells}
    tiles = {
        (int(place[1]), int(place[2])) for cell in cells if cell["type"] == LOGIC
        if (place := re.match(r"X(\d+)/Y(\d+)/", cell["attributes"]["NEXTPNR_BEL"]))
    }  # fmt: skip
    column, row = (sum(each) / len(tiles) for each in zip(*tiles, strict=True))
    for x, y in sorted(tiles, key=lambda tile: (abs(tile[0] - column) + abs(tile[1] - row), tile)):
        for lut in FREE_LUTS:
            if f"X{x}/Y{y}/{lut}" not in taken:
                return f"X{x}/Y{y}/{lut}"
    raise ValueError("no tile of the design has room for a LUT")


def _route(route: str, columns: int, rows: int) -> str:
    """Move a route: wires, each with the switch that leads to it and how firmly it is held.

    It is held as loosely as before: where all wires stay, what leads to the pins takes the router minutes.
    """
    parts = route.split(";")
    for at in range(0, len(parts) - 2, 3):
        parts[at], parts[at + 1] = (
            re.sub(r"^X(\d+)/Y(\d+)/", lambda found: f"X{int(found[1]) + columns}/Y{int(found[2]) + rows}/", part)
            for part in parts[at : at + 2]
        )
    return ";".join(parts)


def _place(cell: dict[str, Any], columns: int, rows: int) -> None:
    """Move a cell and hold it there; leave a pin without a place."""
    attributes = cell["attributes"]
    place = re.fullmatch(r"X(\d+)/Y(\d+)/(.+)", attributes.pop("NEXTPNR_BEL"))
    attributes.pop("BEL", None)  # what was asked for before the placement
    attributes.pop("BEL_STRENGTH", None)
    if cell["type"] != PIN:
        assert place is not None
        attributes["NEXTPNR_BEL"] = f"X{int(place[1]) + columns}/Y{int(place[2]) + rows}/{place[3]}"
        attributes["BEL_STRENGTH"] = FIXED
