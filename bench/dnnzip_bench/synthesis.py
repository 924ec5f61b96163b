"""Clock and area on FPGAs, placed and routed: ``make synth``, docs/synthesis.md and bench/synthesis-attempts.md.

Every row of the table is one design on one device, run with several seeds. A result is kept in ``build/synthesis``
under the hash of the Verilog, the flow and the tools' versions, so that a run goes on where another one ended.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
from amaranth.lib.wiring import Component

from dnnzip.presentation.tables import TextTable
from dnnzip.usecases.provenance import provenance, versions
from dnnzip_bench.command import Listed, make_folder, page_option, run, show, told
from dnnzip_bench.hardware.designs import ARRAY, AXI, GROUP_8, ROWS, Row
from dnnzip_bench.hardware.routing import FOLDER, PACKAGES, ecp5_script, mapped_cells, run_row
from dnnzip_bench.pages import fill, folded, made_with
from dnnzip_hw.array import Accelerator
from dnnzip_hw.axi.top import AxiDecompressor
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.verilog import convert


def verdict(row: Row, clocks: Sequence[float]) -> str:
    """Return the comparison of a row's clocks with its target."""
    if min(clocks) >= row.target:
        return "met"
    return "met by the best seed" if max(clocks) >= row.target else "missed"


def row_cells(row: Row, result: dict[str, Any]) -> tuple[str, ...]:
    """Return a row of the table."""
    clocks, counts = result["clocks"], Counter(result["used"] | result["cells"])
    if not clocks:
        return (row.device.name, row.title, "", "", "0", f"{row.target}: not run", *[""] * 6)
    if row.device.family == "ice40":
        counts["flip-flops"] = sum(count for name, count in result["cells"].items() if name.startswith("SB_DFF"))
    return (
        row.device.name, row.title, f"{max(clocks):.1f}", f"{median(clocks):.1f}", str(len(clocks)),
        f"{row.target}: {verdict(row, clocks)}", *(str(counts[kind]) for kind in KINDS[row.device.family]),
    )  # fmt: skip


KINDS = {
    "ecp5": ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "TRELLIS_COMB"),
    "ice40": ("SB_LUT4", "SB_CARRY", "LUT RAM", "flip-flops", "SB_RAM40_4K", "ICESTORM_LC"),
}
"""Cells that a row counts, by the family of the device; iCE40 has no LUT RAM."""

HEADER = (
    "device", "design", "best MHz", "median MHz", "seeds", "target", "LUT4", "carry cells", "LUT RAM", "flip-flops",
    "block RAM", "LUTs placed",
)  # fmt: skip
SHEET_HEADER = (
    "device", "configuration", "LUT4", "LUTs placed", "block RAM", "MHz, median", "best", "target", "cycles per weight",
)  # fmt: skip


def sheet_cells(row: Row, cells: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row of the data sheet, of the same row of the whole table."""
    device, title, best, middle, _, target, luts, _, _, _, rams, placed = cells
    return (device, title, luts, placed, rams, middle, best, target, f"{1 / row.lanes:g}")


BLOCKS = {
    "lanes, of four": r"\.lane_\d",
    "values of the weights: low bits and sign": r"\.value_",
    "signs of the neighbours (context)": r"\.history",
    "positions and column offsets": r"\.positions",
    "rounds": r"\.rounds$",
    "ring: order, commit": r"\.ring$",
    "words to lanes and escapes": r"\.distributor",
    "output: escapes, items of raw, end beat": r"\.output",
    "table builder": r"\.builder$",
    "numbering of the states": r"\.builder\.numbering",
    "header with its CRC-8": r"\.header",
    "size of raw streams": r"\.raw_size",
    "CRC-32": r"\.checksum",
    "phases, payload count, input word": r"decompressor$",
}


AXI_BLOCKS = {
    "decompressor": r"\.decompressor",
    "input beats to words": r"\.splitter|\.core\.queue",
    "weights to rows": r"\.packer|\.exit",
    "registers, AXI4-Lite": r"\.registers",
    "counters": r"\.counters",
    "errors, resets, table load": r"\.group_\d",
    "top": "",
}
ARRAY_BLOCKS = {
    "decompressor": r"\.decompressor",
    "processing elements": r"\.array",
    "accumulators": r"\.accumulators",
    "runs": r"\.control",
    "image walker": r"\.walker",
    "reader of the memory": r"\.reader",
    "words, plain weights, tiles": r"\.group_\d",
    "results, counters": "",
}
HIERARCHY = "design hierarchy"
"""Yosys's name for the sum of all modules."""

CELLS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD", "MULT18X18D")


def block_table(make: Callable[[], Component], blocks: Mapping[str, str]) -> TextTable:
    """Return the table of a design's blocks, each mapped on its own; a module counts for the first title that fits."""
    top = "dnnzip_decompressor"
    text = convert(make(), top)
    folder = FOLDER / f"blocks-{hashlib.sha256((text + str(versions(PACKAGES))).encode()).hexdigest()[:16]}"
    script = ecp5_script(top, flatten=False, mapping="abc -lut 4:5")
    totals = {title: dict.fromkeys(CELLS, 0) for title in blocks}
    for module, counts in mapped_cells(text, script, folder, top).items():
        title = next((title for title, pattern in blocks.items() if re.search(pattern, module)), None)
        if module != HIERARCHY and title is not None:
            for name in CELLS:
                totals[title][name] += counts.get(name, 0)
    return TextTable(
        ("block", "LUT4", "carry cells", "LUT RAM", "flip-flops", "block RAM", "multipliers"),
        tuple((title, *(str(counts[name]) for name in CELLS)) for title, counts in totals.items()),
    )


@click.command()
@click.option("--rows", type=Listed(click.Choice([row.key for row in ROWS])), help="Run these, and fill no page.")
@click.option("--seeds", default=100, help="Largest number of seeds for each row.")
@click.option("--kept", is_flag=True, help="Run nothing: take what earlier runs found.")
@page_option
@click.option("--notebook", type=click.Path(path_type=Path, dir_okay=False), help="Fill this page with all details.")
def synthesis(rows: tuple[str, ...] | None, seeds: int, kept: bool, page: Path | None, notebook: Path | None) -> None:
    """Synthesise, place and route the designs."""
    make_folder(FOLDER)
    chosen = [row for row in ROWS if rows is None or row.key in rows]
    done = []
    for row in chosen:
        done.append(row_cells(row, run_row(row, seeds, kept=kept)))
        told("  ".join(done[-1]))
    table = TextTable(HEADER, tuple(done), names=2)
    show(table)
    made = made_with(provenance(PACKAGES))
    if page is not None and rows is None:
        sheet = TextTable(SHEET_HEADER, tuple(map(sheet_cells, chosen, done)), names=2)
        fill(page, "synthesis", {"sheet": f"{sheet.markdown()}\n{folded(made)}"})
    if notebook is not None and rows is None:
        parts = {
            "table": f"{table.markdown()}\n{folded(made)}",
            "blocks": block_table(lambda: Decompressor(GROUP_8), BLOCKS).markdown(),
            "axi": block_table(lambda: AxiDecompressor(AXI), AXI_BLOCKS).markdown(),
            "array": block_table(lambda: Accelerator(ARRAY), ARRAY_BLOCKS).markdown(),
        }
        fill(notebook, "synthesis", parts)


if __name__ == "__main__":
    run(synthesis)
