"""The command ``dnnzip explore``."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click

from dnnzip.cli.arguments import batch_option, data_option, model_argument, samples_option, scores_option
from dnnzip.cli.file_parameters import AcceleratorFile, FileCommand, Folder, ModelFile
from dnnzip.cli.output import Output, output_options
from dnnzip.errors import InputError
from dnnzip.format import AUTO, codec_choices
from dnnzip.system import extras

NEEDED = ("distributed", "pyarrow")
"""Packages that the extra `explore` installs."""


def axis(
    name: str,
    help_text: str,
    default: str | None = None,
    metavar: str = "A,B",
    kind: click.ParamType[str] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option that takes several values: with commas, or given several times."""

    def split(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        del ctx, param
        return tuple(word.strip() for text in value for word in text.split(","))

    return click.option(
        name,
        type=kind,
        multiple=True,
        required=default is None,
        default=None if default is None else (default,),
        metavar=metavar,
        callback=split,
        # Click would write a default as the tuple that it is.
        help=help_text if default is None else f"{help_text}  [default: {default}]",
    )


@click.command(
    cls=FileCommand,
    help="""Try layers, bounds, codecs and accelerators.

    Accuracy, bits, latency and energy of every setting go to DIR as they come; the same command goes on where it was
    stopped. The table shows the settings that no other one beats. Lists are given with commas. Needs the extra explore.
    """,
)
@model_argument()
@data_option(is_required=True)
@axis("--max-error", "Bounds, as of 'compress': 0.5%,1%,2%.")
@axis("--error-scope", "Over what a percentage is taken: tensor, channel.", "tensor")
@axis("--codec", f"Coding of weights: {', '.join(codec_choices())}.", AUTO)
@axis(
    "--layers",
    "Sets of layers to compress: all, each, all-but-one, largest, largest:N, or globs, joined by + to one set.",
    "all",
)
@axis("--accelerator", "Presets, or files that end in .toml.", "edge-lpddr4", kind=AcceleratorFile())
@axis("--placement", "Where weights are decompressed: pe, memory-interface, or the accelerator's own.", "own")
@axis("--timing", "Overlap of the parts of a layer: serial, overlap.", "serial,overlap")
@batch_option
@click.option(
    "--weight-bits",
    type=click.Choice([32, 16, 8]),
    help="Of weights that are not compressed.  [default: the accelerator's]",
)
@samples_option("Number of samples for accuracy.  [default: all]")
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Draw the samples by this seed.  [default: the first ones]"
)
@scores_option("--output-name")
@click.option(
    "--tuned",
    type=ModelFile(),
    metavar="TUNED.dnz.onnx",
    help="A compressed model to show with them, such as that of 'tune'.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=Folder(writes=("request.json", "network.json", "results/*.parquet", "layers/*.parquet")),
    required=True,
    metavar="DIR",
    help="Folder for the results; a run there is continued.",
)
@click.option("--scheduler", metavar="ADDRESS", help="A running Dask scheduler.  [default: processes of this machine]")
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Processes of this machine.  [default: one for each core]"
)
@axis("--against", "Costs that the table weighs accuracy against: bits, latency, energy.", "energy")
@output_options
def explore(
    folder: str, scheduler: str | None, workers: int | None, against: tuple[str, ...], output: Output, **asked: Any
) -> None:
    """Run `dnnzip explore`; all other options are those of the request."""
    for package in NEEDED:
        if find_spec(package) is None:
            raise extras.missing("explore", package, "explore")
    if scheduler is not None and workers is not None:
        raise click.UsageError("--workers: is of this machine's processes; leave it out with --scheduler")
    from dnnzip.exploration.cluster import connected
    from dnnzip.exploration.folder import ExplorationFolder
    from dnnzip.exploration.front_table import COSTS, Fronts
    from dnnzip.exploration.open_files import workers_within_limit
    from dnnzip.exploration.request import Options, check_words, plan_exploration
    from dnnzip.exploration.run import remaining, run

    check_words("--against", against, list(COSTS))
    plan = plan_exploration(Options(**asked))
    into = ExplorationFolder(folder)
    try:
        into.start(plan.request)
        left = remaining(plan, into)
        found = len(plan.encodings) - len(left)
        if left:
            count = 1 if scheduler else workers_within_limit(workers, len(os.sched_getaffinity(0)))
            with output.progress("exploring", len(plan.encodings)) as step:
                for _ in range(found):
                    step("")
                with connected(scheduler, min(count, len(left))) as client:
                    run(plan, into, client, left, step)
    except InputError:
        into.undo()
        raise
    fronts = Fronts(into, folder, against, found)
    output.json(fronts.as_json())
    output.table(fronts.table(), *fronts.lines())
