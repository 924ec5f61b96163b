"""The ``rtl`` command: Verilog of the decompressor and of its AXI top, ports, registers and the integration kit."""

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from dnnzip.cli.file_parameters import FileCommand, Folder
from dnnzip.errors import InputError
from dnnzip.format import MAX_LOG2_STATES, MIN_LOG2_STATES
from dnnzip.system import extras
from dnnzip.system.outputs import OutputSet
from dnnzip.system.streams import printing
from dnnzip.system.terminal import printable
from dnnzip.system.waits import waiting_for
from dnnzip_hw.axi.parameters import AxiParameters
from dnnzip_hw.axi.verilog import axi_files
from dnnzip_hw.kit import kit_files
from dnnzip_hw.memory import TARGETS
from dnnzip_hw.parameters import DecompressorParameters
from dnnzip_hw.verilog import FLOAT_MAP, TOP, decompressor_verilog, float_map_verilog, ports
from dnnzip_hw.yosys import find_yosys, is_first_start

DEFAULTS = DecompressorParameters()
OPTIONS = ("lanes", "slots", "weight_bits", "line", "target", "groups", "bus_bits", "row_weights")
"""Parameters that an option of their name sets."""

STATES = tuple(1 << log2 for log2 in range(MIN_LOG2_STATES, MAX_LOG2_STATES + 1))


@click.command(
    "rtl",
    cls=FileCommand,
    help="""Write the decompressor as Verilog, with a kit around it.

    It is written alone and with AXI ports. The kit: ports and registers as JSON, the register map as Markdown and as a
    C header, the format's numbers as a SystemVerilog package and a C header, a decoder in C, and a testbench with
    sample streams that checks itself; README.md in the folder says how to run them. Needs the extra hw.
    """,
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=Folder(),
    required=True,
    metavar="DIR",
    help="Folder for the files; it is made where missing.",
)
@click.option("--lanes", default=DEFAULTS.lanes, show_default=True, help="Weights per beat: 1, 2, 4, 8 or 16.")
@click.option("--slots", default=DEFAULTS.slots, show_default=True, help="Virtual lanes per lane.")
@click.option(
    "--states", default=1 << DEFAULTS.log2_states, show_default=True, help="Most states of a table: 256, 512 or 1024."
)
@click.option("--weight-bits", default=DEFAULTS.weight_bits, show_default=True, help="Width of a weight: 8 or 16.")
@click.option("--line", is_flag=True, help="With the core of the line codec, a baseline to compare with.")
@click.option(
    "--float-map",
    is_flag=True,
    help="With dnnzip_float_map.v, to be placed behind the decompressor: an adder for each lane, which turns codes of "
    "lossless float weights into their bits.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=DEFAULTS.target,
    show_default=True,
    help="What the memories are made of: plain Verilog; ECP5's block RAM with its output register, whose testbench "
    "needs the kit's ecp5_primitives.v; or what iCE40 has.",
)
@click.option("--groups", default=1, show_default=True, help="Of the AXI top: decompressors side by side, 1, 2, 4, ...")
@click.option("--bus-bits", default=32, show_default=True, help="Of the AXI top: width of an input, 16, 32, 64 or 128.")
@click.option("--row-weights", default=0, help="Of the AXI top: weights of a full output beat; by default the lanes.")
def rtl(folder: str, states: int, float_map: bool, **others: Any) -> None:
    """Run `dnnzip rtl`."""
    axi = {name: others.pop(name) for name in ("bus_bits", "row_weights", "groups")}
    if states not in STATES:
        raise InputError("--states", f"is {states}", f"it must be {', '.join(map(str, STATES[:-1]))} or {STATES[-1]}")
    try:
        parameters = DecompressorParameters(log2_states=states.bit_length() - 1, **others)
        axi_parameters = AxiParameters(parameters, **axi)
    except ValueError as error:
        raise InputError(_option_of(str(error)), str(error)) from None
    if not find_yosys():
        raise extras.missing("rtl", "Yosys", "hw")
    listed = ports(parameters)
    what = "writing Verilog with Yosys, whose first start takes a minute"
    with waiting_for(what) if is_first_start() else contextlib.nullcontext():
        files = {
            f"{TOP}.v": decompressor_verilog(parameters),
            f"{TOP}.json": json.dumps(listed, indent=2) + "\n",
            **({f"{FLOAT_MAP}.v": float_map_verilog(parameters)} if float_map else {}),
            **axi_files(axi_parameters),
            **kit_files(parameters, listed),
        }
    written = write_whole(Path(folder), files)
    with printing():
        for path in written:
            click.echo(printable(str(path)))


def _option_of(message: str) -> str:
    """Return the option that the parameters' message is about."""
    name = message.split(" ", 1)[0]
    return f"--{name.replace('_', '-')}" if name in OPTIONS else "--lanes"


def write_whole(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write all files into ``folder`` and its folders, or none.

    Raises
    ------
    InputError
        A folder cannot be made, or a file cannot be written.
    """
    paths = []
    with OutputSet() as outputs:
        for name, text in files.items():
            path = folder / name
            outputs.make_folder(path.parent)
            outputs.write(path, text.encode())
            paths.append(path)
    return paths
