"""Where synthesis puts the block RAMs of the lanes' tables, and the data sheet."""

import json
import re
from pathlib import Path

import pytest

from dnnzip.presentation.tables import TextTable
from dnnzip_bench import synthesis
from dnnzip_bench.hardware.designs import EBR_GROUPS, EBR_GROUPS_85F, EBR_ROW, EBR_ROW_85F, ROWS
from dnnzip_bench.hardware.routing import EBRS_PER_GROUP, TOP, place_entries

ROOT = Path(__file__).parents[2]


def netlist(folder, rams):
    """Write a netlist with a number of block RAMs of tables, and one of another memory."""
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
    place_entries(path, EBR_ROW, EBR_GROUPS)
    found = places(path)
    assert found.pop("core_0.tokens.ram_0") is None
    assert len(set(found.values())) == 20
    # As the device has them: in row 25, the first four in columns 4, 6, 8 and 10.
    known = {f"X{start + 2 * place}/Y{EBR_ROW}/EBR{place}" for start in EBR_GROUPS for place in range(EBRS_PER_GROUP)}
    assert {"X4/Y25/EBR0", "X6/Y25/EBR1", "X10/Y25/EBR3", "X33/Y25/EBR0"} <= known
    assert set(found.values()) <= known
    # Placed again, it is the same.
    once = path.read_text()
    place_entries(path, EBR_ROW, EBR_GROUPS)
    assert path.read_text() == once


def test_more_block_rams_than_the_row_has_are_refused(tmp_path):
    path = netlist(tmp_path, 30)
    with pytest.raises(ValueError, match=r"^the row has 28 block RAMs, not the 30 that the lanes' tables take$"):
        place_entries(path, EBR_ROW, EBR_GROUPS)


def test_with_the_others_all_have_places_the_tables_in_the_middle(tmp_path):
    path = netlist(tmp_path, 20)
    place_entries(path, EBR_ROW_85F, EBR_GROUPS_85F, others=True)
    found = places(path)
    assert len(set(found.values())) == 21
    columns = {name: int(place[1 : place.index("/")]) for name, place in found.items()}
    assert max(columns, key=lambda name: columns[name]) == "core_0.tokens.ram_0"


def test_copies_take_places_that_the_device_has():
    """As nextpnr names them: four rows of block RAMs, with groups that begin every nine columns on both sides."""
    rows, columns = {22, 46, 70, 82}, {4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114}
    for row in ROWS:
        seen = {(EBR_ROW_85F + down, start + right) for right, down in row.shifts for start in EBR_GROUPS_85F}
        assert len(seen) == len(row.shifts) * len(EBR_GROUPS_85F)
        assert all(place[0] in rows and place[1] in columns for place in seen), row.key


def test_the_pages_are_filled_from_what_was_run(tmp_path, monkeypatch, bench):
    result = {"cells": {"LUT4": 2195, "DP16KD": 22, "SB_LUT4": 2047}, "clocks": [190.0, 180.0, 170.0], "used": {}}
    monkeypatch.setattr(synthesis, "run_row", lambda *_, **__: result)
    monkeypatch.setattr(synthesis, "block_table", lambda *_: TextTable(("block", "LUT4"), (("lanes", "7"),)))
    monkeypatch.chdir(tmp_path)
    marked = "".join(f"<!-- synthesis: {name} --><!-- /synthesis -->\n" for name in ("sheet", "table"))
    marked += "".join(f"<!-- synthesis: {name} --><!-- /synthesis -->\n" for name in ("blocks", "axi", "array"))
    for name in ("sheet.md", "notebook.md"):
        (tmp_path / name).write_text(marked)
    status, _, _ = bench(synthesis.synthesis, "--page", "sheet.md", "--notebook", "notebook.md")
    assert status == 0
    sheet = (tmp_path / "sheet.md").read_text()
    assert "4 lanes, 512 states, 8-bit weights | 2195 | 0 | 22 | 180.0 | 190.0 | 200: missed | 0.25 |\n" in sheet
    assert "| iCE40 UP5K | 1 lane, 256 states, 8-bit weights | 2047 | 0 | 0 | 180.0 | 190.0 | 48: met | 1 |\n" in sheet
    assert sheet.count("\n| ECP5") + sheet.count("\n| iCE40") == len(ROWS)
    assert "| lanes | 7 |" not in sheet
    assert (tmp_path / "notebook.md").read_text().count("| lanes | 7 |") == 3


def test_the_data_sheet_is_of_these_rows():
    page = (ROOT / "docs" / "synthesis.md").read_text(encoding="utf-8")
    for row in ROWS:
        line = next(line for line in page.splitlines() if line.startswith(f"| {row.device.name} | {row.title} |"))
        assert f" | {row.target}: " in line
        assert line.endswith(f" | {1 / row.lanes:g} |")


def test_the_notebook_has_a_place_for_every_table_and_no_lost_link():
    text = (ROOT / "bench" / "synthesis-attempts.md").read_text(encoding="utf-8")
    for part in ("table", "blocks", "axi", "array", "toggles"):
        assert text.count(f"<!-- synthesis: {part} -->") == 1
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        assert (ROOT / "bench" / file).exists(), target
        assert file or anchor in headings, target
