"""Where synthesis puts the block RAMs of the lanes' tables."""

import json

import pytest

from dnnzip_hw.synthesis import EBR_GROUPS, EBR_ROW, EBRS_PER_GROUP, TOP, place_entries


def netlist(folder, rams):
    """Write a netlist with so many block RAMs of tables, and one of another memory."""
    names = [f"core_0.ring.lane_{number // 5}.entries.ram_{number % 5}" for number in range(rams)]
    cells = {name: {"type": "DP16KD", "attributes": {}} for name in [*names, "core_0.tokens.ram_0"]}
    path = folder / f"{TOP}.json"
    path.write_text(json.dumps({"modules": {TOP: {"cells": cells}}}), encoding="utf-8")
    return path


def places(path):
    """Return the places that the cells of a netlist have."""
    cells = json.loads(path.read_text(encoding="utf-8"))["modules"][TOP]["cells"]
    return {name: cell["attributes"].get("BEL") for name, cell in cells.items()}


def test_the_block_rams_of_the_tables_get_places_of_their_own(tmp_path):
    path = netlist(tmp_path, 20)
    place_entries(path)
    found = places(path)
    assert found.pop("core_0.tokens.ram_0") is None
    assert len(set(found.values())) == 20
    # As the device has them: in row 25, the first four in columns 4, 6, 8 and 10.
    known = {f"X{start + 2 * place}/Y{EBR_ROW}/EBR{place}" for start in EBR_GROUPS for place in range(EBRS_PER_GROUP)}
    assert {"X4/Y25/EBR0", "X6/Y25/EBR1", "X10/Y25/EBR3", "X33/Y25/EBR0"} <= known
    assert set(found.values()) <= known


def test_placing_again_changes_nothing(tmp_path):
    path = netlist(tmp_path, 20)
    place_entries(path)
    once = places(path)
    place_entries(path)
    assert places(path) == once


def test_more_block_rams_than_the_row_has_are_refused(tmp_path):
    path = netlist(tmp_path, 30)
    with pytest.raises(ValueError, match=r"^the row has 28 block RAMs, not the 30 that the lanes' tables take$"):
        place_entries(path)
