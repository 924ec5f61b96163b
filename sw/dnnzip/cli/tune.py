"""The command ``dnnzip tune``."""

from pathlib import Path

import click

from dnnzip.cli.arguments import data_option, images_option, model_argument, model_output, samples_option, scores_option
from dnnzip.cli.file_parameters import STANDARD_OUTPUT, AcceleratorFile, FileCommand
from dnnzip.cli.output import Output, output_options
from dnnzip.errors import InputError
from dnnzip.system.streams import say

#: Suffix of the journal of a search that has not ended, next to the output.
JOURNAL_SUFFIX = ".tune"


@click.command(
    cls=FileCommand,
    help="""Choose a bound for every layer, from labelled samples.

    The weights get as few bits as a drop in accuracy allows. Biases make up for mean shifts; no weight moves by more
    than its layer's bound. The drop is confirmed on samples that the search did not see.
    """,
)
@model_argument()
@data_option()
@images_option()
@click.option(
    "--max-drop",
    required=True,
    metavar="POINTS%",
    help="Drop in top-1 accuracy that is allowed, in points: 1% or 0.5%.",
)
@model_output("OUT.dnz.onnx", "The compressed model", beside=(JOURNAL_SUFFIX,))
@click.option(
    "--objective",
    type=click.Choice(["bytes", "latency", "energy"]),
    default="bytes",
    show_default=True,
    help="Quantity to minimise.",
)
@click.option(
    "--accelerator",
    type=AcceleratorFile(),
    metavar="PRESET|FILE.toml",
    help="Accelerator for latency and energy.  [default: edge-lpddr4]",
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Of all that is random."
)
@samples_option()
@scores_option()
@click.option("--compare", is_flag=True, help="Also find the best single bound for all layers.")
@click.option("--resume", is_flag=True, help="Go on with a search that was interrupted, or fail: it goes on by itself.")
@output_options
def tune(
    model: str,
    data: str | None,
    images: str | None,
    max_drop: str,
    target: str,
    objective: str,
    accelerator: str | None,
    seed: int,
    samples: int | None,
    scores: str | None,
    compare: bool,
    resume: bool,
    output: Output,
) -> None:
    """Run `dnnzip tune`."""
    from dnnzip.evaluation.images import load_labelled
    from dnnzip.tuning.drop import parse_drop
    from dnnzip.tuning.journal import Journal
    from dnnzip.tuning.options import TuningOptions, accelerator_for
    from dnnzip.tuning.prices import Objective
    from dnnzip.tuning.tuner import Tuner

    if resume and target == STANDARD_OUTPUT:
        raise InputError("--resume", "has no journal where -o is standard output", "give -o a file")
    chosen = Objective(objective)
    options = TuningOptions(parse_drop(max_drop), chosen, accelerator_for(chosen, accelerator), seed, compare, scores)
    tuner = Tuner(model, load_labelled(data, images, model, samples), options)
    journal_path = None if target == STANDARD_OUTPUT else Path(f"{target}{JOURNAL_SUFFIX}")
    journal = Journal(journal_path, tuner.settings(), resume)
    if journal.known:
        say(f"{journal_path}: going on with the search that was interrupted, {journal.known} measurements are there")
    with output.progress("tuning", tuner.steps) as step:
        outcome = tuner.tune(journal, step)
    output.save(outcome.compressed.model, target)
    output.json(outcome.as_json())
    output.files.afterwards(journal.remove)
    output.table(outcome.table(), *outcome.lines())
