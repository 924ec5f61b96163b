"""The command that estimates latency and energy."""

from typing import Any

import click

from dnnzip.cli.arguments import batch_option, model_argument
from dnnzip.cli.file_parameters import AcceleratorFile, FileCommand
from dnnzip.cli.output import Output, output_options
from dnnzip.errors import InputError


class ShapeOfValue(click.ParamType[tuple[str, tuple[int, ...]]]):
    """The name of an input or dimension, and its sizes."""

    name = "NAME=SIZES"

    def convert(
        self,
        value: str | tuple[str, tuple[int, ...]],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, tuple[int, ...]]:
        """Return name and sizes.

        Raises
        ------
        InputError
            The text is not of that form.
        """
        del param, ctx
        if not isinstance(value, str):
            return value
        name, _, sizes = value.rpartition("=")
        numbers = sizes.split("x")
        if not name or not all(number.isascii() and number.isdigit() and len(number) < 12 for number in numbers):
            raise InputError(f"--shape {value!r}", "is no shape", "give a name and sizes, such as x=1x3x320x320")
        return name, tuple(map(int, numbers))


@click.command(
    cls=FileCommand,
    help="""Estimate latency and energy on an accelerator.

    Plain weights are compared with compressed ones. The model may be compressed; a plain one, or one of shapes only,
    needs --bits or --ratio. Where a dimension stays open that is not the batch's, the bytes of weights alone are
    compared.
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
@click.option(
    "--shape",
    "shapes",
    type=ShapeOfValue(),
    multiple=True,
    help="Sizes of an input, such as x=1x3x320x320, or of a symbolic dimension, such as height=320. May be repeated.",
)
@click.option("--seq-len", type=click.IntRange(1), metavar="N", help="Size of every open dimension of a sequence.")
@output_options
def estimate(
    model: str,
    accelerator: str,
    timing: str,
    output: Output,
    **options: Any,
) -> None:
    """Run `dnnzip estimate`; all other options are those of the estimation."""
    from dnnzip.accelerator import Timing, load_accelerator
    from dnnzip.format.array import Placement
    from dnnzip.onnx.given_sizes import GivenSizes
    from dnnzip.presentation.estimation_table import estimation_table, summary_lines
    from dnnzip.usecases.estimate import EstimationOptions, compare, read_network

    placement = options.pop("placement")
    given = GivenSizes(dict(options.pop("shapes")), options.pop("seq_len"))
    asked = EstimationOptions(Timing(timing), **options)
    loaded = load_accelerator(accelerator)
    if placement is not None:
        loaded = loaded.placed(Placement(placement))
    result = compare(read_network(model, given), loaded, asked, model)
    output.json(result.as_json())
    output.table(estimation_table(result), *summary_lines(result))
