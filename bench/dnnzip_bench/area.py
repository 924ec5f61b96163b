"""The area of the four-lane group on ECP5, by Yosys alone: the counts that a test holds later ones to."""

import json
import tempfile
from pathlib import Path

import click

from dnnzip_bench.command import run, write
from dnnzip_bench.hardware.designs import GROUP_8
from dnnzip_bench.hardware.routing import ecp5_script, mapped_cells
from dnnzip_hw.decompressor import Decompressor
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.verilog import convert

KINDS = ("LUT4", "CCU2C", "TRELLIS_DPR16X4", "TRELLIS_FF", "DP16KD")


def group_counts(parameters: DecompressorParameters, folder: Path) -> dict[str, int]:
    """Return the cells of a decompressor on its own on ECP5, from Yosys alone; it takes half a minute."""
    top = "dnnzip_decompressor"
    return mapped_cells(convert(Decompressor(parameters), top), ecp5_script(top), folder, top)[top]


def too_large(counts: dict[str, int], baseline: dict[str, int], percent: int = 10) -> list[str]:
    """Return a line for each cell type whose number is more than ``percent`` percent over the baseline."""
    return [
        f"{name}: {counts.get(name, 0)}, more than {percent} % over {most}"
        for name, most in baseline.items()
        if counts.get(name, 0) * 100 > most * (100 + percent)
    ]


@click.command()
@click.argument("baseline", type=click.Path(path_type=Path))
def area(baseline: Path) -> None:
    """Write the cell counts of the group to BASELINE, bench/tests/area_baseline.json."""
    with tempfile.TemporaryDirectory() as folder:
        counts = group_counts(GROUP_8, Path(folder))
    write(baseline, json.dumps({name: counts.get(name, 0) for name in KINDS}, indent=2) + "\n")


if __name__ == "__main__":
    run(area)
