"""Copies of a placed design beside each other on one device, as nextpnr takes and writes it.

Tools that get several groups at once make the slowest of them slower than one alone, and another one in every run. Here
one is placed and routed, and its cells and wires are put down again, as they are, where the device has the same tiles.
"""

import re
from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

FIXED = format(6, "032b")
"""How firmly nextpnr holds a cell in its place (``STRENGTH_USER``): neither placer nor legaliser moves it."""

BUFFER, PIN = "DCCA", "TRELLIS_IO"
"""Types of cells: of a global clock, of a pin."""


def replicate(design: dict[str, Any], shifts: Sequence[tuple[int, int]], shared: Collection[str]) -> dict[str, Any]:
    """Return so many copies of a design, each with its pins, on the same clock and reset.

    Parameters
    ----------
    design
        What nextpnr's ``--write`` gave for ECP5, routed; it stays as it is.
    shifts
        For each copy, by how many columns and rows it lies away from the design. Its pins are left to the placer, and
        what leads to pins, clock and reset to the router.
    shared
        Ports that the copies have in common.

    Returns
    -------
    dict
        A design for nextpnr with ``--no-pack``.

    Raises
    ------
    ValueError
        If two cells get the same place.
    """
    ((top, module),) = design["modules"].items()
    cells, nets = module["cells"], module["netnames"]
    once = {
        name for name, cell in cells.items() if cell["type"] == BUFFER or name in {f"{port}$tr_io" for port in shared}
    }
    common = {bit for name in once for bits in cells[name]["connections"].values() for bit in bits}
    pinned = {
        bit for cell in cells.values() if cell["type"] == PIN for bits in cell["connections"].values() for bit in bits
    }
    most = 1 + max(bit for net in nets.values() for bit in net["bits"] if isinstance(bit, int))
    # The steps that nextpnr did are to be done again, but for packing.
    settings = {name: value for name, value in module["settings"].items() if name not in ("place", "route")}
    made: dict[str, Any] = {
        "settings": settings, "attributes": module["attributes"], "ports": {}, "cells": {}, "netnames": {},
    }  # fmt: skip
    taken: dict[str, str] = {}
    for number, (columns, rows) in enumerate(shifts):

        def named(name: str, number: int = number) -> str:
            return f"copy_{number}.{name}" if number else name

        def moved(bits: list[Any], number: int = number) -> list[Any]:
            return [bit + number * most if isinstance(bit, int) and bit not in common else bit for bit in bits]

        for name, port in module["ports"].items():
            if not (number and name in shared):
                made["ports"][named(name)] = port | {"bits": moved(port["bits"])}
        for name, cell in cells.items():
            if number and name in once:
                continue
            copy = deepcopy(cell)
            copy["connections"] = {port: moved(bits) for port, bits in cell["connections"].items()}
            if name not in once:
                _place(copy, columns, rows)
            made["cells"][named(name)] = copy
            place = copy["attributes"].get("NEXTPNR_BEL")
            if place is not None and taken.setdefault(place, named(name)) != named(name):
                raise ValueError(f"{place} is taken twice: by {taken[place]} and by {named(name)}")
        for name, net in nets.items():
            if number and common.issuperset(net["bits"]):
                continue
            attributes = dict(net["attributes"])
            route = attributes.pop("ROUTING", None)
            if route is not None and not (common | pinned).intersection(net["bits"]):
                attributes["ROUTING"] = _route(route, columns, rows)
            made["netnames"][named(name)] = net | {"bits": moved(net["bits"]), "attributes": attributes}
    return {**design, "modules": {top: made}}


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
