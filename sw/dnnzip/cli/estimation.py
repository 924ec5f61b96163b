"""The command that estimates latency and energy."""

from typing import Any

import click

from dnnzip.cli.arguments import batch_option, model_argument
from dnnzip.cli.file_parameters import AcceleratorFile, FileCommand
from dnnzip.cli.output import Output, output_options


@click.command(
    cls=FileCommand,
    help="""Estimate latency and energy on an accelerator.

    Plain weights are compared with compressed ones. The model may be compressed; a plain one, or one of shapes only,
    needs --bits or --ratio.
    """,
)
@model_argument(metavar="MODEL")
@click.option(
    "--accelerator",
    type=AcceleratorFile(),
    required=True,
    metavar="PRESET|FILE.toml",
    help="Accelerator: paper-mesh-8x8, edge-lpddr4, ulx3s, or a file of that form.",
)
@click.option("--bits", type=float, metavar="B", help="Bits of every compressed weight, whatever the model holds.")
@click.option(
    "--ratio", type=float, metavar="R", help="Ratio of plain to compressed size of every weight, instead of --bits."
)
@click.option(
    "--timing",
    type=click.Choice(["serial", "overlap"]),
    default="serial",
    show_default=True,
    help="A layer takes the sum of its parts, or the longest of them.",
)
@batch_option
@click.option(
    "--weight-bits",
    type=click.Choice([32, 16, 8]),
    help="Of weights that are not compressed.  [default: its own]",
)
@click.option(
    "--placement",
    type=click.Choice(["pe", "memory-interface"]),
    help="Where weights are decompressed.  [default: the accelerator's]",
)
@output_options
def estimate(model: str, accelerator: str, timing: str, placement: str | None, output: Output, **options: Any) -> None:
    """Run `dnnzip estimate`; all other options are those of the estimation."""
    from dnnzip.accelerator import Timing, load_accelerator
    from dnnzip.format.array import Placement
    from dnnzip.presentation.estimation_table import estimation_table, summary_lines
    from dnnzip.usecases.estimate import EstimationOptions, compare, read_network

    asked = EstimationOptions(Timing(timing), **options)
    loaded = load_accelerator(accelerator)
    if placement is not None:
        loaded = loaded.placed(Placement(placement))
    result = compare(read_network(model), loaded, asked, model)
    output.json(result.as_json())
    output.table(estimation_table(result), *summary_lines(result))
