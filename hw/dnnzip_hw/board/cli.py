"""The ``bitstream`` command."""

import json
from pathlib import Path

import click

from dnnzip.cli.file_parameters import FileCommand, Folder, OutputFile
from dnnzip.errors import InputError
from dnnzip.format.frames import Top
from dnnzip.system.outputs import write_output
from dnnzip.system.streams import printing
from dnnzip.system.terminal import printable
from dnnzip.system.waits import waiting_for


@click.command(
    "bitstream",
    cls=FileCommand,
    help="""Build a bitstream: decompressor or array on a board.

    A design that does not fit, or misses the board's clock, is a failed build. Needs the extra fpga.
    """,
)
@click.option("--board", "name", required=True, metavar="NAME", help="ulx3s-85f, ulx3s-25f, icebreaker or hx8k-b-evn.")
@click.option(
    "--top",
    default=Top.DECOMPRESSOR.label,
    show_default=True,
    metavar="TOP",
    help="What is behind the serial line: decompressor or array.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=Folder(writes=("dnnzip_*.bit", "dnnzip_*.bin", "dnnzip_*.json", "dnnzip_*.log")),
    default="build/bitstreams",
    show_default=True,
    metavar="DIR",
    help="Folder for the bitstream and its summary; it is made where missing.",
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Of place and route.")
@click.option(
    "--json",
    "json_file",
    type=OutputFile(is_text=True),
    metavar="FILE",
    help="Write the summary as JSON too; - for standard output.",
)
def bitstream(name: str, top: str, folder: str, seed: int, json_file: str | None) -> None:
    """Run `dnnzip bitstream`."""
    from dnnzip_hw.board.bitstream import build_bitstream, is_first_start
    from dnnzip_hw.board.boards import BOARDS

    if name not in BOARDS:
        raise InputError("--board", f"no board is named {name!r}", f"one of {', '.join(BOARDS)}")
    tops = {known.label: known for known in Top}
    if top not in tops:
        raise InputError("--top", f"no top is named {top!r}", f"one of {', '.join(tops)}")
    BOARDS[name].design(tops[top])
    more = "; the tools' first start takes a minute or two more" if is_first_start() else ""
    try:
        with waiting_for(f"building for {name}, a minute or three{more}"):
            made = build_bitstream(BOARDS[name], Path(folder), seed, tops[top])
        text = json.dumps(made.as_json(), indent=2) + "\n"
        if json_file == "-":
            with printing():
                click.echo(text, nl=False)
            return
        if json_file:
            write_output(json_file, text.encode())
    except OSError as error:
        where = str(error.filename or folder)
        raise InputError(where, f"cannot be written ({error.strerror or error})", "name a place that can be") from None
    width = max(len(row[0]) for row in made.rows())
    path = printable(str(Path(folder) / made.file))
    with printing():
        for key, value in made.rows():
            click.echo(f"{key:{width}}  {value}")
        click.echo(path)
        click.echo(f"load it with: openFPGALoader {BOARDS[name].flash} {path}")
