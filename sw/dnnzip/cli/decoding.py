"""Commands that take a compressed model to a decoder: over a link, or as a memory image."""

import click

from dnnzip.cli.arguments import model_argument, model_output
from dnnzip.cli.file_parameters import FileCommand, Folder
from dnnzip.cli.output import Output, output_options


@click.command(
    cls=FileCommand,
    help="""Decode every stream in the RTL and compare all bits.

    The RTL runs under Verilator, or on a board. Its codes are compared with those of the fast decoder; so are, with
    --link golden, those of the reference decoder, the norm.
    """,
)
@model_argument(metavar="MODEL.dnz.onnx")
@model_output("DECODED.onnx", "Write the plain model as the link decoded it", is_required=False)
@click.option(
    "--link",
    default="sim",
    show_default=True,
    metavar="LINK",
    help="Decoder: sim (extra sim), or sim:N for N simulators at once instead of one for each core; golden, the "
    "reference decoder, about 100,000 weights per second; serial:PORT (extra board).",
)
@output_options
def simulate(model: str, target: str | None, link: str, output: Output) -> None:
    """Run `dnnzip simulate`."""
    from dnnzip.link import open_link
    from dnnzip.onnx.opening import read_compressed
    from dnnzip.presentation.tables import simulation_table
    from dnnzip.usecases import simulate as simulation

    opened = open_link(link)
    compressed = read_compressed(model)
    result = simulation.simulate(compressed, opened)
    output.json(result.as_json())
    output.table(
        simulation_table(result), f"{result.weights_per_second / 1e6:.2f} M weights/s in the decoder, without its start"
    )
    simulation.require(result)
    if target is not None:
        output.save(simulation.decoded_model(compressed, result), target)


@click.command(
    cls=FileCommand,
    help="""Write a model's streams as a memory image.

    The folder gets weights.bin, which starts with its address table, and the same table as weights.json and weights.h.
    Layers come in the order in which the network executes them.
    """,
)
@model_argument(metavar="MODEL.dnz.onnx")
@click.option(
    "-o",
    "--output",
    "folder",
    type=Folder(writes=("weights.bin", "weights.json", "weights.h")),
    required=True,
    metavar="DIR",
    help="Folder for the files; made where missing.",
)
@click.option(
    "--bus-bits",
    type=int,
    metavar="W",
    default=64,
    show_default=True,
    help="Bits of the words on which streams start: 16, 32, ... 512. An image for a wide bus serves narrower ones.",
)
@click.option(
    "--prefix",
    metavar="NAME",
    help="Prefix of all names of weights.h; two images in one program need two.  [default: the folder's name]",
)
@output_options
def image(model: str, folder: str, bus_bits: int, prefix: str | None, output: Output) -> None:
    """Run `dnnzip image`."""
    from dnnzip.onnx.opening import open_compressed_file
    from dnnzip.presentation.tables import image_table
    from dnnzip.usecases.image import plan_image, write_image
    from dnnzip.usecases.image_header import check_prefix

    if prefix is not None:
        check_prefix(prefix)
    compressed = open_compressed_file(model)
    with output.progress("checking", len(compressed.layers)) as step:
        planned = plan_image(compressed, bus_bits, step)
    paths = write_image(planned, compressed, folder, output.files, prefix)
    output.json(planned.as_json())
    totals = (
        f"{planned.size:,} bytes, {planned.padding:,} of them padding, {planned.bits_per_weight:.3f} bits per weight"
    )
    output.table(image_table(planned), totals, *map(str, paths))
