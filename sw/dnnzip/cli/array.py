"""The command that runs a network on the PE array."""

from typing import TYPE_CHECKING

import click

from dnnzip.cli.arguments import data_option, model_argument, samples_option, scores_option
from dnnzip.cli.file_parameters import FileCommand
from dnnzip.cli.output import Output, output_options
from dnnzip.errors import InputError

if TYPE_CHECKING:
    from dnnzip.format.array import ArrayShape


@click.command(
    cls=FileCommand,
    help="""Run a whole 8-bit network on the PE array.

    The model may be plain or compressed. Its convolutions and matrix products run on the array, the rest in
    onnxruntime; predictions are compared with those of onnxruntime alone.
    """,
)
@model_argument(metavar="MODEL")
@data_option(is_required=True)
@click.option(
    "--link",
    required=True,
    metavar="LINK",
    help="Link that executes the array's layers: golden, sim (extra sim) or serial:PORT (extra board).",
)
@samples_option()
@scores_option()
@click.option("--groups", type=int, metavar="G", default=1, show_default=True, help="Lane groups of the array.")
@click.option("--lanes", type=int, metavar="M", default=4, show_default=True, help="Hardware lanes of a group.")
@click.option(
    "--slots", type=int, metavar="K", default=4, show_default=True, help="Virtual lanes of each; rows: G M K."
)
@click.option("--columns", type=int, metavar="C", default=16, show_default=True, help="Columns of the array.")
@click.option("--vectors", type=int, metavar="P", default=1024, show_default=True, help="Accumulators of each row.")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="Compare every sum with NumPy's and onnxruntime's."
)
@output_options
def run(
    model: str,
    data: str,
    link: str,
    samples: int | None,
    scores: str | None,
    groups: int,
    lanes: int,
    slots: int,
    columns: int,
    vectors: int,
    check: bool,
    output: Output,
) -> None:
    """Run `dnnzip run`."""
    from dnnzip.array.job import open_array
    from dnnzip.array.network import compile_network
    from dnnzip.evaluation.accuracy import score_output
    from dnnzip.evaluation.dataset import load_dataset
    from dnnzip.onnx.files import load_model
    from dnnzip.presentation.tables import run_table
    from dnnzip.usecases.run import require, run_on_array

    shape = _array_shape(groups, lanes, slots, columns, vectors)
    opened = open_array(link, shape)
    network = load_model(model)
    dataset = load_dataset(data, samples)
    compiled = compile_network(network, shape, model, output=score_output(network, dataset, model, scores))
    with output.progress("running", len(compiled.pieces)) as step:
        result = run_on_array(compiled, opened, dataset, check=check, step=step)
    output.json(result.as_json())
    same = result.accuracy.samples - len(result.differences)
    lines = [
        f"sample {item.sample}: class {item.array}, onnxruntime {item.onnxruntime}: {item.reason}"
        for item in result.differences
    ]
    lines.append(
        f"top1 {100 * result.accuracy.top1:.2f} %, onnxruntime {100 * result.reference.top1:.2f} %, "
        f"same class for {same} of {result.accuracy.samples} samples"
    )
    if result.figures.cycles:
        lines.append(f"{result.macs_per_second / 1e6:.1f} M MACs/s in the array, without its start")
    if idle := compiled.layers_with_idle_rows:
        lines.append(
            f"{len(idle)} layers have streams of fewer virtual lanes than there are rows for their channels; "
            f"compress with --virtual-lanes {shape.rows_per_group} --groups {shape.groups} to use all rows"
        )
    output.table(run_table(result), *lines)
    if check:
        require(result)


def _array_shape(groups: int, lanes: int, slots: int, columns: int, vectors: int) -> "ArrayShape":
    """Return the array that the options describe."""
    from dnnzip.format.array import MAX_ROWS_PER_GROUP, ArrayShape

    for option, value in (("--lanes", lanes), ("--slots", slots)):
        if not 1 <= value <= MAX_ROWS_PER_GROUP or value & value - 1:
            raise InputError(f"{option} {value}", f"must be a power of two from 1 to {MAX_ROWS_PER_GROUP}")
    if lanes * slots > MAX_ROWS_PER_GROUP:
        raise InputError(
            f"--lanes {lanes} --slots {slots}",
            f"give a group {lanes * slots} rows",
            f"their product is at most {MAX_ROWS_PER_GROUP}",
        )
    try:
        return ArrayShape(groups, lanes * slots, columns, vectors, lanes)
    except ValueError as error:
        name, _, rule = str(error).partition(" ")
        raise InputError(f"--{name}", rule) from None
