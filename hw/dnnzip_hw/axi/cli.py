"""The ``axi`` command: the AXI top's Verilog, its ports and registers, and the C header."""

from pathlib import Path

import click

from dnnzip.errors import InputError, MissingToolError
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.parameters import DecompressorParameters

DEFAULTS = DecompressorParameters()
OPTIONS = {
    "lanes": "--lanes",
    "slots": "--slots",
    "log2_states": "--states",
    "weight_bits": "--weight-bits",
    "line": "--line",
    "target": "--target",
    "bus_bits": "--bus-bits",
    "row_weights": "--row-weights",
    "groups": "--groups",
}
"""Parameter to the option that sets it."""


@click.command("axi")
@click.option(
    "-o", "--output", "folder", required=True, metavar="DIR", help="Folder for the files; it is made where missing."
)
@click.option("--groups", default=1, show_default=True, help="Decompressors side by side: 1, 2, 4, ...")
@click.option("--lanes", default=DEFAULTS.lanes, show_default=True, help="Lanes of a group: 1, 2, 4, 8 or 16.")
@click.option("--slots", default=DEFAULTS.slots, show_default=True, help="Virtual lanes per lane.")
@click.option(
    "--states", default=1 << DEFAULTS.log2_states, show_default=True, help="Most states of a table: 256, 512 or 1024."
)
@click.option("--weight-bits", default=DEFAULTS.weight_bits, show_default=True, help="Width of a weight: 8 or 16.")
@click.option("--line", is_flag=True, help="With the core of the line codec, a baseline to compare with.")
@click.option(
    "--target", default=DEFAULTS.target, show_default=True, help="What memories are built of: generic or ecp5."
)
@click.option("--bus-bits", default=32, show_default=True, help="Width of an input's tdata: 16, 32, 64 or 128.")
@click.option("--row-weights", default=0, help="Weights of a full output beat; by default the lanes.")
def axi(
    folder: str,
    groups: int,
    lanes: int,
    slots: int,
    states: int,
    weight_bits: int,
    line: bool,
    target: str,
    bus_bits: int,
    row_weights: int,
) -> None:
    """Write the decompressor with AXI ports as Verilog, with its ports, its registers and a C header."""
    if states <= 0 or states & states - 1:
        raise InputError("--states", f"is {states}", "it must be 256, 512 or 1024")
    try:
        decompressor = DecompressorParameters(lanes, slots, states.bit_length() - 1, weight_bits, line, target)
        parameters = AxiParameters(decompressor, bus_bits, row_weights, groups)
    except ValueError as error:
        raise InputError(OPTIONS.get(str(error).partition(" ")[0], "--lanes"), str(error)) from None
    from dnnzip_hw.axi.verilog import axi_files
    from dnnzip_hw.cli import write_whole
    from dnnzip_hw.verilog import find_yosys

    if not find_yosys():
        raise MissingToolError("axi: Yosys is missing; pip install 'dnnzip[hw]'")
    for path in write_whole(Path(folder), axi_files(parameters)):
        click.echo(path)
